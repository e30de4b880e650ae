"""Gateways as the protocol sees them, on a bad line: pulls that break off, deltas that are lost, doubled or late."""

from __future__ import annotations

import random
from collections import Counter
from uuid import UUID

from gatehouse.cloud.feed.pages import page_for
from gatehouse.gateway.narrow import narrowed
from gatehouse.wire.messages import Applied, FeedDelta, FeedEntry, FeedPage, HolderEntry
from tests.cloud.feed.town import Held


class Doors:
    """What the doors themselves know: device > (revision, credentials). A door outlives its gateway."""

    def __init__(self) -> None:
        self.known: dict[str, tuple[int, frozenset[str]]] = {}


class Far:
    """One gateway: takes what it is sent like the real one, and acts on removals as they come."""

    def __init__(self, id_: UUID, doors: Doors, rng: random.Random) -> None:
        self.id = id_
        self.doors = doors
        self.rng = rng
        self.epoch: str | None = None
        self.revision = 0
        self.entries: Held = {}
        self.buried: dict[str, int] = {}
        self.count: Counter[str] = Counter()

    @property
    def devices(self) -> list[str]:
        return [key.partition(":")[2] for key in self.entries if key.startswith("device:")]

    def credentials(self) -> frozenset[str]:
        holders = (payload for payload in self.entries.values() if isinstance(payload, HolderEntry))
        return frozenset(credential.id for holder in holders for credential in holder.credentials)

    def pull(self, breaks: float = 0.0) -> bool:
        """Pages until all is there; a page may be the last that arrives, or come twice. False when it broke off."""
        staged: dict[str, FeedEntry] = {}
        cursor, first = None, None
        while True:
            page = page_for(self.id, self.epoch, self.revision, cursor, limit=self.rng.choice([1, 3, 7, 50]))
            if first is None:
                first = page
            elif (page.epoch, page.revision, page.reset) != (first.epoch, first.revision, first.reset):
                self.count["moved"] += 1
                return False
            self._take_early(page)
            for entry in page.entries:
                assert entry.key not in staged, "a pull tells each key once"
                staged[entry.key] = entry
            self.count["pages"] += 1
            if self.rng.random() < breaks:
                self.count["broken"] += 1
                return False
            if page.cursor is None:
                break
            if self.rng.random() >= breaks / 2:  # else: the same question once more, the answer is the same
                cursor = page.cursor
            else:
                for entry in page.entries:
                    del staged[entry.key]
        if page.reset:
            self.entries.clear()
            if page.epoch != self.epoch:
                self.buried.clear()
        self._put(staged.values())
        self._arrive(page.epoch, page.revision)
        return True

    def take(self, delta: FeedDelta) -> None:
        """A delta from the broker; whatever does not continue what is held leads to a pull."""
        if delta.epoch == self.epoch and delta.revision <= self.revision:
            self.count["stale"] += 1
        elif (delta.epoch, delta.since) == (self.epoch, self.revision) and delta.entries is not None:
            self._put(delta.entries)
            self._arrive(delta.epoch, delta.revision)
            self.count["deltas"] += 1
        else:
            self.pull(0.1)

    def configure(self, device: str) -> None:
        """One door takes over what its gateway holds.

        A gateway that does not know yet that the door has another one cannot put it back behind what that gave it.
        """
        if self.epoch is not None and self.doors.known.get(device, (0,))[0] <= self.revision:
            self.doors.known[device] = (self.revision, self.credentials())

    def report(self) -> Applied | None:
        """What this gateway and its doors hold; a door answers with the revision that it was configured to."""
        if self.epoch is None:
            return None
        devices = {device: self.doors.known[device][0] for device in self.devices if device in self.doors.known}
        return Applied(epoch=self.epoch, revision=self.revision, devices=devices)

    def _take_early(self, page: FeedPage) -> None:
        ranks = [entry.priority for entry in page.entries]
        assert ranks == sorted(ranks), "what takes away comes first"
        if page.epoch != self.epoch:
            return
        for entry in page.entries:
            if entry.priority == 0 and entry.revision > self.revision:
                self._narrow(entry)

    def _narrow(self, entry: FeedEntry) -> None:
        present = self.entries.get(entry.key)
        left = narrowed(present, entry.payload) if present is not None else None
        if left is not None:
            self.entries[entry.key] = left
        elif entry.payload is None or present is not None:
            self.entries.pop(entry.key, None)
            self.buried[entry.key] = entry.revision
        self.count["early"] += 1

    def _put(self, entries: object) -> None:
        for entry in entries:  # type: ignore[attr-defined]  # any iterable of entries
            if self.buried.get(entry.key, -1) >= entry.revision:
                self.count["buried"] += 1
            elif entry.payload is None:
                self.entries.pop(entry.key, None)
            else:
                self.entries[entry.key] = entry.payload

    def _arrive(self, epoch: str, revision: int) -> None:
        self.epoch, self.revision = epoch, revision
        self.buried = {key: buried for key, buried in self.buried.items() if buried > revision}
