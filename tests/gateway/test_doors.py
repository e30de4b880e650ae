"""What happens at a door: decided here, recorded before it opens, slowed down for guessers."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import msgspec
import pytest

from gatehouse.gateway.agent import Agent
from gatehouse.gateway.keypad import FORGIVE_MS, LONGEST_PAUSE_MS, Keypads
from gatehouse.rules.credentials import lookup
from gatehouse.wire.messages import (
    CredentialEntry,
    DeviceEntry,
    DoorMoved,
    FeedDelta,
    FeedEntry,
    HolderEntry,
    InputMoved,
    Passage,
    Payload,
)
from tests.gateway.site import (
    ALWAYS,
    FRONT,
    GARAGE,
    LOOKUP_KEY,
    PHONE,
    RAMP,
    SIDE,
    Hands,
    Time,
    deciding,
    holder,
    page,
    pin,
    relay,
    standard,
    uid,
)
from tests.gateway.site import device as device_entry
from tests.vectors import run as vectors


def given_answer(answer: vectors.Answer, _: vectors.Case) -> vectors.Answer:
    """The decider that has answered already."""
    return answer


@pytest.mark.req("GH-GW-04", "OFF-DVC-03")
@pytest.mark.parametrize("file", [path.stem for path in vectors.files()])
async def test_the_agent_decides_every_vector_as_the_rules_do(file: str, tmp_path: Path) -> None:
    hands, time = Hands(), Time()
    clock = time.clock()
    cases = [case for case in vectors.cases() if case.file == file]
    entries = {key: msgspec.convert(payload, Payload) for key, payload in cases[0].site.items()}
    places = {one.id: entry.id for entry in entries.values() if isinstance(entry, DeviceEntry) for one in entry.relays}
    async with deciding(tmp_path, hands, clock) as agent:
        hands.online = dict.fromkeys(places.values(), True)
        await agent.feed.page(page(entries), True)
        asked = 0
        for case in cases:
            given = case.presented
            if given.lookup is not None or (case.relay is not None and case.relay not in places):
                continue  # a reader never shows digests, and no device has a relay that is nowhere
            clock.measured = None
            if case.at is not None:
                time.set(clock, round(case.at.timestamp() * 1000))
            agent.evacuation.state = msgspec.structs.replace(agent.evacuation.state, raised=case.memory.emergency)
            agent._keypads = Keypads()
            place = case.device or places[case.relay or ""]
            outcome = await agent.present(place, given.method, given.text or given.holder or "", case.relay)

            answer = vectors.Answer(outcome.allowed, outcome.reason, list(outcome.relays))
            assert case.differences(partial(given_answer, answer)) == []
            asked += 1
        assert asked >= len(cases) // 2


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[tuple[Agent, Hands]]:
    hands = Hands()
    async with deciding(tmp_path, hands) as agent:
        await agent.feed.page(page(standard()), True)
        hands.told.clear()
        yield agent, hands


async def test_a_pin_releases_exactly_the_doors_that_it_opens_for_their_time(site: tuple[Agent, Hands]) -> None:
    agent, hands = site
    outcome = await agent.present(PHONE, "pin", "1234")
    assert (outcome.allowed, set(outcome.relays)) == (True, {FRONT, SIDE})
    assert sorted(hands.told) == sorted([(FRONT, 5_000), (SIDE, 5_000)])
    passages = agent.recorder.spool.batch()
    assert [(p.relay, p.allowed, p.holder) for p in passages if isinstance(p, Passage)] == [
        (FRONT, True, uid(40)),
        (SIDE, True, uid(40)),
    ]


async def test_a_door_chosen_at_the_device_opens_alone(site: tuple[Agent, Hands]) -> None:
    agent, hands = site
    assert (await agent.present(PHONE, "pin", "1234", SIDE)).relays == (SIDE,)
    assert hands.opened() == [SIDE]
    assert not (await agent.present(PHONE, "pin", "1234", RAMP)).allowed, "the ramp is no door of this device"


async def test_a_wrong_pin_is_refused_recorded_and_never_written_down(
    site: tuple[Agent, Hands], tmp_path: Path
) -> None:
    agent, hands = site
    outcome = await agent.present(PHONE, "pin", "77778888")
    assert (outcome.allowed, outcome.reason, outcome.wait_s) == (False, "credential.unknown", 0)
    (passage,) = agent.recorder.spool.batch()
    assert isinstance(passage, Passage)
    assert (passage.allowed, passage.relay, passage.holder) == (False, None, None)
    assert hands.opened() == []
    kept = b"".join(path.read_bytes() for path in tmp_path.glob("store.sqlite3*"))
    assert b"77778888" not in kept


async def test_the_passage_is_on_disk_before_the_relay_moves(site: tuple[Agent, Hands], tmp_path: Path) -> None:
    agent, hands = site
    seen: list[int] = []

    def look(_: str) -> None:
        with sqlite3.connect(tmp_path / "store.sqlite3") as other:
            seen.append(other.execute("SELECT count(*) FROM event").fetchone()[0])

    hands.before = look
    await agent.present(GARAGE, "pin", "5678")
    assert seen == [1]


async def test_no_credential_of_the_feed_lies_in_clear_on_the_disk(site: tuple[Agent, Hands], tmp_path: Path) -> None:
    kept = b"".join(path.read_bytes() for path in tmp_path.glob("store.sqlite3*"))
    assert b"holder:" in kept, "the keys of entries are ids and may be read"
    assert pin("1234").encode() not in kept
    assert LOOKUP_KEY.hex().encode() not in kept
    assert (tmp_path / "store.key").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "identity.json").stat().st_mode & 0o777 == 0o600
    assert tmp_path.stat().st_mode & 0o777 == 0o700


@pytest.mark.req("GH-GW-06")
async def test_without_a_clock_only_rights_without_time_limit_open(tmp_path: Path) -> None:
    entries = standard()
    entries[f"holder:{uid(41)}"] = holder(41, "5678", valid_until="2099-01-01T00:00")
    time = Time()
    clock = time.clock()
    async with deciding(tmp_path, Hands(), clock) as agent:
        await agent.feed.page(page(entries), True)
        assert (await agent.present(GARAGE, "pin", "1234")).allowed
        assert (await agent.present(GARAGE, "pin", "5678")).reason == "clock.unknown"
        time.set(clock)
        assert (await agent.present(GARAGE, "pin", "5678")).allowed


async def test_a_wall_clock_that_jumps_moves_no_decision_and_no_true_time(tmp_path: Path) -> None:
    entries = standard()
    entries[f"holder:{uid(41)}"] = holder(41, "5678", valid_until="2026-06-01T12:00")
    time = Time()
    clock = time.clock()
    async with deciding(tmp_path, Hands(), clock) as agent:
        await agent.feed.page(page(entries), True)
        time.set(clock, 1_780_300_800_000)  # 2026-06-01T10:00 in Berlin
        time.wall_wrong_ms = 86_400_000
        assert (await agent.present(GARAGE, "pin", "5678")).allowed
        time.later_ms = 7_200_000
        time.wall_wrong_ms = -86_400_000
        assert (await agent.present(GARAGE, "pin", "5678")).reason == "validity.over"
        first, second = agent.recorder.spool.batch()
        assert first.true_ms is not None and second.true_ms is not None
        assert 7_200_000 <= second.true_ms - first.true_ms < 7_260_000
        assert second.wall_ms < first.wall_ms, "the wall clock is kept as evidence, as it was"


async def test_a_card_is_known_in_every_notation(site: tuple[Agent, Hands]) -> None:
    agent, _ = site
    entries = standard()
    card = CredentialEntry(id=uid(0x99), kind="card", lookup=lookup(LOOKUP_KEY, "card", "0x04A1B2C3"))
    entries[f"holder:{uid(42)}"] = HolderEntry(id=uid(42), access_groups=[ALWAYS], credentials=[card])
    await agent.feed.page(page(entries, 2), True)
    for text in ("0x04A1B2C3", "04:a1:b2:c3", "77705923"):
        assert (await agent.present(GARAGE, "card", text)).allowed, text


@pytest.mark.req("OFF-DVC-E05")
async def test_guessing_at_a_keypad_becomes_slow_and_cards_and_other_doors_do_not(tmp_path: Path) -> None:
    time = Time()
    async with deciding(tmp_path, Hands(), time.clock()) as agent:
        await agent.feed.page(page(standard()), True)
        waits = []
        for _ in range(9):
            outcome = await agent.present(PHONE, "pin", "0000")
            waits.append(outcome.wait_s)
            time.later_ms += outcome.wait_s * 1000
        assert waits == [0, 0, 0, 0, 0, 5, 10, 20, 40]
        await agent.present(PHONE, "pin", "0000")
        slowed = await agent.present(PHONE, "pin", "1234")
        assert (slowed.allowed, slowed.reason) == (False, "keypad.throttled"), "nothing is judged meanwhile"
        assert 79 <= slowed.wait_s <= 80
        assert (await agent.present(PHONE, "card", "0x1234")).reason == "credential.unknown"
        assert (await agent.present(GARAGE, "pin", "1234")).allowed, "another keypad"
        reasons = [event.reason for event in agent.recorder.spool.batch() if isinstance(event, Passage)]
        assert reasons.count("keypad.throttled") == 1


def test_a_right_code_between_wrong_ones_does_not_buy_new_tries_and_time_does() -> None:
    pads = Keypads()
    pauses = [pads.wrong("d", now) for now in range(30)]
    assert pauses[:5] == [0] * 5
    assert max(pauses) == LONGEST_PAUSE_MS
    assert pads.wait_ms("d", 30) > 0
    # All is forgiven in the end.
    assert pads.wrong("d", 31 + 31 * FORGIVE_MS) == 0


def test_a_day_of_patient_guessing_at_one_keypad_gives_little_more_than_a_hundred_tries() -> None:
    pads, now, tries = Keypads(), 0, 0
    while now < 86_400_000:
        now += pads.wait_ms("d", now)
        pads.wrong("d", now)
        tries += 1
        now += 1_000
    assert tries < 170


async def test_an_exit_button_opens_its_door_and_says_so(site: tuple[Agent, Hands]) -> None:
    agent, hands = site
    await agent.input(PHONE, "exit", True, SIDE)
    await agent.input(PHONE, "exit", False, SIDE)
    assert hands.opened() == [SIDE]
    kinds = [(type(event), event.relay) for event in agent.recorder.spool.batch()]
    assert kinds == [(InputMoved, SIDE), (Passage, SIDE), (InputMoved, SIDE)]


async def test_doors_report_their_own_movement(site: tuple[Agent, Hands]) -> None:
    agent, _ = site
    await agent.door(PHONE, FRONT, "forced")
    (event,) = agent.recorder.spool.batch()
    assert isinstance(event, DoorMoved)
    assert (event.state, event.device, event.relay) == ("forced", PHONE, FRONT)


async def test_a_device_that_cannot_be_told_opens_nothing_and_is_counted(site: tuple[Agent, Hands]) -> None:
    agent, hands = site
    hands.online[GARAGE] = False
    outcome = await agent.present(GARAGE, "pin", "1234")
    assert (outcome.allowed, outcome.relays) == (True, ())
    assert agent.status().counts["device.unreachable"] == 1
    assert {health.device: health.online for health in agent.status().devices}[GARAGE] is False


async def test_an_entry_that_cannot_be_understood_opens_nothing_and_is_told(site: tuple[Agent, Hands]) -> None:
    agent, _ = site
    entry = FeedEntry(key=f"holder:{uid(40)}", revision=2, payload=holder(40, "1234", valid_until="2026-02-30T00:00"))
    await agent.feed.delta(FeedDelta(epoch="epoch-1", since=1, revision=2, entries=[entry]))
    assert not (await agent.present(GARAGE, "pin", "1234")).allowed
    assert {(r.key, r.reason) for r in agent.applied().refused} == {(entry.key, "local.format")}
    assert "feed.unreadable" in agent.status().faults


async def test_a_switched_off_door_stays_shut(site: tuple[Agent, Hands]) -> None:
    agent, hands = site
    entries = standard()
    entries[f"device:{GARAGE}"] = device_entry(GARAGE, [relay(RAMP, enabled=False)])
    await agent.feed.page(page(entries, 2), True)
    assert (await agent.present(GARAGE, "pin", "1234")).reason == "relay.off"
    await agent.input(GARAGE, "exit", True)
    assert hands.opened() == []
