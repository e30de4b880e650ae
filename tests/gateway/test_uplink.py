"""The line to the cloud over a real broker: cut, slow, doubled, lied to, killed at the other end."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from gatehouse.gateway.agent import Agent
from gatehouse.gateway.settings import AgentSettings
from gatehouse.rules.access import Policy, decide_device
from gatehouse.wire import topics
from gatehouse.wire.messages import Ack, CommandEnded, EmergencyMoved, FeedDelta, Lost, Passage, Welcome
from tests.gateway.cloud import Broker, Cloud
from tests.gateway.site import (
    FRONT,
    GARAGE,
    PHONE,
    RAMP,
    SIDE,
    Hands,
    Time,
    enrol,
    eventually,
    fresh,
    holder,
    signed,
    uid,
)

Connect = Callable[..., AbstractAsyncContextManager[Agent]]
ALICE, BOB = f"holder:{uid(40)}", f"holder:{uid(41)}"


@pytest.fixture
def connected(cloud: Cloud, tmp_path: Path) -> Connect:
    """Starts an agent that reaches this cloud; the folder stays the same from start to start."""

    @asynccontextmanager
    async def connect(
        hands: Hands | None = None, time: Time | None = None, wait: bool = True, machine: str | None = None, **more: Any
    ) -> AsyncIterator[Agent]:
        folder = enrol(tmp_path / "agent", cloud.broker.port)
        settings = AgentSettings(folder, cloud.base_url, **{"answer_within_s": 1.0, "status_every_s": 5.0} | more)
        agent = Agent(settings, hands or Hands(), (time or Time()).clock(machine))
        await agent.start()
        try:
            if wait:
                await eventually(lambda: in_step(agent, cloud), what="in step with the cloud")
            yield agent
        finally:
            await agent.stop()

    return connect


def in_step(agent: Agent, cloud: Cloud) -> bool:
    """In session, the feed at the cloud's revision, the cloud told so, no event waiting."""
    applied = cloud.applied()
    return (
        not agent.uplink.alone
        and agent.feed.state == (cloud.epoch, cloud.revision)
        and applied is not None
        and (applied.epoch, applied.revision) == (cloud.epoch, cloud.revision)
        and agent.recorder.spool.depth == 0
    )


def passages(cloud: Cloud) -> list[Passage]:
    return [event for event in cloud.events() if isinstance(event, Passage)]


def gapless(cloud: Cloud) -> None:
    """Every spool arrived whole, each number once, in order."""
    for rows in cloud.committed.values():
        expected = 1
        for event in rows:
            assert event.seq == expected
            expected = (event.upto if isinstance(event, Lost) else event.seq) + 1


class TestSession:
    async def test_a_fresh_gateway_gets_its_feed_reports_it_and_opens(self, connected: Connect, cloud: Cloud) -> None:
        hands = Hands()
        async with connected(hands) as agent:
            hello = cloud.heard["hello"][0]
            assert (hello.epoch, hello.revision, hello.next_seq, hello.schema) == (None, 0, 1, 1)
            assert (await agent.present(GARAGE, "pin", "1234")).allowed
            await eventually(lambda: len(passages(cloud)) == 1)
            (passage,) = passages(cloud)
            assert (passage.alone, passage.epoch, passage.revision) == (False, "epoch-1", 1)
            assert passage.true_ms is not None and abs(passage.true_ms - cloud.now_ms()) < 2_000
            applied = cloud.applied()
            assert applied is not None and applied.devices == {PHONE: 1, GARAGE: 1}
            assert cloud.online() is True
        await eventually(lambda: cloud.online() is False, what="an orderly end is told")

    async def test_health_is_told_regularly_and_when_a_device_goes(self, connected: Connect, cloud: Cloud) -> None:
        hands = Hands()
        async with connected(hands, status_every_s=0.2) as agent:
            await eventually(lambda: len(cloud.heard["status"]) >= 2)
            status = cloud.heard["status"][-1]
            assert status.session == cloud.session
            assert status.memory > 1_000_000 and status.disk_free > 0
            assert abs(status.clock_offset_ms) < 2_000
            hands.online[GARAGE] = False
            agent.reachable(GARAGE)
            await eventually(lambda: {d.device: d.online for d in cloud.heard["status"][-1].devices}[GARAGE] is False)

    async def test_the_clock_is_the_clouds_with_the_round_trip_halved(self, connected: Connect, cloud: Cloud) -> None:
        cloud.clock_wrong_ms = 5_000_000
        time = Time()
        time.wall_wrong_ms = -3_600_000
        async with connected(time=time) as agent:
            true = agent.clock.true_ms()
            assert true is not None and abs(true - cloud.now_ms()) < 1_000
            offset = agent.clock.offset_ms()
            assert offset is not None and abs(offset - 8_600_000) < 1_000

    async def test_a_slow_line_does_not_make_the_clock_late(self, connected: Connect, cloud: Cloud) -> None:
        async with connected(wait=False) as agent:
            agent.uplink.cable.delay_s = 0.4
            await eventually(lambda: agent.clock.measured is not None)
            true = agent.clock.true_ms()
            assert true is not None and abs(true - cloud.now_ms()) < 250

    async def test_an_answer_nobody_asked_for_sets_no_clock_and_no_session(
        self, connected: Connect, cloud: Cloud
    ) -> None:
        async with connected() as agent:
            session = agent.uplink.session
            lie = Welcome(session=fresh(), echo_mono_ms=12345, server_ms=1, epoch="epoch-9", revision=9, acked_seq=0)
            await cloud.tell(topics.WELCOME, lie)
            await eventually(lambda: agent.status().counts.get("welcome.unasked") == 1)
            assert agent.uplink.session == session
            assert (agent.clock.true_ms() or 0) > 1_000_000

    async def test_what_cannot_be_read_is_counted_and_ignored(self, connected: Connect, cloud: Cloud) -> None:
        async with connected() as agent:
            assert cloud._client is not None
            for payload in (b"", b"\xff", b"[" * 9_000, b'{"id": 1}', b"x" * 70_000):
                await cloud._client.publish(topics.down(agent.identity.gateway, "command"), payload, qos=1)
                await cloud._client.publish(topics.emergency(agent.identity.site), payload, qos=1)
            await cloud._client.publish(topics.down(agent.identity.gateway, "weather"), b"{}", qos=1)
            await eventually(lambda: agent.status().counts.get("message.unknown") == 1)
            assert agent.status().counts["message.unreadable"] >= 9
            assert agent.uplink.session is not None

    async def test_a_link_that_died_is_noticed_and_the_session_begins_anew(
        self, connected: Connect, cloud: Cloud
    ) -> None:
        async with connected(status_every_s=0.3, answer_within_s=0.5) as agent:
            first = agent.uplink.session
            await cloud.link_down()
            await eventually(lambda: agent.uplink.alone, what="notices that nobody answers")
            assert agent.uplink.connected, "the broker is still there"
            assert (await agent.present(GARAGE, "pin", "1234")).allowed
            await cloud.link_up()
            await eventually(lambda: len(passages(cloud)) == 1)
            assert passages(cloud)[0].alone
            assert agent.uplink.session not in (None, first)

    async def test_a_broker_that_was_killed_is_found_again(
        self, connected: Connect, cloud: Cloud, broker: Broker
    ) -> None:
        async with connected() as agent:
            broker.stop()
            await eventually(lambda: agent.status().link == "connecting")
            assert agent.uplink.alone
            assert (await agent.present(GARAGE, "pin", "1234")).allowed
            await asyncio.to_thread(broker.start)
            await eventually(lambda: len(passages(cloud)) == 1, within_s=20)

    async def test_an_old_copy_of_the_disk_does_not_hide_events_behind_numbers_already_used(
        self, connected: Connect, cloud: Cloud
    ) -> None:
        async with connected() as agent:
            spool = agent.recorder.spool.id
            cloud.committed[spool] = [
                Passage(seq=seq, boot=fresh(), mono_ms=0, wall_ms=0, method="pin", allowed=True, reason="granted")
                for seq in range(1, 51)
            ]
        async with connected(wait=False) as agent:
            await agent.present(GARAGE, "pin", "1234")
            await eventually(lambda: len(cloud.events()) == 51)
            assert agent.recorder.spool.id != spool
            gapless(cloud)


class TestCut:
    @pytest.mark.req("GH-GW-04", "OFF-DVC-03", "OFF-DVC-23")
    async def test_with_the_line_cut_doors_go_on_and_everything_arrives_once_afterwards(
        self, connected: Connect, cloud: Cloud
    ) -> None:
        hands = Hands()
        async with connected(hands) as agent:
            agent.uplink.cut()
            await eventually(lambda: agent.status().link == "cut")
            await eventually(lambda: cloud.online() is False, what="the broker sends the will")
            assert (await agent.present(GARAGE, "pin", "1234")).allowed
            assert not (await agent.present(GARAGE, "pin", "9999")).allowed
            await agent.input(PHONE, "fire", True)
            await eventually(lambda: hands.now(FRONT) is None)
            assert cloud.events() == []
            agent.uplink.mend()
            await eventually(lambda: in_step(agent, cloud))
            first, second = passages(cloud)
            assert (first.allowed, second.allowed) == (True, False)
            assert first.alone and second.alone
            assert first.true_ms is not None and cloud.now_ms() - first.true_ms < 30_000
            assert first.mono_ms <= second.mono_ms
            assert {event.relay for event in cloud.events() if isinstance(event, EmergencyMoved)} == {
                None,
                FRONT,
                SIDE,
                RAMP,
            }
            gapless(cloud)

    @pytest.mark.req("GH-GW-05")
    async def test_back_on_line_removals_and_emergency_come_before_the_events_and_before_it_is_not_alone(
        self, connected: Connect, cloud: Cloud
    ) -> None:
        hands = Hands()
        async with connected(hands) as agent:
            agent.uplink.cut()
            await eventually(lambda: agent.uplink.alone)
            await agent.present(GARAGE, "pin", "5678")
            many = [(f"holder:{uid(0x500 + n)}", holder(0x500 + n, None)) for n in range(30)]
            await cloud.change((BOB, None), *many)
            await cloud.emergency(signed("open", 1, at_ms=cloud.now_ms()))
            cloud.page_size, cloud.breaks_after_pages = 1, 1
            cloud.heard["events"].clear()
            alone_when_known: list[bool] = []
            original = agent.feed.removals_in.set

            def noted() -> None:
                original()
                policy = agent.feed.compiled.policy
                alone_when_known.append(decides(policy))

            def decides(policy: Policy) -> bool:
                return decide_device(policy, policy.read("pin", "5678"), GARAGE, None).allowed

            agent.feed.removals_in.set = noted  # type: ignore[method-assign]
            agent.uplink.mend()
            await eventually(lambda: not decides(agent.feed.compiled.policy), what="the removal alone is in force")
            await eventually(lambda: hands.now(RAMP) is None, what="the retained emergency is in force")
            assert agent.feed.state == ("epoch-1", 1), "the rest of the pull is not here yet"
            assert agent.uplink.alone
            assert cloud.heard["events"] == []
            cloud.breaks_after_pages = None
            await eventually(lambda: in_step(agent, cloud))
            assert alone_when_known and not any(alone_when_known)

    async def test_changes_made_meanwhile_are_in_force_after_reconnecting(
        self, connected: Connect, cloud: Cloud
    ) -> None:
        async with connected() as agent:
            agent.uplink.cut()
            await cloud.change((ALICE, holder(40, "4321")), (BOB, None))
            await cloud.change((f"holder:{uid(42)}", holder(42, "2222")))
            agent.uplink.mend()
            await eventually(lambda: in_step(agent, cloud))
            answers = [(await agent.present(GARAGE, "pin", code)).allowed for code in ("4321", "1234", "5678", "2222")]
            assert answers == [True, False, False, True]

    async def test_a_cable_pulled_again_and_again_loses_and_doubles_nothing(
        self, connected: Connect, cloud: Cloud
    ) -> None:
        async with connected(status_every_s=0.5) as agent:
            said = 0

            async def people() -> None:
                nonlocal said
                for _ in range(120):
                    await agent.present(GARAGE, "pin", "1234")
                    said += 1
                    await asyncio.sleep(0.02)

            work = asyncio.create_task(people())
            for _ in range(8):
                await asyncio.sleep(0.25)
                agent.uplink.cut()
                await asyncio.sleep(0.1)
                agent.uplink.mend()
            await work
            await eventually(lambda: in_step(agent, cloud), within_s=20)
            assert len(passages(cloud)) == said == 120
            gapless(cloud)

    async def test_the_clock_outlives_the_process_but_not_the_machine(self, connected: Connect, cloud: Cloud) -> None:
        time = Time()
        async with connected(time=time, machine="boot-1"):
            pass
        await cloud.link_down()
        async with connected(time=time, machine="boot-1", wait=False) as agent:
            true = agent.clock.true_ms()
            assert true is not None and abs(true - cloud.now_ms()) < 1_000
        async with connected(time=time, machine="boot-2", wait=False) as agent:
            assert agent.clock.true_ms() is None


class TestFeed:
    async def test_a_change_is_in_force_and_confirmed_within_a_second(self, connected: Connect, cloud: Cloud) -> None:
        async with connected() as agent:
            pulled = cloud.counts["pages"]
            await cloud.change((BOB, None))
            await eventually(lambda: in_step(agent, cloud), within_s=1)
            assert cloud.counts["pages"] == pulled, "the delta was enough"
            assert not (await agent.present(GARAGE, "pin", "5678")).allowed

    async def test_deltas_without_entries_are_pulled_page_by_page(self, connected: Connect, cloud: Cloud) -> None:
        cloud.sends_entries, cloud.page_size = False, 2
        async with connected() as agent:
            for number in range(5):
                await cloud.change((f"holder:{uid(0x60 + number)}", holder(0x60 + number, f"77{number}0")))
            await eventually(lambda: in_step(agent, cloud))
            assert (await agent.present(GARAGE, "pin", "7740")).allowed

    @pytest.mark.req("GH-FEED-02")
    async def test_a_device_that_is_off_confirms_when_it_is_back(self, connected: Connect, cloud: Cloud) -> None:
        hands = Hands()
        async with connected(hands) as agent:
            hands.online[GARAGE] = False
            agent.reachable(GARAGE)
            await cloud.change((BOB, None))
            await eventually(lambda: in_step(agent, cloud))
            applied = cloud.applied()
            assert applied is not None and applied.devices == {PHONE: 2, GARAGE: 1}
            hands.online[GARAGE] = True
            agent.reachable(GARAGE)
            await eventually(lambda: (cloud.applied() or applied).devices == {PHONE: 2, GARAGE: 2})

    @pytest.mark.parametrize("status", [500, 403, 429])
    async def test_events_arrive_even_while_the_feed_cannot_be_pulled(
        self, connected: Connect, cloud: Cloud, status: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("gatehouse.gateway.uplink.REMOVALS_WITHIN_S", 0.5)
        cloud.status = status
        async with connected(wait=False) as agent:
            await agent.present(GARAGE, "pin", "1234")
            await eventually(lambda: len(passages(cloud)) == 1)
            assert agent.uplink.alone
            assert str(status) in (agent.status().last_error or "")
            cloud.status = None
            await eventually(lambda: not agent.uplink.alone, within_s=20)

    @pytest.mark.req("GH-GW-E4")
    async def test_a_newer_schema_keeps_the_last_state_and_is_reported(self, connected: Connect, cloud: Cloud) -> None:
        async with connected(status_every_s=0.3) as agent:
            cloud.schema, cloud.sends_entries = 2, False
            await cloud.change((BOB, None))
            await eventually(lambda: "feed.newer_schema" in cloud.heard["status"][-1].faults)
            assert (await agent.present(GARAGE, "pin", "1234")).allowed
            await eventually(lambda: len(passages(cloud)) == 1)

    async def test_a_restored_cloud_with_a_new_epoch_gets_events_again_and_gives_its_state(
        self, connected: Connect, cloud: Cloud
    ) -> None:
        async with connected() as agent:
            await cloud.change((BOB, None))
            await eventually(lambda: in_step(agent, cloud))
            for _ in range(5):
                await agent.present(GARAGE, "pin", "1234")
            await eventually(lambda: len(passages(cloud)) == 5)
            await cloud.link_down()
            cloud.epoch, cloud.revision, cloud.removed = "epoch-2", 1, {}
            cloud.entries = {key: (1, payload) for key, (_, payload) in cloud.entries.items()}
            (spool,) = cloud.committed
            del cloud.committed[spool][2:]
            agent.uplink.cut()
            await cloud.link_up()
            agent.uplink.mend()
            await eventually(lambda: in_step(agent, cloud))
            assert len(passages(cloud)) == 5
            gapless(cloud)


class TestEvents:
    async def test_a_batch_that_is_not_acknowledged_is_sent_again_and_committed_once(
        self, connected: Connect, cloud: Cloud
    ) -> None:
        async with connected(answer_within_s=0.4) as agent:
            cloud.acknowledges = False
            await agent.present(GARAGE, "pin", "1234")
            await eventually(lambda: cloud.counts["repeated"] >= 1)
            cloud.acknowledges = True
            await eventually(lambda: agent.recorder.spool.depth == 0)
            assert len(passages(cloud)) == 1

    async def test_one_batch_is_in_flight_and_no_more(self, connected: Connect, cloud: Cloud) -> None:
        async with connected(answer_within_s=5.0) as agent:
            cloud.acknowledges = False
            await agent.present(GARAGE, "pin", "1234")
            await eventually(lambda: len(cloud.heard["events"]) == 1)
            for _ in range(20):
                await agent.present(GARAGE, "pin", "1234")
            await asyncio.sleep(0.3)
            assert len(cloud.heard["events"]) == 1
            batch = cloud.heard["events"][0]
            cloud.acknowledges = True
            await cloud.tell(topics.ACK, Ack(spool=batch.spool, seq=1))
            await eventually(lambda: len(passages(cloud)) == 21)
            assert len(cloud.heard["events"]) <= 3, "what had gathered went together"

    async def test_a_refused_batch_is_neither_skipped_nor_hurried(self, connected: Connect, cloud: Cloud) -> None:
        async with connected() as agent:
            cloud.refuses = "batch.invalid"
            await agent.present(GARAGE, "pin", "1234")
            await eventually(lambda: len(cloud.heard["events"]) >= 2)
            assert agent.status().spool_depth == 1
            assert "batch.invalid" in (agent.status().last_error or "")
            cloud.refuses = None
            await eventually(lambda: len(passages(cloud)) == 1)
            assert len(cloud.heard["events"]) < 6

    async def test_acknowledgements_of_other_spools_and_of_numbers_never_sent_change_nothing(
        self, connected: Connect, cloud: Cloud
    ) -> None:
        async with connected(answer_within_s=30) as agent:
            cloud.acknowledges = False
            await agent.present(GARAGE, "pin", "1234")
            spool = agent.recorder.spool.id
            await cloud.tell(topics.ACK, Ack(spool=fresh(), seq=1))
            await cloud.tell(topics.ACK, Ack(spool=spool, seq=99))
            await eventually(lambda: agent.status().counts.get("ack.foreign") == 2)
            assert agent.status().spool_depth == 1
            await cloud.tell(topics.ACK, Ack(spool=spool, seq=1))
            await cloud.tell(topics.ACK, Ack(spool=spool, seq=0))
            await eventually(lambda: agent.recorder.spool.acked == 1)
            await asyncio.sleep(0.1)
            assert agent.recorder.spool.acked == 1, "a late acknowledgement of less takes nothing back"

    @pytest.mark.req("OFF-DVC-23")
    async def test_a_line_that_loses_doubles_and_swaps_messages_delivers_everything_once_and_in_order(
        self, connected: Connect, cloud: Cloud
    ) -> None:
        async with connected(answer_within_s=0.4, status_every_s=0.5) as agent:
            cable = agent.uplink.cable
            cable.lose, cable.double, cable.jitter_s = 0.15, 0.3, 0.1
            for number in range(60):
                await agent.present(GARAGE, "pin", "1234" if number % 3 else "0000")
                if number % 10 == 0:
                    await cloud.change((f"holder:{uid(0x70 + number)}", holder(0x70 + number, None)))
                if number % 20 == 5:
                    await cloud.change((f"holder:{uid(0x70 + number - 5)}", None))
                await asyncio.sleep(0.02)
            cable.lose = cable.double = cable.jitter_s = 0.0
            await eventually(lambda: in_step(agent, cloud), within_s=20)
            assert len(passages(cloud)) == 60
            gapless(cloud)
            assert {key for key, _, _ in agent.recorder.store.entries()} == cloud.entries.keys()


class TestCommands:
    async def test_a_door_opens_from_afar_and_the_end_is_told(self, connected: Connect, cloud: Cloud) -> None:
        hands = Hands()
        async with connected(hands):
            hands.told.clear()
            command = await cloud.command()
            await eventually(lambda: hands.opened() == [RAMP], within_s=1)
            await eventually(lambda: len(cloud.events()) == 2)
            passage, ended = cloud.events()
            assert isinstance(passage, Passage) and isinstance(ended, CommandEnded)
            assert (passage.command, ended.command, ended.state) == (command.id, command.id, "done")

    async def test_delayed_on_the_way_past_its_time_it_opens_nothing(self, connected: Connect, cloud: Cloud) -> None:
        hands = Hands()
        async with connected(hands) as agent:
            hands.told.clear()
            agent.uplink.cable.delay_s = 0.6
            await cloud.command(ttl_ms=500)
            await cloud.command(ttl_ms=10_000)
            await eventually(lambda: len(cloud.events()) == 4)
            ends = [(event.state, event.reason) for event in cloud.events() if isinstance(event, CommandEnded)]
            assert ends == [("refused", "command.late"), ("done", "ok")]
            assert hands.opened() == [RAMP]

    async def test_doubled_by_the_line_it_is_done_once(self, connected: Connect, cloud: Cloud) -> None:
        hands = Hands()
        async with connected(hands) as agent:
            hands.told.clear()
            agent.uplink.cable.double = 1.0
            await cloud.command()
            await eventually(lambda: agent.status().counts.get("command.repeated") == 1)
            assert hands.opened() == [RAMP]

    async def test_replayed_in_the_next_session_it_opens_nothing(self, connected: Connect, cloud: Cloud) -> None:
        hands = Hands()
        async with connected(hands) as agent:
            hands.told.clear()
            done = await cloud.command()
            waiting = await cloud.command(id=fresh(), relay=uid(0x99))  # of this session, never done
            await eventually(lambda: len(cloud.events()) == 4)
            agent.uplink.cut()
            await eventually(lambda: agent.uplink.alone)
            agent.uplink.mend()
            await eventually(lambda: in_step(agent, cloud))
            await cloud.tell(topics.COMMAND, done)
            await cloud.tell(topics.COMMAND, waiting)
            await cloud.command(session=waiting.session)
            await eventually(lambda: len(cloud.events()) == 6)
            ended = cloud.events()[-1]
            assert isinstance(ended, CommandEnded) and ended.reason == "command.session"
            assert hands.opened() == [RAMP]

    async def test_a_disk_full_of_nothing_but_commands_does_not_stop_the_feed(
        self, connected: Connect, cloud: Cloud
    ) -> None:
        async with connected() as agent:
            commands = [await cloud.command() for _ in range(40)]
            await cloud.change((BOB, None))
            await eventually(lambda: len(cloud.events()) == 80)
            ends = Counter(event.command for event in cloud.events() if isinstance(event, CommandEnded))
            assert ends == {command.id: 1 for command in commands}
            assert agent.feed.state == ("epoch-1", 2)


async def test_everything_that_comes_down_may_come_at_any_time(connected: Connect, cloud: Cloud) -> None:
    """A storm of old, foreign and contradictory messages leaves the gateway in step with the cloud."""
    sends: list[Callable[[], Awaitable[None]]] = []
    async with connected(status_every_s=0.5) as agent:
        spool = agent.recorder.spool.id
        for number in range(150):
            sends += [
                lambda n=number: cloud.tell(topics.ACK, Ack(spool=spool, seq=n % 7, resend=n % 5 == 0)),  # type: ignore[misc]
                lambda n=number: cloud.tell(  # type: ignore[misc]
                    topics.FEED, FeedDelta(epoch=f"epoch-{n % 3}", since=n, revision=n + 1, entries=[])
                ),
            ]
        for number, send in enumerate(sends):
            await send()
            if number % 30 == 0:
                await agent.present(GARAGE, "pin", "1234")
        # A revision that the cloud never had was hearsay; the next pull says what is.
        await eventually(lambda: len(passages(cloud)) == 10, within_s=20)
        gapless(cloud)
        agent.uplink.cut()
        await asyncio.sleep(0.05)
        agent.uplink.mend()
        await eventually(lambda: agent.recorder.spool.depth == 0 and not agent.uplink.alone, within_s=20)
        assert (await agent.present(GARAGE, "pin", "5678")).allowed
