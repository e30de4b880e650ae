"""A site with several gateways for tests of the feed: acts upon it, and what each gateway should hold.

`expected` reads the tables one by one in plain Python. It shares nothing with the compiler's SQL, so that
neither can be wrong without the other telling.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import connection, transaction

from gatehouse.cloud.access.models import (
    AccessGroup,
    AccessGroupHolder,
    AccessGroupPeopleGroup,
    AccessGroupRelay,
    CompanyRelay,
    Window,
)
from gatehouse.cloud.access.services import assign_relays, create_access_group, give_to_people_group
from gatehouse.cloud.authz.actor import Actor, enter, system_actor
from gatehouse.cloud.devices.models import Binding, Device, Gateway, Relay
from gatehouse.cloud.devices.services import add_device, add_gateway, register_hardware
from gatehouse.cloud.kit import seal
from gatehouse.cloud.people.models import Credential, Holder, Person
from gatehouse.cloud.people.services import add_person
from gatehouse.cloud.premises.models import Company, PeopleGroup
from gatehouse.cloud.premises.services import create_company, create_people_group
from gatehouse.cloud.tenants.models import Organisation, Site
from gatehouse.cloud.tenants.services import create_organisation
from gatehouse.wire import messages as wire
from tests.cast import NOW, make_place

_macs = itertools.count(0x0C1105100000)

Held = dict[str, wire.Payload]
"""key > payload"""


@dataclass
class Town:
    """The site, and who acts upon it."""

    site: Site
    actor: Actor
    distributor: Organisation
    installer: Organisation
    gateways: list[Gateway] = field(default_factory=list)
    devices: list[Device] = field(default_factory=list)
    names: Iterator[int] = field(default_factory=itertools.count)

    @contextmanager
    def act(self) -> Iterator[Actor]:
        """One transaction that has entered the site."""
        with transaction.atomic():
            enter(self.actor)
            yield self.actor

    def gateway(self, claimed: bool = True) -> Gateway:
        gateway = add_gateway(actor=self.actor, site=self.site, name=f"Gateway {next(self.names)}", now=NOW)
        if claimed:
            Gateway.objects.filter(pk=gateway.pk).update(claimed_at=NOW)
        self.gateways.append(gateway)
        return gateway

    def device(self, gateway: Gateway | None, relays: int = 1) -> Device:
        mac = f"{next(_macs):012X}"
        register_hardware(
            actor=self.actor,
            mac=mac,
            distributor=self.distributor,
            installer=self.installer,
            site=self.site,
            model="X915",
            now=NOW,
        )
        device = add_device(
            actor=self.actor,
            site=self.site,
            name=f"Door {next(self.names)}",
            type=Device.Type.MULTI_TENANT_DOOR_PHONE,
            mac=mac,
            gateway=gateway,
            relays=[{"name": f"Relay {number}"} for number in range(relays)],
            now=NOW,
        )
        self.devices.append(device)
        return device

    def access_group(self, *relays: Relay, **window: Any) -> AccessGroup:
        return create_access_group(
            actor=self.actor,
            site=self.site,
            name=f"Hours {next(self.names)}",
            windows=[window or {"kind": Window.Kind.DAILY}],
            relays=relays,
            now=NOW,
        )

    def company(self, *relays: Relay) -> Company:
        company = create_company(actor=self.actor, site=self.site, name=f"Company {next(self.names)}", now=NOW)
        assign_relays(actor=self.actor, company=company, relays=relays, now=NOW)
        return company

    def people_group(self, company: Company, *groups: AccessGroup) -> PeopleGroup:
        people = create_people_group(actor=self.actor, company=company, name=f"Group {next(self.names)}", now=NOW)
        for group in groups:
            give_to_people_group(actor=self.actor, access_group=group, people_group=people, now=NOW)
        return people

    def person(self, people_group: PeopleGroup) -> Holder:
        return add_person(
            actor=self.actor,
            company=people_group.company,
            people_group=people_group,
            first_name="Person",
            last_name=str(next(self.names)),
            now=NOW,
        ).holder


def found_town() -> Town:
    """A site that has one of everything already (`tests.cast.make_place`)."""
    system = system_actor()
    operator = create_organisation(actor=system, kind=Organisation.Kind.OPERATOR, name="Operator", now=NOW)
    distributor = create_organisation(
        actor=system, kind=Organisation.Kind.DISTRIBUTOR, name="Distributor", parent=operator, now=NOW
    )
    installer = create_organisation(
        actor=system, kind=Organisation.Kind.INSTALLER, name="Installer", parent=distributor, now=NOW
    )
    site = make_place(system, installer, distributor, "Kontorhaus Nordkai", "0C1105000001").site
    town = Town(site, system_actor(site.id), distributor, installer)
    with town.act():
        town.person(PeopleGroup.objects.get(site_id=site.pk))
        Gateway.objects.filter(site_id=site.pk).update(claimed_at=NOW)
    return town


def relays_of(device: Device) -> list[Relay]:
    return list(Relay.objects.filter(site_id=device.site_id, device=device).order_by("position"))


# --- what each gateway should hold --------------------------------------------------------------


def expected(site: UUID) -> dict[UUID, Held]:
    """By gateway, revoked ones left out: everything that its doors need to decide. Role system."""
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        here = Site.objects.get(pk=site)
        rows = _Rows(site)
        gateways = Gateway.objects.filter(site_id=site, revoked_at=None)
        return {gateway.pk: _held_by(here, gateway, rows) for gateway in gateways}


class _Rows:
    """The site's tables, read whole."""

    def __init__(self, site: UUID) -> None:
        self.devices = [d for d in Device.objects.filter(site_id=site) if not d.deleted_at]
        alive = {d.pk for d in self.devices}
        self.relays = [r for r in Relay.objects.filter(site_id=site) if not r.deleted_at and r.device_id in alive]
        self.bindings = list(Binding.objects.filter(site_id=site).select_related("hardware"))
        self.access_groups = list(AccessGroup.objects.filter(site_id=site))
        self.windows = list(Window.objects.filter(site_id=site))
        self.group_relays = list(AccessGroupRelay.objects.filter(site_id=site))
        self.group_people = list(AccessGroupPeopleGroup.objects.filter(site_id=site))
        self.group_holders = list(AccessGroupHolder.objects.filter(site_id=site))
        self.companies = list(Company.objects.filter(site_id=site))
        self.company_relays = list(CompanyRelay.objects.filter(site_id=site))
        self.people_groups = list(PeopleGroup.objects.filter(site_id=site))
        self.holders = list(Holder.objects.filter(site_id=site))
        self.persons = {p.pk: p for p in Person.objects.filter(site_id=site)}
        self.credentials = [c for c in Credential.objects.filter(site_id=site) if c.state == "live"]


def _held_by(site: Site, gateway: Gateway, rows: _Rows) -> Held:
    if site.deleted_at:
        return {}
    devices = [d for d in rows.devices if d.gateway_id == gateway.pk]
    here = {r.pk for r in rows.relays if r.device_id in {d.pk for d in devices}}
    alive = {r.pk for r in rows.relays}
    groups = {link.access_group_id for link in rows.group_relays if link.relay_id in here}
    people_groups = {link.people_group_id for link in rows.group_people if link.access_group_id in groups}
    own: dict[UUID, list[UUID]] = {h.pk: [] for h in rows.holders}
    for link in rows.group_holders:
        own[link.holder_id].append(link.access_group_id)
    holders = [
        holder
        for holder in rows.holders
        if groups & set(own[holder.pk])
        or (holder.pk in rows.persons and rows.persons[holder.pk].people_group_id in people_groups)
    ]
    parties = {link.company_id for link in rows.company_relays if link.relay_id in here}

    entries: list[tuple[str, UUID, wire.Payload]] = [
        (
            "site",
            site.pk,
            wire.SiteEntry(
                zone=site.zone,
                language=site.language,
                lookup_key=seal.lookup_key(site.pk).hex(),
                pin_mode=site.pin_mode,  # type: ignore[arg-type]  # checked by the table
                emergency_key=seal.emergency_public_key(site.pk),
            ),
        )
    ]
    entries += [("device", device.pk, _device(device, rows)) for device in devices]
    for group in rows.access_groups:
        if group.pk in groups:
            windows = sorted(
                (w for w in rows.windows if w.access_group_id == group.pk),
                key=lambda w: (w.kind, w.start_min, w.length_min, w.days, w.from_local or datetime.min),
            )
            relays = {link.relay_id for link in rows.group_relays if link.access_group_id == group.pk} & alive
            payload = wire.AccessGroupEntry(
                id=str(group.pk), windows=[_window(window) for window in windows], relays=_ids(relays)
            )
            entries.append(("access_group", group.pk, payload))
    for people in rows.people_groups:
        if people.pk in people_groups:
            given = {link.access_group_id for link in rows.group_people if link.people_group_id == people.pk}
            entry = wire.PeopleGroupEntry(id=str(people.pk), access_groups=_ids(given), immune=people.immune)
            entries.append(("people_group", people.pk, entry))
    for party in parties:
        doors = {link.relay_id for link in rows.company_relays if link.company_id == party} & alive
        entries.append(("party", party, wire.PartyEntry(id=str(party), relays=_ids(doors))))
    entries += [("holder", holder.pk, _holder(holder, own[holder.pk], rows)) for holder in holders]
    return {f"{kind}:{key}": payload for kind, key, payload in entries}


def _ids(ids: set[UUID]) -> list[str]:
    return sorted(map(str, ids))


def _local(value: datetime | None) -> str | None:
    return None if value is None else value.isoformat(timespec="seconds")


def _window(window: Window) -> wire.Window:
    return wire.Window(
        kind=window.kind,  # type: ignore[arg-type]  # checked by the table
        start=window.start_min,
        length=window.length_min,
        days=window.days,
        from_=_local(window.from_local),
        until=_local(window.until_local),
    )


def _device(device: Device, rows: _Rows) -> wire.DeviceEntry:
    relays = sorted((r for r in rows.relays if r.device_id == device.pk), key=lambda r: (r.kind, r.position))
    mac = next((b.hardware.mac for b in rows.bindings if b.device_id == device.pk and b.during.upper is None), None)
    return wire.DeviceEntry(
        id=str(device.pk),
        type=device.type,  # type: ignore[arg-type]  # checked by the table
        name=device.name,
        mac=mac,
        relays=[
            wire.RelayEntry(
                id=str(r.pk),
                kind=r.kind,  # type: ignore[arg-type]  # checked by the table
                position=r.position,
                name=r.name,
                enabled=r.enabled,
                methods=sorted(r.methods),  # type: ignore[arg-type]  # checked by the table
                hold_ms=r.hold_ms,
            )
            for r in relays
        ],
        settings=device.settings,
    )


def _holder(holder: Holder, own: list[UUID], rows: _Rows) -> wire.HolderEntry:
    person = rows.persons.get(holder.pk)
    return wire.HolderEntry(
        id=str(holder.pk),
        party=str(holder.party_id) if holder.party_id in {c.pk for c in rows.companies} else None,
        people_group=str(person.people_group_id) if person and person.people_group_id else None,
        access_groups=_ids(set(own)),
        valid_from=_local(holder.valid_from_local),
        valid_until=_local(holder.valid_until_local),
        credentials=[
            wire.CredentialEntry(id=str(c.pk), kind=c.kind, lookup=c.digest)  # type: ignore[arg-type]  # checked
            for c in sorted(rows.credentials, key=lambda c: c.pk)
            if c.holder_id == holder.pk
        ],
    )


def local(rng: random.Random) -> datetime:
    """Some local moment."""
    return datetime(2026, 1, 1) + timedelta(days=rng.randrange(700), minutes=rng.randrange(1440))
