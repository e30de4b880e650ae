"""Emergencies: signed, counted, resumed, opened by a local fire input without anybody's leave."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gatehouse.gateway.agent import Agent
from gatehouse.wire.messages import EmergencyMoved, FeedDelta, FeedEntry, Passage, Payload
from tests.gateway.site import (
    FRONT,
    GARAGE,
    PHONE,
    RAMP,
    SIDE,
    SITE,
    FullDisk,
    Hands,
    Time,
    deciding,
    device,
    eventually,
    page,
    relay,
    signed,
    standard,
    uid,
)

ALL = {FRONT, SIDE, RAMP}


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[tuple[Agent, Hands]]:
    hands = Hands()
    async with deciding(tmp_path, hands) as agent:
        await agent.feed.page(page(standard()), True)
        yield agent, hands


def held_open(hands: Hands) -> set[str]:
    return {door for door in ALL if hands.now(door) is None}


def moved(agent: Agent, state: str) -> list[str | None]:
    """Relays of the events that say so, in order."""
    events = agent.recorder.spool.batch()
    return [event.relay for event in events if isinstance(event, EmergencyMoved) and event.state == state]


@pytest.mark.req("OFF-EMG-11", "OFF-DVC-17")
async def test_a_signed_open_holds_every_door_until_a_signed_close(site: tuple[Agent, Hands]) -> None:
    agent, hands = site
    await agent.on_emergency(signed("open", 1))
    await eventually(lambda: held_open(hands) == ALL)
    await eventually(lambda: sorted(map(str, moved(agent, "opened"))) == sorted(ALL))
    await agent.on_emergency(signed("closed", 2))
    await eventually(lambda: all(hands.now(door) == 0 for door in ALL))
    await eventually(lambda: sorted(map(str, moved(agent, "released"))) == sorted(ALL))


@pytest.mark.parametrize(
    ("said", "counted"),
    [
        (signed("open", 5, key=Ed25519PrivateKey.from_private_bytes(b"\7" * 32)), "emergency.unsigned"),
        (msgspec.structs.replace(signed("closed", 5), state="open"), "emergency.unsigned"),
        (msgspec.structs.replace(signed("open", 5), counter=6), "emergency.unsigned"),
        (msgspec.structs.replace(signed("open", 5), signature="0" * 128), "emergency.unsigned"),
        (signed("open", 5, site=uid(0x77)), "emergency.foreign"),
        (signed("open", 3), "emergency.older"),
        (msgspec.structs.replace(signed("open", 4), id=uid(0xE0)), "emergency.older"),
    ],
    ids=["foreign key", "state changed", "counter changed", "no signature", "foreign site", "older", "same counter"],
)
async def test_what_is_not_signed_newer_and_of_this_site_opens_nothing_and_is_counted(
    site: tuple[Agent, Hands], said: msgspec.Struct, counted: str
) -> None:
    agent, hands = site
    await agent.on_emergency(signed("closed", 4))
    hands.told.clear()
    await agent.on_emergency(said)  # type: ignore[arg-type]
    await asyncio.sleep(0.05)
    assert (held_open(hands), agent.emergency.open) == (set(), False)
    assert agent.status().counts[counted] == 1


async def test_the_same_state_heard_twice_is_nothing_new(site: tuple[Agent, Hands]) -> None:
    agent, hands = site
    await agent.on_emergency(signed("open", 1))
    await eventually(lambda: held_open(hands) == ALL)
    told = len(hands.told)
    await agent.on_emergency(signed("open", 1))
    await asyncio.sleep(0.05)
    assert len(hands.told) == told
    assert "emergency.older" not in agent.status().counts


@pytest.mark.req("OFF-DVC-E06", "OFF-EMG-E07")
async def test_a_restarted_gateway_resumes_open_and_forgets_no_close(tmp_path: Path) -> None:
    async with deciding(tmp_path) as agent:
        await agent.feed.page(page(standard()), True)
        await agent.on_emergency(signed("open", 7))
    hands = Hands()
    async with deciding(tmp_path, hands) as agent:
        await eventually(lambda: held_open(hands) == ALL)
        await agent.on_emergency(signed("open", 7))
        await agent.on_emergency(signed("closed", 8))
        await eventually(lambda: held_open(hands) == set())
    hands = Hands()
    async with deciding(tmp_path, hands) as agent:
        await agent.on_emergency(signed("open", 7))
        await asyncio.sleep(0.05)
        assert held_open(hands) == set(), "an old open carried around on the site is no new emergency"
        assert not moved(agent, "released")[3:], "nothing ended at this start"


@pytest.mark.req("GH-GW-04")
async def test_a_fire_input_opens_everything_at_once_without_any_cloud(site: tuple[Agent, Hands]) -> None:
    agent, hands = site
    await agent.input(PHONE, "fire", True)
    await eventually(lambda: held_open(hands) == ALL, within_s=1)
    await agent.input(PHONE, "fire", False)
    await asyncio.sleep(0.05)
    assert held_open(hands) == ALL, "open until somebody closes"
    events = [event for event in agent.recorder.spool.batch() if isinstance(event, EmergencyMoved)]
    assert [(event.device, event.relay) for event in events if event.state == "raised"] == [(PHONE, None)]
    assert (await agent.present(GARAGE, "card", "0x1")).reason == "emergency.open", "any credential opens now"


@pytest.mark.req("OFF-EMG-E05")
async def test_a_fire_input_opens_nothing_where_the_site_says_so_and_is_recorded(tmp_path: Path) -> None:
    entries = standard()
    entries[f"site:{SITE}"] = msgspec.structs.replace(entries[f"site:{SITE}"], emergency_by_input=False)
    hands = Hands()
    async with deciding(tmp_path, hands) as agent:
        await agent.feed.page(page(entries), True)
        await agent.input(PHONE, "fire", True)
        await asyncio.sleep(0.05)
        assert held_open(hands) == set()
        assert [type(event).__name__ for event in agent.recorder.spool.batch()] == ["InputMoved"]


async def test_a_close_from_before_the_fire_does_not_shut_the_doors_on_it(tmp_path: Path) -> None:
    time, hands = Time(), Hands()
    clock = time.clock()
    async with deciding(tmp_path, hands, clock) as agent:
        await agent.feed.page(page(standard()), True)
        time.set(clock, 5_000_000)
        await agent.on_emergency(signed("open", 1, at_ms=4_000_000))
        await agent.input(PHONE, "fire", True)
        await agent.on_emergency(signed("closed", 2, at_ms=4_500_000))
        await asyncio.sleep(0.05)
        assert held_open(hands) == ALL, "the close is of an earlier moment than the fire"
        await agent.on_emergency(signed("closed", 3, at_ms=6_000_000))
        await eventually(lambda: held_open(hands) == set())


async def test_a_fire_before_the_clock_was_set_is_placed_when_it_is(tmp_path: Path) -> None:
    time, hands = Time(), Hands()
    clock = time.clock()
    async with deciding(tmp_path, hands, clock) as agent:
        await agent.feed.page(page(standard()), True)
        await agent.input(PHONE, "fire", True)
        await agent.on_emergency(signed("closed", 1, at_ms=99_000_000))
        await asyncio.sleep(0.02)
        assert held_open(hands) == ALL, "nobody knows which was first, so it stays open"
        time.later_ms += 60_000
        time.set(clock, 100_000_000)
        agent.on_session()
        assert agent.emergency.raised_at_ms is not None
        assert abs(agent.emergency.raised_at_ms - 99_940_000) < 5_000
        await agent.on_emergency(signed("closed", 2, at_ms=100_000_000))
        await eventually(lambda: held_open(hands) == set())


async def test_a_fire_is_still_a_fire_after_a_restart(tmp_path: Path) -> None:
    async with deciding(tmp_path) as agent:
        await agent.feed.page(page(standard()), True)
        await agent.input(PHONE, "fire", True)
    hands = Hands()
    async with deciding(tmp_path, hands):
        await eventually(lambda: held_open(hands) == ALL)


async def test_a_passage_that_ends_during_an_emergency_closes_nothing(tmp_path: Path) -> None:
    time, hands = Time(), Hands()
    async with deciding(tmp_path, hands, time.clock()) as agent:
        await agent.feed.page(page(standard()), True)
        await agent.present(GARAGE, "pin", "1234")
        await agent.on_emergency(signed("open", 1))
        await eventually(lambda: hands.now(RAMP) is None)
        await agent.present(GARAGE, "pin", "1234")
        assert hands.now(RAMP) is None, "a passage does not put an end to it"
        await agent.on_emergency(signed("closed", 2))
        await eventually(lambda: bool(hands.now(RAMP)))
        assert 0 < (hands.now(RAMP) or 0) <= 5_000, "nor does its end cut the passage short"


@pytest.mark.req("OFF-EMG-E03")
async def test_a_device_that_comes_back_does_what_holds_now_not_what_it_missed(site: tuple[Agent, Hands]) -> None:
    agent, hands = site
    hands.online[GARAGE] = False
    agent.reachable(GARAGE)
    await agent.on_emergency(signed("open", 1))
    await eventually(lambda: moved(agent, "failed") == [RAMP])
    await eventually(lambda: held_open(hands) == {FRONT, SIDE})
    hands.online[GARAGE] = True
    agent.reachable(GARAGE)
    await eventually(lambda: RAMP in moved(agent, "opened"))
    hands.online[GARAGE] = False
    agent.reachable(GARAGE)
    await asyncio.sleep(0.02)
    await agent.on_emergency(signed("closed", 2))
    await asyncio.sleep(0.02)
    hands.online[GARAGE] = True
    agent.reachable(GARAGE)
    await eventually(lambda: hands.now(RAMP) == 0, what="a device that held through its own absence is told to let go")
    await eventually(lambda: RAMP in moved(agent, "released"))


async def test_doors_that_are_off_and_doors_of_apartments_stay_as_they_are(tmp_path: Path) -> None:
    entries: dict[str, Payload] = standard()
    entries[f"device:{PHONE}"] = device(PHONE, [relay(FRONT), relay(SIDE, 2, enabled=False)])
    entries[f"device:{GARAGE}"] = device(GARAGE, [relay(RAMP)], in_emergency=False)
    hands = Hands()
    async with deciding(tmp_path, hands) as agent:
        await agent.feed.page(page(entries), True)
        await agent.on_emergency(signed("open", 1))
        await eventually(lambda: FRONT in held_open(hands))
        await asyncio.sleep(0.05)
        assert held_open(hands) == {FRONT}
        assert (await agent.present(GARAGE, "pin", "9999")).reason == "credential.unknown"
        assert (await agent.present(GARAGE, "pin", "1234")).allowed


async def test_a_door_that_the_feed_brings_during_an_emergency_opens_too_and_one_it_takes_falls(
    site: tuple[Agent, Hands],
) -> None:
    agent, hands = site
    await agent.on_emergency(signed("open", 1))
    await eventually(lambda: held_open(hands) == ALL)
    new = uid(0x2F)
    changes = [
        FeedEntry(key=f"device:{GARAGE}", revision=2, payload=device(GARAGE, [relay(RAMP), relay(new, 2)])),
        FeedEntry(
            key=f"device:{PHONE}", revision=2, payload=device(PHONE, [relay(FRONT), relay(SIDE, 2, enabled=False)])
        ),
    ]
    await agent.feed.delta(FeedDelta(epoch="epoch-1", since=1, revision=2, entries=changes))
    await eventually(lambda: hands.now(new) is None)
    await eventually(lambda: hands.now(SIDE) == 0)
    assert hands.now(RAMP) is None


async def test_a_state_that_comes_before_the_key_is_judged_when_the_key_is_here(tmp_path: Path) -> None:
    hands = Hands()
    async with deciding(tmp_path, hands) as agent:
        await agent.on_emergency(signed("open", 3))
        assert not agent.emergency.open
        assert agent.status().counts["emergency.no_key"] == 1
        await agent.feed.page(page(standard()), True)
        await eventually(lambda: held_open(hands) == ALL)


async def test_an_emergency_needs_no_disk(site: tuple[Agent, Hands]) -> None:
    agent, hands = site
    disk = FullDisk(agent.recorder.store)
    await agent.on_emergency(signed("open", 1))
    await eventually(lambda: held_open(hands) == ALL)
    await agent.input(PHONE, "fire", True)
    assert agent.emergency.raised
    disk.room()


async def test_the_passage_log_tells_an_emergency_opening_from_a_right(site: tuple[Agent, Hands]) -> None:
    agent, _ = site
    await agent.on_emergency(signed("open", 1))
    await agent.present(GARAGE, "pin", "1234")
    (passage,) = [event for event in agent.recorder.spool.batch() if isinstance(event, Passage)]
    assert (passage.reason, passage.holder) == ("emergency.open", uid(40))


@pytest.mark.req("OFF-EMG-E05")
async def test_a_second_alarm_joins_the_first(site: tuple[Agent, Hands]) -> None:
    agent, hands = site
    await agent.on_emergency(signed("open", 1))
    await eventually(lambda: len(moved(agent, "opened")) == len(ALL))
    told = len(hands.told)
    await agent.input(GARAGE, "fire", True)
    await agent.input(PHONE, "fire", True)
    await asyncio.sleep(0.05)
    assert len(hands.told) == told, "nothing opens a second time"
    assert moved(agent, "raised") == [None], "the second input is recorded as an input only"
