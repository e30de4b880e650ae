"""Commands: now or never, and once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from gatehouse.gateway.agent import Agent
from gatehouse.wire.messages import Command, CommandEnded, Passage
from tests.gateway.site import (
    GARAGE,
    PHONE,
    RAMP,
    FullDisk,
    Hands,
    Time,
    deciding,
    device,
    fresh,
    page,
    relay,
    standard,
    uid,
)

SESSION = uid(0x5E)


class Site:
    """An agent in session with a cloud that only the test plays."""

    def __init__(self, agent: Agent, hands: Hands, time: Time) -> None:
        self.agent, self.hands, self.time = agent, hands, time

    def command(self, **changes: Any) -> Command:
        issued = self.agent.clock.true_ms() or 0
        given: dict[str, Any] = {
            "id": fresh(), "session": SESSION, "verb": "relay.open", "issued_ms": issued, "ttl_ms": 10_000,
            "device": GARAGE, "relay": RAMP,
        }  # fmt: skip
        return Command(**given | changes)

    async def send(self, command: Command) -> None:
        await self.agent.on_command(command, self.agent.clock.mono_ms())

    def told(self) -> list[tuple[str, str]]:
        """What was reported of commands: (state, reason)."""
        events = self.agent.recorder.spool.batch()
        return [(event.state, event.reason) for event in events if isinstance(event, CommandEnded)]

    def passages(self) -> list[tuple[bool, str]]:
        events = self.agent.recorder.spool.batch()
        return [(event.allowed, event.reason) for event in events if isinstance(event, Passage)]


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    time, hands = Time(), Hands()
    clock = time.clock()
    async with deciding(tmp_path, hands, clock) as agent:
        await agent.feed.page(page(standard()), True)
        time.set(clock)
        agent.uplink._enter(SESSION)
        hands.told.clear()
        yield Site(agent, hands, time)


async def test_a_command_opens_the_door_and_is_reported_with_its_passage(site: Site) -> None:
    command = site.command()
    await site.send(command)
    assert site.hands.told == [(RAMP, 5_000)]
    passage, ended = site.agent.recorder.spool.batch()
    assert isinstance(passage, Passage)
    assert (passage.method, passage.allowed, passage.command) == ("remote", True, command.id)
    assert isinstance(ended, CommandEnded)
    assert (ended.command, ended.state, ended.reason) == (command.id, "done", "ok")


async def test_it_is_on_disk_before_the_relay_moves(site: Site) -> None:
    begun: list[list[str]] = []
    site.hands.before = lambda _: begun.append(
        [row[0] for row in site.agent.recorder.store.db.execute("SELECT id FROM command WHERE NOT ended")]
    )
    command = site.command()
    await site.send(command)
    assert begun == [[command.id]]


async def test_heard_twice_it_is_done_once_and_reported_once(site: Site) -> None:
    command = site.command()
    await asyncio.gather(site.send(command), site.send(command))
    await site.send(command)
    assert site.hands.opened() == [RAMP]
    assert site.told() == [("done", "ok")]
    assert site.agent.status().counts["command.repeated"] == 2


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"session": uid(0x5F)}, "command.session"),
        ({"relay": uid(0x99)}, "relay.unknown"),
        ({"device": PHONE}, "relay.unknown"),
        ({"device": None, "relay": None}, "relay.unknown"),
        ({"verb": "device.reboot"}, "command.unsupported"),
    ],
    ids=["another session", "no such relay", "relay of another device", "no relay", "not supported"],
)
async def test_what_cannot_be_done_is_refused_with_the_reason(site: Site, changes: dict[str, Any], reason: str) -> None:
    await site.send(site.command(**changes))
    assert site.hands.opened() == []
    assert site.told() == [("refused", reason)]
    assert all(not allowed for allowed, _ in site.passages())


@pytest.mark.parametrize("late_ms", [10_000, 60_000, 3_600_000])
async def test_a_late_command_opens_nothing(site: Site, late_ms: int) -> None:
    command = site.command()
    site.time.later_ms += late_ms
    await site.send(command)
    assert site.hands.opened() == []
    assert site.told() == [("refused", "command.late")]
    assert site.passages() == [(False, "command.late")]


async def test_just_in_time_is_in_time(site: Site) -> None:
    command = site.command()
    site.time.later_ms += 9_000
    await site.send(command)
    assert site.hands.opened() == [RAMP]


async def test_a_command_that_waited_here_is_late_by_the_counter_whatever_it_says_of_its_issue(site: Site) -> None:
    received = site.agent.clock.mono_ms()
    site.time.later_ms += 11_000
    await site.agent.on_command(site.command(), received)
    assert site.told() == [("refused", "command.late")]


async def test_a_command_from_the_future_is_not_believed(site: Site) -> None:
    await site.send(site.command(issued_ms=(site.agent.clock.true_ms() or 0) + 3_600_000))
    assert site.told() == [("refused", "command.late")]


@pytest.mark.parametrize("wrong_ms", [-3_600_000, 3_600_000])
async def test_a_wall_clock_wrong_by_an_hour_neither_opens_late_nor_refuses_in_time(site: Site, wrong_ms: int) -> None:
    site.time.wall_wrong_ms = wrong_ms
    command = site.command()
    site.time.later_ms += 12_000
    await site.send(command)
    assert site.hands.opened() == []
    await site.send(site.command())
    assert site.hands.opened() == [RAMP]


@pytest.mark.req("GH-GW-06")
async def test_with_a_clock_never_set_every_command_is_refused(site: Site) -> None:
    site.agent.clock.measured = None
    await site.send(site.command(issued_ms=site.time.wall()))
    assert site.hands.opened() == []
    assert site.told() == [("refused", "clock.unknown")]


async def test_a_command_of_the_session_before_the_restart_is_void(site: Site) -> None:
    site.agent.uplink._enter(None)
    await site.send(site.command())
    assert site.told() == [("refused", "command.session")]


async def test_a_switched_off_door_stays_shut(site: Site) -> None:
    entries = standard()
    entries[f"device:{GARAGE}"] = device(GARAGE, [relay(RAMP, enabled=False)])
    await site.agent.feed.page(page(entries, 2), True)
    await site.send(site.command())
    assert site.told() == [("refused", "relay.off")]


async def test_a_device_that_cannot_be_told_is_a_failure(site: Site) -> None:
    site.hands.online[GARAGE] = False
    await site.send(site.command())
    assert site.told() == [("failed", "device.unreachable")]


async def test_without_a_disk_no_command_is_done(site: Site) -> None:
    disk = FullDisk(site.agent.recorder.store)
    await site.send(site.command())
    assert site.hands.opened() == []
    assert "disk.full" in site.agent.status().faults
    assert (await site.agent.present(GARAGE, "pin", "1234")).allowed, "but people still get in"
    assert site.hands.opened() == [RAMP]
    assert site.agent.status().unwritten == 2
    disk.room()
    await site.agent.door(GARAGE, RAMP, "open")
    assert site.agent.status().unwritten == 0
    assert site.told() == [("failed", "disk.full")]
    assert site.passages() == [(True, "granted")]
    assert "disk.full" not in site.agent.status().faults


async def test_a_disk_that_stalls_past_the_time_of_the_command_opens_nothing(site: Site) -> None:
    begin = site.agent.recorder.spool.begin

    def slow(*args: Any) -> bool:
        site.time.later_ms += 20_000
        return begin(*args)

    site.agent.recorder.spool.begin = slow  # type: ignore[method-assign, assignment]
    await site.send(site.command())
    assert site.hands.opened() == []
    assert site.told() == [("refused", "command.late")]


async def test_a_process_that_died_over_a_command_says_so_and_does_not_do_it_again(tmp_path: Path) -> None:
    time, hands = Time(), Hands()
    clock = time.clock()
    command = fresh()
    async with deciding(tmp_path, hands, clock) as agent:
        await agent.feed.page(page(standard()), True)
        await agent.recorder.on_disk(agent.recorder.spool.begin, command, [])
    async with deciding(tmp_path, hands, clock) as agent:
        again = Site(agent, hands, time)
        assert again.told() == [("failed", "command.interrupted")]
        time.set(clock)
        agent.uplink._enter(SESSION)
        hands.told.clear()
        await again.send(again.command(id=command))
        assert hands.opened() == []
        assert again.told() == [("failed", "command.interrupted")]


async def test_everything_is_sent_again_on_demand(site: Site) -> None:
    await site.send(site.command(verb="feed.resend", device=None, relay=None))
    assert site.told() == [("done", "ok")]
    assert site.agent.feed.asks() == (None, 0)
