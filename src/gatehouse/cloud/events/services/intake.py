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
from itertools import chain
from typing import Any, NamedTuple
from uuid import UUID

import msgspec
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
from gatehouse.cloud.events.services.statements import (
    ALARM_COLUMNS,
    COMMANDS,
    CURSORS,
    DEVICES,
    DOORS,
    END_COMMANDS,
    GATEWAYS,
    HOLDERS,
    INSERT_ALARMS,
    INSERT_PASSAGES,
    MOVE_CURSORS,
    NEW_CURSORS,
    PASSAGE_COLUMNS,
    RELAYS,
    arrays,
    plain,
    texts,
)
from gatehouse.cloud.kit import seal
from gatehouse.cloud.kit.ids import new_id
from gatehouse.wire.messages import (
    Ack,
    AnyEvent,
    CommandEnded,
    DoorMoved,
    EmergencyMoved,
    EventBatch,
    InputMoved,
    Lost,
    Passage,
)

_INT8 = 2**63 - 1
_INT4 = 2**31 - 1
_MOST_COUNTS = 32

_json = msgspec.json.Encoder()


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


class _Holder(NamedTuple):
    """One whom the events name. `key` seals names; None when it was destroyed: then there is no name to be kept."""

    site: str
    party: str | None
    occupancy: str | None
    key: bytes | None
    who: str
    """Names as JSON."""


@dataclass(slots=True)
class _Names:
    """What the events of one micro-batch speak of, by id."""

    gateways: dict[str, UUID]
    """Site of each gateway that may speak."""
    cursors: dict[str, tuple[str, int]]
    devices: dict[str | None, tuple[str, str]]
    """Gateway and name."""
    relays: dict[str | None, tuple[str, str]]
    """Device and name."""
    macs: dict[str, list[tuple[int, int, str]]]
    """Device: from and until (milliseconds), and the MAC that filled it then."""
    holders: dict[str | None, _Holder]
    commands: dict[str | None, tuple[str, str]]
    """Gateway and the name of who asked."""


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
                if event.relay is not None:
                    relays.add(event.relay)
                elif event.device is not None:
                    devices.add(event.device)
                if isinstance(event, Passage):
                    holders.add(event.holder)
                    commands.add(event.command)
        ids = plain(sorted(spools))
        with self._raw.pipeline():
            gateways = self._run(GATEWAYS, plain({str(a.gateway) for a in arrivals}))
            self._run(NEW_CURSORS, ids, plain(spools[spool] for spool in sorted(spools)))
            cursors = self._run(CURSORS, ids)
            places = [self._run(RELAYS, _ids(relays)), self._run(DEVICES, _ids(devices))]
            people = self._run(HOLDERS, _ids(holders))
            asked = self._run(COMMANDS, _ids(commands))
        names = _Names(
            gateways=dict(gateways.fetchall()),
            cursors={spool: (gateway, seq) for spool, gateway, seq in cursors},
            devices={},
            relays={},
            macs={},
            holders={row[0]: _holder(*row) for row in people},
            commands={id_: (gateway, label) for id_, gateway, label in asked},
        )
        for relay, relay_name, device, gateway, name, mac, since, until in chain.from_iterable(places):
            names.devices[device] = (gateway, name)
            if relay:
                names.relays[relay] = (device, relay_name)
            if mac:
                names.macs.setdefault(device, []).append((since or 0, until or LATEST_MS, mac))
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
        fresh = self._taken.fresh.setdefault(site, Fresh())
        gateway, of_site = str(arrival.gateway), str(site)
        for event in sifted.events:
            self._event(event, arrival.batch, gateway, of_site, received, fresh)
        self._moved[spool] = (sifted.seq, moved[1] + sifted.duplicates, moved[2] + sifted.lost)
        counted["events"] += len(sifted.events)
        counted["duplicates"] += sifted.duplicates
        counted["gaps"] += sifted.gap
        self._taken.acks.append(Ack(spool=spool, seq=sifted.seq, resend=sifted.gap))

    def _event(
        self, event: AnyEvent, batch: EventBatch, gateway: str, of_site: str, received: int, fresh: Fresh
    ) -> None:
        at, clock = placed(event, batch, received)
        at = min(at, LATEST_MS)
        device, device_label, relay, relay_label = self._where(event, gateway)
        mac = ""
        if device is not None:
            filled = self._names.macs.get(device, ())
            mac = next((mac for since, until, mac in filled if since <= at < until), "")
        id_ = str(new_id())
        log = (
            id_, of_site, at, min(event.wall_ms, LATEST_MS), received, clock, gateway, batch.spool,
            event.seq, device, relay, device_label, relay_label, mac,
        )  # fmt: skip
        match event:
            case Passage():
                self._passages.append(log + self._passage(event, id_, of_site, gateway))
                fresh.passages.append(id_)
                if relay is not None:
                    self._door(relay, of_site, 4, at, id_)
                    fresh.doors.add(relay)
            case DoorMoved():
                if relay is not None:
                    self._door(relay, of_site, 2, at, event.state)
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
        relay, device = event.relay, event.device
        relay_device, relay_label = self._names.relays.get(relay, (None, ""))
        device = device or relay_device
        owner, device_label = self._names.devices.get(device, (None, ""))
        if owner != gateway:
            device, device_label = None, ""
        if device is None or relay_device != device:
            relay, relay_label = None, ""
        if (event.device and not device) or (event.relay and not relay):
            self._taken.counted["foreign.place"] += 1
        return device, device_label, relay, relay_label

    def _passage(self, event: Passage, id_: str, site: str, gateway: str) -> tuple[Any, ...]:
        holder = self._names.holders.get(event.holder)
        of_gateway, asked_by = self._names.commands.get(event.command, ("", ""))
        command = event.command if of_gateway == gateway else None
        who = party = occupancy = credential = None
        if holder is not None and holder.site == site:
            party, occupancy = holder.party, holder.occupancy
            credential = plain_id(event.credential)
            if holder.key is not None:
                who = seal.seal_with(holder.key, holder.who, table="events_passage", site=site, row=id_, field="who")
        else:
            holder = None
            if event.holder is not None:
                self._taken.counted["foreign.holder"] += 1
            if command is not None:
                who = seal.seal(_who(asked_by, ""), table="events_passage", site=site, row=id_, field="who")
        return (
            event.holder if holder is not None else None,
            party,
            occupancy,
            credential,
            command,
            who,
            event.method[:16],
            event.allowed,
            event.reason,
            event.alone,
            bounded(event.revision, _INT8),
            bounded(event.decide_us, _INT4),
        )

    def _alarm(self, fresh: Fresh, log: tuple[Any, ...], kind: str, active: bool, data: dict[str, Any]) -> None:
        self._alarms.append((*log, kind, active, json.dumps(data)))
        fresh.alarms.append(log[0])

    def _door(self, relay: str, site: str, place: int, at: int, value: str) -> None:
        """Remember the latest state (place 2) or passage (place 4) of a relay."""
        door = self._doors.setdefault(relay, [relay, site, None, None, None, None])
        if door[place + 1] is None or at >= door[place + 1]:
            door[place], door[place + 1] = value, at

    # --- second round trip ----------------------------------------------------------------------

    def _write(self) -> None:
        ended = None
        with self._raw.pipeline():
            if self._passages:
                self._run(INSERT_PASSAGES, *arrays(PASSAGE_COLUMNS, self._passages))
            if self._alarms:
                self._run(INSERT_ALARMS, *arrays(ALARM_COLUMNS, self._alarms))
            if self._moved:
                numbers = zip(*self._moved.values(), strict=True)
                self._run(MOVE_CURSORS, plain(self._moved), *(plain(each) for each in numbers))
            if self._doors:
                self._run(DOORS, *(plain(each) for each in zip(*self._doors.values(), strict=True)))
            if self._ended:
                command, gateway, state, reason, at = zip(*self._ended, strict=True)
                ended = self._run(END_COMMANDS, plain(command), plain(gateway), plain(state), texts(reason), plain(at))
        for id_, site in ended or ():
            self._taken.fresh.setdefault(site, Fresh()).commands.add(id_)


def _holder(
    id_: str,
    site: str,
    party: str | None,
    occupancy: str | None,
    label: str,
    own: bytes | None,
    of: bytes | None,
    at: str,
) -> _Holder:
    """With the key of the occupancy, where there is one: all that is personal ends with it."""
    table, row, sealed = ("premises_occupancy", occupancy, of) if occupancy else ("people_holder", id_, own)
    key = seal.open_key(bytes(sealed), table=table, site=site, row=row) if sealed else None
    return _Holder(site, party, occupancy, key, _who(label, at))


def _who(name: str, of: str) -> str:
    return _json.encode({"name": name, "of": of}).decode()


def _ids(values: Iterable[str | None]) -> str:
    """An array literal of those that are ids."""
    return plain(value for value in values if plain_id(value))
