"""What a gateway is sent: pages that it pulls, and deltas that the link publishes.

A gateway's state at a revision is every entry in force then whose audience meets the interest that the
gateway had then. Versions and interest never change but for their end, so the state at any revision above
the horizon can be told at any time, and a pull is consistent however far the compiler goes on meanwhile.

What a gateway must learn between two revisions is the state, at the later one, of every key that may have
changed for it in between: a version began or ended that met its interest, or an interest itself began or
ended. A key that is not in its state then is sent as a removal, also when it may never have had it; one that
is, is sent whole, also when it lost and regained the same version (it may have acted on the loss already). So
it does not matter which of the changes in between a gateway has seen.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any, Final, Literal, NamedTuple, Self
from uuid import UUID

import msgspec
from django.db import connection
from django.utils.translation import gettext_lazy as _

from gatehouse.cloud.kit import seal
from gatehouse.cloud.kit.errors import NotFound
from gatehouse.wire import FEED_SCHEMA
from gatehouse.wire.messages import FeedDelta, FeedEntry, FeedPage, Payload, SiteEntry, encode

PAGE: Final = 1000
"""Entries on a page; a holder takes some 300 bytes."""
INLINE: Final = 16 * 1024
"""A delta larger than this goes without its entries, bytes."""
_MOST_INLINE: Final = 400
"""More versions than these never fit into `INLINE`."""
_NONE: Final = UUID(int=0)

_payloads: msgspec.json.Decoder[Payload] = msgspec.json.Decoder(Payload)


class Standing(NamedTuple):
    """Where a gateway should be."""

    site: UUID
    epoch: str
    revision: int
    """The last revision that concerns the gateway: what it should hold, and what `Welcome` says."""
    previous: int
    """The one before: who holds this or more lacks only what `revision` itself brought."""
    horizon: int


class _Place(NamedTuple):
    """Where a pull is: what it tells, and the last entry it told."""

    epoch: str
    target: int
    start: int
    """The revision from which changes are told; -1 tells everything (reset)."""
    priority: int = -1
    revision: int = 0
    kind: str = ""
    key: UUID = _NONE

    def text(self) -> str:
        return ".".join(map(str, self))

    @classmethod
    def read(cls, text: str) -> Self | None:
        try:
            epoch, target, start, priority, revision, kind, key = text.split(".")
            return cls(epoch, int(target), int(start), int(priority), int(revision), kind, UUID(key))
        except ValueError:
            return None


def standing(gateway: UUID) -> Standing:
    """Where a gateway should be: revision 0 when nothing was ever compiled for it. Raises NotFound."""
    found = _ask(
        "SELECT g.site_id, s.epoch, w.revision, w.previous, s.horizon FROM devices_gateway g "
        "LEFT JOIN feed_sitefeed s ON s.site_id = g.site_id "
        "LEFT JOIN feed_wanted w ON w.gateway_id = g.id WHERE g.id = %(gateway)s",
        gateway=gateway,
    )
    if not found:
        raise NotFound("gateway.unknown", _("This gateway does not exist, or not any more."))
    site, epoch, revision, previous, horizon = found[0]
    return Standing(site, str(epoch or _NONE), revision or 0, previous or 0, horizon or 0)


def page_for(gateway: UUID, epoch: str | None, since: int, cursor: str | None = None, limit: int = PAGE) -> FeedPage:
    """One page of what a gateway that holds (`epoch`, `since`) has to learn; removals and the site itself first.

    `cursor` is that of the page before, opaque. One that cannot be continued (made up, of another epoch, or
    fallen below the horizon) begins a new pull: its page then differs from the one before in epoch, revision
    or reset, by which the gateway sees it. Raises NotFound for an unknown gateway.
    """
    stand = standing(gateway)
    place = _Place.read(cursor) if cursor else None
    if place is None or not _goes_on(place, stand):
        place = _Place(stand.epoch, stand.revision, _start(stand, epoch, since))
    held, ever, moved = _interest(stand.site, gateway, place.start, place.target)
    rows = _ask(
        (_WHOLE if place.start < 0 else _CHANGED) + _PAGE,
        site=stand.site,
        held=list(held),
        ever=ever,
        moved=moved,
        limit=limit + 1,
        **place._asdict(),
    )
    entries = [_entry(stand.site, row, held, place.target) for row in rows[:limit]]
    rest = None
    if len(rows) > limit:
        kind, key, priority, revision = rows[limit - 1][:4]
        rest = place._replace(priority=priority, revision=revision, kind=kind, key=key).text()
    return FeedPage(
        epoch=place.epoch,
        schema=FEED_SCHEMA,
        revision=place.target,
        reset=place.start < 0,
        entries=entries,
        cursor=rest,
    )


def _start(stand: Standing, epoch: str | None, since: int) -> int:
    if epoch != stand.epoch or not 0 < since <= stand.revision:
        return -1
    if since == stand.revision:
        return since
    start = stand.revision - 1 if since >= stand.previous else since
    return start if start >= stand.horizon else -1


def _goes_on(place: _Place, stand: Standing) -> bool:
    if place.epoch != stand.epoch or place.target > stand.revision:
        return False
    return place.target == stand.revision or stand.horizon <= (place.target if place.start < 0 else place.start)


def _interest(site: UUID, gateway: UUID, start: int, target: int) -> tuple[dict[UUID, int], list[UUID], list[UUID]]:
    """Keys of the gateway's interest: at the target (with since when), at any time from start on, and those that moved."""
    held: dict[UUID, int] = {}
    ever: set[UUID] = set()
    moved: set[UUID] = set()
    for key, since, ended in _ask(
        "SELECT key, since, ended FROM feed_interest WHERE site_id = %(site)s AND gateway_id = %(gateway)s "
        "AND since <= %(target)s AND (ended IS NULL OR ended > %(start)s)",
        site=site,
        gateway=gateway,
        start=start,
        target=target,
    ):
        ever.add(key)
        stays = ended is None or ended > target
        if stays:
            held[key] = since
        if since > start or not stays:
            moved.add(key)
    return held, list(ever), list(moved)


def _entry(site: UUID, row: tuple[Any, ...], held: dict[UUID, int], target: int) -> FeedEntry:
    kind, key, priority, revision, payload, audience = row
    if payload is None:
        return FeedEntry(key=f"{kind}:{key}", revision=target, priority=0)
    # When it came to this gateway: above any earlier loss that the gateway may still remember.
    came = max(revision, min(held[name] for name in audience if name in held))
    return FeedEntry(key=f"{kind}:{key}", revision=came, priority=priority, payload=_payload(site, payload))


def _payload(site: UUID, text: str) -> Payload:
    payload = _payloads.decode(text)
    if isinstance(payload, SiteEntry):
        return msgspec.structs.replace(
            payload, lookup_key=seal.lookup_key(site).hex(), emergency_key=seal.emergency_public_key(site)
        )
    return payload


def delta_for(gateway: UUID) -> FeedDelta | None:
    """What is to be published to one gateway; None when nothing is. See `deltas`."""
    found = deltas(standing(gateway).site, [gateway])
    return found[0][1] if found else None


def deltas(site: UUID, gateways: Iterable[UUID] | None = None) -> list[tuple[UUID, FeedDelta]]:
    """What is to be published: one delta for each gateway that has not been sent its last revision yet.

    With entries where that revision alone is missing and they are small; else without, and the gateway
    pulls. `services.record_published` closes it.
    """
    only = None if gateways is None else list(gateways)
    behind = _ask(_BEHIND.format(only="" if only is None else "AND w.gateway_id = ANY(%(only)s)"), site=site, only=only)
    by_revision: dict[int, list[tuple[UUID, int, int]]] = defaultdict(list)
    for gateway, revision, previous, published in behind:
        by_revision[revision].append((gateway, previous, published))
    made: list[tuple[UUID, FeedDelta]] = []
    for revision, group in by_revision.items():
        epoch = str(_ask("SELECT epoch FROM feed_sitefeed WHERE site_id = %(site)s", site=site)[0][0])
        current = [gateway for gateway, previous, published in group if published >= max(previous, 1)]
        carried = _carried(site, epoch, revision, current) if current else {}
        for gateway, _previous, published in group:
            delta = FeedDelta(epoch=epoch, since=published, revision=revision, entries=carried.get(gateway))
            made.append((gateway, delta))
    return made


def _carried(site: UUID, epoch: str, revision: int, gateways: list[UUID]) -> dict[UUID, list[FeedEntry]]:
    """What one revision brought to each of these gateways, where it is small enough to be carried."""
    versions = _ask(_VERSIONS_OF, site=site, revision=revision, limit=_MOST_INLINE + 1)
    if len(versions) > _MOST_INLINE:
        return {}
    names = {name for row in versions for audience in row[4:] for name in audience or ()}
    held: dict[UUID, dict[UUID, int]] = {gateway: {} for gateway in gateways}
    for gateway, key, since, moved in _ask(
        _INTEREST_AT, site=site, gateways=gateways, names=list(names), revision=revision
    ):
        if moved:
            held.pop(gateway, None)  # old entries come or go with it: a pull tells them
        elif gateway in held:
            held[gateway][key] = since
    carried: dict[UUID, list[FeedEntry]] = {}
    same: dict[tuple[tuple[int, bool], ...], list[FeedEntry]] = {}
    for gateway, interest in held.items():
        form: list[tuple[int, bool]] = []
        for number, (_kind, _key, _priority, payload, after, before) in enumerate(versions):
            if payload is not None and not interest.keys().isdisjoint(after):
                form.append((number, True))
            elif before is not None and not interest.keys().isdisjoint(before):
                form.append((number, False))
        entries = same.get(tuple(form))
        if entries is None:
            entries = [_told(site, versions[number], revision, there) for number, there in form]
            entries.sort(key=lambda entry: entry.priority)
            same[tuple(form)] = entries
            if len(encode(FeedDelta(epoch=epoch, since=revision, revision=revision, entries=entries))) > INLINE:
                same[tuple(form)] = entries = []
        if entries:
            carried[gateway] = entries
    return carried


def _told(site: UUID, version: tuple[Any, ...], revision: int, there: bool) -> FeedEntry:
    kind, key, priority, payload, _after, _before = version
    if not there:
        return FeedEntry(key=f"{kind}:{key}", revision=revision, priority=0)
    first: Literal[0, 1] = 0 if kind == "site" or priority == 0 else 1
    return FeedEntry(key=f"{kind}:{key}", revision=revision, priority=first, payload=_payload(site, payload))


def _ask(sql: str, **values: Any) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        return list(cursor.fetchall())


# Each half has an index of its own: by audience for what is in force, by its end for what is not any more.
_WHOLE: Final = """
WITH picked AS (
  SELECT kind, key, CASE kind WHEN 'site' THEN 0 ELSE 1 END AS priority, revision, payload, audience
  FROM feed_entry
  WHERE site_id = %(site)s AND audience && %(held)s::uuid[] AND revision <= %(target)s AND ended IS NULL
  UNION ALL
  SELECT kind, key, CASE kind WHEN 'site' THEN 0 ELSE 1 END, revision, payload, audience
  FROM feed_entry
  WHERE site_id = %(site)s AND audience && %(held)s::uuid[] AND revision <= %(target)s AND ended > %(target)s
)
"""

_CHANGED: Final = """
WITH name AS (
  SELECT kind, key FROM feed_entry
  WHERE site_id = %(site)s AND revision > %(start)s AND revision <= %(target)s AND audience && %(ever)s::uuid[]
  UNION
  SELECT kind, key FROM feed_entry
  WHERE site_id = %(site)s AND ended > %(start)s AND ended <= %(target)s AND audience && %(ever)s::uuid[]
  UNION
  SELECT kind, key FROM feed_entry
  WHERE site_id = %(site)s AND audience && %(moved)s::uuid[] AND revision <= %(target)s AND ended IS NULL
  UNION
  SELECT kind, key FROM feed_entry
  WHERE site_id = %(site)s AND audience && %(moved)s::uuid[] AND revision <= %(target)s AND ended > %(start)s
),
picked AS (
  SELECT name.kind, name.key,
         CASE WHEN after.id IS NULL OR name.kind = 'site' THEN 0
              WHEN before.id IS NULL OR after.payload @> before.payload THEN 1 ELSE 0 END AS priority,
         coalesce(after.revision, %(target)s) AS revision, after.payload, after.audience
  FROM name
  LEFT JOIN feed_entry after
    ON after.site_id = %(site)s AND after.kind = name.kind AND after.key = name.key AND after.revision <= %(target)s
   AND (after.ended IS NULL OR after.ended > %(target)s) AND after.audience && %(held)s::uuid[]
  LEFT JOIN feed_entry before
    ON before.site_id = %(site)s AND before.kind = name.kind AND before.key = name.key
   AND before.revision <= %(start)s AND (before.ended IS NULL OR before.ended > %(start)s)
)
"""

_PAGE: Final = """
SELECT kind, key, priority, revision, payload, audience FROM picked
WHERE (priority, revision, kind, key) > (%(priority)s, %(revision)s, %(kind)s, %(key)s::uuid)
ORDER BY priority, revision, kind, key LIMIT %(limit)s
"""

_BEHIND: Final = """
SELECT w.gateway_id, w.revision, w.previous, coalesce(f.published, 0)
FROM feed_wanted w
JOIN devices_gateway g ON g.site_id = w.site_id AND g.id = w.gateway_id AND g.revoked_at IS NULL
LEFT JOIN feed_gatewayfeed f ON f.gateway_id = w.gateway_id
WHERE w.site_id = %(site)s AND w.revision > coalesce(f.published, 0) {only}
"""

_VERSIONS_OF: Final = """
SELECT kind, key, n.priority, n.payload, n.audience, o.audience
FROM (SELECT * FROM feed_entry WHERE site_id = %(site)s AND revision = %(revision)s) n
FULL JOIN (SELECT * FROM feed_entry WHERE site_id = %(site)s AND ended = %(revision)s) o USING (kind, key)
LIMIT %(limit)s
"""

_INTEREST_AT: Final = """
SELECT gateway_id, key, since, (since = %(revision)s OR ended IS NOT DISTINCT FROM %(revision)s)
FROM feed_interest
WHERE site_id = %(site)s AND gateway_id = ANY(%(gateways)s) AND since <= %(revision)s
  AND (since = %(revision)s OR ended = %(revision)s
       OR (key = ANY(%(names)s::uuid[]) AND (ended IS NULL OR ended > %(revision)s)))
"""
