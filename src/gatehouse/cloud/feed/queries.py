"""Reads of the feed: receipts, how far a device is, what was in force.

A receipt is a comparison of what a change was with what each device says it holds. Nothing is stored for it,
so it can be asked for any thing at any time, and it cannot be wrong about a device that moved on since.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal
from uuid import UUID

import msgspec
from django.db import connection
from django.utils.translation import gettext_lazy as _

from gatehouse.cloud.authz.actor import Actor
from gatehouse.cloud.authz.permissions import P
from gatehouse.cloud.devices.models import Device
from gatehouse.cloud.feed.models import Entry
from gatehouse.cloud.kit.errors import NotFound

State = Literal["confirmed", "pending", "offline", "refused", "removed"]


@dataclass(frozen=True, slots=True)
class Line:
    """One device in a receipt.

    confirmed: it holds the change, `at` is when it said so (the earliest time known). pending: it is online and
    has not said so yet; offline: it (or its gateway) is not there, `at` is since when. refused: it could not
    take it, for `reason`. removed: it was deleted or its gateway revoked before it confirmed (GH-FEED-E2).
    """

    device: UUID
    name: str
    state: State
    at: datetime | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of the last change of a thing at the doors. No lines: no door is affected."""

    revision: int
    """Revision that brought the change; 0 when there was none yet."""
    at: datetime | None
    waiting: bool
    """A newer change is not compiled yet: ask again in a moment."""
    lines: tuple[Line, ...]

    def count(self, *states: State) -> int:
        """Lines in these states."""
        return sum(line.state in states for line in self.lines)

    @property
    def complete(self) -> bool:
        """Nothing is outstanding any more."""
        return not self.waiting and not self.count("pending", "offline", "refused")


@dataclass(frozen=True, slots=True)
class Step:
    """How far a device is: `failed` when it refused something, `pending` when something is on its way."""

    state: Literal["in_step", "pending", "failed"]
    pending: int
    refused: tuple[tuple[str, str], ...]
    """(key, reason)"""
    revision: int
    wanted: int


def receipt(actor: Actor, kind: str, key: UUID) -> Receipt:
    """The receipt of the last change of one thing: a holder, access group, people group, party, device or the site.

    Raises Denied; NotFound for a thing that no feed of the actor's sites ever had.
    """
    actor.require(P.DEVICE_VIEW)
    version = Entry.objects.visible_to(actor).filter(kind=kind, key=key).order_by("-revision").first()
    if version is None:
        waits = _ask(_WAITING + "= ANY(%(sites)s)", sites=list(actor.sites), kind=kind, key=key)
        if not waits:
            raise NotFound("feed.unknown", _("This does not exist, or not any more."))
        return Receipt(0, None, True, ())
    site, revision = version.site_id, version.ended or version.revision
    waiting = bool(_ask(_WAITING + "= %(site)s", site=site, kind=kind, key=key))
    devices = _devices_of(site, kind, key, revision - 1) | _devices_of(site, kind, key, revision)
    made = _ask(
        "SELECT at FROM feed_revision WHERE site_id = %(site)s AND number = %(revision)s", **_at(site, revision)
    )
    rows = _ask(_STANDINGS, devices=list(devices), **_at(site, revision))
    name = f"{kind}:{key}"
    return Receipt(revision, made[0][0] if made else None, waiting, tuple(_line(row, name, revision) for row in rows))


def device_step(actor: Actor, device: Device) -> Step:
    """How far one device is with all that concerns it."""
    actor.require(P.DEVICE_VIEW, device)
    rows = _ask(_STEP, site=device.site_id, device=device.pk)
    held, wanted, gateway, refused = rows[0]
    lines = tuple((str(key), str(reason)) for key, reason in msgspec.json.decode(refused or b"[]"))
    behind = 0
    if gateway is not None and held < wanted:
        values: dict[str, Any] = {"site": device.site_id, "gateway": gateway, "held": max(held, 0), "wanted": wanted}
        behind = int(_ask(_PENDING, **values)[0][0])
    state: Literal["in_step", "pending", "failed"] = "failed" if lines else "pending" if held < wanted else "in_step"
    return Step(state, behind, lines, max(held, 0), wanted)


def in_force(site: UUID, kind: str, key: UUID, revision: int) -> dict[str, Any] | None:
    """The payload of a key at a revision, None when it had none. The site's own keys are not in it.

    Raises NotFound for a revision that was pruned.
    """
    horizon = _ask("SELECT horizon FROM feed_sitefeed WHERE site_id = %(site)s", site=site)
    if horizon and revision < horizon[0][0]:
        raise NotFound("feed.pruned", _("What was in force then is not kept any more."))
    found = _ask(_IN_FORCE, kind=kind, key=key, **_at(site, revision))
    return msgspec.json.decode(found[0][0]) if found else None


def revision_at(site: UUID, moment: datetime) -> int:
    """The site's revision at a moment, 0 before the first."""
    found = _ask(
        "SELECT max(number) FROM feed_revision WHERE site_id = %(site)s AND at <= %(at)s", site=site, at=moment
    )
    return int(found[0][0] or 0)


def _devices_of(site: UUID, kind: str, key: UUID, revision: int) -> set[UUID]:
    """Devices at whose doors the thing counted at a revision."""
    if kind == "device":
        return {key}
    if kind == "site":
        return {row[0] for row in _ask(_ALL_DEVICES, **_at(site, revision))}
    payload = _version(site, kind, key, revision)
    if payload is None:
        return set()
    groups = {key} if kind == "access_group" else {UUID(name) for name in payload.get("access_groups", ())}
    if kind == "holder" and payload["people_group"]:
        shared = _version(site, "people_group", UUID(payload["people_group"]), revision) or {}
        groups |= {UUID(name) for name in shared.get("access_groups", ())}
    relays = list(payload.get("relays", ()))
    rows = _ask(_DEVICES_OF, groups=list(groups), relays=relays, own=kind == "party", **_at(site, revision))
    return {row[0] for row in rows}


def _version(site: UUID, kind: str, key: UUID, revision: int) -> dict[str, Any] | None:
    found = _ask(_IN_FORCE, kind=kind, key=key, **_at(site, revision))
    return msgspec.json.decode(found[0][0]) if found else None


def _line(row: tuple[Any, ...], name: str, revision: int) -> Line:
    device, label, gone, here, since, held, steps, refused = row
    reasons = dict(msgspec.json.decode(refused or b"[]"))
    if name in reasons:
        return Line(device, label, "refused", reason=reasons[name])
    if held >= revision:
        told = next(at for number, at in msgspec.json.decode(steps) if number >= revision)
        return Line(device, label, "confirmed", datetime.fromisoformat(told))
    if gone:
        return Line(device, label, "removed")
    return Line(device, label, "pending") if here else Line(device, label, "offline", since)


def _at(site: UUID, revision: int) -> dict[str, Any]:
    return {"site": site, "revision": revision}


def _ask(sql: str, **values: Any) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        return list(cursor.fetchall())


_WAITING: Final = "SELECT 1 FROM changes_touched WHERE kind = %(kind)s AND key = %(key)s AND site_id "

_IN_FORCE: Final = """
SELECT payload FROM feed_entry
WHERE site_id = %(site)s AND kind = %(kind)s AND key = %(key)s AND revision <= %(revision)s
  AND (ended IS NULL OR ended > %(revision)s)
"""

_ALL_DEVICES: Final = """
SELECT DISTINCT key FROM feed_interest
WHERE site_id = %(site)s AND kind = 'device' AND since <= %(revision)s AND (ended IS NULL OR ended > %(revision)s)
"""

# Relays of the access groups (or of the party), then the devices that have them and a gateway.
_DEVICES_OF: Final = """
WITH relay AS (
  SELECT unnest(%(relays)s::text[]) AS id WHERE %(own)s
  UNION
  SELECT jsonb_array_elements_text(payload->'relays') FROM feed_entry
  WHERE site_id = %(site)s AND kind = 'access_group' AND key = ANY(%(groups)s::uuid[]) AND revision <= %(revision)s
    AND (ended IS NULL OR ended > %(revision)s)
)
SELECT DISTINCT i.key FROM relay
JOIN devices_relay r ON r.site_id = %(site)s AND r.id = relay.id::uuid
JOIN feed_interest i ON i.site_id = r.site_id AND i.key = r.device_id AND i.kind = 'device'
 AND i.since <= %(revision)s AND (i.ended IS NULL OR i.ended > %(revision)s)
"""

_STANDINGS: Final = """
SELECT d.id, d.name, d.deleted_at IS NOT NULL OR g.revoked_at IS NOT NULL, d.online AND coalesce(g.online, false),
       CASE WHEN g.online THEN d.online_changed_at ELSE coalesce(g.online_changed_at, d.online_changed_at) END,
       CASE WHEN f.epoch = s.epoch THEN f.applied ELSE -1 END, f.steps, f.refused
FROM devices_device d
JOIN feed_sitefeed s ON s.site_id = d.site_id
LEFT JOIN devices_gateway g ON g.site_id = d.site_id AND g.id = d.gateway_id
LEFT JOIN feed_devicefeed f ON f.device_id = d.id
WHERE d.site_id = %(site)s AND d.id = ANY(%(devices)s)
ORDER BY d.name, d.id
"""

_STEP: Final = """
SELECT CASE WHEN f.epoch = s.epoch THEN f.applied ELSE -1 END, coalesce(w.revision, 0), d.gateway_id, f.refused
FROM devices_device d
LEFT JOIN feed_sitefeed s ON s.site_id = d.site_id
LEFT JOIN feed_wanted w ON w.gateway_id = d.gateway_id
LEFT JOIN feed_devicefeed f ON f.device_id = d.id
WHERE d.site_id = %(site)s AND d.id = %(device)s
"""

# Keys that changed, or came or went, for the gateway since what the device holds; as `pages` tells them.
_PENDING: Final = """
WITH interest AS (
  SELECT key, since, ended FROM feed_interest
  WHERE site_id = %(site)s AND gateway_id = %(gateway)s AND since <= %(wanted)s
    AND (ended IS NULL OR ended > %(held)s)
)
SELECT count(*) FROM (
  SELECT e.kind, e.key FROM feed_entry e JOIN interest i ON i.key = ANY(e.audience)
  WHERE e.site_id = %(site)s AND e.revision <= %(wanted)s AND (e.ended IS NULL OR e.ended > %(held)s)
    AND (e.revision > %(held)s OR e.ended <= %(wanted)s OR i.since > %(held)s OR i.ended <= %(wanted)s)
  GROUP BY e.kind, e.key
) changed
"""
