"""The intake's statements and the array literals that are their parameters.

Arrays go as text: PostgreSQL reads them faster than psycopg makes them out of hundreds of objects.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any


def plain(values: Iterable[object]) -> str:
    """An array literal of values that need no quotes: canonical ids, numbers, booleans, None."""
    return "{" + ",".join(["NULL" if value is None else str(value) for value in values]) + "}"


def texts(values: Iterable[str]) -> str:
    """An array literal of any texts."""
    return "{" + ",".join(['"' + v.replace("\\", "\\\\").replace('"', '\\"') + '"' for v in values]) + "}"


def _sealed(values: Iterable[bytes | None]) -> str:
    """An array literal of binary values."""
    return "{" + ",".join(["NULL" if v is None else '"\\\\x' + v.hex() + '"' for v in values]) + "}"


def arrays(columns: tuple[tuple[str, str], ...], rows: list[tuple[Any, ...]]) -> list[str]:
    """One array literal for each column of these rows, in the columns' order."""
    literals: list[str] = []
    for (_, kind), values in zip(columns, zip(*rows, strict=True), strict=True):
        match kind:
            case "text" | "json":
                literals.append(texts(values))
            case "bytea":
                literals.append(_sealed(values))
            case _:
                literals.append(plain(values))
    return literals


# First round trip: who speaks, where each spool stands, and all that the events name.

GATEWAYS = "SELECT id::text, site_id FROM devices_gateway WHERE id = ANY(%s::uuid[]) AND revoked_at IS NULL"
NEW_CURSORS = """
INSERT INTO events_ingestcursor (spool, gateway_id, site_id, seq, duplicates, lost, updated_at)
SELECT e.spool, g.id, g.site_id, 0, 0, 0, clock_timestamp()
FROM unnest(%s::uuid[], %s::uuid[]) AS e (spool, gateway) JOIN devices_gateway g ON g.id = e.gateway
WHERE g.revoked_at IS NULL AND NOT EXISTS (SELECT FROM events_ingestcursor c WHERE c.spool = e.spool)
ORDER BY e.spool ON CONFLICT DO NOTHING
"""
CURSORS = """
SELECT spool::text, gateway_id::text, seq FROM events_ingestcursor WHERE spool = ANY(%s::uuid[])
ORDER BY spool FOR UPDATE
"""
_PLACE = """
SELECT {relay}, d.id::text, d.gateway_id::text, d.name, h.mac,
       (extract(epoch FROM lower(b.during)) * 1000)::int8, (extract(epoch FROM upper(b.during)) * 1000)::int8
FROM {tables} LEFT JOIN devices_binding b ON b.device_id = d.id LEFT JOIN devices_hardware h ON h.id = b.hardware_id
WHERE {key} = ANY(%s::uuid[])
"""
RELAYS = _PLACE.format(
    relay="r.id::text, r.name", tables="devices_relay r JOIN devices_device d ON d.id = r.device_id", key="r.id"
)
DEVICES = _PLACE.format(relay="NULL, NULL", tables="devices_device d", key="d.id")
HOLDERS = """
SELECT h.id::text, h.site_id::text, h.party_id::text, h.occupancy_id::text, h.label, h.seal_key, o.seal_key,
       coalesce(c.name, nullif(u.name, ''), u.number, '')
FROM people_holder h
LEFT JOIN premises_occupancy o ON o.id = h.occupancy_id
LEFT JOIN premises_company c ON c.party_id = h.party_id
LEFT JOIN premises_unit u ON u.party_id = h.party_id
WHERE h.id = ANY(%s::uuid[])
"""
COMMANDS = "SELECT id::text, gateway_id::text, actor_label FROM devices_command WHERE id = ANY(%s::uuid[])"

# Second round trip: what happened.

_LOG_COLUMNS = (
    ("id", "uuid"),
    ("site_id", "uuid"),
    ("at", "ms"),
    ("device_at", "ms"),
    ("received_at", "ms"),
    ("clock", "text"),
    ("gateway_id", "uuid"),
    ("spool", "uuid"),
    ("seq", "int8"),
    ("device_id", "uuid"),
    ("relay_id", "uuid"),
    ("device_label", "text"),
    ("relay_label", "text"),
    ("mac", "text"),
)
PASSAGE_COLUMNS = (
    *_LOG_COLUMNS,
    ("holder_id", "uuid"),
    ("party_id", "uuid"),
    ("occupancy_id", "uuid"),
    ("credential_id", "uuid"),
    ("command_id", "uuid"),
    ("who", "bytea"),
    ("method", "text"),
    ("allowed", "bool"),
    ("reason", "text"),
    ("alone", "bool"),
    ("revision", "int8"),
    ("decide_us", "int8"),
)
ALARM_COLUMNS = (*_LOG_COLUMNS, ("kind", "text"), ("active", "bool"), ("data", "json"))


def _insert(table: str, columns: tuple[tuple[str, str], ...], more: str = "", values: str = "") -> str:
    """An INSERT of arrays, one for each column; `more` and `values` are columns that are the same in all rows."""
    arrays, picks = [], []
    for name, kind in columns:
        arrays.append({"ms": "%s::int8[]", "json": "%s::text[]"}.get(kind, f"%s::{kind}[]"))
        picks.append({"ms": f"to_timestamp({name} / 1000.0)", "json": f"{name}::jsonb"}.get(kind, name))
    names = ", ".join(name for name, _ in columns)
    return (
        f"INSERT INTO {table} ({names}{more}) SELECT {', '.join(picks)}{values}"
        f" FROM unnest({', '.join(arrays)}) AS e ({names})"
    )


INSERT_PASSAGES = _insert("events_passage", PASSAGE_COLUMNS, ", way", ", ''")
INSERT_ALARMS = _insert("events_alarm", ALARM_COLUMNS)
MOVE_CURSORS = """
UPDATE events_ingestcursor c
SET seq = e.seq, duplicates = c.duplicates + e.duplicates, lost = c.lost + e.lost, updated_at = clock_timestamp()
FROM unnest(%s::uuid[], %s::int8[], %s::int8[], %s::int8[]) AS e (spool, seq, duplicates, lost) WHERE c.spool = e.spool
"""
DOORS = """
INSERT INTO events_doorstate AS d (relay_id, site_id, state, since, last_passage_id, last_passage_at)
SELECT relay, site, coalesce(state, 'unknown'), to_timestamp(since / 1000.0), passage, to_timestamp(passed / 1000.0)
FROM unnest(%s::uuid[], %s::uuid[], %s::text[], %s::int8[], %s::uuid[], %s::int8[])
     AS e (relay, site, state, since, passage, passed)
ORDER BY relay
ON CONFLICT (relay_id) DO UPDATE SET
  state = CASE WHEN excluded.since >= coalesce(d.since, '-infinity') THEN excluded.state ELSE d.state END,
  since = greatest(d.since, excluded.since),
  last_passage_id = CASE WHEN excluded.last_passage_at >= coalesce(d.last_passage_at, '-infinity')
                         THEN excluded.last_passage_id ELSE d.last_passage_id END,
  last_passage_at = greatest(d.last_passage_at, excluded.last_passage_at)
"""
# An end that comes after the command was written off is still what happened.
END_COMMANDS = """
UPDATE devices_command c SET state = e.state, reason = e.reason, ended_at = to_timestamp(e.at / 1000.0)
FROM unnest(%s::uuid[], %s::uuid[], %s::text[], %s::text[], %s::int8[]) AS e (command, gateway, state, reason, at)
WHERE c.id = e.command AND c.gateway_id = e.gateway AND c.state IN ('queued', 'published', 'expired')
RETURNING c.id::text, c.site_id
"""
