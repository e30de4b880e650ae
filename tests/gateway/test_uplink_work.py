"""What goes over the line: feed, events and commands, with all that a line does to them."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable

import pytest

from gatehouse.wire import topics
from gatehouse.wire.messages import Ack, CommandEnded, FeedDelta, Passage
from tests.gateway.cloud import Cloud
from tests.gateway.line import Connect, gapless, in_step, passages
from tests.gateway.site import (
    GARAGE,
    PHONE,
    RAMP,
    Hands,
    eventually,
    fresh,
    holder,
    uid,
)

ALICE, BOB = f"holder:{uid(40)}", f"holder:{uid(41)}"


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
