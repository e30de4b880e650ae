"""Receipts: which doors a change concerns, and how far each is."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import timedelta
from uuid import UUID

import pytest

from gatehouse.cloud.access import services as access
from gatehouse.cloud.authz.actor import Actor, enter, system_actor
from gatehouse.cloud.authz.permissions import Role, effective
from gatehouse.cloud.changes.services import touch
from gatehouse.cloud.devices.models import Device, Gateway
from gatehouse.cloud.devices.services import revoke_gateway
from gatehouse.cloud.feed.pages import standing
from gatehouse.cloud.feed.queries import Receipt, Step, device_step, in_force, receipt, revision_at
from gatehouse.cloud.feed.services import compile_site, prune, record_applied
from gatehouse.cloud.kit.errors import Denied, NotFound
from gatehouse.cloud.kit.ids import new_id
from gatehouse.cloud.people.models import Holder
from gatehouse.cloud.people.services import set_pin
from gatehouse.wire.messages import Applied, Refused
from tests.cast import NOW
from tests.cloud.feed.town import Town, relays_of

AsRole = Callable[[str], AbstractContextManager[None]]
LATER = NOW + timedelta(minutes=3)


class Gates:
    """Three doors at two gateways, two of which somebody may use."""

    def __init__(self, town: Town, as_role: AsRole) -> None:
        self.town, self.as_role, self.now = town, as_role, NOW
        with town.act():
            self.north, self.south = town.gateway(), town.gateway()
            self.first, self.other, self.second = (
                town.device(self.north),
                town.device(self.north),
                town.device(self.south),
            )
            relays = [relays_of(device)[0] for device in (self.first, self.second)]
            self.group = town.access_group(*relays)
            self.people = town.people_group(town.company(*relays), self.group)
            self.holder: Holder = town.person(self.people)
            town.access_group(relays_of(self.other)[0])
            Gateway.objects.filter(pk__in=(self.north.pk, self.south.pk)).update(online=True)
            Device.objects.filter(site_id=town.site.pk).update(online=True)
        self.compile()

    def compile(self) -> int:
        with self.as_role("system"):
            return compile_site(self.town.site.pk, self.now).revision

    def pin(self, pin: str, compile: bool = True) -> None:
        with self.town.act():
            set_pin(actor=self.town.actor, holder=self.holder, pin=pin, now=NOW)
        if compile:
            self.compile()

    def report(self, gateway: Gateway, *devices: Device, refused: list[Refused] | None = None) -> None:
        with self.as_role("system"):
            stand = standing(gateway.pk)
            held = {str(device.pk): stand.revision for device in devices}
            record_applied(
                gateway.pk,
                Applied(epoch=stand.epoch, revision=stand.revision, devices=held, refused=refused or []),
                self.now,
            )

    def receipt(self, kind: str = "holder", key: UUID | None = None) -> Receipt:
        with self.town.act():
            return receipt(self.town.actor, kind, key or self.holder.pk)

    def states(self, kind: str = "holder", key: UUID | None = None) -> dict[UUID, str]:
        return {line.device: line.state for line in self.receipt(kind, key).lines}

    def step(self, device: Device) -> Step:
        with self.town.act():
            return device_step(self.town.actor, device)


@pytest.fixture
def gates(town: Town, as_role: AsRole) -> Gates:
    return Gates(town, as_role)


@pytest.mark.req("GH-FEED-01", "GH-FEED-02")
def test_a_receipt_names_the_doors_concerned_and_those_that_confirmed_with_the_time(gates: Gates) -> None:
    gates.pin("4711")
    assert gates.states() == {gates.first.pk: "pending", gates.second.pk: "pending"}
    gates.now = LATER
    gates.report(gates.north, gates.other)
    assert gates.states() == {gates.first.pk: "pending", gates.second.pk: "pending"}
    gates.report(gates.north, gates.first)
    got = gates.receipt()
    assert {line.device: (line.state, line.at) for line in got.lines} == {
        gates.first.pk: ("confirmed", LATER),
        gates.second.pk: ("pending", None),
    }
    assert (got.at, got.waiting, got.complete, got.count("confirmed")) == (NOW, False, False, 1)
    gates.report(gates.south, gates.second)
    assert gates.receipt().complete


@pytest.mark.req("GH-FEED-01")
def test_the_time_of_a_confirmation_stays_when_the_door_moves_on(gates: Gates) -> None:
    gates.pin("4711")
    gates.report(gates.north, gates.first)
    gates.now = LATER
    with gates.town.act():
        Device.objects.filter(pk=gates.first.pk).update(settings={"volume": "3"})
        touch(gates.town.site.pk, "device", gates.first.pk)
    gates.compile()
    gates.report(gates.north, gates.first)
    line = next(line for line in gates.receipt().lines if line.device == gates.first.pk)
    assert line.at == NOW


@pytest.mark.req("GH-FEED-01")
def test_what_touches_no_door_has_no_lines(gates: Gates) -> None:
    with gates.town.act():
        loner = gates.town.person(gates.town.people_group(gates.people.company))
    gates.compile()
    got = gates.receipt("holder", loner.pk)
    assert got.lines == () and got.complete


@pytest.mark.req("GH-FEED-01")
def test_a_change_that_is_not_compiled_yet_is_on_its_way(gates: Gates) -> None:
    gates.pin("4711", compile=False)
    got = gates.receipt()
    assert got.waiting and not got.complete
    with gates.town.act():
        new = gates.town.person(gates.people)
    assert gates.receipt("holder", new.pk) == Receipt(0, None, True, ())


@pytest.mark.req("GH-FEED-01", "GH-FEED-02")
def test_doors_that_are_not_there_are_offline_since_when(gates: Gates) -> None:
    gates.pin("4711")
    with gates.town.act():
        Gateway.objects.filter(pk=gates.north.pk).update(online=False, online_changed_at=NOW)
        Device.objects.filter(pk=gates.second.pk).update(online=False, online_changed_at=LATER)
    lines = {line.device: (line.state, line.at) for line in gates.receipt().lines}
    assert lines == {gates.first.pk: ("offline", NOW), gates.second.pk: ("offline", LATER)}


@pytest.mark.req("GH-FEED-06")
def test_a_door_that_could_not_take_it_says_why(gates: Gates) -> None:
    gates.pin("4711")
    key = f"holder:{gates.holder.pk}"
    gates.report(gates.north, gates.first, refused=[Refused(device=str(gates.first.pk), key=key, reason="memory.full")])
    line = next(line for line in gates.receipt().lines if line.device == gates.first.pk)
    assert (line.state, line.reason) == ("refused", "memory.full")
    step = gates.step(gates.first)
    assert (step.state, step.pending, step.refused) == ("failed", 0, ((key, "memory.full"),))


@pytest.mark.req("GH-FEED-E2")
def test_a_door_that_goes_before_it_confirmed_ends_its_line(gates: Gates) -> None:
    gates.pin("4711")
    with gates.town.act():
        Device.objects.filter(pk=gates.first.pk).update(deleted_at=NOW)
        touch(gates.town.site.pk, "device", gates.first.pk)
        revoke_gateway(actor=gates.town.actor, gateway=gates.south, now=NOW)
    gates.compile()
    assert gates.states() == {gates.first.pk: "removed", gates.second.pk: "removed"}
    assert gates.receipt().complete


@pytest.mark.req("GH-FEED-01")
def test_the_receipt_of_a_removal_names_the_doors_that_lose_something(gates: Gates) -> None:
    with gates.town.act():
        access.set_relays(actor=gates.town.actor, access_group=gates.group, relays=relays_of(gates.second), now=NOW)
    gates.compile()
    assert gates.states("access_group", gates.group.pk) == {gates.first.pk: "pending", gates.second.pk: "pending"}
    with gates.town.act():
        access.take_from_people_group(
            actor=gates.town.actor, access_group=gates.group, people_group=gates.people, now=NOW
        )
    gates.compile()
    assert gates.states("people_group", gates.people.pk) == {gates.second.pk: "pending"}


def test_receipts_of_doors_companies_and_the_site(gates: Gates) -> None:
    assert set(gates.states("device", gates.other.pk)) == {gates.other.pk}
    assert set(gates.states("party", gates.people.company_id)) == {gates.first.pk, gates.second.pk}
    assert {gates.first.pk, gates.second.pk, gates.other.pk} < set(gates.states("site", gates.town.site.pk))


@pytest.mark.req("GH-FEED-06")
def test_a_device_is_in_step_or_lacks_so_many_entries(gates: Gates) -> None:
    wanted = gates.step(gates.second)
    assert (wanted.state, wanted.revision) == ("pending", 0) and wanted.pending == 6
    gates.report(gates.south, gates.second)
    assert (gates.step(gates.second).state, gates.step(gates.second).pending) == ("in_step", 0)
    gates.pin("4711")
    gates.pin("4712")
    assert (gates.step(gates.second).state, gates.step(gates.second).pending) == ("pending", 1)
    with gates.town.act():
        access.take_from_people_group(
            actor=gates.town.actor, access_group=gates.group, people_group=gates.people, now=NOW
        )
    gates.compile()
    assert gates.step(gates.second).pending == 2


def test_receipts_are_for_those_who_see_doors_and_of_their_own_sites(gates: Gates) -> None:
    site = gates.town.site.pk
    guard = Actor(new_id(), "Bob", Role.GUARD, "portal", effective(Role.GUARD), frozenset({site}))
    with gates.town.act(), pytest.raises(Denied):
        receipt(guard, "holder", gates.holder.pk)
    stranger = system_actor(new_id())
    with gates.town.act(), pytest.raises(NotFound):
        enter(stranger)
        receipt(stranger, "holder", gates.holder.pk)


def test_what_was_in_force_then_is_told_until_it_is_pruned(gates: Gates) -> None:
    first = gates.receipt().revision
    gates.pin("4711")
    gates.now = LATER
    gates.pin("4712")
    site, holder = gates.town.site.pk, gates.holder.pk
    with gates.town.act():
        versions = [in_force(site, "holder", holder, first + number) for number in range(3)]
        assert [len((version or {})["credentials"]) for version in versions] == [0, 1, 1]
        assert in_force(site, "holder", holder, 0) is None
        assert revision_at(site, NOW) == first + 1 and revision_at(site, LATER) == first + 2
        assert revision_at(site, NOW - timedelta(days=1)) == 0
    with gates.as_role("system"):
        prune(site, timedelta(0), LATER)
    with gates.town.act():
        assert in_force(site, "holder", holder, first + 2) == versions[2]
        with pytest.raises(NotFound):
            in_force(site, "holder", holder, first)
