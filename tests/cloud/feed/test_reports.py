"""What gateways report, and when a withdrawn code is free again."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import timedelta
from uuid import UUID

import pytest

from gatehouse.cloud.access import services as access
from gatehouse.cloud.changes.services import touch
from gatehouse.cloud.devices.models import Device, Gateway
from gatehouse.cloud.devices.services import revoke_gateway
from gatehouse.cloud.feed.models import DeviceFeed, GatewayFeed
from gatehouse.cloud.feed.pages import standing
from gatehouse.cloud.feed.services import (
    Taken,
    compile_site,
    new_epoch,
    prune,
    record_applied,
    release_quarantine,
)
from gatehouse.cloud.kit.errors import Conflict
from gatehouse.cloud.kit.ids import new_id
from gatehouse.cloud.people.models import Credential, Holder, Person
from gatehouse.cloud.people.services import set_pin, withdraw_credential
from gatehouse.wire.messages import Applied, Refused
from tests.cast import NOW
from tests.cloud.feed.town import Town, relays_of

AsRole = Callable[[str], AbstractContextManager[None]]
LATER = NOW + timedelta(minutes=3)


class Doors:
    """Two gateways; the north one has two doors that know somebody's PIN, the south one does not."""

    def __init__(self, town: Town, as_role: AsRole) -> None:
        self.town, self.as_role = town, as_role
        with town.act():
            Gateway.objects.filter(site_id=town.site.pk).update(claimed_at=None)  # the place's own takes no part
            self.north, self.south = town.gateway(), town.gateway()
            self.first, self.second = town.device(self.north), town.device(self.north)
            self.far = town.device(self.south)
            relays = [relays_of(device)[0] for device in (self.first, self.second)]
            self.group = town.access_group(*relays)
            self.people = town.people_group(town.company(*relays), self.group)
            town.access_group(*relays_of(self.far))
            self.holder: Holder = town.person(self.people)
            self.pin = set_pin(actor=town.actor, holder=self.holder, pin="4711", now=NOW)
        self.compile()

    def compile(self) -> int:
        with self.as_role("system"):
            revision = compile_site(self.town.site.pk, NOW).revision
            release_quarantine(self.town.site.pk, NOW)
            return revision

    def report(
        self, gateway: Gateway, revision: int, *devices: Device, epoch: str | None = None, at: int | None = None
    ) -> Taken:
        with self.as_role("system"):
            stand = standing(gateway.pk)
            message = Applied(
                epoch=epoch or stand.epoch,
                revision=revision,
                devices={str(device.pk): revision if at is None else at for device in devices},
            )
            return record_applied(gateway.pk, message, LATER)

    def all_report(self, revision: int) -> None:
        self.report(self.north, revision, self.first, self.second)
        self.report(self.south, revision, self.far)

    def withdraw(self) -> int:
        with self.town.act():
            withdraw_credential(actor=self.town.actor, credential=self.pin, now=NOW)
        return self.compile()

    def release(self) -> None:
        with self.as_role("system"):
            release_quarantine(self.town.site.pk, LATER)

    @property
    def state(self) -> str:
        with self.town.act():
            return Credential.objects.get(pk=self.pin.pk).state


@pytest.fixture
def doors(town: Town, as_role: AsRole) -> Doors:
    return Doors(town, as_role)


def held(doors: Doors, device: Device) -> int | None:
    with doors.town.act():
        row = DeviceFeed.objects.filter(pk=device.pk).first()
        return row.applied if row else None


@pytest.mark.req("GH-FEED-02", "COM-DVC-C1")
def test_a_device_holds_what_it_said_itself_and_not_what_its_gateway_took(doors: Doors) -> None:
    with doors.as_role("system"):
        revision = standing(doors.north.pk).revision
    assert doors.report(doors.north, revision, doors.first) == Taken(devices=1)
    assert held(doors, doors.first) == revision
    assert held(doors, doors.second) is None


@pytest.mark.req("GH-FEED-E1")
def test_a_report_of_what_cannot_be_changes_nothing(doors: Doors) -> None:
    doors.report(doors.north, 1, doors.first)
    cases = [
        doors.report(doors.north, 9999, doors.first),
        doors.report(doors.north, 1, doors.first, epoch=str(new_id())),
        doors.report(doors.north, 1, doors.first, epoch="no epoch at all"),
        doors.report(doors.north, 1, doors.far),
        doors.report(doors.south, 1, doors.first, at=77),
    ]
    assert [case.devices for case in cases] == [0, 0, 0, 0, 0]
    assert [case.unknown for case in cases] == [2, 2, 2, 1, 1]
    assert (held(doors, doors.first), held(doors, doors.far)) == (1, None)
    with doors.as_role("system"):
        stranger = {"-" * 36: 1, str(new_id()): 1}
        stand = standing(doors.north.pk)
        taken = record_applied(doors.north.pk, Applied(epoch=stand.epoch, revision=1, devices=stranger), NOW)
    assert taken == Taken(stale=1, unknown=2)


@pytest.mark.req("GH-FEED-E1")
def test_a_report_that_comes_late_or_twice_changes_nothing(doors: Doors) -> None:
    doors.withdraw()
    assert doors.report(doors.north, 2, doors.first).devices == 1
    assert doors.report(doors.north, 2, doors.first) == Taken(stale=2)
    assert doors.report(doors.north, 1, doors.first) == Taken(stale=2)
    assert held(doors, doors.first) == 2
    with doors.town.act():
        assert GatewayFeed.objects.get(pk=doors.north.pk).applied == 2


@pytest.mark.req("GH-FEED-06")
def test_what_a_device_refused_stands_until_it_takes_it(doors: Doors) -> None:
    key = f"holder:{doors.holder.pk}"
    with doors.as_role("system"):
        stand = standing(doors.north.pk)

        def report(*refused: Refused) -> Taken:
            message = Applied(epoch=stand.epoch, revision=1, devices={str(doors.first.pk): 1}, refused=list(refused))
            return record_applied(doors.north.pk, message, NOW)

        report(Refused(device=str(doors.first.pk), key=key, reason="memory.full"))
        assert DeviceFeed.objects.get(pk=doors.first.pk).refused == [[key, "memory.full"]]
        report(Refused(device=str(doors.far.pk), key=key, reason="memory.full"))
        assert DeviceFeed.objects.get(pk=doors.first.pk).refused == []
        assert not DeviceFeed.objects.filter(pk=doors.far.pk).exists()


def test_only_the_last_steps_of_a_device_are_kept(doors: Doors) -> None:
    for number in range(40):
        with doors.town.act():
            touch(doors.town.site.pk, "device", doors.first.pk)
            Device.objects.filter(pk=doors.first.pk).update(settings={"volume": str(number)})
        doors.report(doors.north, doors.compile(), doors.first)
    with doors.town.act():
        steps = DeviceFeed.objects.get(pk=doors.first.pk).steps
    assert len(steps) == 32 and [step[0] for step in steps] == list(range(10, 42))


# --- quarantine ---------------------------------------------------------------------------------


@pytest.mark.req("GH-FEED-04")
def test_a_withdrawn_code_is_free_when_the_last_door_that_knew_it_has_confirmed(doors: Doors) -> None:
    doors.all_report(1)
    revision = doors.withdraw()
    assert doors.state == "quarantined"
    doors.report(doors.north, revision, doors.first)
    assert doors.state == "quarantined"
    with doors.town.act(), pytest.raises(Conflict):
        set_pin(actor=doors.town.actor, holder=doors.town.person(doors.people), pin="4711", now=NOW)
    doors.report(doors.north, revision, doors.second)
    assert doors.state == "freed"
    with doors.town.act():
        freed = Credential.objects.get(pk=doors.pin.pk)
        assert freed.secret is None and freed.freed_at == LATER
        set_pin(actor=doors.town.actor, holder=doors.town.person(doors.people), pin="4711", now=NOW)


@pytest.mark.req("GH-FEED-04")
def test_a_door_that_never_knew_the_code_does_not_hold_it_up(doors: Doors) -> None:
    doors.report(doors.north, 1, doors.first, doors.second)
    revision = doors.withdraw()
    doors.report(doors.north, revision, doors.first, doors.second)
    assert held(doors, doors.far) is None
    assert doors.state == "freed"


@pytest.mark.req("GH-FEED-04")
def test_a_code_that_no_door_ever_had_is_free_at_once(doors: Doors) -> None:
    with doors.town.act():
        loner = doors.town.person(doors.town.people_group(doors.people.company))
        doors.pin = set_pin(actor=doors.town.actor, holder=loner, pin="0815", now=NOW)
    doors.compile()
    doors.withdraw()
    assert doors.state == "freed"


@pytest.mark.req("GH-FEED-04")
def test_a_code_that_never_left_the_cloud_is_free_at_once(doors: Doors) -> None:
    with doors.town.act():
        doors.pin = set_pin(actor=doors.town.actor, holder=doors.town.person(doors.people), pin="0815", now=NOW)
    doors.withdraw()
    assert doors.state == "freed"


@pytest.mark.req("GH-FEED-04")
def test_a_door_that_lost_the_person_before_the_code_was_withdrawn_still_has_to_confirm_that(doors: Doors) -> None:
    doors.all_report(1)
    with doors.town.act():
        access.take_from_people_group(
            actor=doors.town.actor, access_group=doors.group, people_group=doors.people, now=NOW
        )
    lost = doors.compile()
    doors.withdraw()
    assert doors.state == "quarantined"
    doors.report(doors.north, lost, doors.first, doors.second)
    assert doors.state == "freed"


@pytest.mark.req("GH-FEED-04")
def test_a_door_that_moved_before_it_confirmed_has_to_confirm_at_its_new_gateway(doors: Doors) -> None:
    doors.all_report(1)
    doors.withdraw()
    with doors.town.act():
        Device.objects.filter(pk=doors.second.pk).update(gateway=doors.south)
        touch(doors.town.site.pk, "device", doors.second.pk)
    moved = doors.compile()
    doors.report(doors.north, moved, doors.first)
    assert doors.state == "quarantined"
    doors.report(doors.south, moved, doors.second)
    assert doors.state == "freed"


@pytest.mark.req("GH-FEED-04")
def test_a_gateway_that_does_not_know_yet_that_its_door_moved_still_counts(doors: Doors) -> None:
    doors.all_report(1)
    doors.withdraw()
    with doors.town.act():
        Device.objects.filter(gateway=doors.north).update(gateway=doors.south)
        touch(doors.town.site.pk, "device", [doors.first.pk, doors.second.pk])
    moved = doors.compile()
    doors.report(doors.south, moved, doors.first, doors.second, doors.far)
    assert doors.state == "quarantined"
    doors.report(doors.north, moved)
    assert doors.state == "freed"


@pytest.mark.req("GH-FEED-04")
def test_a_door_that_moved_away_and_confirmed_it_does_not_wait_for_what_its_old_gateway_gets(doors: Doors) -> None:
    doors.all_report(1)
    with doors.town.act():
        Device.objects.filter(pk=doors.second.pk).update(gateway=doors.south)
        touch(doors.town.site.pk, "device", doors.second.pk)
        access.set_relays(actor=doors.town.actor, access_group=doors.group, relays=relays_of(doors.first), now=NOW)
    moved = doors.compile()
    doors.report(doors.south, moved, doors.second)
    revision = doors.withdraw()
    assert doors.state == "quarantined"
    doors.report(doors.north, revision, doors.first)
    assert doors.state == "freed"


@pytest.mark.req("GH-FEED-04")
def test_a_door_that_left_before_the_code_existed_does_not_hold_it_up_even_if_it_is_far_behind(doors: Doors) -> None:
    doors.report(doors.north, 1, doors.first)
    with doors.town.act():
        Device.objects.filter(pk=doors.second.pk).update(gateway=doors.south)
        touch(doors.town.site.pk, "device", doors.second.pk)
        access.set_relays(actor=doors.town.actor, access_group=doors.group, relays=relays_of(doors.first), now=NOW)
    doors.compile()
    with doors.town.act():
        holder = doors.town.person(doors.people)
        doors.pin = set_pin(actor=doors.town.actor, holder=holder, pin="0815", now=NOW)
    doors.compile()
    doors.report(doors.north, doors.withdraw(), doors.first)
    assert held(doors, doors.second) is None
    assert doors.state == "freed"


@pytest.mark.req("GH-FEED-E2")
def test_a_deleted_door_and_a_revoked_gateway_do_not_hold_a_code_up(doors: Doors) -> None:
    doors.all_report(1)
    revision = doors.withdraw()
    doors.report(doors.north, revision, doors.first)
    with doors.town.act():
        Device.objects.filter(pk=doors.second.pk).update(deleted_at=NOW)
        touch(doors.town.site.pk, "device", doors.second.pk)
    doors.compile()
    assert doors.state == "freed"
    with doors.town.act():
        holder = doors.town.person(doors.people)
        doors.pin = set_pin(actor=doors.town.actor, holder=holder, pin="0815", now=NOW)
    doors.all_report(doors.compile())
    doors.withdraw()
    assert doors.state == "quarantined"
    with doors.town.act():
        revoke_gateway(actor=doors.town.actor, gateway=doors.north, now=NOW)
    doors.compile()
    assert doors.state == "freed"


@pytest.mark.req("GH-FEED-04")
def test_after_a_restore_every_door_confirms_anew(doors: Doors) -> None:
    doors.all_report(1)
    revision = doors.withdraw()
    with doors.as_role("system"):
        epoch = new_epoch(doors.town.site.pk, NOW)
    assert doors.report(doors.north, revision, doors.first, doors.second, epoch=str(UUID(int=1))).devices == 0
    doors.release()
    assert doors.state == "quarantined"
    assert doors.report(doors.north, revision + 1, doors.first, doors.second, epoch=epoch).devices == 2
    assert doors.state == "freed"


@pytest.mark.req("GH-FEED-04")
def test_the_code_of_a_removed_person_is_free_when_the_doors_that_knew_him_have_confirmed(doors: Doors) -> None:
    doors.all_report(1)
    with doors.town.act():
        Credential.objects.filter(pk=doors.pin.pk).update(state="quarantined", withdrawn_at=NOW, holder=None)
        Person.objects.filter(pk=doors.holder.pk).delete()
        Holder.objects.filter(pk=doors.holder.pk).delete()
        touch(doors.town.site.pk, "holder", doors.holder.pk)
        touch(doors.town.site.pk, "device", doors.far.pk)
        Device.objects.filter(pk=doors.far.pk).update(name="Renamed")
    revision = doors.compile()
    doors.report(doors.north, revision, doors.first)
    assert doors.state == "quarantined"
    doors.report(doors.north, revision, doors.second)
    assert doors.state == "freed"


@pytest.mark.req("GH-FEED-04")
def test_a_code_that_is_withdrawn_without_a_word_to_the_feed_is_never_freed(doors: Doors) -> None:
    doors.all_report(1)
    with doors.town.act():
        Credential.objects.filter(pk=doors.pin.pk).update(state="quarantined", withdrawn_at=NOW)
        touch(doors.town.site.pk, "holder", doors.town.person(doors.people).pk)
    doors.all_report(doors.compile())
    assert doors.state == "quarantined"


@pytest.mark.req("GH-FEED-04")
def test_a_pruned_history_does_not_free_a_code_early(doors: Doors) -> None:
    doors.all_report(1)
    revision = doors.withdraw()
    with doors.as_role("system"):
        prune(doors.town.site.pk, timedelta(0), NOW)
        assert release_quarantine(doors.town.site.pk, NOW) == 0
    doors.report(doors.north, revision, doors.first, doors.second)
    assert doors.state == "freed"
