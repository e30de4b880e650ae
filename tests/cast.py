"""The cast. Alice manages, Bob guards, Charlie lives (works) there, Mallory manages elsewhere; Ivan installs.

Made through the same services as in production, so that what the tests stand on is what acts leave behind.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from gatehouse.cloud.access.models import AccessGroup, Window
from gatehouse.cloud.access.services import assign_relays, create_access_group, give_to_people_group
from gatehouse.cloud.accounts.models import Realm, User
from gatehouse.cloud.accounts.services import create_user
from gatehouse.cloud.authz.actor import Actor, enter, system_actor
from gatehouse.cloud.authz.permissions import Role
from gatehouse.cloud.devices.models import Device, Gateway, Relay
from gatehouse.cloud.devices.services import add_device, add_gateway, register_hardware
from gatehouse.cloud.people.models import Person
from gatehouse.cloud.people.services import add_person
from gatehouse.cloud.premises.models import Company, PeopleGroup
from gatehouse.cloud.premises.services import create_company, create_people_group
from gatehouse.cloud.tenants.models import Organisation, Site
from gatehouse.cloud.tenants.queries import actor_at_site
from gatehouse.cloud.tenants.services import add_member, create_organisation, create_site

NOW = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)
PASSWORD = "correct-horse-7"


@dataclass(frozen=True)
class Place:
    """An office with one of everything."""

    site: Site
    company: Company
    people_group: PeopleGroup
    access_group: AccessGroup
    gateway: Gateway
    device: Device
    front: Relay
    back: Relay


@dataclass(frozen=True)
class Cast:
    """Everybody, and the two places."""

    operator: Organisation
    distributor: Organisation
    installer: Organisation
    ivan: User
    alice: User
    bob: User
    mallory: User
    charlie: Person
    here: Place
    elsewhere: Place

    def actor(self, user: User, place: Place | None = None) -> Actor:
        """The user as he acts at a place (Alice's when not said)."""
        return actor_at_site(user, (place or self.here).site.id, via="portal")

    @property
    def alice_actor(self) -> Actor:
        """Alice at her site."""
        return self.actor(self.alice)


def make_place(actor: Actor, installer: Organisation, distributor: Organisation, name: str, macs: str) -> Place:
    """An office with a company, a group, an access group, a native gateway and a door phone with two relays."""
    site = create_site(
        actor=actor, organisation=installer, kind=Site.Kind.OFFICE, name=name, zone="Europe/Berlin", now=NOW
    )
    inside = system_actor(site.id)
    enter(inside)
    company = create_company(actor=inside, site=site, name="Lumen Diagnostics", now=NOW)
    people_group = create_people_group(actor=inside, company=company, name="Laboratory", now=NOW)
    gateway = add_gateway(actor=inside, site=site, name="Main entrance", native=True, now=NOW)
    register_hardware(
        actor=inside, mac=macs, distributor=distributor, installer=installer, site=site, model="X915", now=NOW
    )
    device = add_device(
        actor=inside,
        site=site,
        name="Main entrance",
        type=Device.Type.MULTI_TENANT_DOOR_PHONE,
        mac=macs,
        gateway=gateway,
        relays=[{"name": "Front door"}, {"name": "Back door"}],
        now=NOW,
    )
    front, back = device.relays.order_by("position")
    access_group = create_access_group(
        actor=inside, site=site, name="Always", windows=[{"kind": Window.Kind.DAILY}], relays=[front], now=NOW
    )
    give_to_people_group(actor=inside, access_group=access_group, people_group=people_group, now=NOW)
    assign_relays(actor=inside, company=company, relays=[front, back], now=NOW)
    return Place(site, company, people_group, access_group, gateway, device, front, back)


def make_cast() -> Cast:
    """Make everybody; the transaction has entered Alice's site afterwards."""
    system = system_actor()
    operator = create_organisation(actor=system, kind=Organisation.Kind.OPERATOR, name="Operator", now=NOW)
    distributor = create_organisation(
        actor=system, kind=Organisation.Kind.DISTRIBUTOR, name="Distributor", parent=operator, now=NOW
    )
    installer = create_organisation(
        actor=system, kind=Organisation.Kind.INSTALLER, name="Installer", parent=distributor, now=NOW
    )
    other = create_organisation(
        actor=system, kind=Organisation.Kind.INSTALLER, name="Other installer", parent=distributor, now=NOW
    )
    elsewhere = make_place(system, other, distributor, "Elsewhere", "0C1105000002")
    here = make_place(system, installer, distributor, "Kontorhaus Nordkai", "0C1105000001")

    def user(login: str, name: str) -> User:
        return create_user(
            actor=system,
            realm=Realm.STAFF,
            login=login,
            name=name,
            email=f"{login}@example.com",
            password=PASSWORD,
            now=NOW,
        )

    ivan, alice, bob, mallory = (
        user("ivan", "Ivan Installer"),
        user("alice", "Alice Moreau"),
        user("bob", "Bob Guard"),
        user("mallory", "Mallory"),
    )
    system = system_actor(here.site.id, elsewhere.site.id)
    enter(system)
    add_member(actor=system, user=ivan, role=Role.INSTALLER, organisation=installer, now=NOW)
    add_member(actor=system, user=alice, role=Role.MANAGER, site=here.site, now=NOW)
    add_member(actor=system, user=bob, role=Role.GUARD, site=here.site, now=NOW)
    add_member(actor=system, user=mallory, role=Role.MANAGER, site=elsewhere.site, now=NOW)
    inside = system_actor(here.site.id)
    enter(inside)
    charlie = add_person(
        actor=inside,
        company=here.company,
        people_group=here.people_group,
        first_name="Charlie",
        last_name="Novak",
        staff_no="1001",
        email="charlie@example.com",
        now=NOW,
    )
    return Cast(operator, distributor, installer, ivan, alice, bob, mallory, charlie, here, elsewhere)
