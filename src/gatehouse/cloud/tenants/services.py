"""Acts on organisations, sites and standings."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from django.db import IntegrityError, connection, transaction
from django.utils.translation import gettext_lazy as _

from gatehouse.cloud.accounts.models import User
from gatehouse.cloud.authz.actor import Actor, enter
from gatehouse.cloud.authz.permissions import P, Role
from gatehouse.cloud.changes.services import touch
from gatehouse.cloud.journal.services import record
from gatehouse.cloud.kit.errors import Conflict, Denied, Invalid
from gatehouse.cloud.kit.ids import new_id
from gatehouse.cloud.tenants.models import Membership, Organisation, Party, Site

_ABOVE = {
    Organisation.Kind.OPERATOR: None,
    Organisation.Kind.DISTRIBUTOR: Organisation.Kind.OPERATOR,
    Organisation.Kind.INSTALLER: Organisation.Kind.DISTRIBUTOR,
}


def create_organisation(
    *, actor: Actor, kind: Organisation.Kind, name: str, parent: Organisation | None = None, now: datetime
) -> Organisation:
    """Make an operator, a distributor under the operator, or an installer under a distributor."""
    actor.require(P.ORGANISATION_EDIT)
    if not name.strip():
        raise Invalid("organisation.name", _("Give a name."), fields={"name": _("Give a name.")})
    if (parent.kind if parent else None) != _ABOVE[kind]:
        raise Invalid("organisation.parent", _("This kind of organisation stands under another one."))
    made = Organisation.objects.create(
        kind=kind, name=name.strip(), parent=parent, parent_kind=parent.kind if parent else None
    )
    record(
        actor=actor,
        verb="organisation.created",
        now=now,
        organisation=made.id,
        kind="organisation",
        id=made.id,
        label=made.name,
    )
    return made


def known_zone(zone: str) -> str:
    """The zone, when it is an IANA name; raises Invalid otherwise."""
    try:
        ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise Invalid(
            "site.zone", _("This time zone is not known."), fields={"zone": _("Choose a time zone from the list.")}
        ) from error
    return zone


def create_site(
    *, actor: Actor, organisation: Organisation, kind: Site.Kind, name: str, zone: str, now: datetime, **fields: Any
) -> Site:
    """Make a community, an office or a home of an installer. The transaction then has entered it as well.

    Raises Invalid for a blank or over-long name or an unknown zone, Conflict for a name the installer uses already.
    """
    actor.require(P.SITE_CREATE)
    if actor.role is not Role.SYSTEM and actor.organisation != organisation.id:
        raise Denied("denied", _("You may not do this here."))
    name = name.strip()
    if not 1 <= len(name) <= 128:
        raise Invalid(
            "site.name",
            _("Give a name of at most 128 characters."),
            fields={"name": _("Give a name of at most 128 characters.")},
        )
    known_zone(zone)
    id_ = new_id()
    enter(actor, id_)
    try:
        with transaction.atomic():
            site = Site.objects.create(id=id_, organisation=organisation, kind=kind, name=name, zone=zone, **fields)
    except IntegrityError as error:
        raise Conflict("site.taken", _("You have another site of this name."), field="name") from error
    touch(site.id, "site", site.id)
    record(
        actor=actor,
        verb="site.created",
        now=now,
        site=site.id,
        organisation=organisation.id,
        kind="site",
        id=site.id,
        label=name,
    )
    return site


def add_member(
    *,
    actor: Actor,
    user: User,
    role: Role,
    organisation: Organisation | None = None,
    site: Site | None = None,
    party: Party | None = None,
    now: datetime,
) -> Membership:
    """Give an account a standing in an organisation or at a site. Giving it twice changes nothing."""
    actor.require(P.ACCOUNT_EDIT, site)
    member, made = Membership.objects.get_or_create(
        user=user, organisation=organisation, site=site, role=role, defaults={"party": party}
    )
    if made:
        record(
            actor=actor,
            verb="membership.given",
            now=now,
            site=site.id if site else None,
            organisation=organisation.id if organisation else None,
            kind="account",
            id=user.id,
            label=user.name,
            role=role.value,
        )
    return member


def next_number(site: UUID, name: str) -> int:
    """The site's next number of this name, never given twice; holds a row lock until the transaction ends."""
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO tenants_sitecounter (id, site_id, name, last) VALUES (%s, %s, %s, 1) "
            "ON CONFLICT (site_id, name) DO UPDATE SET last = tenants_sitecounter.last + 1 RETURNING last",
            [new_id(), site, name],
        )
        (number,) = cursor.fetchone() or (0,)
    return int(number)
