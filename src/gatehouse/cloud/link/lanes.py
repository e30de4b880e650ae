"""What has arrived and waits for the database: bounded by construction, and nobody starves.

A gateway has one batch in flight and repeats what is not answered, so the newest message of each kind
replaces an older one that still waits. The number of gateways is the bound. Short batches overtake long
ones: a door that opens now is not shown after another site's backlog of a week.
"""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from itertools import islice
from typing import NamedTuple
from uuid import UUID

SHORT = 8 * 1024
"""Payloads up to this size, bytes, overtake longer ones."""
_BYTES_PER_EVENT = 400


class Waiting(NamedTuple):
    """A payload, from which gateway, and when it came."""

    gateway: UUID
    payload: bytes
    received_at: datetime


class Lanes:
    """Events in two lanes, all else by gateway and kind. Used from one event loop only."""

    def __init__(self) -> None:
        self._short: dict[UUID, Waiting] = {}
        self._long: dict[UUID, Waiting] = {}
        self._control: dict[tuple[UUID, str], Waiting] = {}
        self.counted: Counter[str] = Counter()

    @property
    def depth(self) -> int:
        """Batches that wait."""
        return len(self._short) + len(self._long)

    @property
    def rows(self) -> int:
        """About how many events wait in the short lane and the next long batch."""
        return sum(_rows(each) for each in islice(self._short.values(), 500)) + sum(
            _rows(each) for each in islice(self._long.values(), 1)
        )

    def put_events(self, waiting: Waiting) -> None:
        """A batch of events."""
        replaced = self._short.pop(waiting.gateway, None) or self._long.pop(waiting.gateway, None)
        if replaced is not None:
            self.counted["events.replaced"] += 1
        lane = self._short if len(waiting.payload) <= SHORT else self._long
        lane[waiting.gateway] = waiting

    def take_events(self, rows: int) -> list[Waiting]:
        """The next batches, about `rows` events: short ones first, but always one long one if any waits."""
        taken: list[Waiting] = []
        room = rows
        for lane, least in ((self._long, 1), (self._short, 0), (self._long, 0)):
            for gateway in list(islice(lane, rows)):
                size = _rows(lane[gateway])
                if (room <= 0 or size > room) and not least:
                    break
                taken.append(lane.pop(gateway))
                room -= size
                least -= 1
                if least == 0:
                    break
        return taken

    def put_back(self, batches: list[Waiting]) -> None:
        """Batches that could not be stored just now; a newer one of the same gateway goes before them."""
        for waiting in batches:
            if waiting.gateway not in self._short and waiting.gateway not in self._long:
                self.put_events(waiting)

    def put_control(self, kind: str, waiting: Waiting) -> None:
        """A message that is not events. The newest stands, and last in the order of arrival."""
        if self._control.pop((waiting.gateway, kind), None) is not None:
            self.counted["control.replaced"] += 1
        self._control[waiting.gateway, kind] = waiting

    def take_control(self, most: int) -> list[tuple[str, Waiting]]:
        """The oldest messages that are not events, at most so many, in order of arrival."""
        keys = list(islice(self._control, most))
        return [(key[1], self._control.pop(key)) for key in keys]

    def put_control_back(self, messages: list[tuple[str, Waiting]]) -> None:
        """Messages that could not be handled just now, before all that came since."""
        later = self._control
        self._control = {(waiting.gateway, kind): waiting for kind, waiting in messages}
        for (gateway, kind), waiting in later.items():
            self._control.pop((gateway, kind), None)
            self._control[gateway, kind] = waiting


def _rows(waiting: Waiting) -> int:
    return max(1, len(waiting.payload) // _BYTES_PER_EVENT)
