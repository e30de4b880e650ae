"""Makes each site's feed out of what acts have touched: one compiler per site at a time.

1. An act leaves `changes.Touched` rows in its own transaction. They become visible when it commits, in
   whatever order; nothing here depends on their ids or times.
2. A compile is one transaction over one snapshot (REPEATABLE READ) under the site's advisory lock. It deletes
   the rows that it sees and recomputes what they name. An act that commits later left rows that this snapshot
   does not see: they stay, and wake the next compile. So nothing is lost, and each revision is the state
   after some whole acts, never half an act.
3. What is equal to the version in force stays as it is. The rest is closed and appended at the site's next
   revision, taken in the same transaction by the only writer: revision order is commit order.
4. Interest follows the entries: a gateway that gains or loses interest in a key is concerned, and so is one
   whose interest meets the audience of a version that began or ended. Only their `Wanted` rows move.
5. A compile that dies, at whatever point, has done nothing: rows, entries and revision roll back together.
   One that meets another writer of the same rows is rolled back by PostgreSQL and starts again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any, Final, TypeVar
from uuid import UUID

import psycopg
from django.db import OperationalError, connection, transaction
from psycopg.errors import DeadlockDetected, SerializationFailure

from gatehouse.cloud.feed import entries
from gatehouse.cloud.kit import seal
from gatehouse.cloud.kit.ids import new_id

CHANNEL: Final = "gatehouse_feed"
"""Notified with the site's id when its feed moved."""
ATTEMPTS: Final = 20
FEW: Final = 50
"""Touched things up to which statements are prepared; for more the best plan depends on how many they are."""

T = TypeVar("T")


class Busy(Exception):
    """Another process compiles this site at the moment."""


@dataclass(frozen=True, slots=True)
class Compiled:
    """What a compile came to."""

    revision: int
    """The site's revision afterwards."""
    changed: int
    """Versions closed or appended; 0 with nothing in `concerned`: the revision stayed."""
    concerned: int
    """Gateways that have something to do."""
    touched: int
    """Touched rows taken away."""


def compile_site(site: UUID, now: datetime, *, everything: bool = False, wait: bool = True) -> Compiled:
    """Bring a site's feed to what its tables say: of the touched things, or of `everything` there is.

    A transaction of its own (role system). Raises Busy when another compiler has the site and `wait` is false.
    """
    return _alone(site, wait, lambda: _compile(_Work(site, everything), now))


def _alone(site: UUID, wait: bool, act: Callable[[], T]) -> T:
    """Run `act` as the site's only writer, over one snapshot.

    A snapshot from before the last writer's commit (taken while waiting for the lock) fails at its first
    write, and so does one that meets a change of a credential; both are tried again.
    """
    if connection.in_atomic_block:
        raise RuntimeError("a compile is a transaction of its own")
    lock = "SELECT pg_advisory_xact_lock(%s) IS NOT NULL" if wait else "SELECT pg_try_advisory_xact_lock(%s)"
    name = int.from_bytes(hashlib.sha256(b"feed" + site.bytes).digest()[:8], "big", signed=True)
    for _attempt in range(ATTEMPTS):
        try:
            with transaction.atomic(), connection.cursor() as cursor:
                cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ; SET LOCAL work_mem = '64MB'")
                cursor.execute(lock, [name])
                if cursor.fetchone() != (True,):
                    raise Busy
                return act()
        except OperationalError as error:
            if not isinstance(error.__cause__, SerializationFailure | DeadlockDetected):
                raise
    raise Busy


def new_epoch(site: UUID, now: datetime) -> str:
    """Begin the feed's numbers anew, after a restore took them back: every gateway gets everything once more."""

    def begin() -> str:
        work = _Work(site, everything=True)
        epoch = new_id()
        work.gateways = work.find(
            "SELECT DISTINCT gateway_id FROM feed_interest WHERE site_id = %(site)s AND ended IS NULL"
        )
        _compile(work, now)
        work.ask("UPDATE feed_sitefeed SET epoch = %(epoch)s WHERE site_id = %(site)s", epoch=epoch)
        work.ask("UPDATE feed_gatewayfeed SET published = 0 WHERE site_id = %(site)s")
        return str(epoch)

    return _alone(site, True, begin)


def prune(site: UUID, keep: timedelta, now: datetime) -> int:
    """Forget versions that ended longer than `keep` ago; how many. Who is further behind gets a reset."""

    def forget() -> int:
        work = _Work(site, everything=False)
        found = work.ask(
            "SELECT max(number) FROM feed_revision WHERE site_id = %(site)s AND at <= %(before)s", before=now - keep
        )
        horizon = found[0][0] or 0
        work.ask(
            "UPDATE feed_sitefeed SET horizon = %(horizon)s WHERE site_id = %(site)s AND horizon < %(horizon)s",
            horizon=horizon,
        )
        # Which gateways ever had a door is asked for as long as the door stands (`release_quarantine`).
        work.ask(
            "DELETE FROM feed_interest WHERE site_id = %(site)s AND ended <= %(horizon)s AND kind <> 'device'",
            horizon=horizon,
        )
        work.ask("DELETE FROM feed_revision WHERE site_id = %(site)s AND number < %(horizon)s", horizon=horizon)
        gone = "DELETE FROM feed_entry WHERE site_id = %(site)s AND ended <= %(horizon)s RETURNING 1"
        return int(work.ask(f"WITH gone AS ({gone}) SELECT count(*) FROM gone", horizon=horizon)[0][0])

    return _alone(site, True, forget)


@dataclass
class _Work:
    """A compile under way."""

    site: UUID
    everything: bool
    revision: int = 0
    """The revision that is being made."""
    todo: dict[str, set[UUID]] = field(default_factory=dict)
    changed: int = 0
    audience: set[UUID] = field(default_factory=set)
    """Keys in whose audience a version began or ended."""
    gateways: set[UUID] = field(default_factory=set)
    """Gateways whose interest changed."""

    def add(self, kind: str, keys: Iterable[UUID] | None) -> None:
        self.todo.setdefault(kind, set()).update(keys or ())

    def ask(self, sql: str, **values: Any) -> list[tuple[Any, ...]]:
        """Run a statement. About few things it is prepared: planning it would cost more than running it."""
        few = not self.everything and sum(map(len, self.todo.values())) <= FEW
        values |= {"site": self.site, "revision": self.revision}
        session = connection.connection
        with connection.wrap_database_errors, psycopg.Cursor(session) as cursor:
            # Django forbids preparing, for the sake of poolers between; a worker speaks to its server directly.
            session.prepare_threshold = 0 if few else None
            try:
                cursor.execute(sql, values)
            finally:
                session.prepare_threshold = None
            return cursor.fetchall() if cursor.description else []

    def find(self, sql: str, **values: Any) -> set[UUID]:
        return {key for (key,) in self.ask(sql, **values)}

    def ask_kind(self, statement: Callable[[str, bool], str], kind: str) -> tuple[Any, ...]:
        """Run one of the statements below for the keys to do of one kind."""
        some = not self.everything
        values: dict[str, Any] = {"keys": list(self.todo.get(kind, ()))} if some else {}
        if kind == "site":
            values["fingerprint"] = fingerprint(self.site)
        return self.ask(statement(kind, some), kind=kind, **values)[0]


def fingerprint(site: UUID) -> str:
    """Stands for the site's keys in its stored entry, so that other keys make another version."""
    keys = seal.lookup_key(site) + bytes.fromhex(seal.emergency_public_key(site))
    return hashlib.sha256(b"feed" + keys).hexdigest()[:16]


def _compile(work: _Work, now: datetime) -> Compiled:
    """Inside the transaction; see the module's text."""
    held = work.ask("SELECT revision FROM feed_sitefeed WHERE site_id = %(site)s FOR UPDATE")
    if not held:
        sql = "INSERT INTO feed_sitefeed (site_id, epoch, revision, horizon) VALUES (%(site)s, %(epoch)s, 0, 0)"
        work.ask(sql, epoch=new_id())
    before = held[0][0] if held else 0
    work.revision = before + 1
    touched = work.ask("DELETE FROM changes_touched WHERE site_id = %(site)s RETURNING kind, key")
    for kind, key in touched:
        work.add(kind, (key,))
    if "site" in work.todo and work.ask("SELECT 1 FROM tenants_site WHERE id = %(site)s AND deleted_at IS NOT NULL"):
        work.everything = True
    if len(touched) <= FEW:
        work.ask("SET LOCAL plan_cache_mode = force_generic_plan")
    if touched or work.everything:
        _bring_up(work)
    moved = bool(work.changed or work.gateways)
    concerned = _conclude(work, now) if moved else 0
    revision = work.revision if moved else before
    # One snapshot: what is seen as withdrawn here is in no version in force any more.
    work.ask(_DATE_WITHDRAWALS, at=revision)
    return Compiled(revision, work.changed, concerned, len(touched))


def _bring_up(work: _Work) -> None:
    """Entries and interest, kind by kind; what the change of one kind means for later kinds is added to them."""
    if gateways := work.todo.pop("gateway", None):
        work.add("site", [work.site])
        work.add("device", work.find(_DEVICES_OF_GATEWAYS, keys=list(gateways)))
    for kind in entries.FRESH:
        if not (work.everything or work.todo.get(kind)):
            continue
        changed, audience, keys = work.ask_kind(_versions, kind)
        work.changed += changed
        work.audience.update(audience or ())
        moved = set(keys or ())
        if kind in entries.INTEREST:
            keys, gateways = work.ask_kind(_interest, kind)
            work.gateways.update(gateways or ())
            moved.update(keys or ())
        if moved and not work.everything:
            for later, sql in _DEPENDING.get(kind, {}).items():
                work.add(later, work.find(sql, keys=list(moved)))


def _conclude(work: _Work, now: datetime) -> int:
    """Take the revision, tell the gateways concerned; how many they are."""
    values = {"gateways": list(work.gateways), "audience": list(work.audience), "channel": CHANNEL, "now": now}
    return int(work.ask(_CONCLUDE, **values)[0][0])


@lru_cache
def _versions(kind: str, some: bool) -> str:
    spread = _SPREAD if kind == "device" else "NULL::uuid[]"
    return entries.narrowed(_VERSIONS.format(fresh=entries.FRESH[kind], spread=spread), some)


@lru_cache
def _interest(kind: str, some: bool) -> str:
    return entries.narrowed(_INTEREST.format(fresh=entries.INTEREST[kind]), some)


# A version without what the version before it had takes something away: priority 0. The containment of
# jsonb says so for all kinds alike, since payloads name every field; it errs to 0.
#
# `added` asks for `closed` as a whole, so every old version has ended before the first new one is there.
_VERSIONS: Final = """
WITH old AS (
  SELECT id, key, payload, audience FROM feed_entry
  WHERE site_id = %(site)s AND kind = %(kind)s AND ended IS NULL {{only:key}}
),
diff AS MATERIALIZED (
  SELECT key, o.id AS old_id, o.payload AS old_payload, o.audience AS old_audience, f.payload, f.audience
  FROM ({fresh}) f FULL JOIN old o USING (key)
  WHERE (f.payload, f.audience) IS DISTINCT FROM (o.payload, o.audience)
),
closed AS (
  UPDATE feed_entry e SET ended = %(revision)s FROM diff d WHERE e.id = d.old_id RETURNING e.id
),
added AS (
  INSERT INTO feed_entry (site_id, kind, key, revision, priority, payload, audience)
  SELECT %(site)s, %(kind)s, key, %(revision)s,
         CASE WHEN old_id IS NULL OR payload @> old_payload THEN 1 ELSE 0 END, payload, audience
  FROM diff WHERE payload IS NOT NULL AND (SELECT count(*) FROM closed) >= 0
)
SELECT (SELECT count(*) FROM diff),
       (SELECT array_agg(name) FROM (SELECT DISTINCT unnest(audience || old_audience) AS name FROM diff) names),
       ({spread})
"""

# Devices whose relays changed: what holds relays names only those that exist.
_SPREAD: Final = """
SELECT array_agg(key) FROM diff WHERE jsonb_path_query_array(payload, '$.relays[*].id')
  IS DISTINCT FROM jsonb_path_query_array(old_payload, '$.relays[*].id')
"""

_INTEREST: Final = """
WITH old AS (
  SELECT id, gateway_id, key FROM feed_interest
  WHERE site_id = %(site)s AND kind = %(kind)s AND ended IS NULL {{only:key}}
),
diff AS MATERIALIZED (
  SELECT gateway_id, key, o.id AS old_id
  FROM (SELECT *, true AS needed FROM ({fresh}) pair) f FULL JOIN old o USING (gateway_id, key)
  WHERE o.id IS NULL OR f.needed IS NULL
),
gone AS (
  UPDATE feed_interest i SET ended = %(revision)s FROM diff d WHERE i.id = d.old_id
),
came AS (
  INSERT INTO feed_interest (site_id, gateway_id, kind, key, since)
  SELECT %(site)s, gateway_id, %(kind)s, key, %(revision)s FROM diff WHERE old_id IS NULL
)
SELECT (SELECT array_agg(key) FROM (SELECT DISTINCT key FROM diff) keys),
       (SELECT array_agg(gateway_id) FROM (SELECT DISTINCT gateway_id FROM diff) gateways)
"""

_CONCLUDE: Final = """
WITH concerned AS (
  INSERT INTO feed_wanted (gateway_id, site_id, revision, previous)
  SELECT gateway_id, %(site)s, %(revision)s, 0 FROM (
    SELECT unnest(%(gateways)s::uuid[]) AS gateway_id
    UNION
    SELECT gateway_id FROM feed_interest
    WHERE site_id = %(site)s AND key = ANY(%(audience)s::uuid[]) AND (ended IS NULL OR ended = %(revision)s)
  ) named
  ON CONFLICT (gateway_id) DO UPDATE SET revision = excluded.revision, previous = feed_wanted.revision
  RETURNING gateway_id
),
feed AS (
  UPDATE feed_sitefeed SET revision = %(revision)s, compiled_at = %(now)s WHERE site_id = %(site)s
),
made AS (
  INSERT INTO feed_revision (site_id, number, at) VALUES (%(site)s, %(revision)s, %(now)s)
)
SELECT count(*), pg_notify(%(channel)s, %(site)s::text) FROM concerned
"""

_DATE_WITHDRAWALS: Final = """
UPDATE people_credential c SET withdrawn_revision = %(at)s
WHERE c.site_id = %(site)s AND c.state = 'quarantined' AND c.withdrawn_revision IS NULL AND NOT EXISTS (
  SELECT FROM feed_entry e
  WHERE e.site_id = c.site_id AND e.kind = 'holder' AND e.key = c.holder_id AND e.ended IS NULL
    AND e.payload->'credentials' @> jsonb_build_array(jsonb_build_object('id', c.id))
)
"""

_DEVICES_OF_GATEWAYS: Final = """
SELECT id FROM devices_device WHERE site_id = %(site)s AND gateway_id = ANY(%(keys)s)
UNION
SELECT key FROM feed_interest WHERE site_id = %(site)s AND kind = 'device' AND gateway_id = ANY(%(keys)s) AND ended IS NULL
"""

_DEPENDING: Final = {
    "device": {
        "access_group": """
SELECT DISTINCT l.access_group_id FROM devices_relay r
JOIN access_accessgrouprelay l ON l.site_id = r.site_id AND l.relay_id = r.id
WHERE r.site_id = %(site)s AND r.device_id = ANY(%(keys)s)
""",
        "party": """
SELECT DISTINCT l.company_id FROM devices_relay r
JOIN access_companyrelay l ON l.site_id = r.site_id AND l.relay_id = r.id
WHERE r.site_id = %(site)s AND r.device_id = ANY(%(keys)s)
""",
    },
    "access_group": {
        "people_group": """
SELECT DISTINCT people_group_id FROM access_accessgrouppeoplegroup
WHERE site_id = %(site)s AND access_group_id = ANY(%(keys)s)
""",
    },
}
"""kind > later kind > keys of it that stand on keys whose relays or gateways changed."""
