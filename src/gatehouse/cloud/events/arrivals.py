"""What is decided about arriving events before any row is written: which are new, and when they happened.

Nothing that a gateway sends is trusted to be sensible: numbers may be huge, clocks wrong, ids no ids. All of
it becomes a value that the database can hold, or a refusal of that one batch.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, NamedTuple
from uuid import UUID

from gatehouse.wire.messages import AnyEvent, EventBatch, Lost

LATEST_MS: Final = 253_402_214_400_000
"""9999-12-31, the last moment that both sides of the database can express."""
MOST: Final = 2**62
"""Sequence numbers beyond this are nonsense."""
AHEAD_MS: Final = 5_000
"""An event may claim to be this much later than its receipt: clocks are set over a network."""
_LONGEST_BOOT_MS: Final = 10 * 366 * 86_400_000
_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")

SPOOL_FORM: Final = "spool.form"
SPOOL_FOREIGN: Final = "spool.foreign"
SEQ_RANGE: Final = "seq.range"
GATEWAY_UNKNOWN: Final = "gateway.unknown"


class Arrival(NamedTuple):
    """A batch as it came in, from which gateway, and when."""

    gateway: UUID
    batch: EventBatch
    received_at: datetime


@dataclass(slots=True)
class Sifted:
    """What of a batch is new. `seq` is where the spool stands afterwards; `gap`: something before the rest is missing."""

    seq: int
    events: list[AnyEvent] = field(default_factory=list)
    duplicates: int = 0
    lost: int = 0
    gap: bool = False
    refused: str | None = None


def sift(events: list[AnyEvent], seq: int) -> Sifted:
    """The events after `seq`, up to the first gap that no declared loss covers."""
    result = Sifted(seq)
    for event in events:
        last = event.upto if isinstance(event, Lost) else event.seq
        if last < event.seq or last > MOST:
            return Sifted(seq, refused=SEQ_RANGE)
        if last <= result.seq:
            result.duplicates += 1
            continue
        if event.seq > result.seq + 1:
            result.gap = True
            break
        if isinstance(event, Lost):
            result.lost += last - result.seq
        result.seq = last
        result.events.append(event)
    return result


def placed(event: AnyEvent, batch: EventBatch, received_ms: int) -> tuple[int, str]:
    """When it happened, milliseconds since 1970, and how that is known: set, placed, unknown or future.

    set: the gateway's clock had been set from the cloud; placed: by its monotonic clock, counted back from
    the receipt; unknown: only its wall clock's claim; future: it claimed a time after its receipt, which
    then stands instead.
    """
    clock = "set"
    if event.true_ms is not None:
        at = event.true_ms
    else:
        ago = batch.sent_mono_ms - event.mono_ms
        if event.boot == batch.boot and 0 <= ago <= _LONGEST_BOOT_MS:
            return received_ms - ago, "placed"
        at, clock = event.wall_ms, "unknown"
    if at > received_ms:
        return received_ms, clock if at - received_ms <= AHEAD_MS else "future"
    return at, clock


def plain_id(text: str | None) -> str | None:
    """The id in its one usual form, or None for anything else."""
    return text if text is not None and _ID.fullmatch(text) else None


def bounded(number: int, most: int) -> int:
    """The number, within 0 and `most`."""
    return min(max(number, 0), most)
