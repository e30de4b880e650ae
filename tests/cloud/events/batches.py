"""Events and batches as a gateway would make them."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from gatehouse.cloud.events.arrivals import Arrival
from gatehouse.wire.messages import AnyEvent, EventBatch, Passage
from tests.cast import NOW, Place

BOOT = "0b000000-0000-4000-8000-000000000001"
NOW_MS = int(NOW.timestamp() * 1000)


def passage(seq: int, place: Place | None = None, **more: Any) -> Passage:
    """A granted card at a place's front door, a second for each sequence number before NOW."""
    fields: dict[str, Any] = {
        "seq": seq,
        "boot": BOOT,
        "mono_ms": seq,
        "wall_ms": NOW_MS,
        "true_ms": NOW_MS - 60_000 + seq,
        "device": str(place.device.id) if place else None,
        "relay": str(place.front.id) if place else None,
        "method": "card",
        "allowed": True,
        "reason": "granted",
    }
    return Passage(**fields | more)


def arrival(
    gateway: UUID,
    *events: AnyEvent,
    spool: UUID | str,
    sent_mono_ms: int = 10_000,
    at: datetime = NOW,
    boot: str = BOOT,
) -> Arrival:
    """These events as one batch."""
    batch = EventBatch(spool=str(spool), boot=boot, sent_mono_ms=sent_mono_ms, events=list(events))
    return Arrival(gateway, batch, at)


def new_spool() -> str:
    """A spool's id."""
    return str(uuid4())
