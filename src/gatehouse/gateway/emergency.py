"""What becomes of the emergency state when somebody says something about it. No I/O.

The cloud's word is signed wanted state: the higher counter wins, whoever carried it here. A local fire
input needs nobody's leave and opens at once; it is ended by a signed `closed` of a later moment, so that
a close which was on its way before the fire began does not shut the doors on it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from gatehouse.gateway.store import EmergencyState
from gatehouse.wire.messages import Emergency, emergency_bytes

Ignored = Literal["emergency.foreign", "emergency.no_key", "emergency.unsigned", "emergency.older"]


@dataclass(frozen=True, slots=True)
class Judged:
    """What follows from a message: a new state, or why it is ignored (None: it said nothing new)."""

    state: EmergencyState | None
    ignored: Ignored | None = None


def judge(present: EmergencyState, said: Emergency, site: str, key: str | None) -> Judged:
    """What a signed state does to the present one. `key` is the site's public key, hexadecimal."""
    if said.site != site:
        return Judged(None, "emergency.foreign")
    if key is None:
        return Judged(None, "emergency.no_key")
    if not _signed(said, key):
        return Judged(None, "emergency.unsigned")
    if said.counter <= present.counter:
        return Judged(None, None if said == present.signed else "emergency.older")
    stays = present.raised and said.state == "closed" and not _after(said.at_ms, present.raised_at_ms)
    return Judged(EmergencyState(said, stays, present.raised_at_ms if stays else None))


def _signed(said: Emergency, key: str) -> bool:
    try:
        public = Ed25519PublicKey.from_public_bytes(bytes.fromhex(key))
        public.verify(
            bytes.fromhex(said.signature),
            emergency_bytes(said.site, said.id, said.state, said.counter, said.at_ms),
        )
    except (InvalidSignature, ValueError):
        return False
    return True


def _after(at_ms: int, raised_at_ms: int | None) -> bool:
    return raised_at_ms is not None and at_ms > raised_at_ms
