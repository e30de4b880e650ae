"""Who may be in the lab. The portal knows; the lab only checks what the portal has signed.

The portal sends a person over with `?ticket=<payload>.<signature>`: the payload is JSON in URL-safe base64
without padding, `{"user": name, "until": Unix seconds, "devices": [ids] or "*"}`, the signature HMAC-SHA256
over the payload's text with the shared key, hexadecimal. It is good for a minute or so. Against it the lab
sets a cookie of its own, signed with a key derived from the same one, so that neither passes for the other.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from typing import Literal

import msgspec

TICKET_AT_MOST_S = 600
"""A ticket that claims to be good for longer was not made by the portal."""
VISIT_S = 8 * 3600
"""How long somebody stays in the lab before the portal is asked again."""
COOKIE = "gatehouse_lab"


class Visitor(msgspec.Struct, frozen=True):
    """Who it is, until when, and which devices he may touch."""

    user: str
    until: float
    devices: list[str] | Literal["*"]

    def may(self, device: str) -> bool:
        """Whether this device is among them."""
        return self.devices == "*" or device in self.devices


class NotAdmitted(Exception):
    """Not signed by the portal, or too late; the text says which."""


def sign(key: bytes, visitor: Visitor) -> str:
    """A ticket, as the portal makes it."""
    payload = base64.urlsafe_b64encode(msgspec.json.encode(visitor)).rstrip(b"=")
    return f"{payload.decode()}.{_seal(key, payload)}"


def read(key: bytes, text: str, now: float) -> Visitor:
    """Who a ticket admits; `now` in Unix seconds. Raises NotAdmitted."""
    visitor = _open(key, text)
    if not now < visitor.until <= now + TICKET_AT_MOST_S:
        raise NotAdmitted("the ticket is too old")
    return visitor


def cookie(key: bytes, visitor: Visitor, now: float) -> str:
    """What the browser keeps after a ticket was taken."""
    return sign(_own(key), Visitor(visitor.user, now + VISIT_S, visitor.devices))


def read_cookie(key: bytes, text: str, now: float) -> Visitor:
    """Who a cookie admits. Raises NotAdmitted."""
    visitor = _open(_own(key), text)
    if not now < visitor.until:
        raise NotAdmitted("the visit is over")
    return visitor


def _own(key: bytes) -> bytes:
    return hmac.new(key, b"gatehouse lab visit", hashlib.sha256).digest()


def _seal(key: bytes, payload: bytes) -> str:
    return hmac.new(key, payload, hashlib.sha256).hexdigest()


def _open(key: bytes, text: str) -> Visitor:
    payload, dot, seal = text.partition(".")
    if not dot or len(text) > 16_384 or not text.isascii():
        raise NotAdmitted("this is no ticket")
    if not hmac.compare_digest(_seal(key, payload.encode()), seal):
        raise NotAdmitted("the ticket was not made by this portal")
    try:
        return msgspec.json.decode(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)), type=Visitor)
    except (ValueError, msgspec.DecodeError) as error:
        raise NotAdmitted("this is no ticket") from error
