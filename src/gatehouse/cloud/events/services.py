"""Intake: what gateways report becomes rows, exactly once and in order.

The hot path. A micro-batch of many gateways is one transaction of two round trips: lock the cursors and
fetch every name that the events speak of, then insert everything set-based. No jobs, no journal: the log is
the record. Identity is (spool, seq); the locked cursor is what makes a second upload harmless.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import psycopg
from django.db import connection, transaction

from gatehouse.cloud.events.arrivals import (
    GATEWAY_UNKNOWN,
    LATEST_MS,
    SPOOL_FOREIGN,
    SPOOL_FORM,
    Arrival,
    Sifted,
    bounded,
    placed,
    plain_id,
    sift,
)
from gatehouse.cloud.kit import seal
from gatehouse.cloud.kit.ids import new_id
from gatehouse.wire.messages import (
    Ack,
    AnyEvent,
    CommandEnded,
    DoorMoved,
    EmergencyMoved,
    InputMoved,
    Lost,
    Passage,
)

_INT8 = 2**63 - 1
_INT4 = 2**31 - 1
_MOST_COUNTS = 32


@dataclass(slots=True)
class Fresh:
    """Ids of what became new at one site, for live screens."""

    passages: list[str] = field(default_factory=list)
    alarms: list[str] = field(default_factory=list)
    doors: set[str] = field(default_factory=set)
    commands: set[str] = field(default_factory=set)


@dataclass(slots=True)
class Taken:
    """What became of some arrivals: their acknowledgements in the same order, what is new, what was odd."""

    acks: list[Ack] = field(default_factory=list)
    fresh: dict[UUID, Fresh] = field(default_factory=dict)
    counted: Counter[str] = field(default_factory=Counter)
    rows: int = 0


def record_batches(arrivals: Sequence[Arrival]) -> Taken:
    """Take batches of any number of gateways in one transaction; acknowledge after it has committed, not before.

    What was taken before is dropped and counted, a gap that no loss is declared for stops a batch there
    (`Ack.resend`). A device, relay or holder that is not this gateway's is left out of the row and counted.
    Raises Django's OperationalError when the database is away, DataError or IntegrityError if a row cannot
    be stored; nothing is taken then.
    """
    with transaction.atomic(), connection.wrap_database_errors:
        connection.ensure_connection()
        raw: psycopg.Connection[Any] = connection.connection
        return _Intake(raw).take(arrivals)


def _plain(values: Iterable[object]) -> str:
    """An array literal of values that need no quotes: canonical ids, numbers, booleans, None."""
    return "{" + ",".join(["NULL" if value is None else str(value) for value in values]) + "}"


def _texts(values: Iterable[str]) -> str:
    """An array literal of any texts."""
    return "{" + ",".join(['"' + v.replace("\\", "\\\\").replace('"', '\\"') + '"' for v in values]) + "}"


def _sealed(values: Iterable[bytes | None]) -> str:
    """An array literal of binary values."""
    return "{" + ",".join(["NULL" if v is None else '"\\\\x' + v.hex() + '"' for v in values]) + "}"


@dataclass(slots=True)
class _Names:
    """What the events of one micro-batch speak of, by id."""

    gateways: dict[str, UUID]
    """Site of each gateway that may speak."""
    cursors: dict[str, tuple[str, int]]
    devices: dict[str, tuple[str, str]]
    """Gateway and name."""
    relays: dict[str, tuple[str, str]]
    """Device and name."""
    macs: dict[str, list[tuple[int, int, str]]]
    """Device: from and until (milliseconds), and the MAC that filled it then."""
    holders: dict[str, tuple[Any, ...]]
    commands: dict[str, tuple[str, str]]
    """Gateway and the name of who asked."""


_GATEWAYS = "SELECT id::text, site_id FROM devices_gateway WHERE id = ANY(%s::uuid[]) AND revoked_at IS NULL"
_NEW_CURSORS = """
INSERT INTO events_ingestcursor (spool, gateway_id, site_id, seq, duplicates, lost, updated_at)
SELECT e.spool, g.id, g.site_id, 0, 0, 0, clock_timestamp()
FROM unnest(%s::uuid[], %s::uuid[]) AS e (spool, gateway) JOIN devices_gateway g ON g.id = e.gateway
WHERE g.revoked_at IS NULL AND NOT EXISTS (SELECT FROM events_ingestcursor c WHERE c.spool = e.spool)
ORDER BY e.spool ON CONFLICT DO NOTHING
"""
_CURSORS = """
SELECT spool::text, gateway_id::text, seq FROM events_ingestcursor WHERE spool = ANY(%s::uuid[])
ORDER BY spool FOR UPDATE
"""
_RELAYS = """
SELECT r.id::text, r.device_id::text, r.name FROM devices_relay r WHERE r.id = ANY(%s::uuid[])
"""
_DEVICES = """
SELECT d.id::text, d.gateway_id::text, d.name, h.mac,
       (extract(epoch FROM lower(b.during)) * 1000)::int8, (extract(epoch FROM upper(b.during)) * 1000)::int8
FROM devices_device d LEFT JOIN devices_binding b ON b.device_id = d.id LEFT JOIN devices_hardware h ON h.id = b.hardware_id
WHERE d.id = ANY(%s::uuid[]) OR d.id IN (SELECT device_id FROM devices_relay WHERE id = ANY(%s::uuid[]))
"""
_HOLDERS = """
SELECT h.id::text, h.site_id, h.party_id::text, h.occupancy_id, h.label, h.seal_key, o.seal_key,
       coalesce(c.name, nullif(u.name, ''), u.number, '')
FROM people_holder h
LEFT JOIN premises_occupancy o ON o.id = h.occupancy_id
LEFT JOIN premises_company c ON c.party_id = h.party_id
LEFT JOIN premises_unit u ON u.party_id = h.party_id
WHERE h.id = ANY(%s::uuid[])
"""
_COMMANDS = "SELECT id::text, gateway_id::text, actor_label FROM devices_command WHERE id = ANY(%s::uuid[])"

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
_PASSAGE_COLUMNS = (
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
_ALARM_COLUMNS = (*_LOG_COLUMNS, ("kind", "text"), ("active", "bool"), ("data", "json"))


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


_INSERT_PASSAGES = _insert("events_passage", _PASSAGE_COLUMNS, ", way", ", ''")
_INSERT_ALARMS = _insert("events_alarm", _ALARM_COLUMNS)
_MOVE_CURSORS = """
UPDATE events_ingestcursor c
SET seq = e.seq, duplicates = c.duplicates + e.duplicates, lost = c.lost + e.lost, updated_at = clock_timestamp()
FROM unnest(%s::uuid[], %s::int8[], %s::int8[], %s::int8[]) AS e (spool, seq, duplicates, lost) WHERE c.spool = e.spool
"""
_DOORS = """
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
_END_COMMANDS = """
UPDATE devices_command c SET state = e.state, reason = e.reason, ended_at = to_timestamp(e.at / 1000.0)
FROM unnest(%s::uuid[], %s::uuid[], %s::text[], %s::text[], %s::int8[]) AS e (command, gateway, state, reason, at)
WHERE c.id = e.command AND c.gateway_id = e.gateway AND c.state IN ('queued', 'published', 'expired')
RETURNING c.id::text, c.site_id
"""


class _Intake:
    """One micro-batch on its way into the tables."""

    def __init__(self, raw: psycopg.Connection[Any]) -> None:
        self._raw = raw
        self._taken = Taken()
        self._passages: list[tuple[Any, ...]] = []
        self._alarms: list[tuple[Any, ...]] = []
        self._moved: dict[str, tuple[int, int, int]] = {}
        self._doors: dict[str, list[Any]] = {}
        self._ended: list[tuple[str, str, str, str, int]] = []

    def take(self, arrivals: Sequence[Arrival]) -> Taken:
        """All of `record_batches` but the transaction."""
        self._names = names = self._fetch(arrivals)
        for arrival in arrivals:
            spool, gateway = arrival.batch.spool, str(arrival.gateway)
            site = names.gateways.get(gateway)
            owner, seq = names.cursors.get(spool, ("", 0))
            if plain_id(spool) is None:
                self._refuse(spool, SPOOL_FORM)
            elif site is None:
                self._refuse(spool, GATEWAY_UNKNOWN)
            elif owner != gateway:
                self._refuse(spool, SPOOL_FOREIGN)
            else:
                self._one(arrival, site, sift(arrival.batch.events, self._moved.get(spool, (seq, 0, 0))[0]))
        self._write()
        self._taken.rows = len(self._passages) + len(self._alarms)
        return self._taken

    def _refuse(self, spool: str, reason: str, seq: int = 0) -> None:
        self._taken.acks.append(Ack(spool=spool, seq=seq, refused=reason))
        self._taken.counted[f"refused.{reason}"] += 1

    def _cursor(self) -> psycopg.Cursor[Any]:
        # Django's own cursor puts parameters into the text; arrays of hundreds of values belong beside it.
        return psycopg.Cursor(self._raw)

    def _run(self, sql: str, *parameters: str) -> psycopg.Cursor[Any]:
        return self._cursor().execute(sql.encode(), parameters, prepare=True)

    # --- first round trip -----------------------------------------------------------------------

    def _fetch(self, arrivals: Sequence[Arrival]) -> _Names:
        spools = {a.batch.spool: str(a.gateway) for a in arrivals if plain_id(a.batch.spool)}
        devices, relays, holders, commands = set(), set(), set(), set()
        for arrival in arrivals:
            for event in arrival.batch.events:
                devices.add(plain_id(event.device))
                relays.add(plain_id(event.relay))
                if isinstance(event, Passage):
                    holders.add(plain_id(event.holder))
                    commands.add(plain_id(event.command))
        ids = _plain(sorted(spools))
        wanted = [_plain(each - {None}) for each in (devices, relays, holders, commands)]
        with self._raw.pipeline():
            gateways = self._run(_GATEWAYS, _plain({str(a.gateway) for a in arrivals}))
            self._run(_NEW_CURSORS, ids, _plain(spools[spool] for spool in sorted(spools)))
            cursors = self._run(_CURSORS, ids)
            placed_devices = self._run(_DEVICES, wanted[0], wanted[1])
            placed_relays = self._run(_RELAYS, wanted[1])
            people = self._run(_HOLDERS, wanted[2])
            asked = self._run(_COMMANDS, wanted[3])
        names = _Names(
            gateways=dict(gateways.fetchall()),
            cursors={spool: (gateway, seq) for spool, gateway, seq in cursors},
            devices={},
            relays={id_: (device, name) for id_, device, name in placed_relays},
            macs={},
            holders={row[0]: row[1:] for row in people},
            commands={id_: (gateway, label) for id_, gateway, label in asked},
        )
        for id_, gateway, name, mac, since, until in placed_devices:
            names.devices[id_] = (gateway, name)
            if mac:
                names.macs.setdefault(id_, []).append((since or 0, until or LATEST_MS, mac))
        return names

    # --- rows -----------------------------------------------------------------------------------

    def _one(self, arrival: Arrival, site: UUID, sifted: Sifted) -> None:
        spool = arrival.batch.spool
        moved = self._moved.get(spool, (0, 0, 0))
        counted = self._taken.counted
        if sifted.refused:
            self._refuse(spool, sifted.refused, sifted.seq)
            return
        received = int(arrival.received_at.timestamp() * 1000)
        for event in sifted.events:
            self._event(event, arrival, site, received)
        self._moved[spool] = (sifted.seq, moved[1] + sifted.duplicates, moved[2] + sifted.lost)
        counted["events"] += len(sifted.events)
        counted["duplicates"] += sifted.duplicates
        counted["gaps"] += sifted.gap
        self._taken.acks.append(Ack(spool=spool, seq=sifted.seq, resend=sifted.gap))

    def _event(self, event: AnyEvent, arrival: Arrival, site: UUID, received: int) -> None:
        gateway = str(arrival.gateway)
        at, clock = placed(event, arrival.batch, received)
        at = min(at, LATEST_MS)
        device, device_label, relay, relay_label = self._where(event, gateway)
        mac = ""
        if device is not None:
            filled = self._names.macs.get(device, [])
            mac = next((mac for since, until, mac in filled if since <= at < until), "")
        id_ = new_id()
        log = (
            str(id_), str(site), at, min(event.wall_ms, LATEST_MS), received, clock, gateway, arrival.batch.spool,
            event.seq, device, relay, device_label, relay_label, mac,
        )  # fmt: skip
        fresh = self._taken.fresh.setdefault(site, Fresh())
        match event:
            case Passage():
                self._passages.append(log + self._passage(event, id_, site, gateway))
                fresh.passages.append(str(id_))
                if relay is not None:
                    self._door(relay, site, 4, (at, str(id_)))
                    fresh.doors.add(relay)
            case DoorMoved():
                if relay is not None:
                    self._door(relay, site, 2, (at, event.state))
                    fresh.doors.add(relay)
                if event.state in ("held", "forced"):
                    self._alarm(fresh, log, f"door.{event.state}", True, {})
            case InputMoved():
                if event.use != "exit":  # its passage is the record
                    self._alarm(fresh, log, f"input.{event.use}", event.active, {})
            case EmergencyMoved():
                said = {"counter": bounded(event.counter, _INT8), "state": event.state}
                self._alarm(fresh, log, "emergency", event.state != "released", said)
            case CommandEnded():
                if command := plain_id(event.command):
                    self._ended.append((command, gateway, event.state, event.reason, at))
            case Lost():
                counts = list(event.counts.items())[:_MOST_COUNTS]
                data = {
                    "from": event.seq,
                    "upto": event.upto,
                    "counts": {name.replace("\0", "")[:64]: bounded(number, _INT8) for name, number in counts},
                }
                self._alarm(fresh, log, "spool.lost", True, data)

    def _where(self, event: AnyEvent, gateway: str) -> tuple[str | None, str, str | None, str]:
        """Device and relay with their names of now, as far as they are this gateway's own."""
        device, relay = plain_id(event.device), plain_id(event.relay)
        relay_device, relay_label = self._names.relays.get(relay or "", (None, ""))
        device = device or relay_device
        owner, device_label = self._names.devices.get(device or "", (None, ""))
        if owner != gateway:
            device, device_label = None, ""
        if device is None or relay_device != device:
            relay, relay_label = None, ""
        if (event.device and not device) or (event.relay and not relay):
            self._taken.counted["foreign.place"] += 1
        return device, device_label, relay, relay_label

    def _passage(self, event: Passage, id_: UUID, site: UUID, gateway: str) -> tuple[Any, ...]:
        holder, who, party, occupancy = plain_id(event.holder), None, None, None
        command = plain_id(event.command)
        of_gateway, asked_by = self._names.commands.get(command or "", ("", ""))
        if of_gateway != gateway:
            command = None
        row = self._names.holders.get(holder or "")
        if row is not None and row[0] == site:
            _, party, occupancy, label, own_key, occupancy_key, of = row
            key = self._key(holder or "", site, occupancy, own_key, occupancy_key)
            if key is not None:
                text = json.dumps({"name": label, "of": of}, ensure_ascii=False)
                who = seal.seal_with(key, text, table="events_passage", site=site, row=id_, field="who")
        else:
            if event.holder is not None:
                self._taken.counted["foreign.holder"] += 1
            holder = None
            if command is not None:
                text = json.dumps({"name": asked_by, "of": ""}, ensure_ascii=False)
                who = seal.seal(text, table="events_passage", site=site, row=id_, field="who")
        return (
            holder,
            party,
            occupancy,
            plain_id(event.credential) if holder else None,
            command,
            who,
            event.method[:16],
            event.allowed,
            event.reason,
            event.alone,
            bounded(event.revision, _INT8),
            bounded(event.decide_us, _INT4),
        )

    @staticmethod
    def _key(holder: str, site: UUID, occupancy: UUID | None, own: bytes | None, of: bytes | None) -> bytes | None:
        """The key that names are sealed with; None when it was destroyed: then there is no name to be kept."""
        if occupancy is not None:
            return seal.open_key(bytes(of), table="premises_occupancy", site=site, row=occupancy) if of else None
        return seal.open_key(bytes(own), table="people_holder", site=site, row=UUID(holder)) if own else None

    def _alarm(self, fresh: Fresh, log: tuple[Any, ...], kind: str, active: bool, data: dict[str, Any]) -> None:
        self._alarms.append((*log, kind, active, json.dumps(data)))
        fresh.alarms.append(log[0])

    def _door(self, relay: str, site: UUID, place: int, news: tuple[int, str]) -> None:
        """Remember the latest state (place 2) or passage (place 4) of a relay."""
        door = self._doors.setdefault(relay, [relay, str(site), None, None, None, None])
        at, value = news
        if door[place + 1] is None or at >= door[place + 1]:
            door[place], door[place + 1] = value, at

    # --- second round trip ----------------------------------------------------------------------

    def _write(self) -> None:
        ended = None
        with self._raw.pipeline():
            if self._passages:
                self._run(_INSERT_PASSAGES, *_arrays(_PASSAGE_COLUMNS, self._passages))
            if self._alarms:
                self._run(_INSERT_ALARMS, *_arrays(_ALARM_COLUMNS, self._alarms))
            if self._moved:
                numbers = zip(*self._moved.values(), strict=True)
                self._run(_MOVE_CURSORS, _plain(self._moved), *(_plain(each) for each in numbers))
            if self._doors:
                self._run(_DOORS, *(_plain(each) for each in zip(*self._doors.values(), strict=True)))
            if self._ended:
                command, gateway, state, reason, at = zip(*self._ended, strict=True)
                ended = self._run(
                    _END_COMMANDS, _plain(command), _plain(gateway), _plain(state), _texts(reason), _plain(at)
                )
        for id_, site in ended or ():
            self._taken.fresh.setdefault(site, Fresh()).commands.add(id_)


def _arrays(columns: tuple[tuple[str, str], ...], rows: list[tuple[Any, ...]]) -> list[str]:
    literals: list[str] = []
    for (_, kind), values in zip(columns, zip(*rows, strict=True), strict=True):
        match kind:
            case "text" | "json":
                literals.append(_texts(values))
            case "bytea":
                literals.append(_sealed(values))
            case _:
                literals.append(_plain(values))
    return literals
