"""The feed as this gateway has it: what is in force, what is on its way, and the policy made of it.

Pages of a pull are laid aside and brought into force in one step with the last (OFF-DVC-E02), but what
takes something away acts at once, from pages and from deltas alike (`narrow`). Whatever the line does
with messages - drops, doubles, delays, swaps them - the end is the cloud's state: a delta is taken only
when nothing is missing before it, anything else leads to a pull.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import msgspec

from gatehouse.gateway.bell import Bell
from gatehouse.gateway.narrow import narrowed
from gatehouse.gateway.recorder import Recorder
from gatehouse.gateway.store import FeedState
from gatehouse.rules.policy import EntryError, Policy
from gatehouse.wire import FEED_SCHEMA
from gatehouse.wire.messages import DeviceEntry, FeedDelta, FeedEntry, FeedPage, Payload, SiteEntry

REMOVAL = 0


class NewerSchema(Exception):
    """The cloud's entries are of a schema that this gateway does not know; it keeps its last whole state."""


class PullBroken(Exception):
    """A page does not continue the one before; the pull begins anew."""


class Compiled:
    """Entries, ready to decide with."""

    def __init__(self, entries: Iterable[tuple[str, Payload | None]] = ()) -> None:
        self.policy = Policy()
        self.site: SiteEntry | None = None
        self.devices: dict[str, DeviceEntry] = {}
        self.refused: dict[str, str] = {}
        """Keys that could not be compiled, with the reason; they grant nothing."""
        self.apply(entries)

    def apply(self, entries: Iterable[tuple[str, Payload | None]]) -> None:
        """Put, replace or remove entries."""
        for key, payload in entries:
            try:
                self.policy.apply(key, None if payload is None else msgspec.to_builtins(payload))
                self.refused.pop(key, None)
            except EntryError as error:
                self.refused[key] = error.code
            kind, _, name = key.partition(":")
            if kind == "site":
                self.site = payload if isinstance(payload, SiteEntry) else None
            elif kind == "device":
                self.devices.pop(name, None)
                if isinstance(payload, DeviceEntry):
                    self.devices[name] = payload


class Feed:
    """How far the feed is, and what follows from it; only `load`, `delta` and `page` change what is in force."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._store = recorder.store
        self._lock = asyncio.Lock()
        self.state = FeedState(None, 0)
        self.compiled = Compiled()
        self.behind = asyncio.Event()
        """Set while the cloud is known to have something else than this gateway."""
        self.moved = Bell()
        """Rings after each change of what is in force."""
        self.removals_in = asyncio.Event()
        """Set when everything that the cloud took away before the last `expect` is in force."""
        self._wanted: FeedState | None = None
        self.newer_schema = False
        """The cloud has entries that this gateway does not understand; it keeps its last whole state."""
        self._anew = False
        self._asked = self.state
        self._pull: tuple[str, int, bool] | None = None
        self._early: dict[str, FeedEntry] = {}

    async def load(self) -> None:
        """Compile what the store holds. Raises DiskFailed, Damaged."""
        self.state = await self._recorder.on_disk(self._store.feed_state)
        self.compiled = await self._recorder.on_disk(self._compile)

    def asks(self) -> FeedState:
        """What to pull from, as the first page's question."""
        self._asked = self.state
        return FeedState(None, 0) if self._anew else self.state

    def ask_anew(self) -> None:
        """Pull everything once more, whatever is held."""
        self._anew = True
        self.behind.set()

    def expect(self, epoch: str, revision: int) -> None:
        """The cloud says what this gateway should hold; an empty epoch: the site has no feed yet."""
        if not epoch:
            self.removals_in.set()
            return
        if self._anew or (epoch, revision) != self.state:
            self._want(FeedState(epoch, revision))
            self.behind.set()
            self.removals_in.clear()
        elif not self.behind.is_set():
            self.removals_in.set()

    async def delta(self, delta: FeedDelta) -> None:
        """A change sent by itself. Raises DiskFailed, Damaged."""
        async with self._lock:
            state = FeedState(delta.epoch, delta.revision)
            if state.epoch == self.state.epoch and state.revision <= self.state.revision:
                return  # known already
            # Entries are whole and say how things are at `revision`, so who holds more than `since` lacks less.
            continues = state.epoch == self.state.epoch and delta.since <= self.state.revision
            if continues and delta.entries is not None and self._pull is None:
                moved = await self._recorder.on_disk(self._store.change, state, delta.entries)
                await self._arrived(state, moved)
                return
            self._want(state)
            self.behind.set()
            if state.epoch == self.state.epoch:
                await self._hasten(delta.entries or [])

    async def page(self, page: FeedPage, first: bool) -> bool:
        """A page of the pull that `asks` began; True when it was the last and everything is in force.

        Raises NewerSchema, PullBroken, DiskFailed, Damaged; then what was in force stays in force.
        """
        async with self._lock:
            self.newer_schema = page.schema > FEED_SCHEMA
            if self.newer_schema:
                raise NewerSchema(str(page.schema))
            pull = (page.epoch, page.revision, page.reset)
            if not first and pull != self._pull:
                raise PullBroken("the feed moved between two pages")
            if page.epoch != self.state.epoch and not page.reset:
                raise PullBroken("another epoch without reset")
            moved_on = not page.reset or self.state != self._asked
            if page.epoch == self.state.epoch and page.revision < self.state.revision and moved_on:
                raise PullBroken("the page is older than what is held")
            self._pull = pull
            if page.epoch == self.state.epoch:
                await self._hasten(page.entries)
            await self._recorder.on_disk(self._store.stage, page.entries, first)
            if page.cursor is None or any(entry.priority != REMOVAL for entry in page.entries):
                self.removals_in.set()
            if page.cursor is not None:
                return False
            state = FeedState(page.epoch, page.revision)
            moved = await self._recorder.on_disk(self._store.switch, state, page.reset)
            self._pull, self._anew = None, False
            if self._wanted is not None and self._wanted.epoch != page.epoch:
                self._wanted = None  # hearsay of another epoch; what the cloud answered counts
            await self._arrived(state, moved)
            return True

    def give_up_pull(self) -> None:
        """The pull broke off; deltas may be taken again. What was laid aside is never used."""
        self._pull = None

    async def _arrived(self, state: FeedState, moved: list[str] | None) -> None:
        same_epoch = state.epoch == self.state.epoch
        self.state = state
        if moved is None:
            # One step: a decision sees the old policy or the new one.
            self.compiled = await self._recorder.on_disk(self._compile)
        else:
            self.compiled.apply(await self._recorder.on_disk(self._read, moved))
        # What this state brought may be wider than what a later removal left; the removal is still to come.
        early = [entry for entry in self._early.values() if same_epoch and entry.revision > state.revision]
        self._early = {}
        await self._hasten(early)
        reached = self._wanted is None or (
            self._wanted.epoch == state.epoch and self._wanted.revision <= state.revision
        )
        if reached and not self._anew:
            self._wanted = None
            self.behind.clear()
            self.removals_in.set()
        self.moved.ring()

    async def _hasten(self, entries: list[FeedEntry]) -> None:
        """Do at once the taking away that is in entries whose time has not come yet."""
        early = [entry for entry in entries if entry.priority == REMOVAL and entry.revision > self.state.revision]
        if early:
            self._early.update((entry.key, entry) for entry in early)
            self.compiled.apply(await self._recorder.on_disk(self._narrow, early))
            self.moved.ring()

    def _want(self, wanted: FeedState) -> None:
        held = self._wanted or self.state
        if wanted.epoch != held.epoch or wanted.revision > held.revision:
            self._wanted = wanted

    # In the store's thread:

    def _compile(self) -> Compiled:
        return Compiled((key, payload) for key, _, payload in self._store.entries())

    def _read(self, keys: list[str]) -> list[tuple[str, Payload | None]]:
        found = ((key, self._store.entry(key)) for key in keys)
        return [(key, None if entry is None else entry[1]) for key, entry in found]

    def _narrow(self, entries: list[FeedEntry]) -> list[tuple[str, Payload | None]]:
        changes: list[tuple[str, Payload | None, int]] = []
        for entry in entries:
            present = self._store.entry(entry.key)
            if present is not None:
                changes.append((entry.key, narrowed(present[1], entry.payload), entry.revision))
            elif entry.payload is None:
                changes.append((entry.key, None, entry.revision))
        self._store.narrow(changes)
        return [(key, left) for key, left, _ in changes]
