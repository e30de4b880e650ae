"""What a compile makes of acts, and whom it concerns."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
import pytest
from django.db import connection

from gatehouse.cloud.access import services as access
from gatehouse.cloud.changes.models import Touched
from gatehouse.cloud.changes.services import touch
from gatehouse.cloud.devices.models import Device, Gateway, Relay
from gatehouse.cloud.devices.services import revoke_gateway
from gatehouse.cloud.feed.models import Entry, Interest, SiteFeed, Wanted
from gatehouse.cloud.feed.queries import in_force as in_force_at
from gatehouse.cloud.feed.services import Busy, Compiled, compile_site
from gatehouse.cloud.people.models import Holder
from gatehouse.cloud.people.services import add_card, set_pin, set_valid_time, withdraw_credential
from gatehouse.cloud.tenants.models import Site
from gatehouse.rules import reasons
from gatehouse.rules.access import Policy, Presented, decide
from gatehouse.wire.messages import Payload
from tests.cast import NOW
from tests.cloud.feed.gateways import Doors, Far
from tests.cloud.feed.town import Town, expected, relays_of

AsRole = Callable[[str], AbstractContextManager[None]]
Compile = Callable[[], Compiled]


@pytest.fixture
def compiled(town: Town, as_role: AsRole) -> Compile:
    """Compile the town's site; what the cast left is compiled already."""

    def compile_now() -> Compiled:
        with as_role("system"):
            return compile_site(town.site.pk, NOW)

    compile_now()
    return compile_now


def town_door(town: Town) -> Relay:
    return relays_of(town.device(town.gateway()))[0]


def in_force(town: Town, kind: str, key: UUID) -> Entry:
    with town.act():
        return Entry.objects.get(site_id=town.site.pk, kind=kind, key=key, ended=None)


def concerned(town: Town, revision: int) -> set[UUID]:
    with town.act():
        return set(Wanted.objects.filter(site_id=town.site.pk, revision=revision).values_list("gateway_id", flat=True))


def test_every_payload_is_a_message_of_the_wire(town: Town, compiled: Compile, as_role: AsRole) -> None:
    with town.act():
        holder = town.person(town.people_group(town.company()))
        set_pin(actor=town.actor, holder=holder, pin="4711", now=NOW)
        set_valid_time(actor=town.actor, holder=holder, valid_from=NOW.replace(tzinfo=None), valid_until=None, now=NOW)
        town.access_group(
            town_door(town),
            kind="once",
            from_local=NOW.replace(tzinfo=None),
            until_local=NOW.replace(tzinfo=None, year=2030),
        )
    compiled()
    with town.act():
        entries = list(Entry.objects.filter(site_id=town.site.pk, ended=None))
    assert {entry.kind for entry in entries} == {"site", "device", "access_group", "people_group", "holder", "party"}
    for entry in entries:
        assert msgspec.convert(entry.payload, Payload)


def test_what_is_equal_stays_as_it_is_and_takes_no_revision(town: Town, compiled: Compile) -> None:
    before = compiled()
    with town.act():
        touch(town.site.pk, "site", town.site.pk)
        touch(town.site.pk, "holder", UUID(int=7))
    after = compiled()
    assert (after.touched, after.changed, after.revision) == (2, 0, before.revision)


def test_an_act_moves_the_revision_by_one_whatever_it_changed(town: Town, compiled: Compile) -> None:
    before = compiled().revision
    with town.act():
        gateway = town.gateway()
        device = town.device(gateway, relays=3)
        town.access_group(*relays_of(device))
    done = compiled()
    assert done.revision == before + 1 and done.changed == 2
    with town.act():
        assert set(Interest.objects.filter(gateway=gateway).values_list("since", flat=True)) == {done.revision}


@pytest.mark.req("GH-FEED-01")
def test_only_gateways_that_have_to_do_with_a_change_are_concerned(town: Town, compiled: Compile) -> None:
    with town.act():
        north, south = town.gateway(), town.gateway()
        front, back = relays_of(town.device(north))[0], relays_of(town.device(south))[0]
        company = town.company(front, back)
        at_north = town.people_group(company, town.access_group(front))
        town.people_group(company, town.access_group(back))
        holder = town.person(at_north)
    compiled()
    with town.act():
        set_pin(actor=town.actor, holder=holder, pin="4711", now=NOW)
    assert concerned(town, compiled().revision) == {north.pk}
    with town.act():
        access.give_to_holder(actor=town.actor, access_group=town.access_group(back), holder=holder, now=NOW)
    assert concerned(town, compiled().revision) == {north.pk, south.pk}
    with town.act():
        nobody = town.person(town.people_group(company))
        set_pin(actor=town.actor, holder=nobody, pin="4712", now=NOW)
    done = compiled()
    assert done.changed and concerned(town, done.revision) == set()


def test_what_takes_something_away_goes_first(town: Town, compiled: Compile) -> None:
    with town.act():
        device = town.device(town.gateway(), relays=2)
        first, second = relays_of(device)
        group = town.access_group(first, second)
        people = town.people_group(town.company(first), group)
        holder = town.person(people)
    compiled()
    card: list[Any] = []
    local = NOW.replace(tzinfo=None)

    def give_card() -> None:
        card.append(add_card(actor=town.actor, holder=holder, card="04A46F19", now=NOW))

    def change_relay(**values: Any) -> None:
        Relay.objects.filter(pk=first.pk).update(**values)
        touch(town.site.pk, "device", device.pk)

    steps: list[tuple[str, UUID, int, Callable[[], Any]]] = [
        ("holder", holder.pk, 1, give_card),
        ("holder", holder.pk, 0, lambda: withdraw_credential(actor=town.actor, credential=card[0], now=NOW)),
        ("holder", holder.pk, 0, lambda: set_valid_time(actor=town.actor, holder=holder, valid_from=None, valid_until=local, now=NOW)),
        ("access_group", group.pk, 0, lambda: access.set_relays(actor=town.actor, access_group=group, relays=[second], now=NOW)),
        ("access_group", group.pk, 1, lambda: access.set_relays(actor=town.actor, access_group=group, relays=[first, second], now=NOW)),
        ("access_group", group.pk, 0, lambda: access.set_windows(actor=town.actor, access_group=group, windows=[{"kind": "daily", "length_min": 60}], now=NOW)),
        ("party", people.company_id, 1, lambda: access.assign_relays(actor=town.actor, company=people.company, relays=[first, second], now=NOW)),
        ("party", people.company_id, 0, lambda: access.assign_relays(actor=town.actor, company=people.company, relays=[second], now=NOW)),
        ("device", device.pk, 0, lambda: change_relay(enabled=False)),
        ("device", device.pk, 0, lambda: change_relay(methods=["card"])),
        ("people_group", people.pk, 0, lambda: access.take_from_people_group(actor=town.actor, access_group=group, people_group=people, now=NOW)),
        ("people_group", people.pk, 1, lambda: access.give_to_people_group(actor=town.actor, access_group=group, people_group=people, now=NOW)),
    ]  # fmt: skip
    for kind, key, priority, act in steps:
        with town.act():
            act()
        revision = compiled().revision
        entry = in_force(town, kind, key)
        assert (entry.revision, entry.priority) == (revision, priority), kind


@pytest.mark.req("OFF-CO-12", "OFF-CO-E05")
def test_where_a_company_has_no_door_its_people_open_none_whatever_group_they_have(
    town: Town, compiled: Compile, as_role: AsRole
) -> None:
    with town.act():
        gateway = town.gateway()
        door = relays_of(town.device(gateway))[0]
        company = town.company()
        holder = town.person(town.people_group(company, town.access_group(door)))
        pin = set_pin(actor=town.actor, holder=holder, pin="4711", now=NOW)
    compiled()

    def decided() -> str:
        far = Far(gateway.pk, Doors(), random.Random(1))
        with as_role("system"):
            assert far.pull()
        policy = Policy((key, msgspec.to_builtins(payload)) for key, payload in far.entries.items())
        return decide(policy, Presented("pin", pin.digest), str(door.pk), NOW).reason

    assert decided() == reasons.REACH_COMPANY
    with town.act():
        access.assign_relays(actor=town.actor, company=company, relays=[door], now=NOW)
    compiled()
    assert decided() == reasons.GRANTED
    with town.act():
        access.assign_relays(actor=town.actor, company=company, relays=[], now=NOW)
    compiled()
    assert decided() == reasons.REACH_COMPANY


def test_a_revoked_gateway_and_a_deleted_site_need_nothing_any_more(
    town: Town, compiled: Compile, as_role: AsRole
) -> None:
    with town.act():
        gateway = town.gateway()
        town.access_group(*relays_of(town.device(gateway)))
    compiled()
    with town.act():
        revoke_gateway(actor=town.actor, gateway=gateway, now=NOW)
    done = compiled()
    with town.act():
        assert not Interest.objects.filter(gateway=gateway, ended=None).exists()
        assert Interest.objects.filter(gateway=gateway, ended=done.revision).count() == 3
    with town.act():
        Site.objects.filter(pk=town.site.pk).update(deleted_at=NOW)
        touch(town.site.pk, "site", town.site.pk)
    compiled()
    with town.act():
        assert not Interest.objects.filter(site_id=town.site.pk, ended=None).exists()


def test_a_door_that_moves_takes_its_groups_people_and_companies_along(
    town: Town, compiled: Compile, as_role: AsRole
) -> None:
    with town.act():
        old, new = town.gateway(), town.gateway()
        device = town.device(old)
        door = relays_of(device)[0]
        town.person(town.people_group(town.company(door), town.access_group(door)))
    compiled()
    with town.act():
        Device.objects.filter(pk=device.pk).update(gateway=new)
        touch(town.site.pk, "device", device.pk)
    done = compiled()
    assert done.changed == 0 and concerned(town, done.revision) == {old.pk, new.pk}
    with as_role("system"):
        for gateway in Gateway.objects.filter(site_id=town.site.pk):
            keys = set(Interest.objects.filter(gateway=gateway, ended=None).values_list("key", flat=True))
            wanted = {UUID(key.partition(":")[2]) for key in expected(town.site.pk)[gateway.pk] if "holder" not in key}
            assert keys == wanted


def test_an_act_that_touches_early_and_commits_late_is_not_lost(town: Town, compiled: Compile) -> None:
    with town.act():
        gateway = town.gateway()
        people = town.people_group(town.company(), town.access_group(*relays_of(town.device(gateway))))
        slow, quick = town.person(people), town.person(people)
    compiled()
    touched, go_on = threading.Event(), threading.Event()

    def late_act() -> None:
        try:
            with town.act():
                set_pin(actor=town.actor, holder=slow, pin="1111", now=NOW)
                touched.set()
                assert go_on.wait(20)
        finally:
            connection.close()

    thread = threading.Thread(target=late_act)
    thread.start()
    try:
        assert touched.wait(20)
        with town.act():
            set_pin(actor=town.actor, holder=quick, pin="2222", now=NOW)
        first = compiled()
    finally:
        go_on.set()
        thread.join(20)
    second = compiled()
    assert (first.changed, second.changed) == (1, 1)
    assert second.revision == first.revision + 1
    assert in_force(town, "holder", quick.pk).revision == first.revision
    assert in_force(town, "holder", slow.pk).payload["credentials"]
    with town.act():
        connection.cursor().execute("SET LOCAL ROLE gatehouse_system")
        assert not Touched.objects.filter(site_id=town.site.pk).exists()


def test_each_revision_is_the_state_after_whole_acts(town: Town, compiled: Compile, as_role: AsRole) -> None:
    """One act changes a device and a person together; no revision has one without the other."""
    with town.act():
        device = town.device(town.gateway())
        holder = town.person(town.people_group(town.company()))
    begun, stop = datetime(2027, 1, 1), threading.Event()
    done: list[int] = []

    def acting() -> None:
        try:
            while not stop.is_set():
                done.append(len(done) + 1)
                with town.act():
                    Device.objects.filter(pk=device.pk).update(settings={"count": str(done[-1])})
                    until = begun + timedelta(minutes=done[-1])
                    Holder.objects.filter(pk=holder.pk).update(valid_until_local=until)
                    touch(town.site.pk, "holder", holder.pk)
                    touch(town.site.pk, "device", device.pk)
        finally:
            connection.close()

    thread = threading.Thread(target=acting)
    thread.start()
    try:
        revisions: list[int] = []
        limit = time.monotonic() + 20
        while len(revisions) < 60 and time.monotonic() < limit:
            made = compiled()
            if made.changed:
                revisions.append(made.revision)
    finally:
        stop.set()
        thread.join(20)
    assert len(revisions) == 60
    counted = set()
    with town.act():
        for revision in revisions:
            settings = (in_force_at(town.site.pk, "device", device.pk, revision) or {})["settings"]
            until = (in_force_at(town.site.pk, "holder", holder.pk, revision) or {})["valid_until"]
            minutes = 0 if until is None else int((datetime.fromisoformat(until) - begun).total_seconds() // 60)
            assert int(settings.get("count", 0)) == minutes
            counted.add(minutes)
    assert len(counted) > 30


def test_two_compilers_take_turns_or_leave_each_other_alone(town: Town, compiled: Compile, as_role: AsRole) -> None:
    held, go_on = threading.Event(), threading.Event()

    def hold() -> None:
        from gatehouse.cloud.feed.services import compiling

        def act() -> None:
            held.set()
            assert go_on.wait(20)

        try:
            compiling._alone(town.site.pk, True, act)
        finally:
            connection.close()

    thread = threading.Thread(target=hold)
    thread.start()
    try:
        assert held.wait(20)
        with as_role("system"), pytest.raises(Busy):
            compile_site(town.site.pk, NOW, wait=False)
        threading.Timer(0.2, go_on.set).start()
        with as_role("system"):
            assert compile_site(town.site.pk, NOW, wait=True).changed == 0
    finally:
        go_on.set()
        thread.join(20)


def test_a_site_that_was_never_touched_has_a_feed_after_its_first_compile(town: Town, as_role: AsRole) -> None:
    with as_role("system"):
        Touched.objects.filter(site_id=town.site.pk).delete()
        assert compile_site(town.site.pk, NOW) == Compiled(0, 0, 0, 0)
        assert SiteFeed.objects.get(pk=town.site.pk).revision == 0
        assert compile_site(town.site.pk, NOW, everything=True).changed == 6
