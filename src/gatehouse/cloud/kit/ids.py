"""Time-ordered ids (UUID version 7, RFC 9562). Public, sortable, never secrets."""

from __future__ import annotations

import os
import threading
import time
from datetime import UTC, datetime
from uuid import UUID

_lock = threading.Lock()
_last_ms = 0
_counter = 0


def new_id() -> UUID:
    """A new id; ids made by one process are strictly increasing."""
    global _last_ms, _counter
    random = int.from_bytes(os.urandom(10), "big")
    with _lock:
        now = time.time_ns() // 1_000_000
        if now > _last_ms:
            _last_ms = now
            _counter = (random >> 68) & 0x7FF  # upper half stays free, so that a busy millisecond cannot overflow soon
        else:
            _counter += 1
            if _counter > 0xFFF:
                _last_ms += 1
                _counter = 0
        ms, counter = _last_ms, _counter
    return UUID(int=(ms << 80) | (0x7 << 76) | (counter << 64) | (0b10 << 62) | (random & ((1 << 62) - 1)))


def first_id_of(moment: datetime) -> UUID:
    """The smallest id that a row received at `moment` (aware) can have: the bound of a partition or a page."""
    ms = int(moment.timestamp() * 1000)
    return UUID(int=(ms << 80) | (0x7 << 76) | (0b10 << 62))


def moment_of(id_: UUID) -> datetime:
    """When an id was made, to the millisecond."""
    return datetime.fromtimestamp((id_.int >> 80) / 1000, tz=UTC)
