"""What goes down: commands, feed deltas, emergency states. The row is the truth, the broker only carries it.

Publish, then mark: a crash in between sends twice, and gateways drop what they have seen. Each gateway's
commands leave in order, under a lock of its own, with the time that remains and the session that is on now.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

import msgspec
from django.db import connection, transaction

from gatehouse.cloud.feed.pages import deltas
from gatehouse.cloud.feed.services import record_published
from gatehouse.wire import messages as wire
from gatehouse.wire import topics

LONGEST_MS = 600_000
REPORT_WITHIN = timedelta(seconds=30)
"""So long after its expiry a published command may still report its end before it is written off."""
_GATEWAYS_AT_ONCE = 200
_COMMANDS_AT_ONCE = 1000
_SITES_AT_ONCE = 50


class Outgoing(NamedTuple):
    """One message for the broker. `life_s`: seconds after which the broker must not deliver it any more."""

    topic: str
    payload: bytes
    retain: bool = False
    life_s: int | None = None


Publish = Callable[[Sequence[Outgoing]], None]
"""Hands messages to the broker and returns once it has taken all of them; raises ConnectionError otherwise."""


class Sent(NamedTuple):
    """What changed, as (site, id), and whether there is more to do at once."""

    commands: list[tuple[UUID, str]]
    more: bool = False


_WAITING = """
WITH waiting AS MATERIALIZED (
  SELECT DISTINCT c.gateway_id FROM devices_command c JOIN devices_gateway g ON g.id = c.gateway_id
  WHERE c.state = 'queued' AND c.expires_at > %s AND g.online AND g.session IS NOT NULL AND g.revoked_at IS NULL
  LIMIT %s
)
SELECT gateway_id FROM waiting WHERE pg_try_advisory_xact_lock(hashtextextended('outbox:' || gateway_id, 0))
"""
_QUEUED = """
SELECT c.id, c.site_id, c.gateway_id, g.session, c.verb, c.issued_at, c.expires_at, c.device_id, c.relay_id, c.args::text
FROM devices_command c JOIN devices_gateway g ON g.id = c.gateway_id
WHERE c.gateway_id = ANY(%s) AND c.state = 'queued' AND c.expires_at > %s
  AND g.online AND g.session IS NOT NULL AND g.revoked_at IS NULL
ORDER BY c.gateway_id, c.id LIMIT %s
"""
_MARK = "UPDATE devices_command SET state = 'published', published_at = %s WHERE id = ANY(%s) AND state = 'queued'"
_EXPIRE = """
UPDATE devices_command SET state = 'expired', reason = 'expired', ended_at = %s
WHERE (state = 'queued' AND expires_at <= %s) OR (state = 'published' AND expires_at <= %s) RETURNING site_id, id::text
"""


def publish_commands(publish: Publish, clock: Callable[[], datetime]) -> Sent:
    """Send what is queued for gateways that are there. What their gateway never comes for, expires where it is.

    Raises ConnectionError when the broker does not take it; then nothing is marked.
    """
    now = clock()
    changed: list[tuple[UUID, str]] = []
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(_EXPIRE, [now, now, now - REPORT_WITHIN])
        changed += cursor.fetchall()
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(_WAITING, [now, _GATEWAYS_AT_ONCE])
        gateways = [row[0] for row in cursor.fetchall()]
        if not gateways:
            return Sent(changed)
        cursor.execute(_QUEUED, [gateways, now, _COMMANDS_AT_ONCE])
        rows = cursor.fetchall()
        now = clock()  # what it took to get here is off the remaining time
        sent = [(row, each) for row in rows if (each := _command(row, now)) is not None]
        publish([each for _, each in sent])
        cursor.execute(_MARK, [clock(), [row[0] for row, _ in sent]])
        changed += [(row[1], str(row[0])) for row, _ in sent]
    return Sent(changed, more=len(gateways) == _GATEWAYS_AT_ONCE or len(rows) == _COMMANDS_AT_ONCE)


def _command(row: tuple[Any, ...], now: datetime) -> Outgoing | None:
    id_, _, gateway, session, verb, issued_at, expires_at, device, relay, args = row
    left = int((expires_at - now).total_seconds() * 1000)
    if left < 1:
        return None
    message = wire.Command(
        id=str(id_),
        session=str(session),
        verb=verb,
        issued_ms=int(issued_at.timestamp() * 1000),
        ttl_ms=min(left, LONGEST_MS),
        device=str(device) if device else None,
        relay=str(relay) if relay else None,
        args=msgspec.json.decode(args, type=dict[str, Any]),
    )
    return Outgoing(topics.down(gateway, topics.COMMAND), wire.encode(message), life_s=max(1, left // 1000))


_BEHIND = """
SELECT DISTINCT w.site_id FROM feed_wanted w JOIN devices_gateway g ON g.id = w.gateway_id
LEFT JOIN feed_gatewayfeed f ON f.gateway_id = w.gateway_id
WHERE w.revision > coalesce(f.published, 0) AND g.revoked_at IS NULL LIMIT %s
"""


def publish_deltas(publish: Publish) -> bool:
    """Tell gateways how their feeds moved; True when there are more to be told.

    A gateway that is not there learns it from its next welcome.
    """
    with connection.cursor() as cursor:
        cursor.execute(_BEHIND, [_SITES_AT_ONCE])
        sites = [row[0] for row in cursor.fetchall()]
    for site in sites:
        with transaction.atomic():
            made = deltas(site)
            publish([Outgoing(topics.down(gateway, topics.FEED), wire.encode(delta)) for gateway, delta in made])
            record_published(site, made)
    return len(sites) == _SITES_AT_ONCE


_STATES = """
SELECT DISTINCT ON (site_id) id, site_id, emergency, state, counter, at, signature
FROM emergency_emergencystate {where} ORDER BY site_id, counter DESC
"""


def publish_emergencies(publish: Publish, now: datetime, everything: bool = False) -> int:
    """Publish, retained, the present state of each site that has an unpublished one (or of every site).

    Only the highest counter of a site is ever sent: an older one arriving late would say nothing new.
    """
    where = (
        ""
        if everything
        else "WHERE site_id IN (SELECT site_id FROM emergency_emergencystate WHERE published_at IS NULL)"
    )
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(_STATES.format(where=where))
        rows = cursor.fetchall()
        if not rows:
            return 0
        publish([_emergency(row) for row in rows])
        cursor.execute(
            "UPDATE emergency_emergencystate s SET published_at = %s FROM unnest(%s::uuid[], %s::int8[]) AS e (site, counter)"
            " WHERE s.site_id = e.site AND s.counter <= e.counter AND s.published_at IS NULL",
            [now, [row[1] for row in rows], [row[4] for row in rows]],
        )
    return len(rows)


def _emergency(row: tuple[Any, ...]) -> Outgoing:
    _, site, emergency, state, counter, at, signature = row
    message = wire.Emergency(
        site=str(site),
        id=str(emergency),
        state=state,
        counter=counter,
        at_ms=int(at.timestamp() * 1000),
        signature=signature,
    )
    return Outgoing(topics.emergency(site), wire.encode(message), retain=True)
