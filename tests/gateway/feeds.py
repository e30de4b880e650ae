"""Gates, entries and random small sites for tests of the feed."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from gatehouse.gateway.feed import Feed
from gatehouse.gateway.recorder import Recorder
from gatehouse.gateway.spool import Spool
from gatehouse.gateway.store import open_store
from gatehouse.rules.access import Policy, decide_device
from gatehouse.wire.messages import (
    AccessGroupEntry,
    FeedDelta,
    FeedEntry,
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


def entry(key: str, revision: int, payload: Payload | None, priority: int | None = None) -> FeedEntry:
    priority = priority if priority is not None else 1 if payload is not None else 0
    return FeedEntry(key=key, revision=revision, payload=payload, priority=priority)  # type: ignore[arg-type]


def delta(since: int, *entries: FeedEntry, revision: int | None = None, epoch: str = "epoch-1") -> FeedDelta:
    return FeedDelta(epoch=epoch, since=since, revision=revision or since + 1, entries=list(entries))


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
