"""What arrives becomes rows exactly once, in order, with its times, and nothing that is not the gateway's own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import timedelta
from uuid import uuid4

import pytest

from gatehouse.cloud.devices.models import Command
from gatehouse.cloud.events.models import Alarm, DoorState, IngestCursor, Passage
from gatehouse.cloud.events.services import Taken, record_batches
from gatehouse.cloud.kit import seal
from gatehouse.cloud.kit.ids import new_id
from gatehouse.cloud.people.models import Holder
from gatehouse.wire.messages import AnyEvent, CommandEnded, DoorMoved, EmergencyMoved, InputMoved, Lost
from tests.cast import NOW, Cast
from tests.cloud.events.batches import BOOT, NOW_MS, arrival, new_spool, passage

AsRole = Callable[[str], AbstractContextManager[None]]


@pytest.fixture
def cast_as_system(cast: Cast, as_role: AsRole) -> Iterator[Cast]:
    with as_role("system"):
        yield cast


def seqs(spool: str) -> list[int]:
    return list(Passage.objects.filter(spool=spool).order_by("id").values_list("seq", flat=True))


@pytest.mark.req("OFF-LOG-30", "OFF-LOG-E02", "COM-DVC-C2")
class TestOnceAndInOrder:
    def test_a_batch_becomes_rows_in_the_order_of_the_spool(self, cast_as_system: Cast) -> None:
        place, spool = cast_as_system.here, new_spool()
        taken = record_batches([arrival(place.gateway.id, *(passage(n, place) for n in range(1, 41)), spool=spool)])
        assert [(ack.seq, ack.resend, ack.refused) for ack in taken.acks] == [(40, False, None)]
        assert seqs(spool) == list(range(1, 41))
        assert IngestCursor.objects.get(spool=spool).seq == 40

    def test_a_second_upload_changes_nothing_but_the_count_of_duplicates(self, cast_as_system: Cast) -> None:
        place, spool = cast_as_system.here, new_spool()
        batch = arrival(place.gateway.id, *(passage(n, place) for n in range(1, 6)), spool=spool)
        record_batches([batch])
        again = record_batches([batch])
        assert again.acks[0].seq == 5
        assert not again.acks[0].resend
        assert seqs(spool) == [1, 2, 3, 4, 5]
        assert IngestCursor.objects.get(spool=spool).duplicates == 5

    def test_the_same_batch_twice_within_one_micro_batch_is_stored_once(self, cast_as_system: Cast) -> None:
        place, spool = cast_as_system.here, new_spool()
        batch = arrival(place.gateway.id, *(passage(n, place) for n in range(1, 4)), spool=spool)
        assert [ack.seq for ack in record_batches([batch, batch]).acks] == [3, 3]
        assert seqs(spool) == [1, 2, 3]

    def test_the_new_end_of_an_overlapping_batch_is_taken(self, cast_as_system: Cast) -> None:
        place, spool = cast_as_system.here, new_spool()
        record_batches([arrival(place.gateway.id, passage(1, place), passage(2, place), spool=spool)])
        record_batches([arrival(place.gateway.id, *(passage(n, place) for n in (1, 2, 3)), spool=spool)])
        assert seqs(spool) == [1, 2, 3]

    def test_a_gap_stops_the_batch_and_asks_for_the_missing_ones(self, cast_as_system: Cast) -> None:
        place, spool = cast_as_system.here, new_spool()
        events = [passage(n, place) for n in (1, 2, 4, 5)]
        ack = record_batches([arrival(place.gateway.id, *events, spool=spool)]).acks[0]
        assert (ack.seq, ack.resend) == (2, True)
        assert seqs(spool) == [1, 2]

    def test_events_out_of_order_are_not_taken_out_of_order(self, cast_as_system: Cast) -> None:
        place, spool = cast_as_system.here, new_spool()
        ack = record_batches([arrival(place.gateway.id, passage(2, place), passage(1, place), spool=spool)]).acks[0]
        assert (ack.seq, ack.resend) == (0, True)
        assert seqs(spool) == []

    def test_a_declared_loss_closes_its_gap_and_stays_visible(self, cast_as_system: Cast) -> None:
        place, spool = cast_as_system.here, new_spool()
        lost = Lost(seq=3, upto=9, boot=BOOT, mono_ms=1, wall_ms=NOW_MS, counts={"passage.granted": 7})
        events: list[AnyEvent] = [passage(1, place), passage(2, place), lost, passage(10, place)]
        ack = record_batches([arrival(place.gateway.id, *events, spool=spool)]).acks[0]
        assert (ack.seq, ack.resend) == (10, False)
        assert seqs(spool) == [1, 2, 10]
        assert IngestCursor.objects.get(spool=spool).lost == 7
        alarm = Alarm.objects.get(spool=spool)
        assert alarm.kind == "spool.lost"
        assert alarm.data == {"from": 3, "upto": 9, "counts": {"passage.granted": 7}}

    def test_a_loss_that_does_not_reach_the_gap_does_not_cover_it(self, cast_as_system: Cast) -> None:
        place, spool = cast_as_system.here, new_spool()
        lost = Lost(seq=2, upto=4, boot=BOOT, mono_ms=1, wall_ms=NOW_MS)
        ack = record_batches([arrival(place.gateway.id, passage(1, place), lost, passage(6, place), spool=spool)]).acks[
            0
        ]
        assert (ack.seq, ack.resend) == (4, True)

    def test_spools_of_several_gateways_share_a_transaction_and_nothing_else(self, cast_as_system: Cast) -> None:
        here, elsewhere = cast_as_system.here, cast_as_system.elsewhere
        one, two = new_spool(), new_spool()
        taken = record_batches(
            [
                arrival(here.gateway.id, passage(1, here), passage(2, here), spool=one),
                arrival(elsewhere.gateway.id, passage(1, elsewhere), spool=two),
                arrival(here.gateway.id, passage(3, here), spool=one),
            ]
        )
        assert [ack.seq for ack in taken.acks] == [2, 1, 3]
        assert {p.site_id for p in Passage.objects.filter(spool=one)} == {here.site.id}
        assert {p.site_id for p in Passage.objects.filter(spool=two)} == {elsewhere.site.id}
        assert len(taken.fresh[here.site.id].passages) == 3

    def test_a_spool_that_the_cloud_forgot_is_asked_for_from_its_beginning(self, cast_as_system: Cast) -> None:
        place, spool = cast_as_system.here, new_spool()
        record_batches([arrival(place.gateway.id, *(passage(n, place) for n in range(1, 9)), spool=spool)])
        IngestCursor.objects.filter(spool=spool).update(seq=3)  # as a restored back-up has it
        Passage.objects.filter(spool=spool, seq__gt=3).delete()
        ack = record_batches([arrival(place.gateway.id, passage(9, place), spool=spool)]).acks[0]
        assert (ack.seq, ack.resend) == (3, True)
        record_batches([arrival(place.gateway.id, *(passage(n, place) for n in range(4, 10)), spool=spool)])
        assert seqs(spool) == list(range(1, 10))


class TestTimes:
    def taken(self, cast: Cast, **event: object) -> Passage:
        spool = new_spool()
        one = passage(1, cast.here, **event)
        record_batches([arrival(cast.here.gateway.id, one, spool=spool, sent_mono_ms=10_000)])
        return Passage.objects.get(spool=spool)

    def test_a_set_clock_is_believed(self, cast_as_system: Cast) -> None:
        row = self.taken(cast_as_system, true_ms=NOW_MS - 86_400_000)
        assert (row.at, row.clock) == (NOW - timedelta(days=1), "set")
        assert row.received_at == NOW

    def test_an_unset_clock_is_placed_by_the_monotonic_one(self, cast_as_system: Cast) -> None:
        row = self.taken(cast_as_system, true_ms=None, mono_ms=4_000, wall_ms=0)
        assert (row.at, row.clock) == (NOW - timedelta(seconds=6), "placed")
        assert row.device_at.year == 1970

    @pytest.mark.req("OFF-LOG-E03")
    def test_of_an_earlier_boot_only_its_own_claim_is_known_and_says_so(self, cast_as_system: Cast) -> None:
        row = self.taken(cast_as_system, true_ms=None, wall_ms=NOW_MS - 5_000, boot=str(uuid4()))
        assert (row.at, row.clock) == (NOW - timedelta(seconds=5), "unknown")

    @pytest.mark.req("OFF-DVC-E04", "OFF-LOG-E03")
    def test_nothing_happens_after_it_was_received(self, cast_as_system: Cast) -> None:
        row = self.taken(cast_as_system, true_ms=NOW_MS + 3_600_000)
        assert (row.at, row.clock) == (NOW, "future")
        near = self.taken(cast_as_system, true_ms=NOW_MS + 900)
        assert (near.at, near.clock) == (NOW, "set")

    @pytest.mark.req("OFF-DVC-E04")
    def test_the_end_of_time_is_stored_and_flagged(self, cast_as_system: Cast) -> None:
        row = self.taken(cast_as_system, true_ms=253_402_300_800_000, wall_ms=253_402_300_800_000)
        assert (row.at, row.clock) == (NOW, "future")
        assert row.device_at.year == 9999

    @pytest.mark.req("OFF-DVC-E04")
    def test_a_monotonic_clock_that_ran_for_a_million_years_places_nothing(self, cast_as_system: Cast) -> None:
        spool = new_spool()
        one = passage(1, cast_as_system.here, true_ms=None, wall_ms=NOW_MS - 1)
        record_batches([arrival(cast_as_system.here.gateway.id, one, spool=spool, sent_mono_ms=10**17)])
        assert Passage.objects.get(spool=spool).clock == "unknown"


class TestNames:
    def row(self, cast: Cast, **event: object) -> Passage:
        spool = new_spool()
        record_batches([arrival(cast.here.gateway.id, passage(1, cast.here, **event), spool=spool)])
        return Passage.objects.get(spool=spool)

    @pytest.mark.req("OFF-LOG-E06", "OFF-CO-17")
    def test_the_names_of_the_time_are_kept_sealed_with_the_holders_own_key(self, cast_as_system: Cast) -> None:
        charlie = cast_as_system.charlie
        row = self.row(cast_as_system, holder=str(charlie.pk))
        assert (row.holder_id, row.party_id) == (charlie.pk, cast_as_system.here.company.pk)
        assert row.who is not None
        assert b"Charlie" not in bytes(row.who)
        holder = Holder.objects.get(pk=charlie.pk)
        assert holder.seal_key is not None
        key = seal.open_key(bytes(holder.seal_key), table="people_holder", site=row.site_id, row=holder.pk)
        text = seal.unseal_with(key, bytes(row.who), table="events_passage", site=row.site_id, row=row.id, field="who")
        assert "Charlie Novak" in text
        assert "Lumen Diagnostics" in text

    def test_a_holder_whose_key_was_destroyed_leaves_no_name(self, cast_as_system: Cast, as_role: AsRole) -> None:
        with as_role("owner"):
            Holder.objects.filter(pk=cast_as_system.charlie.pk).update(seal_key=None)
        with as_role("system"):
            assert self.row(cast_as_system, holder=str(cast_as_system.charlie.pk)).who is None

    def test_an_unknown_holder_is_not_invented(self, cast_as_system: Cast) -> None:
        row = self.row(cast_as_system, holder=str(uuid4()), credential=str(uuid4()))
        assert (row.holder_id, row.credential_id, row.who) == (None, None, None)

    def test_device_relay_and_mac_are_those_of_the_time(self, cast_as_system: Cast) -> None:
        row = self.row(cast_as_system, true_ms=NOW_MS)
        assert (row.device_label, row.relay_label, row.mac) == ("Main entrance", "Front door", "0C1105000001")
        before = self.row(cast_as_system, true_ms=NOW_MS - 1000)  # the hardware came at NOW
        assert before.mac == ""


class TestForeignThings:
    @pytest.mark.req("OFF-DVC-E01")
    def test_a_door_of_another_site_is_left_out_and_counted(self, cast_as_system: Cast) -> None:
        here, elsewhere, spool = cast_as_system.here, cast_as_system.elsewhere, new_spool()
        taken = record_batches([arrival(here.gateway.id, passage(1, elsewhere), spool=spool)])
        row = Passage.objects.get(spool=spool)
        assert (row.site_id, row.device_id, row.relay_id, row.device_label) == (here.site.id, None, None, "")
        assert taken.counted["foreign.place"] == 1
        assert not DoorState.objects.filter(relay_id=elsewhere.front.id).exists()

    def test_a_holder_of_another_site_is_left_out_and_counted(self, cast_as_system: Cast) -> None:
        spool = new_spool()
        elsewhere = cast_as_system.elsewhere
        taken = record_batches(
            [arrival(elsewhere.gateway.id, passage(1, elsewhere, holder=str(cast_as_system.charlie.pk)), spool=spool)]
        )
        row = Passage.objects.get(spool=spool)
        assert (row.holder_id, row.party_id, row.who) == (None, None, None)
        assert taken.counted["foreign.holder"] == 1

    def test_a_spool_belongs_to_the_gateway_that_began_it(self, cast_as_system: Cast) -> None:
        here, elsewhere, spool = cast_as_system.here, cast_as_system.elsewhere, new_spool()
        record_batches([arrival(here.gateway.id, passage(1, here), spool=spool)])
        ack = record_batches([arrival(elsewhere.gateway.id, passage(2, elsewhere), spool=spool)]).acks[0]
        assert ack.refused == "spool.foreign"
        assert seqs(spool) == [1]

    @pytest.mark.req("GH-GW-09", "OFF-DVC-E01")
    def test_of_a_revoked_or_unknown_gateway_nothing_is_taken(self, cast_as_system: Cast) -> None:
        here, spool = cast_as_system.here, new_spool()
        type(here.gateway).objects.filter(pk=here.gateway.pk).update(revoked_at=NOW)
        taken = record_batches(
            [
                arrival(here.gateway.id, passage(1, here), spool=spool),
                arrival(uuid4(), passage(1), spool=new_spool()),
            ]
        )
        assert [ack.refused for ack in taken.acks] == ["gateway.unknown"] * 2
        assert not IngestCursor.objects.exists()
        assert not Passage.objects.exists()


@pytest.mark.req("OFF-DVC-E04")
class TestGarbage:
    def take(self, cast: Cast, *events: object, spool: str | None = None) -> Taken:
        return record_batches([arrival(cast.here.gateway.id, *events, spool=spool or new_spool())])  # type: ignore[arg-type]

    def test_ids_that_are_none_are_left_out(self, cast_as_system: Cast) -> None:
        dashes = "-" * 36
        taken = self.take(
            cast_as_system,
            passage(1, device=dashes, relay=dashes, holder=dashes, credential=dashes, command=dashes, boot=dashes),
        )
        assert taken.acks[0].seq == 1
        row = Passage.objects.get()
        assert (row.device_id, row.holder_id, row.command_id) == (None, None, None)

    def test_a_spool_that_is_no_id_is_refused(self, cast_as_system: Cast) -> None:
        assert self.take(cast_as_system, passage(1), spool="-" * 36).acks[0].refused == "spool.form"

    def test_numbers_beyond_every_column_are_bounded_or_refused(self, cast_as_system: Cast) -> None:
        self.take(cast_as_system, passage(1, decide_us=10**30, revision=10**30))
        row = Passage.objects.get()
        assert (row.decide_us, row.revision) == (2**31 - 1, 2**63 - 1)
        self.take(cast_as_system, passage(1, decide_us=-5))
        assert self.take(cast_as_system, passage(2**80)).acks[0].refused == "seq.range"
        lost = Lost(seq=5, upto=2, boot=BOOT, mono_ms=1, wall_ms=NOW_MS)
        assert self.take(cast_as_system, lost).acks[0].refused == "seq.range"

    def test_texts_are_data_whatever_they_hold(self, cast_as_system: Cast) -> None:
        long = "m" * 64
        taken = self.take(
            cast_as_system,
            passage(1, method=long, reason="null"),
            passage(2, method="null", reason="a\n"),
            Lost(seq=3, upto=3, boot=BOOT, mono_ms=1, wall_ms=NOW_MS, counts={'a\0"b\\,{}': -4}),
        )
        assert taken.acks[0].seq == 3
        first, second = Passage.objects.order_by("seq")
        assert (first.method, first.reason, second.method) == (long[:16], "null", "null")
        assert Alarm.objects.get().data["counts"] == {'a"b\\,{}': 0}

    def test_names_with_braces_quotes_and_commas_stay_what_they_are(
        self, cast_as_system: Cast, as_role: AsRole
    ) -> None:
        name = 'A "big", {odd} \\ name'
        type(cast_as_system.here.device).objects.filter(pk=cast_as_system.here.device.pk).update(name=name)
        self.take(cast_as_system, passage(1, cast_as_system.here))
        assert Passage.objects.get().device_label == name


class TestDoorsAlarmsCommands:
    def moved(self, cast: Cast, seq: int, state: str, true_ms: int = NOW_MS) -> DoorMoved:
        return DoorMoved(
            seq=seq,
            boot=BOOT,
            mono_ms=1,
            wall_ms=NOW_MS,
            true_ms=true_ms,
            relay=str(cast.here.front.id),
            state=state,  # type: ignore[arg-type]
        )

    def test_the_door_is_as_its_sensor_last_said(self, cast_as_system: Cast) -> None:
        here, spool = cast_as_system.here, new_spool()
        events = [
            self.moved(cast_as_system, 1, "open", NOW_MS - 9000),
            self.moved(cast_as_system, 2, "closed", NOW_MS - 5000),
        ]
        record_batches([arrival(here.gateway.id, *events, passage(3, here), spool=spool)])
        door = DoorState.objects.get(relay_id=here.front.id)
        assert (door.state, door.since) == ("closed", NOW - timedelta(seconds=5))
        assert door.last_passage_id == Passage.objects.get().id

    def test_an_old_report_does_not_undo_a_newer_one(self, cast_as_system: Cast) -> None:
        here, spool = cast_as_system.here, new_spool()
        record_batches([arrival(here.gateway.id, self.moved(cast_as_system, 1, "open"), spool=spool)])
        late = self.moved(cast_as_system, 2, "closed", NOW_MS - 60_000)
        record_batches([arrival(here.gateway.id, late, spool=spool)])
        assert DoorState.objects.get(relay_id=here.front.id).state == "open"

    def test_held_forced_tamper_fire_and_emergency_are_alarms(self, cast_as_system: Cast) -> None:
        here, spool = cast_as_system.here, new_spool()
        at = {"boot": BOOT, "mono_ms": 1, "wall_ms": NOW_MS, "true_ms": NOW_MS, "device": str(here.device.id)}
        record_batches(
            [
                arrival(
                    here.gateway.id,
                    self.moved(cast_as_system, 1, "held"),
                    self.moved(cast_as_system, 2, "forced"),
                    InputMoved(seq=3, use="tamper", active=True, **at),  # type: ignore[arg-type]
                    InputMoved(seq=4, use="fire", active=False, **at),  # type: ignore[arg-type]
                    InputMoved(seq=5, use="exit", active=True, **at),  # type: ignore[arg-type]
                    EmergencyMoved(seq=6, counter=10**25, state="failed", **at),  # type: ignore[arg-type]
                    spool=spool,
                )
            ]
        )
        rows = list(Alarm.objects.order_by("seq").values_list("kind", "active"))
        assert rows == [
            ("door.held", True),
            ("door.forced", True),
            ("input.tamper", True),
            ("input.fire", False),
            ("emergency", True),
        ]
        assert IngestCursor.objects.get(spool=spool).seq == 6

    def command(self, cast: Cast, **more: object) -> Command:
        fields = {
            "id": new_id(),
            "site": cast.here.site,
            "gateway": cast.here.gateway,
            "device": cast.here.device,
            "relay": cast.here.front,
            "verb": "relay.open",
            "state": "published",
            "actor_id": cast.alice.id,
            "actor_label": "Alice Moreau",
            "via": "portal",
            "issued_at": NOW,
            "expires_at": NOW + timedelta(seconds=10),
        }
        return Command.objects.create(**fields | more)

    def ended(self, seq: int, command: Command, state: str = "done") -> CommandEnded:
        return CommandEnded(
            seq=seq,
            boot=BOOT,
            mono_ms=1,
            wall_ms=NOW_MS,
            true_ms=NOW_MS,
            command=str(command.id),
            state=state,  # type: ignore[arg-type]
        )

    def test_a_command_ends_as_its_gateway_says_even_when_it_was_written_off(self, cast_as_system: Cast) -> None:
        here = cast_as_system.here
        done, late = self.command(cast_as_system), self.command(cast_as_system, state="expired")
        taken = record_batches(
            [arrival(here.gateway.id, self.ended(1, done), self.ended(2, late, "failed"), spool=new_spool())]
        )
        done.refresh_from_db()
        late.refresh_from_db()
        assert (done.state, done.ended_at, late.state) == ("done", NOW, "failed")
        assert taken.fresh[here.site.id].commands == {str(done.id), str(late.id)}

    def test_nobody_ends_the_command_of_another_gateway_nor_one_that_ended(self, cast_as_system: Cast) -> None:
        mine, over = self.command(cast_as_system), self.command(cast_as_system, state="done")
        elsewhere = cast_as_system.elsewhere.gateway.id
        record_batches([arrival(elsewhere, self.ended(1, mine, "failed"), spool=new_spool())])
        record_batches([arrival(cast_as_system.here.gateway.id, self.ended(1, over, "failed"), spool=new_spool())])
        mine.refresh_from_db()
        over.refresh_from_db()
        assert (mine.state, over.state) == ("published", "done")

    def test_a_remote_opening_names_who_asked(self, cast_as_system: Cast) -> None:
        here, command = cast_as_system.here, self.command(cast_as_system)
        record_batches(
            [arrival(here.gateway.id, passage(1, here, method="remote", command=str(command.id)), spool=new_spool())]
        )
        row = Passage.objects.get()
        assert row.command_id == command.id
        assert row.who is not None
        text = seal.unseal(bytes(row.who), table="events_passage", site=row.site_id, row=row.id, field="who")
        assert "Alice Moreau" in text
