"""Access groups: when which doors open, and to whom they are given."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Annotated, Any, Literal, Self
from uuid import UUID

from django.db.models import QuerySet
from django.utils.translation import gettext_lazy as _
from ninja import Router, Schema
from pydantic import Field, NaiveDatetime, model_validator

from gatehouse.cloud.access.models import AccessGroup
from gatehouse.cloud.access.services import (
    create_access_group,
    give_to_holder,
    give_to_people_group,
    set_relays,
    set_windows,
    take_from_holder,
    take_from_people_group,
)
from gatehouse.cloud.api.manners import Answer, Request, endpoint, matching
from gatehouse.cloud.api.shapes import Cursor, Given, Limit, Page, page_by_id
from gatehouse.cloud.api.v1.devices import relays_of
from gatehouse.cloud.api.v1.people import person_at
from gatehouse.cloud.api.v1.sites import people_groups_of
from gatehouse.cloud.authz.actor import Actor
from gatehouse.cloud.authz.permissions import P
from gatehouse.cloud.devices.models import Relay
from gatehouse.cloud.kit import clock
from gatehouse.cloud.kit.errors import Denied, NotFound
from gatehouse.cloud.people.models import Holder
from gatehouse.cloud.premises.models import PeopleGroup

router = Router(tags=["access"])


class WindowIn(Given):
    """When it opens: minutes of the local day; past midnight when start and length say so. `days`: Monday is 1, Sunday 64."""

    kind: Literal["daily", "weekly", "once"] = Field(examples=["weekly"])
    days: int = Field(127, ge=1, le=127, examples=[31])
    start_min: int = Field(0, ge=0, le=1439, examples=[420])
    length_min: int = Field(1440, ge=1, le=1440, examples=[720])
    from_local: NaiveDatetime | None = None
    until_local: NaiveDatetime | None = None

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.kind == "once" and (self.from_local is None or self.until_local is None):
            raise ValueError("a window that is once has from_local and until_local")
        if self.from_local and self.until_local and self.until_local <= self.from_local:
            raise ValueError("the end lies before the start")
        return self


Windows = Annotated[list[WindowIn], Field(min_length=1, max_length=50)]
Relays = Annotated[list[UUID], Field(min_length=1, max_length=500)]


class AccessGroupIn(Given):
    """A schedule with doors."""

    name: str = Field(min_length=1, max_length=128, examples=["Office hours"])
    windows: Windows
    relays: Relays


class WindowsIn(Given):
    """The times of an access group, all of them."""

    windows: Windows


class RelaysIn(Given):
    """The doors of an access group, all of them."""

    relays: Relays


class WindowOut(Schema):
    """When it opens, as given."""

    kind: str
    days: int
    start_min: int
    length_min: int
    from_local: datetime | None
    until_local: datetime | None


class AccessGroupOut(Schema):
    """An access group. `source` other than manual: made by Gatehouse, not to be edited."""

    id: UUID
    number: int
    name: str
    source: str
    windows: list[WindowOut]
    relays: list[UUID]
    people_groups: list[UUID]


def _groups(actor: Actor) -> QuerySet[AccessGroup]:
    """Access groups of the site; those of his company for a company's administrator."""
    rows = AccessGroup.objects.visible_to(actor)
    rows = rows.filter(party_id=actor.party) if actor.party else rows
    return rows.prefetch_related("windows", "relay_links", "people_group_links")


def _group(actor: Actor, id_: UUID, *, locked: bool = False) -> AccessGroup:
    rows = _groups(actor).filter(pk=id_)
    row = (rows.select_for_update() if locked else rows).first()
    if row is None:
        raise NotFound("not_found", _("This does not exist, or not any more."))
    return row


def _relays(actor: Actor, ids: Iterable[UUID]) -> list[Relay]:
    wanted = set(ids)
    found = list(relays_of(actor).filter(pk__in=wanted))
    if len(found) != len(wanted):
        raise NotFound("not_found", _("This does not exist, or not any more."))
    return found


def _out(row: AccessGroup) -> AccessGroupOut:
    windows = sorted(row.windows.all(), key=lambda window: window.pk)
    return AccessGroupOut(
        id=row.id,
        number=row.number,
        name=row.name,
        source=row.source,
        windows=[
            WindowOut(
                kind=window.kind,
                days=window.days,
                start_min=window.start_min,
                length_min=window.length_min,
                from_local=window.from_local,
                until_local=window.until_local,
            )
            for window in windows
        ],
        relays=sorted(link.relay_id for link in row.relay_links.all()),
        people_groups=sorted(link.people_group_id for link in row.people_group_links.all()),
    )


def _outs(rows: Sequence[AccessGroup]) -> list[AccessGroupOut]:
    return [_out(row) for row in rows]


def _read(actor: Actor, id_: UUID) -> Answer:
    row = _group(actor, id_)
    return Answer(_out(row), version=row.row_version)


@router.get(
    "/sites/{uuid:site}/access-groups",
    response=Page[AccessGroupOut],
    url_name="access_groups",
    summary="Access groups",
)
@endpoint(P.ACCESS_VIEW)
def access_group_list(request: Request, site: UUID, cursor: Cursor = "", limit: Limit = 50) -> Page[AccessGroupOut]:
    """In the order in which they were made."""
    return Page[AccessGroupOut](**page_by_id(_groups(request.actor), cursor, limit, _outs))


@router.post(
    "/sites/{uuid:site}/access-groups",
    response={201: AccessGroupOut},
    url_name="access_groups",
    summary="Make an access group",
)
@endpoint(P.ACCESS_EDIT)
def access_group_add(request: Request, site: UUID, body: AccessGroupIn) -> Answer:
    """It opens nothing to anybody until it is given. Company administrators cannot make one yet."""
    if request.actor.party:
        raise Denied("denied", _("You may not do this here."))
    made = create_access_group(
        actor=request.actor,
        site=request.site,
        name=body.name,
        windows=[window.model_dump() for window in body.windows],
        relays=_relays(request.actor, body.relays),
        now=clock.now(),
    )
    row = _group(request.actor, made.id)
    where = f"/api/v1/sites/{site}/access-groups/{made.id}"
    return Answer(_out(row), status=201, version=row.row_version, headers={"Location": where})


@router.get(
    "/sites/{uuid:site}/access-groups/{uuid:access_group}",
    response=AccessGroupOut,
    url_name="access_group",
    summary="One access group",
)
@endpoint(P.ACCESS_VIEW)
def access_group_detail(request: Request, site: UUID, access_group: UUID) -> Answer:
    """With its version as ETag."""
    return _read(request.actor, access_group)


@router.put(
    "/sites/{uuid:site}/access-groups/{uuid:access_group}/windows",
    response=AccessGroupOut,
    url_name="windows",
    summary="Replace the times",
)
@endpoint(P.ACCESS_EDIT, versioned=True)
def windows_set(request: Request, site: UUID, access_group: UUID, body: WindowsIn) -> Answer:
    """All windows at once."""
    row = _group(request.actor, access_group, locked=True)
    matching(request, row.row_version)
    windows: list[dict[str, Any]] = [window.model_dump() for window in body.windows]
    set_windows(actor=request.actor, access_group=row, windows=windows, now=clock.now())
    return _read(request.actor, access_group)


@router.put(
    "/sites/{uuid:site}/access-groups/{uuid:access_group}/relays",
    response=AccessGroupOut,
    url_name="group_relays",
    summary="Replace the doors",
)
@endpoint(P.ACCESS_EDIT, versioned=True)
def relays_set(request: Request, site: UUID, access_group: UUID, body: RelaysIn) -> Answer:
    """All doors at once."""
    row = _group(request.actor, access_group, locked=True)
    matching(request, row.row_version)
    set_relays(actor=request.actor, access_group=row, relays=_relays(request.actor, body.relays), now=clock.now())
    return _read(request.actor, access_group)


def _to_people_group(act: Callable[..., None], request: Request, access_group: UUID, people_group: UUID) -> Answer:
    group = _group(request.actor, access_group)
    to: PeopleGroup | None = people_groups_of(request.actor).filter(pk=people_group).first()
    if to is None:
        raise NotFound("not_found", _("This does not exist, or not any more."))
    act(actor=request.actor, access_group=group, people_group=to, now=clock.now())
    return _read(request.actor, access_group)


def _to_person(act: Callable[..., None], request: Request, access_group: UUID, person: UUID) -> Answer:
    group = _group(request.actor, access_group)
    to: Holder = person_at(request.actor, person).holder
    act(actor=request.actor, access_group=group, holder=to, now=clock.now())
    return _read(request.actor, access_group)


_GIVEN = "/sites/{uuid:site}/access-groups/{uuid:access_group}/people-groups/{uuid:people_group}"
_GIVEN_PERSON = "/sites/{uuid:site}/access-groups/{uuid:access_group}/people/{uuid:person}"


@router.put(_GIVEN, response=AccessGroupOut, url_name="given_group", summary="Give to a group of people")
@endpoint(P.ACCESS_EDIT)
def give_group(request: Request, site: UUID, access_group: UUID, people_group: UUID) -> Answer:
    """Twice changes nothing."""
    return _to_people_group(give_to_people_group, request, access_group, people_group)


@router.delete(_GIVEN, response=AccessGroupOut, url_name="given_group", summary="Take from a group of people")
@endpoint(P.ACCESS_EDIT)
def take_group(request: Request, site: UUID, access_group: UUID, people_group: UUID) -> Answer:
    """Twice changes nothing."""
    return _to_people_group(take_from_people_group, request, access_group, people_group)


@router.put(_GIVEN_PERSON, response=AccessGroupOut, url_name="given_person", summary="Give to one person")
@endpoint(P.ACCESS_EDIT)
def give_person(request: Request, site: UUID, access_group: UUID, person: UUID) -> Answer:
    """Besides those of his group. Twice changes nothing."""
    return _to_person(give_to_holder, request, access_group, person)


@router.delete(_GIVEN_PERSON, response=AccessGroupOut, url_name="given_person", summary="Take from one person")
@endpoint(P.ACCESS_EDIT)
def take_person(request: Request, site: UUID, access_group: UUID, person: UUID) -> Answer:
    """Twice changes nothing."""
    return _to_person(take_from_holder, request, access_group, person)
