"""The line to the cloud over a real broker: cut, slow, doubled, lied to, killed at the other end."""

from __future__ import annotations

import asyncio

import pytest

from gatehouse.rules.access import Policy, decide_device
from gatehouse.wire import topics
from gatehouse.wire.messages import EmergencyMoved, Passage, Welcome
from tests.gateway.cloud import Broker, Cloud
from tests.gateway.line import Connect, gapless, in_step, passages
from tests.gateway.site import (
    FRONT,
    GARAGE,
    PHONE,
    RAMP,
    SIDE,
    Hands,
    Time,
    eventually,
    fresh,
    holder,
    signed,
    uid,
)

ALICE, BOB = f"holder:{uid(40)}", f"holder:{uid(41)}"


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
