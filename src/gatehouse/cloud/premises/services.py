"""Acts on buildings, companies and groups of people."""

from __future__ import annotations

from datetime import datetime

from django.db import IntegrityError, transaction
from django.utils.translation import gettext_lazy as _

from gatehouse.cloud.authz.actor import Actor
from gatehouse.cloud.authz.permissions import P
from gatehouse.cloud.changes.services import touch
from gatehouse.cloud.journal.services import record
from gatehouse.cloud.kit.errors import Conflict, Invalid
from gatehouse.cloud.premises.models import Building, Company, PeopleGroup
from gatehouse.cloud.tenants.models import Party, Site


def checked_name(name: str, most: int = 128) -> str:
    """The name without blanks around it; raises Invalid when nothing or too much is left."""
    name = name.strip()
    if not name:
        raise Invalid("name.required", _("Give a name."), fields={"name": _("Give a name.")})
    if len(name) > most:
        message = _("At most %(most)d characters.") % {"most": most}
        raise Invalid("name.long", message, fields={"name": message})
    return name


def create_building(*, actor: Actor, site: Site, name: str, now: datetime) -> Building:
    """Add a building. Raises Conflict when the site has one of this name."""
    actor.require(P.PREMISES_EDIT, site)
    name = checked_name(name)
    try:
        with transaction.atomic():
            building = Building.objects.create(site=site, name=name)
    except IntegrityError as error:
        raise Conflict("building.taken", _("There is a building of this name."), field="name") from error
    record(actor=actor, verb="building.created", now=now, site=site.id, kind="building", id=building.id, label=name)
    return building


def create_company(*, actor: Actor, site: Site, name: str, now: datetime) -> Company:
    """Add a company to an office. It opens no door until doors are assigned to it (OFF-CO-E05)."""
    actor.require(P.PREMISES_EDIT, site)
    name = checked_name(name)
    if site.kind != Site.Kind.OFFICE:
        raise Invalid("company.site", _("Companies belong to offices."))
    try:
        with transaction.atomic():
            party = Party.objects.create(site=site, kind=Party.Kind.COMPANY)
            company = Company.objects.create(party=party, site=site, name=name)
    except IntegrityError as error:
        raise Conflict("company.taken", _("There is a company of this name."), field="name") from error
    touch(site.id, "party", party.id)
    record(actor=actor, verb="company.created", now=now, site=site.id, kind="company", id=company.pk, label=name)
    return company


def create_people_group(*, actor: Actor, company: Company, name: str, now: datetime) -> PeopleGroup:
    """Add a group of people to a company. Raises Conflict when the company has one of this name."""
    actor.require(P.PERSON_EDIT, company)
    name = checked_name(name)
    try:
        with transaction.atomic():
            group = PeopleGroup.objects.create(site_id=company.site_id, company=company, name=name)
    except IntegrityError as error:
        raise Conflict("people_group.taken", _("This company has a group of this name."), field="name") from error
    touch(company.site_id, "people_group", group.id)
    record(
        actor=actor,
        verb="people_group.created",
        now=now,
        site=company.site_id,
        kind="people_group",
        id=group.id,
        label=name,
    )
    return group
