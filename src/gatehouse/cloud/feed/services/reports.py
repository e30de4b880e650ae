"""What gateways report, and what follows from it."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from django.db import connection, transaction
from psycopg.types.json import Jsonb

from gatehouse.cloud.feed.pages import standing
from gatehouse.wire.messages import Applied, FeedDelta

log = logging.getLogger(__name__)

_STEPS: Final = 32
"""How many of a device's last steps are kept, each with its time."""


@dataclass(frozen=True, slots=True)
class Taken:
    """What of a report was taken; all else is counted and changed nothing."""

    devices: int = 0
    """Devices that moved on."""
    stale: int = 0
    """Numbers not above what was known: late, or told twice."""
    unknown: int = 0
    """Numbers that cannot be: of another epoch, a revision never made, a device that is not this gateway's."""


def record_published(site: UUID, sent: Iterable[tuple[UUID, FeedDelta]]) -> None:
    """These deltas of a site are with the broker. Late ones and those of an older epoch change nothing."""
    sent = list(sent)
    _run(
        _PUBLISHED,
        site=site,
        gateways=[gateway for gateway, _delta in sent],
        epochs=[UUID(delta.epoch) for _gateway, delta in sent],
        revisions=[delta.revision for _gateway, delta in sent],
    )


def record_applied(gateway: UUID, applied: Applied, now: datetime) -> Taken:
    """Take down what a gateway and its devices hold. Confirmed is what the **device** says (GH-FEED-02).

    Numbers only go up. What cannot be (GH-FEED-E1) is counted, logged, and changes nothing. Frees the
    withdrawn codes that no door can know any more.
    """
    stand = standing(gateway)
    numbers = len(applied.devices) + 1
    if applied.epoch != stand.epoch or applied.revision > _revision(stand.site):
        log.info("feed.applied_unknown", extra={"gateway": str(gateway), "revision": applied.revision})
        return Taken(unknown=numbers)
    with transaction.atomic():
        values: dict[str, Any] = {"site": stand.site, "gateway": gateway, "epoch": stand.epoch, "now": now}
        moved = _run(_GATEWAY_APPLIED, revision=applied.revision, **values)
        told = {device: revision for device, revision in applied.devices.items() if revision <= applied.revision}
        own = sorted(row[0] for row in _run(_OWN_DEVICES, devices=list(told), **values))
        refused: dict[str, list[list[str]]] = {device: [] for device in own}
        for line in applied.refused:
            if line.device in refused:
                refused[line.device].append([line.key, line.reason])
        stepped = _run(
            _DEVICES_APPLIED,
            devices=own,
            revisions=[told[device] for device in own],
            refused=[Jsonb(refused[device]) for device in own],
            at=now.isoformat(),
            **values,
        )
    if stepped or moved:
        release_quarantine(stand.site, now)
    unknown = len(applied.devices) - len(own)
    if unknown:
        log.info("feed.applied_unknown", extra={"gateway": str(gateway), "devices": unknown})
    return Taken(len(stepped), len(own) - len(stepped) + (0 if moved else 1), unknown)


def release_quarantine(site: UUID, now: datetime) -> int:
    """Free the withdrawn codes that no door can know any more; how many. Their secrets are wiped.

    A door stands in the way while it has not confirmed what took the code from it, or (when the history does
    not tell any more whether it knew it) while it lacks anything of what concerns it up to the withdrawal. A
    door that was deleted, whose gateway was revoked, or that never had anything, does not (GH-FEED-E2).
    """
    return len(_run(_RELEASE, site=site, now=now))


def _revision(site: UUID) -> int:
    found = _run("SELECT revision FROM feed_sitefeed WHERE site_id = %(site)s", site=site)
    return int(found[0][0]) if found else 0


def _run(sql: str, **values: Any) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        return cursor.fetchall() if cursor.description else []


_PUBLISHED: Final = """
INSERT INTO feed_gatewayfeed AS f (gateway_id, site_id, published, applied)
SELECT sent.gateway, %(site)s, sent.revision, 0
FROM unnest(%(gateways)s::uuid[], %(epochs)s::uuid[], %(revisions)s::bigint[]) AS sent(gateway, epoch, revision)
JOIN feed_sitefeed s ON s.site_id = %(site)s AND s.epoch = sent.epoch
ORDER BY sent.gateway
ON CONFLICT (gateway_id) DO UPDATE SET published = greatest(f.published, excluded.published)
"""

_GATEWAY_APPLIED: Final = """
INSERT INTO feed_gatewayfeed AS f (gateway_id, site_id, published, epoch, applied, applied_at)
VALUES (%(gateway)s, %(site)s, %(revision)s, %(epoch)s, %(revision)s, %(now)s)
ON CONFLICT (gateway_id) DO UPDATE
SET published = greatest(f.published, excluded.published), epoch = excluded.epoch, applied = excluded.applied,
    applied_at = excluded.applied_at
WHERE f.epoch IS DISTINCT FROM excluded.epoch OR f.applied < excluded.applied
RETURNING 1
"""

_OWN_DEVICES: Final = """
SELECT id::text FROM devices_device
WHERE site_id = %(site)s AND gateway_id = %(gateway)s AND deleted_at IS NULL AND id::text = ANY(%(devices)s)
"""

_DEVICES_APPLIED: Final = f"""
INSERT INTO feed_devicefeed AS f (device_id, site_id, epoch, applied, applied_at, steps, refused)
SELECT device, %(site)s, %(epoch)s, revision, %(now)s,
       jsonb_build_array(jsonb_build_array(revision, %(at)s::text)), refused
FROM unnest(%(devices)s::uuid[], %(revisions)s::bigint[], %(refused)s::jsonb[]) told(device, revision, refused)
ON CONFLICT (device_id) DO UPDATE
SET epoch = excluded.epoch, applied = excluded.applied, refused = excluded.refused,
    applied_at = CASE WHEN f.epoch = excluded.epoch AND f.applied = excluded.applied
                      THEN f.applied_at ELSE excluded.applied_at END,
    steps = CASE WHEN f.epoch IS DISTINCT FROM excluded.epoch THEN excluded.steps
                 WHEN f.applied = excluded.applied THEN f.steps
                 ELSE jsonb_path_query_array(f.steps, '$[last - {_STEPS - 2} to last]') || excluded.steps END
WHERE f.epoch IS DISTINCT FROM excluded.epoch OR f.applied < excluded.applied
   OR (f.applied = excluded.applied AND f.refused <> excluded.refused)
RETURNING device_id
"""

# `via` had the door for a time: it may have given it the code then, and goes on driving it until it learns that
# the door is not its own any more. So both have to have moved on: the door by its own word, `via` by its. They
# have when they are past the end of the time in which person, group and door met at `via`.
_RELEASE: Final = """
UPDATE people_credential c SET state = 'freed', secret = NULL, freed_at = %(now)s
FROM feed_sitefeed s
WHERE c.site_id = %(site)s AND s.site_id = c.site_id AND c.state = 'quarantined' AND c.withdrawn_revision IS NOT NULL
AND NOT EXISTS (
  SELECT FROM devices_device d
  JOIN feed_interest had ON had.site_id = d.site_id AND had.kind = 'device' AND had.key = d.id
  JOIN devices_gateway via ON via.site_id = d.site_id AND via.id = had.gateway_id
  LEFT JOIN devices_gateway present ON present.site_id = d.site_id AND present.id = d.gateway_id
  LEFT JOIN feed_wanted w ON w.gateway_id = via.id
  LEFT JOIN feed_devicefeed f ON f.device_id = d.id
  LEFT JOIN feed_gatewayfeed t ON t.gateway_id = via.id
  CROSS JOIN LATERAL (
    SELECT least(CASE WHEN f.epoch = s.epoch THEN f.applied ELSE -1 END,
                 CASE WHEN via.revoked_at IS NOT NULL THEN NULL WHEN t.epoch = s.epoch THEN t.applied ELSE -1 END
           ) AS revision
  ) holds
  WHERE d.site_id = c.site_id AND d.deleted_at IS NULL AND present.revoked_at IS NULL
    AND (via.claimed_at IS NOT NULL OR t.epoch IS NOT NULL)
    AND holds.revision < least(c.withdrawn_revision, had.ended, w.revision)
    AND (c.withdrawn_revision <= s.horizon OR EXISTS (
      SELECT FROM feed_entry e
      JOIN feed_interest i ON i.site_id = e.site_id AND i.gateway_id = via.id AND i.key = ANY(e.audience)
      CROSS JOIN LATERAL (
        SELECT greatest(e.revision, i.since, had.since) AS since,
               least(e.ended, i.ended, had.ended, c.withdrawn_revision) AS ended
      ) met
      WHERE e.site_id = c.site_id AND e.kind = 'holder' AND e.key = coalesce(c.holder_id, (
          -- the person is gone, but the version that was closed by the withdrawal still has the code
          SELECT last.key FROM feed_entry last
          WHERE last.site_id = c.site_id AND last.ended = c.withdrawn_revision AND last.kind = 'holder'
            AND last.payload->'credentials' @> jsonb_build_array(jsonb_build_object('id', c.id))
        ))
        AND e.payload->'credentials' @> jsonb_build_array(jsonb_build_object('id', c.id))
        AND met.since < met.ended AND holds.revision < met.ended
    ))
)
RETURNING c.id
"""
