"""Simulated lives of a gateway: whatever the line does, the end is the cloud's state and the way there opens nothing extra."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import pytest

from gatehouse.gateway.feed import Feed, PullBroken
from gatehouse.gateway.narrow import narrowed
from gatehouse.rules.access import Policy
from gatehouse.wire.messages import (
    FeedDelta,
    FeedEntry,
    FeedPage,
    Payload,
)
from tests.gateway.feeds import KEYS, Gate, entry, random_payload
from tests.gateway.site import (
    standard,
)


@dataclass
class Cloud:
    """The cloud's side, with all its history: what any (epoch, revision) stood for."""

    chance: random.Random
    epoch: int = 1
    revision: int = 1
    horizon: int = 0
    """Revisions up to here are forgotten: a pull from before gets a reset."""
    state: dict[str, tuple[int, Payload]] = field(default_factory=dict)
    removed: dict[str, int] = field(default_factory=dict)
    history: dict[tuple[str, int], dict[str, Payload]] = field(default_factory=dict)
    versions: list[FeedEntry] = field(default_factory=list)

    @property
    def name(self) -> str:
        return f"epoch-{self.epoch}"

    def entries(self) -> dict[str, Payload]:
        return {key: payload for key, (_, payload) in self.state.items()}

    def remember(self) -> None:
        self.history[self.name, self.revision] = self.entries()

    def act(self) -> FeedDelta:
        """A few entries change in one revision."""
        since, self.revision = self.revision, self.revision + 1
        changed = []
        for key in self.chance.sample(KEYS, self.chance.randrange(1, 4)):
            payload = None
            if key not in self.state or self.chance.random() < 0.7:
                payload = random_payload(self.chance, key)
            priority = 0 if payload is None or self.chance.random() < 0.4 else 1
            changed.append(entry(key, self.revision, payload, priority))
            if payload is None:
                self.state.pop(key, None)
                self.removed[key] = self.revision
            else:
                self.state[key] = (self.revision, payload)
                self.removed.pop(key, None)
        self.versions += changed
        self.remember()
        with_entries = self.chance.random() < 0.8
        return FeedDelta(
            epoch=self.name, since=since, revision=self.revision, entries=changed if with_entries and since else None
        )

    def wider(self, since: int) -> FeedDelta:
        """One delta over several revisions: each key once, as it is now."""
        changed = {one.key: one for one in self.versions if one.revision > since}
        early = {one.key for one in self.versions if one.revision > since and one.priority == 0}
        entries = [
            entry(key, one.revision, self.state[key][1] if key in self.state else None, 0 if key in early else 1)
            for key, one in changed.items()
        ]
        return FeedDelta(epoch=self.name, since=since, revision=self.revision, entries=entries if since else None)

    def restore(self) -> None:
        """Back to an earlier state, under a new epoch."""
        past = self.chance.choice([r for (name, r) in self.history if name == self.name])
        entries = self.history[self.name, past]
        self.epoch, self.revision, self.removed, self.versions = self.epoch + 1, past, {}, []
        self.state = {key: (past, payload) for key, payload in entries.items()}
        self.horizon = past
        self.remember()

    def pages(self, epoch: str | None, since: int) -> list[FeedPage]:
        """What a pull answers, fixed at its beginning."""
        reset = epoch != self.name or since < self.horizon or since > self.revision
        listed = [
            entry(key, revision, payload, 1)
            for key, (revision, payload) in self.state.items()
            if reset or revision > since
        ]
        if not reset:
            early = {one.key for one in self.versions if one.priority == 0 and one.revision > since}
            listed = [msgspec.structs.replace(one, priority=0) if one.key in early else one for one in listed]
            listed += [entry(key, revision, None) for key, revision in self.removed.items() if revision > since]
        self.chance.shuffle(listed)
        listed.sort(key=lambda one: one.priority)
        size = self.chance.choice([1, 2, 5, 100])
        pieces = [listed[start : start + size] for start in range(0, len(listed), size)] or [[]]
        return [
            FeedPage(
                epoch=self.name,
                schema=1,
                revision=self.revision,
                reset=reset,
                entries=piece,
                cursor=str(number) if number < len(pieces) else None,
            )
            for number, piece in enumerate(pieces, 1)
        ]


class Line:
    """Deltas on their way: lost, doubled, swapped, held back; some lines are worse than others."""

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.bad = chance.choice([0.0, 0.1, 0.5])
        self.waiting: list[FeedDelta] = []

    def send(self, delta: FeedDelta) -> None:
        copies = self.chance.choice([0, 1, 2]) if self.chance.random() < self.bad else 1
        for _ in range(copies):
            place = (
                self.chance.randrange(len(self.waiting) + 1) if self.chance.random() < self.bad else len(self.waiting)
            )
            self.waiting.insert(place, delta)

    def arriving(self) -> list[FeedDelta]:
        return [self.waiting.pop(0) for _ in range(min(len(self.waiting), self.chance.randrange(4)))]


class Ended:
    """Removals that this gateway has heard of, by key: nothing of that revision or older may stand any more."""

    def __init__(self) -> None:
        self.epoch: str | None = None
        self.by_key: dict[str, int] = {}

    def hear(self, feed: Feed, epoch: str, entries: list[FeedEntry]) -> None:
        if feed.state.epoch != self.epoch:
            self.epoch, self.by_key = feed.state.epoch, {}
        if epoch == self.epoch:
            for one in entries:
                if one.payload is None and not one.key.startswith("party:"):
                    self.by_key[one.key] = max(one.revision, self.by_key.get(one.key, 0))

    def check(self, gate: Gate) -> None:
        if gate.feed.state.epoch == self.epoch:
            for key, revision, _ in gate.recorder.store.entries():
                assert revision > self.by_key.get(key, -1), f"{key} stands although it was taken away"


async def check(gate: Gate, cloud: Cloud) -> None:
    """What is in force is a whole state of the cloud, less what was taken away since; disk and policy agree."""
    held, feed = gate.held(), gate.feed
    if feed.state.epoch is None:
        assert held == {}
        return
    whole = cloud.history[feed.state.epoch, feed.state.revision]
    assert held.keys() <= whole.keys()
    for key, payload in held.items():
        assert payload == whole[key] or narrowed(whole[key], payload) == payload
    assert feed.compiled.policy == Policy((key, msgspec.to_builtins(payload)) for key, payload in held.items())


async def one_life(seed: int, folder: Path) -> tuple[int, int]:
    """One simulated life of a gateway; returns (pulls finished, deltas taken)."""
    chance = random.Random(seed)
    cloud, line, gate = Cloud(chance), Line(chance), Gate(folder)
    cloud.state = {key: (1, payload) for key, payload in standard().items() if key.startswith("site:")}
    cloud.remember()
    feed = await gate.open()
    pages: list[FeedPage] = []
    first, pulls, taken = True, 0, 0
    ended = Ended()

    async def pull_step() -> None:
        nonlocal pages, first, pulls
        page_ = pages.pop(0)
        try:
            if await feed.page(page_, first):
                pulls += 1
            first = False
            ended.hear(feed, page_.epoch, page_.entries)
        except PullBroken:
            feed.give_up_pull()
            pages = []

    for _ in range(60):
        what = chance.random()
        if what < 0.4:
            line.send(cloud.act())
            if chance.random() < 0.1:
                line.send(cloud.wider(chance.randrange(max(1, cloud.horizon), cloud.revision)))
        elif what < 0.7:
            for delta_ in line.arriving():
                before = feed.state
                await feed.delta(delta_)
                taken += feed.state != before
                ended.hear(feed, delta_.epoch, delta_.entries or [])
        elif what < 0.85:
            if not pages and feed.behind.is_set():
                pages, first = cloud.pages(*feed.asks()), True
            if pages:
                await pull_step()
        elif what < 0.89:
            pages = []  # the line broke in the middle of a pull
            feed.give_up_pull()
        elif what < 0.93:
            feed.expect(cloud.name, cloud.revision)
        elif what < 0.96:
            await gate.close()  # killed
            feed, pages = await gate.open(), []
        elif what < 0.98:
            cloud.horizon = cloud.revision
        elif chance.random() < 0.5:
            cloud.restore()
        await check(gate, cloud)
        ended.check(gate)

    pages = []
    feed.give_up_pull()
    feed.expect(cloud.name, cloud.revision)
    for _ in range(3):
        if feed.behind.is_set():
            pages, first = cloud.pages(*feed.asks()), True
            while pages:
                await pull_step()
    for delta_ in line.waiting:  # and stragglers after all that
        await feed.delta(delta_)
    if feed.behind.is_set():
        pages, first = cloud.pages(*feed.asks()), True
        while pages:
            await pull_step()
    assert feed.state == (cloud.name, cloud.revision)
    assert gate.held() == cloud.entries()
    assert not feed.behind.is_set()
    await check(gate, cloud)
    await gate.close()
    return pulls, taken


@pytest.mark.req("GH-GW-05", "OFF-DVC-E02")
async def test_any_line_ends_in_exactly_the_state_of_the_cloud(fast_folder: Path) -> None:
    pulls = taken = 0
    for seed in range(120):
        try:
            more_pulls, more_taken = await one_life(seed, fast_folder / str(seed))
        except AssertionError as error:
            raise AssertionError(f"seed {seed}: {error}") from error
        pulls, taken = pulls + more_pulls, taken + more_taken
    assert pulls > 200
    assert taken > 200
