"""Random acts upon a town. What has a service is done by it; what has none yet is done as one will do it.

An act picks its things by itself and does nothing when there are none; a refusal (a name or a code that is taken,
two acts that meet) rolls it back like in production.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any, TypeVar

from django.core.exceptions import ObjectDoesNotExist
from django.db import DatabaseError, models

from gatehouse.cloud.access import services as access
from gatehouse.cloud.access.models import (
    AccessGroup,
    AccessGroupHolder,
    AccessGroupPeopleGroup,
    AccessGroupRelay,
    CompanyRelay,
    Window,
)
from gatehouse.cloud.changes.services import touch
from gatehouse.cloud.devices.models import Binding, Device, Gateway, Hardware, Relay
from gatehouse.cloud.devices.services import revoke_gateway
from gatehouse.cloud.kit.errors import DomainError
from gatehouse.cloud.people import services as people
from gatehouse.cloud.people.models import Credential, Holder, Person
from gatehouse.cloud.premises.models import Company, PeopleGroup
from gatehouse.cloud.tenants.models import Site
from tests.cast import NOW
from tests.cloud.feed.town import Town, local

M = TypeVar("M", bound=models.Model)
Act = Callable[[random.Random, Town], None]


def one(rng: random.Random, town: Town, model: type[M], **like: Any) -> M | None:
    """Some row of the site."""
    rows = list(model._default_manager.filter(site_id=town.site.pk, **like).order_by("pk"))
    return rng.choice(rows) if rows else None


def some(rng: random.Random, town: Town, model: type[M], most: int, **like: Any) -> list[M]:
    rows = list(model._default_manager.filter(site_id=town.site.pk, **like).order_by("pk"))
    return rng.sample(rows, min(len(rows), rng.randrange(most + 1)))


def _new_person(rng: random.Random, town: Town) -> None:
    if group := one(rng, town, PeopleGroup):
        holder = town.person(group)
        people.set_pin(actor=town.actor, holder=holder, pin=f"{rng.randrange(10**6):06}", now=NOW)


def _pin(rng: random.Random, town: Town) -> None:
    if holder := one(rng, town, Holder):
        people.set_pin(actor=town.actor, holder=holder, pin=f"{rng.randrange(10**5):05}", now=NOW)


def _card(rng: random.Random, town: Town) -> None:
    if holder := one(rng, town, Holder):
        people.add_card(actor=town.actor, holder=holder, card=f"{rng.randrange(1, 2**30):08X}", now=NOW)


def _withdraw(rng: random.Random, town: Town) -> None:
    if credential := one(rng, town, Credential, state="live"):
        people.withdraw_credential(actor=town.actor, credential=credential, now=NOW)


def _valid_time(rng: random.Random, town: Town) -> None:
    if holder := one(rng, town, Holder):
        since, until = sorted((local(rng), local(rng)))
        people.set_valid_time(
            actor=town.actor,
            holder=holder,
            valid_from=rng.choice([None, since]),
            valid_until=rng.choice([None, until]),
            now=NOW,
        )


def _move_person(rng: random.Random, town: Town) -> None:
    person, group = one(rng, town, Person), one(rng, town, PeopleGroup)
    if person and group:
        Person.objects.filter(pk=person.pk).update(people_group=group, company=group.company_id)
        Holder.objects.filter(pk=person.pk).update(party_id=group.company_id)
        touch(town.site.pk, "holder", person.pk)


def _remove_person(rng: random.Random, town: Town) -> None:
    if person := one(rng, town, Person):
        AccessGroupHolder.objects.filter(holder_id=person.pk).delete()
        people.remove_people(actor=town.actor, site=town.site.pk, holders=[person.pk], now=NOW)


def _new_people(rng: random.Random, town: Town) -> None:
    if group := one(rng, town, PeopleGroup):
        rows = [
            people.NewPerson(
                company=group.company,
                people_group=group,
                first_name="Person",
                last_name=str(next(town.names)),
                pin=f"{rng.randrange(10**6):06}",
                cards=(f"{rng.randrange(1, 2**30):08X}",),
            )
            for _ in range(3)
        ]
        people.add_people(actor=town.actor, rows=rows, now=NOW)


def _give(rng: random.Random, town: Town) -> None:
    group, to = one(rng, town, AccessGroup), one(rng, town, PeopleGroup)
    if group and to:
        give = rng.choice([access.give_to_people_group, access.give_to_people_group, access.take_from_people_group])
        give(actor=town.actor, access_group=group, people_group=to, now=NOW)


def _take(rng: random.Random, town: Town) -> None:
    if link := one(rng, town, AccessGroupPeopleGroup):
        access.take_from_people_group(
            actor=town.actor, access_group=link.access_group, people_group=link.people_group, now=NOW
        )


def _give_holder(rng: random.Random, town: Town) -> None:
    group, to = one(rng, town, AccessGroup), one(rng, town, Holder)
    if group and to:
        access.give_to_holder(actor=town.actor, access_group=group, holder=to, now=NOW)


def _give_holders(rng: random.Random, town: Town) -> None:
    groups, holders = some(rng, town, AccessGroup, 2), some(rng, town, Holder, 3)
    links = [(group, holder) for group in groups for holder in holders]
    access.give_to_holders(actor=town.actor, site=town.site.pk, links=links, now=NOW)


def _take_holder(rng: random.Random, town: Town) -> None:
    if link := one(rng, town, AccessGroupHolder):
        access.take_from_holder(actor=town.actor, access_group=link.access_group, holder=link.holder, now=NOW)


def _new_group(rng: random.Random, town: Town) -> None:
    if relays := some(rng, town, Relay, 3, deleted_at=None):
        town.access_group(*relays, kind="weekly", days=rng.randrange(1, 128), start_min=rng.randrange(1440))


def _windows(rng: random.Random, town: Town) -> None:
    if group := one(rng, town, AccessGroup):
        windows: list[dict[str, Any]] = [{"kind": Window.Kind.DAILY, "length_min": rng.randrange(1, 1441)}]
        if rng.random() < 0.5:
            since, until = sorted((local(rng), local(rng)))
            windows.append({"kind": Window.Kind.ONCE, "from_local": since, "until_local": until})
        access.set_windows(actor=town.actor, access_group=group, windows=windows, now=NOW)


def _relays(rng: random.Random, town: Town) -> None:
    if group := one(rng, town, AccessGroup):
        relays = some(rng, town, Relay, 4, deleted_at=None)
        access.set_relays(actor=town.actor, access_group=group, relays=relays, now=NOW)


def _delete_group(rng: random.Random, town: Town) -> None:
    if group := one(rng, town, AccessGroup):
        given = AccessGroupPeopleGroup.objects.filter(access_group=group)
        owned = AccessGroupHolder.objects.filter(access_group=group)
        touch(town.site.pk, "people_group", list(given.values_list("people_group_id", flat=True)))
        touch(town.site.pk, "holder", list(owned.values_list("holder_id", flat=True)))
        given.delete()
        owned.delete()
        AccessGroupRelay.objects.filter(access_group=group).delete()
        key = group.pk
        group.delete()
        touch(town.site.pk, "access_group", key)


def _company_doors(rng: random.Random, town: Town) -> None:
    if company := one(rng, town, Company):
        relays = some(rng, town, Relay, 5, deleted_at=None)
        access.assign_relays(actor=town.actor, company=company, relays=relays, now=NOW)


def _new_people_group(rng: random.Random, town: Town) -> None:
    if company := one(rng, town, Company):
        town.people_group(company, *some(rng, town, AccessGroup, 2))


def _delete_people_group(rng: random.Random, town: Town) -> None:
    group = one(rng, town, PeopleGroup)
    if group and not Person.objects.filter(people_group=group).exists():
        AccessGroupPeopleGroup.objects.filter(people_group=group).delete()
        key = group.pk
        group.delete()
        touch(town.site.pk, "people_group", key)


def _immune(rng: random.Random, town: Town) -> None:
    if group := one(rng, town, PeopleGroup):
        PeopleGroup.objects.filter(pk=group.pk).update(immune=not group.immune)
        touch(town.site.pk, "people_group", group.pk)


def _move_device(rng: random.Random, town: Town) -> None:
    # A door whose gateway was revoked stays where it is: what it knows is nobody's promise any more.
    device, gateway = one(rng, town, Device, deleted_at=None), one(rng, town, Gateway, revoked_at=None)
    if device and (device.gateway is None or device.gateway.revoked_at is None):
        Device.objects.filter(pk=device.pk).update(gateway=rng.choice([gateway, gateway, gateway, None]))
        touch(town.site.pk, "device", device.pk)


def _new_device(rng: random.Random, town: Town) -> None:
    town.device(one(rng, town, Gateway, revoked_at=None), relays=rng.randrange(1, 4))


def _delete_device(rng: random.Random, town: Town) -> None:
    if device := one(rng, town, Device, deleted_at=None):
        Device.objects.filter(pk=device.pk).update(deleted_at=NOW)
        touch(town.site.pk, "device", device.pk)


def _delete_device_with_links(rng: random.Random, town: Town) -> None:
    if device := one(rng, town, Device, deleted_at=None):
        links = AccessGroupRelay.objects.filter(relay__device=device)
        limits = CompanyRelay.objects.filter(relay__device=device)
        touch(town.site.pk, "access_group", set(links.values_list("access_group_id", flat=True)))
        touch(town.site.pk, "party", set(limits.values_list("company_id", flat=True)))
        links.delete()
        limits.delete()
        Device.objects.filter(pk=device.pk).update(deleted_at=NOW)
        touch(town.site.pk, "device", device.pk)


def _relay(rng: random.Random, town: Town) -> None:
    if relay := one(rng, town, Relay, deleted_at=None):
        changes: list[dict[str, Any]] = [
            {"enabled": not relay.enabled},
            {"methods": rng.sample(relay.methods, len(relay.methods) - 1) if relay.methods else ["pin"]},
            {"hold_ms": rng.randrange(100, 9000)},
            {"deleted_at": NOW},
        ]
        Relay.objects.filter(pk=relay.pk).update(**rng.choice(changes))
        touch(town.site.pk, "device", relay.device_id)


def _settings(rng: random.Random, town: Town) -> None:
    if device := one(rng, town, Device, deleted_at=None):
        Device.objects.filter(pk=device.pk).update(settings={"volume": str(rng.randrange(10))})
        touch(town.site.pk, "device", device.pk)


def _replace_hardware(rng: random.Random, town: Town) -> None:
    binding = one(rng, town, Binding)
    spare = one(rng, town, Hardware, bindings=None)
    if binding and spare:
        device = binding.device_id
        Binding.objects.filter(device_id=device).delete()
        Binding.objects.create(site_id=town.site.pk, device_id=device, hardware=spare, during=(NOW, None))
        touch(town.site.pk, "device", device)


def _site(rng: random.Random, town: Town) -> None:
    zone = rng.choice(["Europe/Berlin", "Asia/Tokyo", "America/Lima"])
    Site.objects.filter(pk=town.site.pk).update(zone=zone)
    touch(town.site.pk, "site", town.site.pk)


def _new_gateway(rng: random.Random, town: Town) -> None:
    town.gateway()


def _revoke_gateway(rng: random.Random, town: Town) -> None:
    if Gateway.objects.filter(site_id=town.site.pk, revoked_at=None).count() > 3 and (
        gateway := one(rng, town, Gateway, revoked_at=None)
    ):
        revoke_gateway(actor=town.actor, gateway=gateway, now=NOW)


ACTS: dict[Act, int] = {
    _new_person: 6,
    _pin: 6,
    _card: 3,
    _withdraw: 4,
    _valid_time: 3,
    _move_person: 4,
    _remove_person: 2,
    _new_people: 2,
    _give: 5,
    _take: 2,
    _give_holder: 3,
    _give_holders: 1,
    _take_holder: 2,
    _new_group: 2,
    _windows: 3,
    _relays: 5,
    _delete_group: 1,
    _company_doors: 3,
    _new_people_group: 2,
    _delete_people_group: 1,
    _immune: 1,
    _move_device: 4,
    _new_device: 1,
    _delete_device: 1,
    _delete_device_with_links: 1,
    _relay: 3,
    _settings: 1,
    _replace_hardware: 1,
    _site: 1,
    _new_gateway: 1,
    _revoke_gateway: 1,
}


def do_something(rng: random.Random, town: Town) -> str | None:
    """One random act in a transaction of its own; its name, or None when it was refused."""
    (act,) = rng.choices(list(ACTS), weights=list(ACTS.values()))
    try:
        with town.act():
            act(rng, town)
    except (DomainError, DatabaseError, ObjectDoesNotExist):
        return None
    return act.__name__
