"""Acts on access groups and their links."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models import F
from django.utils.translation import gettext_lazy as _

from gatehouse.cloud.access.models import (
    AccessGroup,
    AccessGroupHolder,
    AccessGroupPeopleGroup,
    AccessGroupRelay,
    CompanyRelay,
    Window,
)
from gatehouse.cloud.authz.actor import Actor
from gatehouse.cloud.authz.permissions import P
from gatehouse.cloud.changes.services import touch
from gatehouse.cloud.devices.models import Relay
from gatehouse.cloud.journal.services import record, record_each
from gatehouse.cloud.kit.errors import Conflict, Invalid
from gatehouse.cloud.people.models import Holder
from gatehouse.cloud.premises.models import Company, PeopleGroup
from gatehouse.cloud.premises.services import checked_name
from gatehouse.cloud.tenants.models import Site
from gatehouse.cloud.tenants.services import next_number


def create_access_group(
    *,
    actor: Actor,
    site: Site,
    name: str,
    windows: Sequence[dict[str, Any]],
    relays: Iterable[Relay],
    source: AccessGroup.Source = AccessGroup.Source.MANUAL,
    now: datetime,
) -> AccessGroup:
    """Make a schedule with doors. `windows`: mappings of `Window`'s fields, at least one.

    Raises Invalid without a window or without a relay (the system's own groups may have none), Conflict for
    a name the site uses.
    """
    actor.require(P.ACCESS_EDIT, site)
    name = checked_name(name)
    relays = list(relays)
    for relay in relays:
        actor.require(P.ACCESS_EDIT, relay)
    if not windows:
        raise Invalid("access_group.windows", _("Say when it opens."), fields={"windows": _("Say when it opens.")})
    if not relays and source == AccessGroup.Source.MANUAL:
        raise Invalid(
            "access_group.relays", _("Tick at least one door."), fields={"relays": _("Tick at least one door.")}
        )
    for window in windows:
        if window.get("kind") == "weekly" and not window.get("days"):
            raise Invalid(
                "access_group.days", _("Choose at least one day."), fields={"days": _("Choose at least one day.")}
            )
    try:
        with transaction.atomic():
            group = AccessGroup.objects.create(
                site=site, number=next_number(site.id, "access_group"), name=name, source=source
            )
            Window.objects.bulk_create(Window(site=site, access_group=group, **window) for window in windows)
            AccessGroupRelay.objects.bulk_create(
                AccessGroupRelay(site=site, access_group=group, relay=relay) for relay in relays
            )
    except IntegrityError as error:
        if "access_group_name" not in str(error) and "one_default" not in str(error):
            raise Invalid(
                "access_group.windows", _("These times cannot be."), fields={"windows": _("These times cannot be.")}
            ) from error
        raise Conflict("access_group.taken", _("There is an access group of this name."), field="name") from error
    touch(site.id, "access_group", group.id)
    record(
        actor=actor, verb="access_group.created", now=now, site=site.id, kind="access_group", id=group.id, label=name
    )
    return group


def set_windows(*, actor: Actor, access_group: AccessGroup, windows: Sequence[dict[str, Any]], now: datetime) -> None:
    """Replace the times of an access group. The system's own groups are not edited."""
    actor.require(P.ACCESS_EDIT, access_group)
    _manual(access_group)
    if not windows:
        raise Invalid("access_group.windows", _("Say when it opens."), fields={"windows": _("Say when it opens.")})
    with transaction.atomic():
        Window.objects.filter(site_id=access_group.site_id, access_group=access_group).delete()
        Window.objects.bulk_create(
            Window(site_id=access_group.site_id, access_group=access_group, **window) for window in windows
        )
    _changed(access_group)
    record(
        actor=actor,
        verb="access_group.windows",
        now=now,
        site=access_group.site_id,
        kind="access_group",
        id=access_group.id,
        label=access_group.name,
    )


def set_relays(*, actor: Actor, access_group: AccessGroup, relays: Iterable[Relay], now: datetime) -> None:
    """Replace the doors of an access group. The system's own groups are not edited."""
    actor.require(P.ACCESS_EDIT, access_group)
    _manual(access_group)
    relays = list(relays)
    for relay in relays:
        actor.require(P.ACCESS_EDIT, relay)
    with transaction.atomic():
        AccessGroupRelay.objects.filter(site_id=access_group.site_id, access_group=access_group).delete()
        AccessGroupRelay.objects.bulk_create(
            AccessGroupRelay(site_id=access_group.site_id, access_group=access_group, relay=relay) for relay in relays
        )
    _changed(access_group)
    record(
        actor=actor,
        verb="access_group.relays",
        now=now,
        site=access_group.site_id,
        kind="access_group",
        id=access_group.id,
        label=access_group.name,
    )


def _changed(group: AccessGroup) -> None:
    AccessGroup.objects.filter(site_id=group.site_id, pk=group.pk).update(row_version=F("row_version") + 1)
    touch(group.site_id, "access_group", group.id)


def _manual(group: AccessGroup) -> None:
    if group.source != AccessGroup.Source.MANUAL:
        raise Conflict("access_group.system", _("This access group is made by Gatehouse and cannot be edited."))


def give_to_people_group(*, actor: Actor, access_group: AccessGroup, people_group: PeopleGroup, now: datetime) -> None:
    """Give an access group to everybody of a people group. Giving it twice changes nothing."""
    actor.require(P.ACCESS_EDIT, access_group)
    actor.require(P.ACCESS_EDIT, people_group)
    _link, made = AccessGroupPeopleGroup.objects.get_or_create(
        site_id=access_group.site_id, access_group=access_group, people_group=people_group
    )
    if made:
        _linked(actor, access_group, "people_group", people_group, "access_group.given", now)


def take_from_people_group(
    *, actor: Actor, access_group: AccessGroup, people_group: PeopleGroup, now: datetime
) -> None:
    """Take an access group from a people group. Taking it twice changes nothing."""
    actor.require(P.ACCESS_EDIT, access_group)
    actor.require(P.ACCESS_EDIT, people_group)
    gone, _kinds = AccessGroupPeopleGroup.objects.filter(
        site_id=access_group.site_id, access_group=access_group, people_group=people_group
    ).delete()
    if gone:
        _linked(actor, access_group, "people_group", people_group, "access_group.taken", now)


def give_to_holder(*, actor: Actor, access_group: AccessGroup, holder: Holder, now: datetime) -> None:
    """Give an access group to one holder, besides those of his group."""
    actor.require(P.ACCESS_EDIT, access_group)
    actor.require(P.ACCESS_EDIT, holder)
    _link, made = AccessGroupHolder.objects.get_or_create(
        site_id=access_group.site_id, access_group=access_group, holder=holder
    )
    if made:
        _linked(actor, access_group, "holder", holder, "access_group.given", now)


def give_to_holders(
    *, actor: Actor, site: UUID, links: Iterable[tuple[AccessGroup, Holder]], now: datetime, **data: Any
) -> None:
    """Give access groups to holders of one site, in a few statements. What a holder has already stays as it is."""
    actor.require(P.ACCESS_EDIT)
    pairs = {(group.id, holder.id): (group, holder) for group, holder in links}
    for group in {group.id: group for group, _holder in pairs.values()}.values():
        actor.require(P.ACCESS_EDIT, group)
    AccessGroupHolder.objects.bulk_create(
        (AccessGroupHolder(site_id=site, access_group=group, holder=holder) for group, holder in pairs.values()),
        batch_size=2000,
        ignore_conflicts=True,
    )
    touch(site, "holder", {holder.id for _group, holder in pairs.values()})
    things = [(group.id, group.name) for group, _holder in pairs.values()]
    record_each(actor=actor, verb="access_group.given", now=now, site=site, kind="access_group", things=things, **data)


def take_from_holder(*, actor: Actor, access_group: AccessGroup, holder: Holder, now: datetime) -> None:
    """Take an access group from a holder."""
    actor.require(P.ACCESS_EDIT, access_group)
    actor.require(P.ACCESS_EDIT, holder)
    gone, _kinds = AccessGroupHolder.objects.filter(
        site_id=access_group.site_id, access_group=access_group, holder=holder
    ).delete()
    if gone:
        _linked(actor, access_group, "holder", holder, "access_group.taken", now)


def _linked(actor: Actor, group: AccessGroup, kind: Any, thing: PeopleGroup | Holder, verb: str, now: datetime) -> None:
    touch(group.site_id, kind, thing.id)
    record(
        actor=actor,
        verb=verb,
        now=now,
        site=group.site_id,
        kind="access_group",
        id=group.id,
        label=group.name,
        to=str(thing),
        to_kind=kind,
    )


def assign_relays(*, actor: Actor, company: Company, relays: Iterable[Relay], now: datetime) -> None:
    """Set the doors of a company: the outer limit of what its people can be granted (OFF-CO-12)."""
    actor.require(P.PREMISES_EDIT, company)
    wanted = {relay.id: relay for relay in relays}
    for relay in wanted.values():
        actor.require(P.PREMISES_EDIT, relay)
    links = CompanyRelay.objects.filter(site_id=company.site_id, company=company)
    have = set(links.values_list("relay_id", flat=True))
    with transaction.atomic():
        links.exclude(relay_id__in=wanted).delete()
        CompanyRelay.objects.bulk_create(
            CompanyRelay(site_id=company.site_id, company=company, relay=relay)
            for id_, relay in wanted.items()
            if id_ not in have
        )
    if have != set(wanted):
        touch(company.site_id, "party", company.pk)
        record(
            actor=actor,
            verb="company.doors",
            now=now,
            site=company.site_id,
            kind="company",
            id=company.pk,
            label=company.name,
            doors=len(wanted),
        )
