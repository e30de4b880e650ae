"""Link sessions, presence and health: what gateways say about themselves, taken set-based.

A session begins with each hello and is what commands are bound to: a command of an earlier session is void.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID, uuid4

from django.db import connection, transaction

from gatehouse.cloud.events.arrivals import plain_id
from gatehouse.wire.messages import Hello, Presence, Status, Welcome

SILENT = timedelta(seconds=150)
"""A gateway reports each minute; after so long without a word it is offline, will or no will."""


class Answer(NamedTuple):
    """A welcome for one gateway."""

    gateway: UUID
    welcome: Welcome


@dataclass(slots=True)
class Moved:
    """What changed for people to see, by site, and the answers."""

    answers: list[Answer] = field(default_factory=list)
    gateways: dict[UUID, set[str]] = field(default_factory=dict)
    devices: dict[UUID, set[str]] = field(default_factory=dict)
    unknown: int = 0
    """Messages of gateways that are not, or of sessions that are over."""

    def _note(self, where: dict[UUID, set[str]], rows: Sequence[tuple[Any, ...]]) -> None:
        for id_, site in rows:
            where.setdefault(site, set()).add(str(id_))


def _clean(text: str, most: int) -> str:
    return text.replace("\0", "")[:most]


_OPEN = """
WITH said AS (
  SELECT * FROM unnest(%s::uuid[], %s::uuid[], %s::uuid[], %s::text[], %s::text[])
    AS e (gateway, session, boot, version, facts)
), was AS (
  SELECT g.id, g.online FROM devices_gateway g JOIN said e ON e.gateway = g.id
  WHERE g.revoked_at IS NULL ORDER BY g.id FOR UPDATE OF g
)
UPDATE devices_gateway g
SET online = true, online_changed_at = CASE WHEN g.online THEN g.online_changed_at ELSE %s END,
    last_seen_at = %s, session = e.session, boot = e.boot, version = e.version, health = g.health || e.facts::jsonb
FROM said e JOIN was ON was.id = e.gateway WHERE g.id = e.gateway
RETURNING g.id, g.site_id, NOT was.online
"""
_STANDING = """
SELECT g.id, coalesce(s.epoch, '00000000-0000-0000-0000-000000000000')::text, coalesce(w.revision, 0),
       coalesce((SELECT c.seq FROM events_ingestcursor c WHERE c.spool = e.spool AND c.gateway_id = g.id), 0)
FROM unnest(%s::uuid[], %s::uuid[]) AS e (gateway, spool) JOIN devices_gateway g ON g.id = e.gateway
LEFT JOIN feed_sitefeed s ON s.site_id = g.site_id LEFT JOIN feed_wanted w ON w.gateway_id = g.id
"""


def open_sessions(hellos: Mapping[UUID, Hello], now: datetime) -> Moved:
    """Begin a session for each gateway and say where it stands: feed wanted, events already here."""
    moved = Moved()
    good = {gateway: hello for gateway, hello in hellos.items() if plain_id(hello.boot) and plain_id(hello.spool)}
    moved.unknown = len(hellos) - len(good)
    sessions = {gateway: uuid4() for gateway in good}
    facts = [
        json.dumps({"spool": h.spool, "tzdata": _clean(h.tzdata, 32), "schema": min(h.schema, 2**31)})
        for h in good.values()
    ]
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            _OPEN,
            [
                list(good),
                list(sessions.values()),
                [hello.boot for hello in good.values()],
                [_clean(hello.version, 64) for hello in good.values()],
                facts,
                now,
                now,
            ],
        )
        opened = cursor.fetchall()
        moved._note(moved.gateways, [(id_, site) for id_, site, changed in opened if changed])
        known = [id_ for id_, _, _ in opened]
        moved.unknown += len(good) - len(known)
        cursor.execute(_STANDING, [known, [good[id_].spool for id_ in known]])
        for id_, epoch, revision, acked in cursor.fetchall():
            moved.answers.append(
                Answer(id_, _welcome(sessions[id_], good[id_].sent_mono_ms, epoch, revision, acked, now))
            )
    return moved


def _welcome(session: UUID, echo: int, epoch: str, revision: int, acked: int, now: datetime) -> Welcome:
    return Welcome(
        session=str(session),
        echo_mono_ms=echo,
        server_ms=int(now.timestamp() * 1000),
        epoch=epoch,
        revision=revision,
        acked_seq=acked,
    )


_HEALTH = """
WITH said AS (
  SELECT * FROM unnest(%s::uuid[], %s::uuid[], %s::text[]) AS e (gateway, session, facts)
), was AS (
  SELECT g.id, g.online FROM devices_gateway g JOIN said e ON e.gateway = g.id AND e.session = g.session
  WHERE g.revoked_at IS NULL ORDER BY g.id FOR UPDATE OF g
)
UPDATE devices_gateway g
SET online = true, online_changed_at = CASE WHEN g.online THEN g.online_changed_at ELSE %s END,
    last_seen_at = %s, health = g.health || e.facts::jsonb
FROM said e JOIN was ON was.id = e.gateway WHERE g.id = e.gateway
RETURNING g.id, g.site_id, NOT was.online, g.health->>'spool'
"""
_DEVICES = """
UPDATE devices_device d
SET online = e.online, online_changed_at = CASE WHEN d.online = e.online THEN d.online_changed_at ELSE %s END,
    last_seen_at = CASE WHEN e.online THEN %s ELSE d.last_seen_at END
FROM unnest(%s::uuid[], %s::uuid[], %s::bool[]) AS e (gateway, device, online)
JOIN devices_device w ON w.id = e.device
WHERE d.id = e.device AND d.gateway_id = e.gateway AND d.deleted_at IS NULL
RETURNING d.id, d.site_id, w.online <> d.online
"""


def record_status(statuses: Mapping[UUID, Status], now: datetime) -> Moved:
    """Health and reachable devices of gateways, each answered with a welcome to the same session.

    A status of a session that is over gets no answer: the gateway then says hello again.
    """
    moved = Moved()
    good = {gateway: status for gateway, status in statuses.items() if plain_id(status.session)}
    moved.unknown = len(statuses) - len(good)
    with transaction.atomic(), connection.cursor() as cursor:
        facts = [_health(status) for status in good.values()]
        cursor.execute(_HEALTH, [list(good), [s.session for s in good.values()], facts, now, now])
        known = cursor.fetchall()
        moved.unknown += len(good) - len(known)
        moved._note(moved.gateways, [(id_, site) for id_, site, changed, _ in known if changed])
        ids = [id_ for id_, _, _, _ in known]
        devices = [
            (gateway, device.device, device.online)
            for gateway in ids
            for device in {each.device: each for each in good[gateway].devices}.values()
            if plain_id(device.device)
        ]
        if devices:
            cursor.execute(_DEVICES, [now, now, *(list(column) for column in zip(*devices, strict=True))])
            moved._note(moved.devices, [(id_, site) for id_, site, changed in cursor.fetchall() if changed])
        cursor.execute(_STANDING, [ids, [plain_id(spool) for _, _, _, spool in known]])
        for id_, epoch, revision, acked in cursor.fetchall():
            status = good[id_]
            moved.answers.append(
                Answer(id_, _welcome(UUID(status.session), status.sent_mono_ms, epoch, revision, acked, now))
            )
    return moved


def _health(status: Status) -> str:
    return json.dumps(
        {
            "wall_ms": status.wall_ms,
            "uptime_s": status.uptime_s,
            "clock_offset_ms": status.clock_offset_ms,
            "disk_free": status.disk_free,
            "memory": status.memory,
            "spool_depth": status.spool_depth,
            "spool_oldest_ms": status.spool_oldest_ms,
            "dropped": {_clean(kind, 64): number for kind, number in list(status.dropped.items())[:32]},
            "devices": [
                {
                    "device": device.device,
                    "online": device.online,
                    "model": _clean(device.model or "", 32),
                    "firmware": _clean(device.firmware or "", 32),
                }
                for device in status.devices
            ],
        }
    )


_GONE = """
UPDATE devices_gateway g SET online = false, online_changed_at = %s
FROM unnest(%s::uuid[], %s::uuid[]) AS e (gateway, boot)
WHERE g.id = e.gateway AND g.online AND g.boot = e.boot RETURNING g.id, g.site_id
"""
_SILENT = """
UPDATE devices_gateway SET online = false, online_changed_at = %s
WHERE online AND (last_seen_at IS NULL OR last_seen_at < %s) RETURNING id, site_id
"""
_DEVICES_GONE = """
UPDATE devices_device SET online = false, online_changed_at = %s
WHERE gateway_id = ANY(%s) AND online RETURNING id, site_id
"""


def record_gone(presences: Mapping[UUID, Presence], now: datetime) -> Moved:
    """Connections that the broker saw end. Only `online: false` counts: a hello is what makes a gateway present.

    The will of an earlier life (another boot) changes nothing.
    """
    gone = {g: p.boot for g, p in presences.items() if not p.online and plain_id(p.boot)}
    return _offline(_GONE, [now, list(gone), list(gone.values())], now)


def sweep_silent(now: datetime) -> Moved:
    """Gateways that have not said a word for `SILENT`, whatever the broker thinks."""
    return _offline(_SILENT, [now, now - SILENT], now)


def _offline(sql: str, parameters: list[Any], now: datetime) -> Moved:
    moved = Moved()
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        rows = cursor.fetchall()
        moved._note(moved.gateways, rows)
        if rows:
            cursor.execute(_DEVICES_GONE, [now, [id_ for id_, _ in rows]])
            moved._note(moved.devices, cursor.fetchall())
    return moved


def in_force(gateways: Sequence[UUID]) -> list[UUID]:
    """Those of them that exist and are not revoked."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT id FROM devices_gateway WHERE id = ANY(%s) AND revoked_at IS NULL", [list(gateways)])
        return [row[0] for row in cursor.fetchall()]


def standing_cursors() -> list[tuple[UUID, UUID, int]]:
    """(gateway, spool, sequence number) of every gateway that counts as online: where each should go on."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            "SELECT g.id, c.spool, c.seq FROM devices_gateway g"
            " JOIN events_ingestcursor c ON c.gateway_id = g.id AND c.spool::text = g.health->>'spool'"
            " WHERE g.online AND g.revoked_at IS NULL"
        )
        return list(cursor.fetchall())
