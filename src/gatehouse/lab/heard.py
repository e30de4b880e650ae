"""What the cloud heard of a device: its last events, as codes, and how far they have come.

No text that was typed and no card number is in here; `who` is the label of the card that the tester held.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from gatehouse.wire.messages import AnyEvent, CommandEnded, DoorMoved, EmergencyMoved, InputMoved, Lost, Passage

MOST = 40


class Heard:
    """The last events of one device, newest first. Numbers are the spool's."""

    def __init__(self) -> None:
        self.acked = 0
        """Last number that the cloud confirmed."""
        self.waiting = 0
        """How many it has not confirmed."""
        self._entries: list[dict[str, Any]] = []

    @property
    def last(self) -> int:
        """Number of the newest event, 0 before the first."""
        return int(self._entries[0]["seq"]) if self._entries else 0

    def add(self, events: Iterable[AnyEvent], who: Callable[[int], str | None]) -> None:
        """Take events in the order of their numbers; what is known already is ignored."""
        for event in events:
            if event.seq > self.last:
                self._entries.insert(0, describe(event, who(event.seq)))
        del self._entries[MOST:]

    def note(self, entry: dict[str, Any]) -> None:
        """Take what a device without a spool told its gateway; it has arrived already."""
        self.acked = self.last + 1
        self._entries.insert(0, {"seq": self.acked, "timed": True, "relay": None} | entry)
        del self._entries[MOST:]

    def forget(self) -> None:
        """A new spool numbers from one again."""
        self._entries.clear()
        self.acked = self.waiting = 0

    def view(self) -> list[dict[str, Any]]:
        """Newest first, each with `acked`."""
        return [entry | {"acked": entry["seq"] <= self.acked} for entry in self._entries]


def describe(event: AnyEvent, who: str | None) -> dict[str, Any]:
    """One event as plain values: `seq`, `kind`, `at_ms` (true time where known), and what its kind says."""
    common: dict[str, Any] = {
        "seq": event.seq,
        "at_ms": event.wall_ms if event.true_ms is None else event.true_ms,
        "timed": event.true_ms is not None,
        "relay": event.relay,
    }
    match event:
        case Passage():
            return common | {
                "kind": "passage",
                "method": event.method,
                "allowed": event.allowed,
                "reason": event.reason,
                "alone": event.alone,
                "decide_us": event.decide_us,
                "who": who if event.method == "card" else None,
            }
        case DoorMoved():
            return common | {"kind": "door", "state": event.state}
        case InputMoved():
            return common | {"kind": "input", "use": event.use, "active": event.active}
        case EmergencyMoved():
            return common | {"kind": "emergency", "state": event.state}
        case CommandEnded():
            return common | {"kind": "command", "state": event.state, "reason": event.reason}
        case Lost():
            return common | {"kind": "lost", "count": event.upto - event.seq + 1}
