"""The link as a process, between a real broker and a real database."""

from __future__ import annotations

import asyncio
import json
import time
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any
from uuid import UUID, uuid4

import aiomqtt
import psycopg
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from gatehouse.cloud.devices.models import Command, Device, Gateway
from gatehouse.cloud.devices.services import open_relay, revoke_gateway
from gatehouse.cloud.emergency.models import EmergencyState
from gatehouse.cloud.emergency.services import set_emergency
from gatehouse.cloud.kit import clock, seal
from gatehouse.cloud.kit.ids import new_id
from gatehouse.wire import topics
from gatehouse.wire.messages import (
    Ack,
    CommandEnded,
    DeviceHealth,
    Emergency,
    FeedDelta,
    Welcome,
    emergency_bytes,
    encode,
)
from gatehouse.wire.messages import Command as WireCommand
from tests.cast import Cast, Place
from tests.link.conftest import Broker, LinkProcess, claimed, compiled, inside, off, stored
from tests.link.gateways import FakeGateway


async def of(broker: Broker, place: Place) -> FakeGateway:
    """A gateway of this place with an identity of its own."""
    return FakeGateway(broker.port, place.gateway.id, await off(claimed, place.gateway), place.site.id)


def gateway_row(place: Place) -> Gateway:
    with inside(place.site.id):
        return Gateway.objects.get(pk=place.gateway.pk)


async def eventually(true: Any, within: float = 5.0) -> None:
    """Ask the database until it says so."""
    deadline = time.monotonic() + within
    while not await off(true):
        assert time.monotonic() < deadline, f"not within {within} s"
        await asyncio.sleep(0.05)


class TestEvents:
    @pytest.mark.req("OFF-LOG-30", "COM-DVC-C2")
    async def test_events_are_stored_then_acknowledged(
        self, broker: Broker, link: LinkProcess, committed_cast: Cast
    ) -> None:
        here = committed_cast.here
        async with (await of(broker, here)).connected() as gateway:
            assert (await gateway.hello()).acked_seq == 0
            ack = await gateway.send(gateway.passage(1), gateway.passage(2))
            assert (ack.seq, ack.refused, ack.resend) == (2, None, False)
            assert await off(stored, here.site.id, gateway.spool) == [1, 2]
            again = await gateway.send(gateway.passage(2), gateway.passage(3))
            assert again.seq == 3
            assert await off(stored, here.site.id, gateway.spool) == [1, 2, 3]
            gap = await gateway.send(gateway.passage(5))
            assert (gap.seq, gap.resend) == (3, True)
            assert (await gateway.hello(next_seq=4)).acked_seq == 3

    @pytest.mark.req("OFF-DVC-E04")
    async def test_garbage_and_oversized_messages_are_refused_with_a_reason_and_stop_nothing(
        self, broker: Broker, link: LinkProcess, committed_cast: Cast
    ) -> None:
        here = committed_cast.here
        async with (await of(broker, here)).connected() as gateway:
            await gateway.hello()
            for kind in (*topics.UP, "nonsense", "events/deeper"):
                for body in (b"", b"\xff\x00", b"[]", b"{}", b"null", b'{"spool":7}', b"[" * 30_000):
                    await gateway.say(kind, body)
            bad = encode(gateway.batch([gateway.passage(1)])).replace(b'"method":"card"', b'"method":"<b>"')
            await gateway.say(topics.EVENTS, bad)
            assert (await gateway.take(Ack)).refused == "unreadable"
            big = encode(gateway.batch([gateway.passage(1)]))
            await gateway.say(topics.EVENTS, big[:-1] + b',"x":"' + b"x" * 66_000 + b'"}')
            assert (await gateway.take(Ack)).refused == "oversized"
            assert (await gateway.send(gateway.passage(1))).seq == 1
            await gateway.say(topics.STATUS, gateway.status())
            assert (await gateway.take(Welcome)).session == gateway.session
            assert await off(stored, here.site.id, gateway.spool) == [1]
        assert "Traceback" not in link.log

    async def test_a_batch_that_the_database_cannot_hold_does_not_hold_up_the_others(
        self, broker: Broker, link: LinkProcess, committed_cast: Cast, owner_dsn: str
    ) -> None:
        here, elsewhere = committed_cast.here, committed_cast.elsewhere
        one, two = await of(broker, here), await of(broker, elsewhere)
        with psycopg.connect(owner_dsn, autocommit=True) as owner:
            owner.execute("ALTER TABLE events_passage ADD CONSTRAINT poison CHECK (reason <> 'poison') NOT VALID")
            try:
                async with one.connected(), two.connected():
                    await one.hello()
                    await two.hello()
                    both = asyncio.gather(one.send(one.passage(1, reason="poison")), two.send(two.passage(1)))
                    refused, taken = await both
                    assert refused.refused == "unstorable"
                    assert (taken.seq, taken.refused) == (1, None)
            finally:
                owner.execute("ALTER TABLE events_passage DROP CONSTRAINT poison")

    async def test_what_was_in_flight_when_the_link_died_is_asked_for_again_at_once(
        self, broker: Broker, link: LinkProcess, committed_cast: Cast
    ) -> None:
        here = committed_cast.here
        async with (await of(broker, here)).connected() as gateway:
            await gateway.hello()
            await gateway.send(gateway.passage(1))
            link.kill()
            await gateway.say(topics.EVENTS, gateway.batch([gateway.passage(2)]))
            await asyncio.to_thread(link.start)
            nudge = await gateway.take(Ack)
            assert (nudge.spool, nudge.seq, nudge.resend) == (gateway.spool, 1, True)
            assert (await gateway.send(gateway.passage(2))).seq == 2
            assert (await off(gateway_row, here)).session == UUID(gateway.session)
            assert await off(stored, here.site.id, gateway.spool) == [1, 2]

    async def test_health_is_answered_while_a_burst_arrives(
        self, broker: Broker, link: LinkProcess, committed_cast: Cast
    ) -> None:
        here, elsewhere = committed_cast.here, committed_cast.elsewhere
        loud, calm = await of(broker, here), await of(broker, elsewhere)
        async with loud.connected(), calm.connected():
            await loud.hello()
            await calm.hello()

            async def burst() -> None:
                for first in range(1, 20_001, 200):
                    events = [loud.passage(seq) for seq in range(first, first + 200)]
                    assert (await loud.send(*events, within=30)).seq == first + 199

            flood = asyncio.create_task(burst())
            slowest, fresh = 0.0, 0
            while not flood.done():
                begun = time.monotonic()
                status = calm.status()
                await calm.say(topics.STATUS, status)
                await calm.take(Welcome, 10, lambda w, asked=status.sent_mono_ms: w.echo_mono_ms == asked)  # type: ignore[misc]
                fresh += 1
                assert (await calm.send(calm.passage(fresh), within=10)).seq == fresh
                slowest = max(slowest, time.monotonic() - begun)
            await flood
            assert slowest < 5.0, slowest
            assert await off(stored, here.site.id, loud.spool) == list(range(1, 20_001))


class TestIdentity:
    @pytest.mark.req("OFF-DVC-E01")
    async def test_a_wrong_secret_gets_no_connection(
        self, broker: Broker, link: LinkProcess, committed_cast: Cast
    ) -> None:
        right = await of(broker, committed_cast.here)
        async with right.connected():
            pass
        for gateway, secret in ((right.id, "wrong"), (str(uuid4()), right.secret), (right.id, "")):
            with pytest.raises(aiomqtt.MqttError):
                async with FakeGateway(broker.port, gateway, secret).connected(within=0.5):
                    pass

    async def test_nobody_speaks_or_listens_on_anothers_topics(
        self, broker: Broker, link: LinkProcess, committed_cast: Cast
    ) -> None:
        here, elsewhere = committed_cast.here, committed_cast.elsewhere
        alice, mallory = await of(broker, here), await of(broker, elsewhere)
        async with alice.connected(), mallory.connected():
            await alice.hello()
            await mallory.hello()
            assert mallory.client is not None
            for topic in ("gh/#", "#", topics.every_down(alice.id), topics.emergency(here.site.id), "$SYS/#"):
                await mallory.client.subscribe(topic, 1)
            forged = encode(alice.batch([alice.passage(1, reason="forged")]))
            await mallory.client.publish(topics.up(alice.id, topics.EVENTS), forged, qos=1)
            await mallory.client.publish(
                topics.down(alice.id, topics.ACK), encode(Ack(spool=alice.spool, seq=9)), qos=1
            )
            fake = Emergency(
                site=str(here.site.id), id=str(uuid4()), state="open", counter=9, at_ms=1, signature="0" * 128
            )
            await mallory.client.publish(topics.emergency(here.site.id), encode(fake), qos=1, retain=True)
            assert (await alice.send(alice.passage(1))).seq == 1
            await asyncio.sleep(0.5)
            assert alice.inbox == []
            assert mallory.inbox == []
            assert await off(stored, here.site.id, alice.spool) == [1]

    @pytest.mark.req("GH-GW-09")
    async def test_a_revoked_gateway_is_dropped_within_two_seconds_for_good(
        self, broker: Broker, link: LinkProcess, committed_cast: Cast
    ) -> None:
        here, elsewhere = committed_cast.here, committed_cast.elsewhere
        gateway, other = await of(broker, here), await of(broker, elsewhere)

        def revoke() -> None:
            with inside(here.site.id) as actor:
                revoke_gateway(actor=actor, gateway=here.gateway, now=clock.now())

        async with gateway.connected(), other.connected():
            await gateway.hello()
            await other.hello()
            await off(revoke)
            async with asyncio.timeout(2.0):
                await gateway.dropped.wait()
            with pytest.raises(aiomqtt.MqttError):
                async with FakeGateway(broker.port, gateway.id, gateway.secret).connected(within=0.5):
                    pass
            assert not other.dropped.is_set()
            assert (await other.send(other.passage(1))).seq == 1

    @pytest.mark.req("GH-GW-01")
    async def test_a_new_claim_ends_the_identity_before_it(
        self, broker: Broker, link: LinkProcess, committed_cast: Cast
    ) -> None:
        before = await of(broker, committed_cast.here)
        async with before.connected():
            after = await of(broker, committed_cast.here)
            async with asyncio.timeout(3.0):
                await before.dropped.wait()
            async with after.connected():
                await after.hello()


class TestSessions:
    async def test_health_and_devices_are_kept_and_answered_with_the_same_session(
        self, broker: Broker, link: LinkProcess, committed_cast: Cast
    ) -> None:
        here, elsewhere = committed_cast.here, committed_cast.elsewhere
        async with (await of(broker, here)).connected() as gateway:
            await gateway.hello()
            own = DeviceHealth(device=str(here.device.id), online=True, model="X915\0")
            foreign = DeviceHealth(device=str(elsewhere.device.id), online=True)
            status = gateway.status([own, foreign], spool_depth=7, clock_offset_ms=-40)
            await gateway.say(topics.STATUS, status)
            welcome = await gateway.take(Welcome)
            assert (welcome.session, welcome.echo_mono_ms) == (gateway.session, status.sent_mono_ms)
            row = await off(gateway_row, here)
            assert row.online
            assert row.last_seen_at is not None
            assert (row.health["spool_depth"], row.health["clock_offset_ms"], row.health["tzdata"]) == (7, -40, "2026a")
            assert await off(self.device_online, here)
            assert not await off(self.device_online, elsewhere)

    def device_online(self, place: Place) -> bool:
        with inside(place.site.id):
            return Device.objects.get(pk=place.device.pk).online

    async def test_a_status_of_another_session_is_not_answered(
        self, broker: Broker, link: LinkProcess, committed_cast: Cast
    ) -> None:
        async with (await of(broker, committed_cast.here)).connected() as gateway:
            await gateway.hello()
            await gateway.say(topics.STATUS, gateway.status(session=str(uuid4())))
            with pytest.raises(TimeoutError):
                await gateway.take(Welcome, 0.7)

    async def test_a_lost_line_is_seen_at_once_and_an_old_will_harms_nobody(
        self, broker: Broker, link: LinkProcess, committed_cast: Cast
    ) -> None:
        here = committed_cast.here
        gateway = await of(broker, here)
        async with gateway.connected():
            await gateway.hello()
            own = DeviceHealth(device=str(here.device.id), online=True)
            await gateway.say(topics.STATUS, gateway.status([own]))
            await gateway.take(Welcome)
            gateway.tear()
            await eventually(lambda: not gateway_row(here).online, 3.0)
            assert not await off(self.device_online, here)
        gateway.boot = str(uuid4())
        async with gateway.connected():
            await gateway.hello()
            stale = b'{"online":false,"boot":"%s"}' % str(uuid4()).encode()
            await gateway.say(topics.PRESENCE, stale)
            await gateway.send(gateway.passage(1))
            assert (await off(gateway_row, here)).online


def queue(place: Place, lives_s: float, verb: str = "relay.open") -> Command:
    """A command as an act leaves it."""
    now = clock.now()
    with inside(place.site.id):
        return Command.objects.create(
            id=new_id(),
            site=place.site,
            gateway=place.gateway,
            device=place.device,
            relay=place.front,
            verb=verb,
            actor_id=uuid4(),
            actor_label="Alice Moreau",
            via="portal",
            issued_at=now,
            expires_at=now + timedelta(seconds=lives_s),
        )


def state_of(command: Command) -> str:
    with inside(command.site_id):
        return Command.objects.get(pk=command.pk).state


class TestCommands:
    async def test_an_opening_travels_with_its_time_and_session_and_ends_as_the_gateway_says(
        self, broker: Broker, link: LinkProcess, committed_cast: Cast
    ) -> None:
        here = committed_cast.here

        def press() -> Command:
            with inside(here.site.id) as actor:
                here.front.refresh_from_db()
                return open_relay(actor=actor, relay=here.front, now=clock.now())

        async with (await of(broker, here)).connected() as gateway:
            await gateway.hello()
            begun = time.monotonic()
            command = await off(press)
            came = await gateway.command()
            assert time.monotonic() - begun < 2.0
            assert (came.id, came.session, came.relay) == (str(command.id), gateway.session, str(here.front.id))
            assert 5_000 < came.ttl_ms <= 10_000
            await eventually(lambda: state_of(command) == "published")
            ended = CommandEnded(seq=1, boot=gateway.boot, mono_ms=1, wall_ms=1, command=came.id, state="done")
            await gateway.send(ended)
            assert await off(state_of, command) == "done"

    async def test_commands_leave_in_order(self, broker: Broker, link: LinkProcess, committed_cast: Cast) -> None:
        here = committed_cast.here
        async with (await of(broker, here)).connected() as gateway:
            await gateway.hello()
            made = [await off(queue, here, 20.0) for _ in range(12)]
            assert [(await gateway.command()).id for _ in made] == [str(command.id) for command in made]

    async def test_a_command_that_nobody_came_for_in_time_is_never_delivered(
        self, broker: Broker, link: LinkProcess, committed_cast: Cast
    ) -> None:
        here = committed_cast.here
        gateway = await of(broker, here)
        late = await off(queue, here, 1.5)
        timely = await off(queue, here, 60.0)
        await eventually(lambda: state_of(late) == "expired", 6.0)
        assert await off(state_of, timely) == "queued"
        async with gateway.connected():
            await gateway.hello()
            assert (await gateway.command()).id == str(timely.id)
            with pytest.raises(TimeoutError):
                await gateway.take(WireCommand, 1.5)

    async def test_a_published_command_that_nobody_reports_is_written_off(
        self, broker: Broker, link: LinkProcess, committed_cast: Cast
    ) -> None:
        here = committed_cast.here
        async with (await of(broker, here)).connected() as gateway:
            await gateway.hello()
            command = await off(queue, here, 5.0)
            await gateway.command()

            def age() -> None:
                with inside(here.site.id):
                    past: datetime = clock.now() - timedelta(minutes=1)
                    Command.objects.filter(pk=command.pk).update(issued_at=past - timedelta(seconds=5), expires_at=past)

            await eventually(lambda: state_of(command) == "published")
            await off(age)
            await eventually(lambda: state_of(command) == "expired")


class TestEmergency:
    def act(self, place: Place, state: Any) -> EmergencyState:
        with inside(place.site.id) as actor:
            return set_emergency(actor=actor, site=place.site, state=state, now=clock.now())

    async def test_the_signed_state_reaches_those_who_are_there_and_those_who_come_later(
        self, broker: Broker, link: LinkProcess, committed_cast: Cast
    ) -> None:
        here = committed_cast.here
        gateway = await of(broker, here)
        async with gateway.connected():
            await gateway.hello()
            row = await off(self.act, here, "open")
            state = await gateway.take(Emergency)
            assert (state.state, state.counter, state.site) == ("open", 1, str(here.site.id))
            key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(seal.emergency_public_key(here.site.id)))
            signed = emergency_bytes(state.site, state.id, state.state, state.counter, state.at_ms)
            key.verify(bytes.fromhex(state.signature), signed)
            assert state.id == str(row.emergency)
        async with gateway.connected():
            assert (await gateway.take(Emergency)).counter == 1
            await off(self.act, here, "closed")
            closed = await gateway.take(Emergency)
            assert (closed.state, closed.counter, closed.id) == ("closed", 2, state.id)

    async def test_a_broker_that_lost_its_memory_gets_the_states_again(
        self, broker: Broker, link: LinkProcess, committed_cast: Cast
    ) -> None:
        here = committed_cast.here
        gateway = await of(broker, here)
        await off(self.act, here, "open")
        async with gateway.connected():
            await gateway.take(Emergency)
        broker.kill()
        (broker.home / "broker" / "mosquitto.db").unlink(missing_ok=True)
        broker.start()
        async with gateway.connected():
            assert (await gateway.take(Emergency, 15)).counter == 1


async def test_a_change_of_the_feed_is_told_to_the_gateway(
    broker: Broker, link: LinkProcess, committed_cast: Cast, database_url: str
) -> None:
    here = committed_cast.here
    async with (await of(broker, here)).connected() as gateway:
        await gateway.hello()
        await off(compiled, here.site.id)
        delta = await gateway.take(FeedDelta)
        assert delta.revision > 0
        welcome = await gateway.hello()
        assert (welcome.epoch, welcome.revision) == (delta.epoch, delta.revision)


class TestLiveNews:
    @pytest.mark.req("OFF-LOG-30")
    async def test_live_screens_hear_ids_soon_and_seldom(
        self, broker: Broker, link: LinkProcess, committed_cast: Cast, owner_dsn: str
    ) -> None:
        here = committed_cast.here
        heard: list[tuple[float, dict[str, Any]]] = []
        ear = await psycopg.AsyncConnection.connect(owner_dsn, autocommit=True)
        await ear.execute("LISTEN gatehouse_live")

        async def listen() -> None:
            async for note in ear.notifies():
                assert len(note.payload) < 7_500
                heard.append((time.monotonic(), json.loads(note.payload)))

        listening = asyncio.create_task(listen())
        async with (await of(broker, here)).connected() as gateway:
            await gateway.hello()
            begun = time.monotonic()
            relay, device = str(here.front.id), str(here.device.id)
            await gateway.send(gateway.passage(1, relay=relay, device=device))
            await eventually(lambda: any("passages" in said for _, said in heard), 3.0)
            assert time.monotonic() - begun < 3.0
            await gateway.send(*[gateway.passage(seq) for seq in range(2, 302)])
            await eventually(lambda: sum(len(said.get("passages", [])) for _, said in heard) == 301)
        assert {said["site"] for _, said in heard} == {str(here.site.id)}
        assert any(relay in said.get("doors", []) for _, said in heard)
        assert any(str(here.gateway.id) in said.get("gateways", []) for _, said in heard)
        moments = sorted(at for at, _ in heard)
        apart = [b - a for a, b in pairwise(moments) if b - a > 0.01]
        assert min(apart, default=1.0) > 0.04, apart
        listening.cancel()
        await ear.close()


async def test_the_link_ends_in_order_when_told_to(broker: Broker, link: LinkProcess, committed_cast: Cast) -> None:
    begun = time.monotonic()
    assert await asyncio.to_thread(link.stop) == 0
    assert time.monotonic() - begun < 5.0
    assert "Traceback" not in link.log
