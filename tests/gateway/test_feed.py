"""The feed: whatever the line does with messages, the end is the cloud's state and the way there opens nothing extra."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from gatehouse.gateway.feed import Feed, NewerSchema, PullBroken
from gatehouse.gateway.narrow import narrowed
from gatehouse.gateway.recorder import Recorder
from gatehouse.gateway.spool import Spool
from gatehouse.gateway.store import FeedState, open_store
from gatehouse.rules.access import Policy, decide_device
from gatehouse.wire.messages import (
    AccessGroupEntry,
    FeedDelta,
    FeedEntry,
    FeedPage,
    PartyEntry,
    Payload,
    PeopleGroupEntry,
    Window,
)
from tests.gateway.site import (
    ALWAYS,
    FRONT,
    GARAGE,
    PHONE,
    RAMP,
    SIDE,
    Time,
    device,
    holder,
    page,
    relay,
    standard,
    uid,
)

CODES = ["1234", "5678", "2222", "3333"]


class Gate:
    """The feed's side of a gateway, which can be killed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    async def open(self) -> Feed:
        store, aside = open_store(self.folder)
        assert aside is None
        self.recorder = Recorder(store, Spool(store, Time().clock(), 1_000, 1))
        self.feed = Feed(self.recorder)
        await self.feed.load()
        return self.feed

    async def close(self) -> None:
        await self.recorder.close()

    def held(self) -> dict[str, Payload]:
        return {key: payload for key, _, payload in self.recorder.store.entries()}


@pytest.fixture
async def gate(tmp_path: Path) -> AsyncIterator[Gate]:
    gate = Gate(tmp_path)
    await gate.open()
    await gate.feed.page(page(standard()), True)
    yield gate
    await gate.close()


def entry(key: str, revision: int, payload: Payload | None, priority: int | None = None) -> FeedEntry:
    priority = priority if priority is not None else 1 if payload is not None else 0
    return FeedEntry(key=key, revision=revision, payload=payload, priority=priority)  # type: ignore[arg-type]


def delta(since: int, *entries: FeedEntry, revision: int | None = None, epoch: str = "epoch-1") -> FeedDelta:
    return FeedDelta(epoch=epoch, since=since, revision=revision or since + 1, entries=list(entries))


ALICE = f"holder:{uid(40)}"
BOB = f"holder:{uid(41)}"


def opens(feed: Feed, code: str, at: str = GARAGE) -> bool:
    policy = feed.compiled.policy
    return decide_device(policy, policy.read("pin", code), at, None).allowed


class TestDeltas:
    async def test_one_that_continues_what_is_held_is_in_force_and_on_disk(self, gate: Gate) -> None:
        await gate.feed.delta(delta(1, entry(BOB, 2, None), entry(f"holder:{uid(42)}", 2, holder(42, "2222"))))
        assert gate.feed.state == ("epoch-1", 2)
        assert (opens(gate.feed, "5678"), opens(gate.feed, "2222")) == (False, True)
        assert BOB not in gate.held()
        await gate.close()
        await gate.open()
        assert gate.feed.state == ("epoch-1", 2)
        assert (opens(gate.feed, "5678"), opens(gate.feed, "2222")) == (False, True)

    async def test_one_that_begins_before_what_is_held_is_taken_too(self, gate: Gate) -> None:
        await gate.feed.delta(delta(1, entry(BOB, 2, None)))
        both = [entry(BOB, 2, None), entry(f"holder:{uid(42)}", 3, holder(42, "2222"))]
        await gate.feed.delta(delta(1, *both, revision=3))
        assert gate.feed.state == ("epoch-1", 3)
        assert (opens(gate.feed, "5678"), opens(gate.feed, "2222")) == (False, True)

    async def test_one_that_leaves_a_gap_is_not_taken_and_leads_to_a_pull(self, gate: Gate) -> None:
        await gate.feed.delta(delta(2, entry(f"holder:{uid(42)}", 3, holder(42, "2222"))))
        assert gate.feed.state == ("epoch-1", 1)
        assert gate.feed.behind.is_set()
        assert not opens(gate.feed, "2222")

    async def test_one_without_entries_leads_to_a_pull(self, gate: Gate) -> None:
        await gate.feed.delta(FeedDelta(epoch="epoch-1", since=1, revision=2))
        assert gate.feed.behind.is_set()

    async def test_one_that_comes_twice_or_late_changes_nothing(self, gate: Gate) -> None:
        first, second = delta(1, entry(BOB, 2, None)), delta(2, entry(BOB, 3, holder(41, "3333")))
        await gate.feed.delta(first)
        await gate.feed.delta(second)
        await gate.feed.delta(first)
        await gate.feed.delta(second)
        assert gate.feed.state == ("epoch-1", 3)
        assert opens(gate.feed, "3333")
        assert not gate.feed.behind.is_set()

    async def test_a_removal_acts_at_once_even_when_what_came_before_it_is_missing(self, gate: Gate) -> None:
        await gate.feed.delta(delta(7, entry(BOB, 8, None)))
        assert not opens(gate.feed, "5678")
        assert gate.feed.state == ("epoch-1", 1), "the rest is still to come"
        await gate.close()
        await gate.open()
        assert not opens(gate.feed, "5678"), "nor does a restart bring it back"

    @pytest.mark.parametrize("restarted", [False, True])
    async def test_a_page_older_than_an_early_removal_does_not_bring_the_credential_back(
        self, gate: Gate, restarted: bool
    ) -> None:
        await gate.feed.delta(delta(7, entry(BOB, 8, None)))
        if restarted:
            await gate.close()
            await gate.open()
        older = FeedPage(
            epoch="epoch-1", schema=1, revision=5, reset=False, entries=[entry(BOB, 4, holder(41, "5678"))]
        )
        assert await gate.feed.page(older, True)
        assert gate.feed.state == ("epoch-1", 5)
        assert not opens(gate.feed, "5678")
        assert restarted or gate.feed.behind.is_set(), "revision 8 is still to come"
        newer = FeedPage(
            epoch="epoch-1", schema=1, revision=9, reset=False, entries=[entry(BOB, 9, holder(41, "5678"))]
        )
        assert await gate.feed.page(newer, True)
        assert opens(gate.feed, "5678"), "given again later"

    async def test_a_changed_pin_ends_at_once_and_the_new_one_waits_for_its_turn(self, gate: Gate) -> None:
        await gate.feed.delta(delta(7, entry(BOB, 8, holder(41, "3333"), priority=0)))
        assert (opens(gate.feed, "5678"), opens(gate.feed, "3333")) == (False, False)
        older = FeedPage(
            epoch="epoch-1", schema=1, revision=5, reset=False, entries=[entry(BOB, 4, holder(41, "5678"))]
        )
        await gate.feed.page(older, True)
        assert not opens(gate.feed, "5678"), "an older state does not widen what was narrowed"
        newer = FeedPage(
            epoch="epoch-1", schema=1, revision=8, reset=False, entries=[entry(BOB, 8, holder(41, "3333"))]
        )
        await gate.feed.page(newer, True)
        assert (opens(gate.feed, "5678"), opens(gate.feed, "3333")) == (False, True)


class TestPulls:
    @pytest.mark.req("OFF-DVC-E02")
    async def test_a_half_received_feed_is_never_in_force(self, gate: Gate) -> None:
        entries = standard() | {f"holder:{uid(42)}": holder(42, "2222")}
        half = msgspec.structs.replace(page(entries, 2), cursor="more")
        before = gate.held()
        assert not await gate.feed.page(half, True)
        assert not opens(gate.feed, "2222")
        assert (gate.feed.state, gate.held()) == (FeedState("epoch-1", 1), before)
        await gate.close()
        await gate.open()
        assert (gate.feed.state, gate.held()) == (FeedState("epoch-1", 1), before)
        assert opens(gate.feed, "1234")

    async def test_an_abandoned_pull_leaves_nothing_behind_in_the_next(self, gate: Gate) -> None:
        lost = [entry(f"holder:{uid(42)}", 2, holder(42, "2222"))]
        await gate.feed.page(
            FeedPage(epoch="epoch-1", schema=1, revision=2, reset=False, entries=lost, cursor="x"), True
        )
        gate.feed.give_up_pull()
        await gate.feed.page(FeedPage(epoch="epoch-1", schema=1, revision=3, reset=False, entries=[]), True)
        assert gate.feed.state == ("epoch-1", 3)
        assert not opens(gate.feed, "2222")

    @pytest.mark.req("GH-GW-05")
    async def test_removals_of_the_first_page_act_before_the_last_page_is_here(self, gate: Gate) -> None:
        gate.feed.expect("epoch-1", 2)
        assert not gate.feed.removals_in.is_set()
        first = [entry(BOB, 2, None), entry(f"holder:{uid(42)}", 2, holder(42, "2222"))]
        await gate.feed.page(
            FeedPage(epoch="epoch-1", schema=1, revision=2, reset=False, entries=first, cursor="x"), True
        )
        assert not opens(gate.feed, "5678")
        assert not opens(gate.feed, "2222")
        assert gate.feed.removals_in.is_set()
        assert gate.feed.behind.is_set()

    async def test_a_page_of_removals_only_does_not_say_that_all_removals_are_here(self, gate: Gate) -> None:
        gate.feed.expect("epoch-1", 2)
        only = FeedPage(epoch="epoch-1", schema=1, revision=2, reset=False, entries=[entry(BOB, 2, None)], cursor="x")
        await gate.feed.page(only, True)
        assert not gate.feed.removals_in.is_set()

    async def test_a_reset_forgets_what_it_does_not_name(self, gate: Gate) -> None:
        entries = standard()
        del entries[BOB]
        await gate.feed.page(page(entries, 5, "epoch-2"), True)
        assert gate.feed.state == ("epoch-2", 5)
        assert gate.held() == entries
        assert not opens(gate.feed, "5678")

    async def test_early_removals_of_another_epoch_do_not_hold_back_a_restored_cloud(self, gate: Gate) -> None:
        await gate.feed.delta(delta(50, entry(BOB, 51, None)))
        await gate.feed.page(page(standard(), 3, "epoch-2"), True)
        assert opens(gate.feed, "5678")

    async def test_pages_that_do_not_belong_together_break_the_pull_and_change_nothing(self, gate: Gate) -> None:
        first = FeedPage(epoch="epoch-1", schema=1, revision=2, reset=False, entries=[], cursor="x")
        for other in (
            FeedPage(epoch="epoch-1", schema=1, revision=3, reset=False, entries=[]),
            FeedPage(epoch="epoch-2", schema=1, revision=2, reset=True, entries=[]),
        ):
            await gate.feed.page(first, True)
            with pytest.raises(PullBroken):
                await gate.feed.page(other, False)
            assert gate.feed.state == ("epoch-1", 1)
        with pytest.raises(PullBroken):
            await gate.feed.page(FeedPage(epoch="epoch-2", schema=1, revision=2, reset=False, entries=[]), True)
        assert gate.held() == standard()

    @pytest.mark.req("GH-GW-E4")
    async def test_a_feed_of_a_newer_schema_leaves_the_last_whole_state_in_force(self, gate: Gate) -> None:
        with pytest.raises(NewerSchema):
            await gate.feed.page(FeedPage(epoch="epoch-9", schema=2, revision=9, reset=True, entries=[]), True)
        assert opens(gate.feed, "1234")
        assert gate.feed.newer_schema

    async def test_a_delta_between_two_pages_waits_and_leads_to_another_pull(self, gate: Gate) -> None:
        first = FeedPage(epoch="epoch-1", schema=1, revision=2, reset=False, entries=[], cursor="x")
        await gate.feed.page(first, True)
        await gate.feed.delta(delta(1, entry(f"holder:{uid(42)}", 2, holder(42, "2222"))))
        await gate.feed.delta(delta(2, entry(f"holder:{uid(43)}", 3, holder(43, "3333"))))
        assert gate.feed.state == ("epoch-1", 1)
        last = [entry(f"holder:{uid(42)}", 2, holder(42, "2222"))]
        assert await gate.feed.page(FeedPage(epoch="epoch-1", schema=1, revision=2, reset=False, entries=last), False)
        assert gate.feed.state == ("epoch-1", 2)
        assert gate.feed.behind.is_set(), "revision 3 is known to exist"

    async def test_a_whole_page_older_than_a_delta_that_overtook_it_is_not_taken(self, gate: Gate) -> None:
        gate.feed.ask_anew()
        assert gate.feed.asks() == (None, 0)
        await gate.feed.delta(delta(1, entry(BOB, 2, None)))
        with pytest.raises(PullBroken):
            await gate.feed.page(page(standard(), 1), True)
        assert not opens(gate.feed, "5678")
        assert gate.feed.behind.is_set(), "it is still to be asked anew"

    async def test_a_cloud_that_went_back_without_a_new_epoch_is_followed_all_the_same(self, gate: Gate) -> None:
        await gate.feed.delta(delta(1, entry(BOB, 2, None)))
        gate.feed.expect("epoch-1", 1)
        assert gate.feed.asks() == ("epoch-1", 2)
        assert await gate.feed.page(page(standard(), 1), True)
        assert gate.feed.state == ("epoch-1", 1)

    async def test_everything_anew_is_pulled_when_the_cloud_says_so(self, gate: Gate) -> None:
        gate.feed.ask_anew()
        assert gate.feed.asks() == (None, 0)
        assert await gate.feed.page(page(standard(), 1), True)
        assert gate.feed.asks() == ("epoch-1", 1)
        assert not gate.feed.behind.is_set()


# --- narrowing ------------------------------------------------------------------------------------

PARTIES = [None, uid(50), uid(51)]
GROUPS = [ALWAYS, uid(31), uid(32)]
RELAYS = [FRONT, SIDE, RAMP]
HOURS = [Window(kind="daily"), Window(kind="daily", start=480, length=60), Window(kind="weekly", days=3)]


def random_payload(chance: random.Random, key: str) -> Payload:
    """A random entry for a key of the small random site."""

    def some(choice: list[str]) -> list[str]:
        return [one for one in choice if chance.random() < 0.6]

    kind, _, id_ = key.partition(":")
    if kind == "holder":
        number = int(id_[-12:], 16)
        until = chance.choice([None, None, "2030-01-01T00:00", "2020-01-01T00:00"])
        made = holder(
            number, chance.choice([None, CODES[number % 4], CODES[number % 4]]), some(GROUPS), valid_until=until
        )
        people = chance.choice([None, uid(60)])
        return msgspec.structs.replace(made, party=chance.choice(PARTIES), people_group=people)
    if kind == "people_group":
        return PeopleGroupEntry(id=id_, access_groups=some(GROUPS))
    if kind == "party":
        return PartyEntry(id=id_, relays=some(RELAYS))
    if kind == "access_group":
        return AccessGroupEntry(id=id_, windows=[w for w in HOURS if chance.random() < 0.5], relays=some(RELAYS))
    doors = [(FRONT, 1), (SIDE, 2)] if id_ == PHONE else [(RAMP, 1)]
    return device(
        id_, [relay(one, place, enabled=chance.random() < 0.9) for one, place in doors if chance.random() < 0.9]
    )


KEYS = [
    *(f"holder:{uid(number)}" for number in range(40, 44)),
    *(f"access_group:{one}" for one in GROUPS),
    *(f"party:{one}" for one in PARTIES if one),
    f"people_group:{uid(60)}",
    f"device:{PHONE}",
    f"device:{GARAGE}",
]
MOMENTS = [None] + [Time().wall() / 1000 + hour * 3_600 for hour in (0, 7, 13)]


def grants(entries: dict[str, Payload]) -> set[tuple[str, str, int]]:
    """Everything that this state lets in: (code, relay, moment)."""
    policy = Policy((key, msgspec.to_builtins(payload)) for key, payload in entries.items())
    moments = [None if moment is None else datetime.fromtimestamp(moment, UTC) for moment in MOMENTS]
    return {
        (code, relay_id, place)
        for code in CODES
        for at in (PHONE, GARAGE)
        for place, moment in enumerate(moments)
        for relay_id in decide_device(policy, policy.read("pin", code), at, moment).relays
    }


def random_site(chance: random.Random) -> dict[str, Payload]:
    site = {key: payload for key, payload in standard().items() if key.startswith("site:")}
    return site | {key: random_payload(chance, key) for key in KEYS if chance.random() < 0.9}


def put(entries: dict[str, Payload], key: str, payload: Payload | None) -> dict[str, Payload]:
    others = {one: held for one, held in entries.items() if one != key}
    return others if payload is None else others | {key: payload}


def test_narrowing_any_entries_never_lets_anybody_in_who_was_not_let_in_before() -> None:
    chance = random.Random(20261121)
    narrower = 0
    for _ in range(200):
        before = random_site(chance)
        after = before
        for key in KEYS:
            if key in after and chance.random() < 0.3:
                coming = random_payload(chance, key) if chance.random() < 0.8 else None
                after = put(after, key, narrowed(after[key], coming))
        assert grants(after) <= grants(before)
        narrower += grants(after) < grants(before)
    assert narrower > 30, "the test must see rights end"


def test_narrowing_one_entry_takes_everything_away_that_the_coming_one_takes_away() -> None:
    chance = random.Random(20261122)
    ended = 0
    for _ in range(400):
        before = random_site(chance)
        key = chance.choice([key for key in KEYS if key in before])
        coming = random_payload(chance, key) if chance.random() < 0.8 else None
        now = grants(put(before, key, narrowed(before[key], coming)))
        assert now <= grants(put(before, key, coming))
        ended += bool(grants(before) - now)
    assert ended > 30, "the test must see rights end"


# --- simulation -----------------------------------------------------------------------------------


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
