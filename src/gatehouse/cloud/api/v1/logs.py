"""The door log and the journal, newest first."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from ninja import Router, Schema

from gatehouse.cloud.api.manners import Request, endpoint
from gatehouse.cloud.api.shapes import Cursor, Limit, Moment, Page, cursor_of, page_by_id, place_of
from gatehouse.cloud.authz.permissions import P
from gatehouse.cloud.events.queries import Filters, Place, Row, door_log
from gatehouse.cloud.journal.models import Entry

router = Router(tags=["logs"])


class PassageOut(Schema):
    """One decision at one door. `name` and `of` (company or apartment) are those of the time; empty: nobody known."""

    id: UUID
    at: datetime
    received_at: datetime
    clock: str
    device: UUID | None
    device_name: str
    relay: UUID | None
    relay_name: str
    person: UUID | None
    name: str
    of: str
    method: str
    allowed: bool
    reason: str


class EntryOut(Schema):
    """Who did what to what, from where."""

    id: UUID
    at: datetime
    actor: UUID
    actor_name: str
    on_behalf_of: str
    via: str
    verb: str
    object_kind: str
    object: UUID | None
    object_name: str
    data: dict[str, Any]


def _passage(row: Row) -> PassageOut:
    return PassageOut(
        id=row.id,
        at=row.at,
        received_at=row.received_at,
        clock=row.clock,
        device=row.device,
        device_name=row.device_name,
        relay=row.relay,
        relay_name=row.relay_name,
        person=row.holder,
        name=row.name,
        of=row.of,
        method=row.method,
        allowed=row.allowed,
        reason=row.reason,
    )


def _entries(rows: Sequence[Entry]) -> list[EntryOut]:
    return [
        EntryOut(
            id=row.id,
            at=row.at,
            actor=row.actor_id,
            actor_name=row.actor_label,
            on_behalf_of=row.on_behalf_label,
            via=row.via,
            verb=row.verb,
            object_kind=row.object_kind,
            object=row.object_id,
            object_name=row.object_label,
            data=row.data,
        )
        for row in rows
    ]


@router.get("/sites/{uuid:site}/door-log", response=Page[PassageOut], url_name="door_log", summary="The door log")
@endpoint(P.LOG_READ)
def passage_list(
    request: Request,
    site: UUID,
    since: Moment | None = None,
    until: Moment | None = None,
    device: UUID | None = None,
    relay: UUID | None = None,
    person: UUID | None = None,
    allowed: bool | None = None,
    cursor: Cursor = "",
    limit: Limit = 50,
) -> Page[PassageOut]:
    """Newest first by the corrected time; `since` and `until` are half-open. All filters that are given must hold."""
    filters = Filters(since=since, until=until, device=device, relay=relay, holder=person, allowed=allowed)
    log = door_log(request.actor, filters, before=place_of(cursor, Place.of), limit=limit)
    return Page[PassageOut](items=[_passage(row) for row in log.rows], next=cursor_of(log.older) if log.older else None)


@router.get("/sites/{uuid:site}/journal", response=Page[EntryOut], url_name="journal", summary="The journal")
@endpoint(P.JOURNAL_READ)
def entry_list(request: Request, site: UUID, cursor: Cursor = "", limit: Limit = 50) -> Page[EntryOut]:
    """Newest first."""
    rows = Entry.objects.visible_to(request.actor)
    return Page[EntryOut](**page_by_id(rows, cursor, limit, _entries, newest_first=True))
