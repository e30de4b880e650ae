"""The link's acts on rows: sessions, presence, the outbox."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import timedelta
from uuid import UUID, uuid4

import psycopg
import pytest
from django.db import connection

from gatehouse.cloud.devices.models import Command, Device, Gateway
from gatehouse.cloud.emergency.models import EmergencyState
from gatehouse.cloud.emergency.services import set_emergency
from gatehouse.cloud.events.services import record_batches
from gatehouse.cloud.kit.ids import new_id
from gatehouse.cloud.link.mqtt import MqttLost
from gatehouse.cloud.link.services.outbox import Outgoing, publish_commands, publish_emergencies
from gatehouse.cloud.link.services.sessions import (
    SILENT,
    in_force,
    open_sessions,
    record_gone,
    record_status,
    standing_cursors,
    sweep_silent,
)
from gatehouse.wire.messages import Command as WireCommand
from gatehouse.wire.messages import DeviceHealth, Hello, Presence, Status, decode
from tests.cast import NOW, Cast
from tests.cloud.events.batches import BOOT, arrival, passage

AsRole = Callable[[str], AbstractContextManager[None]]


@pytest.fixture
def system(cast: Cast, as_role: AsRole) -> Iterator[Cast]:
    with as_role("system"):
        yield cast


def hello(spool: UUID | str, boot: str = BOOT) -> Hello:
    return Hello(
        boot=boot,
        spool=str(spool),
        next_seq=1,
        sent_mono_ms=77,
        wall_ms=1,
        epoch=None,
        revision=0,
        version="9\0.1" + "x" * 90,
        schema=1,
        tzdata="2026a",
    )


def status(session: UUID | str, devices: Sequence[DeviceHealth] = ()) -> Status:
    return Status(
        session=str(session),
        sent_mono_ms=5,
        wall_ms=1,
        uptime_s=1,
        clock_offset_ms=None,
        disk_free=1,
        memory=1,
        spool_depth=0,
        devices=list(devices),
    )


def row(gateway: Gateway) -> Gateway:
    return Gateway.objects.get(pk=gateway.pk)


class TestSessions:
    def test_each_hello_begins_a_session_that_says_where_to_go_on(self, system: Cast) -> None:
        here, elsewhere, spool = system.here, system.elsewhere, uuid4()
        record_batches([arrival(here.gateway.id, passage(1), passage(2), spool=spool)])
        moved = open_sessions({here.gateway.id: hello(spool), elsewhere.gateway.id: hello(spool)}, NOW)
        answers = dict(moved.answers)
        assert answers[here.gateway.id].acked_seq == 2
        assert answers[elsewhere.gateway.id].acked_seq == 0  # the spool is another's
        assert answers[here.gateway.id].echo_mono_ms == 77
        assert row(here.gateway).session == UUID(answers[here.gateway.id].session)
        assert (row(here.gateway).online, row(here.gateway).version) == (True, "9.1" + "x" * 61)
        assert moved.gateways[here.site.id] == {str(here.gateway.id)}
        again = open_sessions({here.gateway.id: hello(spool)}, NOW)
        assert again.answers[0].welcome.session != answers[here.gateway.id].session
        assert again.gateways == {}
        assert standing_cursors() == [(here.gateway.id, spool, 2)]

    @pytest.mark.req("GH-GW-09")
    def test_revoked_and_unknown_gateways_get_no_answer_of_any_kind(self, system: Cast) -> None:
        here = system.here
        session = open_sessions({here.gateway.id: hello(uuid4())}, NOW).answers[0].welcome.session
        Gateway.objects.filter(pk=here.gateway.pk).update(revoked_at=NOW)
        for gateway in (here.gateway.id, uuid4()):
            said = open_sessions({gateway: hello(uuid4())}, NOW)
            assert (said.answers, said.unknown) == ([], 1)
            said = record_status({gateway: status(session)}, NOW)
            assert (said.answers, said.unknown) == ([], 1)
            assert in_force([gateway, system.elsewhere.gateway.id]) == [system.elsewhere.gateway.id]

    def test_ids_that_are_none_begin_nothing(self, system: Cast) -> None:
        dashes = "-" * 36
        assert open_sessions({system.here.gateway.id: hello(dashes)}, NOW).unknown == 1
        assert open_sessions({system.here.gateway.id: hello(uuid4(), boot=dashes)}, NOW).unknown == 1
        assert record_status({system.here.gateway.id: status(dashes)}, NOW).unknown == 1
        assert record_gone({system.here.gateway.id: Presence(online=False, boot=dashes)}, NOW).gateways == {}

    def test_silence_counts_after_a_while_and_takes_the_devices_along(self, system: Cast) -> None:
        here = system.here
        session = open_sessions({here.gateway.id: hello(uuid4())}, NOW).answers[0].welcome.session
        record_status({here.gateway.id: status(session, [DeviceHealth(device=str(here.device.id), online=True)])}, NOW)
        assert sweep_silent(NOW + SILENT).gateways == {}
        moved = sweep_silent(NOW + SILENT + timedelta(seconds=1))
        assert moved.gateways == {here.site.id: {str(here.gateway.id)}}
        assert moved.devices == {here.site.id: {str(here.device.id)}}
        assert (row(here.gateway).online, Device.objects.get(pk=here.device.pk).online) == (False, False)
        back = record_status({here.gateway.id: status(session)}, NOW + 2 * SILENT)
        assert row(here.gateway).online
        assert back.gateways == {here.site.id: {str(here.gateway.id)}}

    def test_presence_alone_makes_nobody_present(self, system: Cast) -> None:
        here = system.here
        assert record_gone({here.gateway.id: Presence(online=True, boot=BOOT)}, NOW).gateways == {}
        assert not row(here.gateway).online


@dataclass
class Mouth:
    """A broker that remembers, or refuses."""

    away: bool = False
    said: list[Outgoing] = field(default_factory=list)

    def __call__(self, messages: Sequence[Outgoing]) -> None:
        if self.away:
            raise MqttLost("away")
        self.said += messages


def queued(cast: Cast, seconds: float = 10.0) -> Command:
    here = cast.here
    return Command.objects.create(
        id=new_id(),
        site=here.site,
        gateway=here.gateway,
        device=here.device,
        relay=here.front,
        verb="relay.open",
        actor_id=cast.alice.id,
        actor_label="Alice Moreau",
        via="portal",
        issued_at=NOW,
        expires_at=NOW + timedelta(seconds=seconds),
    )


class TestOutbox:
    def greet(self, cast: Cast) -> None:
        open_sessions({cast.here.gateway.id: hello(uuid4())}, NOW)

    def test_what_the_broker_did_not_take_stays_queued(self, system: Cast) -> None:
        self.greet(system)
        command, mouth = queued(system), Mouth(away=True)
        with pytest.raises(MqttLost):
            publish_commands(mouth, lambda: NOW)
        command.refresh_from_db()
        assert command.state == "queued"
        mouth.away = False
        sent = publish_commands(mouth, lambda: NOW + timedelta(seconds=4))
        command.refresh_from_db()
        assert (command.state, sent.commands) == ("published", [(system.here.site.id, str(command.id))])
        (said,) = mouth.said
        assert (said.life_s, said.retain) == (6, False)
        message = decode(WireCommand, said.payload)
        assert (message.ttl_ms, message.issued_ms) == (6_000, int(NOW.timestamp() * 1000))
        assert message.session == str(row(system.here.gateway).session)
        assert publish_commands(mouth, lambda: NOW).commands == []

    def test_nothing_is_sent_in_or_after_its_last_moment(self, system: Cast) -> None:
        self.greet(system)
        command, mouth = queued(system), Mouth()
        sent = publish_commands(mouth, lambda: NOW + timedelta(seconds=10))
        command.refresh_from_db()
        assert (command.state, command.reason, mouth.said) == ("expired", "expired", [])
        assert sent.commands == [(system.here.site.id, str(command.id))]

    def test_time_that_passes_while_waiting_counts(self, system: Cast) -> None:
        self.greet(system)
        queued(system, seconds=3)
        mouth, moments = Mouth(), iter([NOW, NOW + timedelta(seconds=5), NOW + timedelta(seconds=5)])
        assert publish_commands(mouth, lambda: next(moments)).commands == []
        assert mouth.said == []

    def test_without_a_session_or_when_revoked_nothing_is_sent(self, system: Cast) -> None:
        queued(system)
        mouth = Mouth()
        publish_commands(mouth, lambda: NOW)
        self.greet(system)
        Gateway.objects.filter(pk=system.here.gateway.pk).update(revoked_at=NOW)
        publish_commands(mouth, lambda: NOW)
        assert mouth.said == []

    def test_an_outbox_at_work_on_a_gateway_is_not_joined_by_another(self, system: Cast, owner_dsn: str) -> None:
        self.greet(system)
        queued(system)
        mouth = Mouth()
        with psycopg.connect(owner_dsn) as other:
            key = f"outbox:{system.here.gateway.id}"
            other.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [key])
            publish_commands(mouth, lambda: NOW)
            assert mouth.said == []
        publish_commands(mouth, lambda: NOW)
        assert len(mouth.said) == 1

    def test_only_the_last_emergency_state_of_a_site_is_sent_and_all_are_marked(
        self, cast: Cast, as_role: AsRole
    ) -> None:
        for state in ("open", "closed", "open"):
            set_emergency(actor=cast.alice_actor, site=cast.here.site, state=state, now=NOW)
        mouth = Mouth()
        with as_role("system"):
            assert publish_emergencies(mouth, NOW) == 1
            assert publish_emergencies(mouth, NOW) == 0
            assert publish_emergencies(mouth, NOW, everything=True) == 1
            assert not EmergencyState.objects.filter(published_at=None).exists()
        assert [b'"counter":3' in said.payload and said.retain for said in mouth.said] == [True, True]


def test_the_link_may_write_no_more_than_it_must(system: Cast) -> None:
    with connection.cursor() as cursor:
        for table, verb in (("people_holder", "UPDATE"), ("tenants_site", "UPDATE"), ("devices_relay", "DELETE")):
            cursor.execute("SELECT has_table_privilege(%s, %s)", [table, verb])
            assert cursor.fetchone() == (False,), (table, verb)
