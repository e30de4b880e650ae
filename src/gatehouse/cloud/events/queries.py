"""Reading the door log: by keyset, never counted, with the names of the time unsealed."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from django.db import connection
from django.db.models import Q

from gatehouse.cloud.authz.actor import Actor
from gatehouse.cloud.authz.permissions import P
from gatehouse.cloud.events.models import Passage
from gatehouse.cloud.kit import seal
from gatehouse.cloud.people.models import Holder
from gatehouse.cloud.premises.models import Occupancy

MOST = 200


class Place(NamedTuple):
    """A place in the log: rows are ordered by time, then by id."""

    at: datetime
    id: UUID

    def __str__(self) -> str:
        return f"{self.at.isoformat()}~{self.id}"

    @classmethod
    def of(cls, text: str) -> Place:
        """From its text; raises ValueError for anything else."""
        at, _, id_ = text.partition("~")
        moment = datetime.fromisoformat(at)
        if moment.tzinfo is None:
            raise ValueError("a place in the log has a zone")
        return cls(moment, UUID(id_))


@dataclass(frozen=True, slots=True)
class Filters:
    """All of them must hold (OFF-LOG-07). `since` and `until` are half-open."""

    since: datetime | None = None
    until: datetime | None = None
    device: UUID | None = None
    relay: UUID | None = None
    holder: UUID | None = None
    party: UUID | None = None
    methods: tuple[str, ...] = ()
    allowed: bool | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the door log. `name` is empty when nobody was recognised or the name was erased."""

    id: UUID
    site: UUID
    at: datetime
    received_at: datetime
    clock: str
    """set, placed, unknown or future; the last two say that the device's clock was wrong."""
    device: UUID | None
    device_name: str
    relay: UUID | None
    relay_name: str
    holder: UUID | None
    name: str
    of: str
    """Company or apartment of the time."""
    method: str
    allowed: bool
    reason: str
    alone: bool

    @property
    def place(self) -> Place:
        """Where it stands in the log."""
        return Place(self.at, self.id)


@dataclass(frozen=True, slots=True)
class Page:
    """Rows, newest first. `older` and `newer` are places to go on from, None where the log ends."""

    rows: list[Row]
    older: Place | None
    newer: Place | None


def door_log(
    actor: Actor,
    filters: Filters = Filters(),
    before: Place | None = None,
    after: Place | None = None,
    limit: int = 50,
) -> Page:
    """A page of the door log of the actor's sites: the newest rows, or those before or after a place.

    A company's admin sees his company's rows only. Raises Denied without the right to read logs. Costs the
    same at any depth.
    """
    actor.require(P.LOG_READ)
    limit = min(max(limit, 1), MOST)
    rows = Passage.objects.visible_to(actor).filter(_matching(filters))
    if actor.party is not None:
        rows = rows.filter(party_id=actor.party)
    if after is not None:
        found = list(rows.filter(_beyond(after, "gt")).order_by("at", "id")[: limit + 1])
        more = len(found) > limit
        found = found[:limit][::-1]
        newer = Place(found[0].at, found[0].id) if found and more else None
        older = Place(found[-1].at, found[-1].id) if found else None
    else:
        wanted = rows.filter(_beyond(before, "lt")) if before is not None else rows
        found = list(wanted.order_by("-at", "-id")[: limit + 1])
        more = len(found) > limit
        found = found[:limit]
        older = Place(found[-1].at, found[-1].id) if found and more else None
        newer = Place(found[0].at, found[0].id) if found and before is not None else None
    return Page(_rows(found), older, newer)


def door_log_rows(actor: Actor, ids: Iterable[UUID]) -> list[Row]:
    """These rows as far as the actor may read them, newest first: for live screens."""
    actor.require(P.LOG_READ)
    rows = Passage.objects.visible_to(actor).filter(id__in=list(ids)[:MOST])
    if actor.party is not None:
        rows = rows.filter(party_id=actor.party)
    return _rows(list(rows.order_by("-at", "-id")))


def about_count(actor: Actor) -> int:
    """About how many rows the door log of the actor's sites has: the planner's estimate, never a count."""
    actor.require(P.LOG_READ)
    with connection.cursor() as cursor:
        cursor.execute("SELECT gatehouse_about_passages()")
        (rows,) = cursor.fetchone() or (0,)
    return int(rows)


def _matching(filters: Filters) -> Q:
    matching = Q()
    if filters.since is not None:
        matching &= Q(at__gte=filters.since)
    if filters.until is not None:
        matching &= Q(at__lt=filters.until)
    for name, value in (
        ("device_id", filters.device),
        ("relay_id", filters.relay),
        ("holder_id", filters.holder),
        ("party_id", filters.party),
        ("allowed", filters.allowed),
    ):
        if value is not None:
            matching &= Q(**{name: value})
    if filters.methods:
        matching &= Q(method__in=filters.methods)
    return matching


def _beyond(place: Place, side: str) -> Q:
    # The first part alone bounds the index scan; the second settles equal moments.
    return Q(**{f"at__{side}e": place.at}) & (Q(**{f"at__{side}": place.at}) | Q(**{f"id__{side}": place.id}))


def _rows(found: Sequence[Passage]) -> list[Row]:
    keys = _keys(found)
    rows = []
    for each in found:
        name, of = _who(each, keys)
        rows.append(
            Row(
                id=each.id,
                site=each.site_id,
                at=each.at,
                received_at=each.received_at,
                clock=each.clock,
                device=each.device_id,
                device_name=each.device_label,
                relay=each.relay_id,
                relay_name=each.relay_label,
                holder=each.holder_id,
                name=name,
                of=of,
                method=each.method,
                allowed=each.allowed,
                reason=each.reason,
                alone=each.alone,
            )
        )
    return rows


def _keys(found: Sequence[Passage]) -> dict[UUID, bytes]:
    """The own keys of all holders and occupancies in these rows, two queries for any number."""
    keys: dict[UUID, bytes] = {}
    sites = {each.site_id for each in found}
    occupancies = {each.occupancy_id for each in found if each.occupancy_id}
    holders = {each.holder_id for each in found if each.holder_id and not each.occupancy_id}
    for model, table, ids in ((Occupancy, "premises_occupancy", occupancies), (Holder, "people_holder", holders)):
        if not ids:
            continue
        kept = model._default_manager.filter(site_id__in=sites, pk__in=ids, seal_key__isnull=False)
        for pk, site, sealed in kept.values_list("pk", "site_id", "seal_key"):
            if sealed is not None:
                keys[pk] = seal.open_key(bytes(sealed), table=table, site=site, row=pk)
    return keys


def _who(row: Passage, keys: dict[UUID, bytes]) -> tuple[str, str]:
    """Name and company or apartment; empty when there is none, or its key was destroyed."""
    if row.who is None:
        return "", ""
    sealed = bytes(row.who)
    owner = row.occupancy_id or row.holder_id
    if owner is None:
        text = seal.unseal(sealed, table="events_passage", site=row.site_id, row=row.id, field="who")
    elif owner in keys:
        text = seal.unseal_with(keys[owner], sealed, table="events_passage", site=row.site_id, row=row.id, field="who")
    else:
        return "", ""
    said = json.loads(text)
    return said["name"], said["of"]
