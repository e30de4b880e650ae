"""How fast does the log take events, from the gateways' messages to committed rows?

Work: 5,000 doors behind 1,000 gateways of one site, each gateway with a connection of its own and one batch in
flight, as the protocol has it. A real broker, the link as its own process, PostgreSQL with fsync and
synchronous_commit on. Four in five events name one of 5,000 people, whose name is sealed at receipt. Timed:
from the first publish to the last acknowledgement, in messages of one event and of fifty.

Peer: COPY of the very rows that we stored, 1,000 a commit, into the same table with the same indexes; that is
as fast as PostgreSQL takes them from a client that does nothing else. The two take turns (A B B A). Before
anything is timed both must leave the same rows, each event once and in the order of its spool.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import multiprocessing
import os
import resource
import secrets
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any
from uuid import UUID, uuid4

import msgspec
import psycopg

from gatehouse.run import broker as run_broker
from gatehouse.run import database, postgres, processes
from gatehouse.run.home import free_port
from gatehouse.wire import topics
from gatehouse.wire.messages import Ack, EventBatch, Passage, encode

QUICK = os.environ.get("QUICK") == "1"
GATEWAYS, DOORS_EACH, PEOPLE = 1_000, 5, 5_000
TURNS = "ABBA" if QUICK else "ABBAABBA"
TARGETS = {1: 0.10, 50: 0.50}
EVENTS = {1: 5_000 if QUICK else 40_000, 50: 50_000 if QUICK else 200_000}
COPY_ROWS = 1_000
ROOT = Path(__file__).parents[1]


# --- The installation -----------------------------------------------------------------------------


@dataclass(frozen=True)
class Installation:
    """What the load speaks to."""

    url: str
    superuser: str
    mqtt_port: int
    home: Path
    gateways: list[tuple[str, list[tuple[str, str]]]]
    """Id, and (device, relay) of its doors."""
    people: list[str]
    secret: str


@contextlib.contextmanager
def durable_server(folder: Path) -> Iterator[str]:
    """A PostgreSQL server with the settings of production; its superuser's address."""
    who, binaries, port = postgres.system_account(), postgres.find_binaries(), free_port()
    folder.chmod(0o711)
    password = secrets.token_hex(16)
    postgres.make_cluster(folder / "data", password, who, binaries=binaries)
    with (folder / "postgres.log").open("ab") as log:
        process = postgres.start(folder / "data", port, who, binaries=binaries, log=log)
    try:
        dsn = postgres.superuser_dsn(port, password)
        postgres.wait_until_ready(dsn, process, folder / "postgres.log")
        yield dsn
    finally:
        postgres.stop(process)


@contextlib.contextmanager
def installation() -> Iterator[Installation]:
    """Everything running: database, broker, link."""
    with tempfile.TemporaryDirectory(prefix="gatehouse-ingest-", ignore_cleanup_errors=True) as text:
        folder = Path(text)
        with durable_server(folder) as superuser:
            url = database.create_database(superuser, "ingest")
            os.environ.update(
                DATABASE_URL=url,
                GATEHOUSE_DB_ROLE="owner",
                GATEHOUSE_HOME=str(folder),
                GATEHOUSE_MASTER_KEY="11" * 32,
                GATEHOUSE_SECRET_KEY="22" * 32,
                DJANGO_SETTINGS_MODULE="gatehouse.cloud.config.settings",
                GATEHOUSE_LOG_LEVEL="WARNING",
            )
            secret = secrets.token_urlsafe(32)
            gateways, people = fill(secret)
            port = free_port()
            with broker(folder, port) as mosquitto, link(folder, port, url, mosquitto):
                yield Installation(url, superuser, port, folder, gateways, people, secret)


def fill(secret: str) -> tuple[list[tuple[str, list[tuple[str, str]]]], list[str]]:
    """The migrated database with its site; written past the services, as the owner: they are not what is measured."""
    import django

    django.setup()
    from django.core.management import call_command
    from django.db import connections

    from gatehouse.cloud.devices.models import Device, Gateway, Relay
    from gatehouse.cloud.devices.services import broker_hash, digest
    from gatehouse.cloud.kit import seal
    from gatehouse.cloud.kit.ids import new_id
    from gatehouse.cloud.people.models import Holder
    from gatehouse.cloud.premises.models import Company
    from gatehouse.cloud.tenants.models import Organisation, Party, Site

    call_command("migrate", verbosity=0)
    top = Organisation.objects.create(kind="operator", name="Operator")
    middle = Organisation.objects.create(kind="distributor", name="Distributor", parent=top, parent_kind="operator")
    installer = Organisation.objects.create(
        kind="installer", name="Installer", parent=middle, parent_kind="distributor"
    )
    site = Site.objects.create(organisation=installer, kind="office", name="Tower", zone="Europe/Berlin")
    company = Company.objects.create(party=Party.objects.create(site=site, kind="company"), site=site, name="Lumen")
    hashed, kept = broker_hash(secret), digest(secret)
    gateways = Gateway.objects.bulk_create(
        Gateway(site=site, name=f"G{n}", broker_hash=hashed, secret_digest=kept) for n in range(GATEWAYS)
    )
    devices = Device.objects.bulk_create(
        Device(site=site, gateway=gateways[n % GATEWAYS], type="access_terminal", name=f"Door {n}")
        for n in range(GATEWAYS * DOORS_EACH)
    )
    relays = Relay.objects.bulk_create(
        Relay(site=site, device=device, position=1, name=f"Relay of {device.name}") for device in devices
    )
    people = []
    for n in range(PEOPLE):
        id_ = new_id()
        key = seal.new_key(table="people_holder", site=site.id, row=id_)
        people.append(
            Holder(id=id_, site=site, kind="person", party_id=company.pk, label=f"Person Number {n}", seal_key=key)
        )
    Holder.objects.bulk_create(people, batch_size=1_000)
    doors: list[list[tuple[str, str]]] = [[] for _ in gateways]
    for n, relay in enumerate(relays):
        doors[n % GATEWAYS].append((str(relay.device_id), str(relay.id)))
    connections.close_all()
    return [(str(g.id), d) for g, d in zip(gateways, doors, strict=True)], [str(p.id) for p in people]


@contextlib.contextmanager
def broker(folder: Path, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """mosquitto, with the link's account only."""
    place = folder / "broker"
    place.mkdir()
    (folder / "secrets").mkdir(exist_ok=True)
    (folder / "secrets" / "broker-link").write_text("link\n")
    (place / "passwords").write_text(run_broker.password_line("link", "link") + "\n")
    (place / "acl").write_text(run_broker.first_rules())
    for name in ("passwords", "acl"):
        (place / name).chmod(0o600)
    (place / "mosquitto.conf").write_text(
        f"user root\nallow_anonymous false\nlistener {port} 127.0.0.1\nmax_queued_messages 100000\nset_tcp_nodelay true\n"
        f"max_queued_bytes 0\nmax_inflight_messages 100\nlog_type error\nconnection_messages false\n"
        f"password_file {place / 'passwords'}\nacl_file {place / 'acl'}\n"
    )
    with (folder / "broker.log").open("ab") as log:
        process = processes.spawn(
            [str(run_broker.find_binary()), "-c", str(place / "mosquitto.conf")], who=None, output=log
        )
    try:
        yield process
    finally:
        process.kill()
        process.wait(10)


@contextlib.contextmanager
def link(folder: Path, port: int, url: str, mosquitto: subprocess.Popen[bytes]) -> Iterator[None]:
    """The link, ready: its accounts are the broker's."""
    environment = {**os.environ, "DATABASE_URL": url, "GATEHOUSE_PORT_MQTT": str(port), "GATEHOUSE_DB_ROLE": "system"}
    log_path = folder / "link.log"
    with log_path.open("ab") as log:
        process = processes.spawn(
            [sys.executable, "-m", "gatehouse.cli", "link"], who=None, output=log, environment=environment
        )
    try:
        deadline = time.monotonic() + 60
        while (folder / "broker" / "passwords").read_text().count("\n") <= GATEWAYS:
            if time.monotonic() > deadline or process.poll() is not None:
                raise SystemExit(f"the link does not start: {log_path.read_text()[-2000:]}")
            time.sleep(0.05)
        mosquitto.send_signal(signal.SIGHUP)
        time.sleep(0.5)
        yield
    finally:
        process.kill()
        process.wait(10)


# --- The load ---------------------------------------------------------------------------------------


class Connection(asyncio.Protocol):
    """A gateway's MQTT connection (3.1.1), as little of it as it takes: a heavier one would be what is measured."""

    def __init__(
        self, gateway: str, secret: str, spool: str, batches: list[bytes], last: list[int], by_broker: bool
    ) -> None:
        self.gateway, self.secret, self.spool = gateway, secret, spool
        self.last = last
        self.ready = asyncio.Event()
        self.done = asyncio.get_running_loop().create_future()
        self.by_broker = by_broker
        # A kind that the link does not listen to gives the ceiling of generator and broker.
        topic = topics.up(gateway, "probe" if by_broker else topics.EVENTS)
        self._packets = [_packet(0x32, _text(topic) + b"\x00\x01" + body) for body in batches]
        self._next = 0
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: asyncio.Transport = transport  # type: ignore[assignment]
        body = _text("MQTT") + bytes([4, 0b11000010]) + (600).to_bytes(2, "big")
        body += _text(self.gateway) + _text(self.gateway) + _text(self.secret)
        self.transport.write(_packet(0x10, body))

    def send(self) -> None:
        self.transport.write(self._packets[self._next])

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while (found := _next_packet(self._buffer)) is not None:
            kind, body, length = found
            self._buffer = self._buffer[length:]
            match kind >> 4:
                case 2:
                    if body[1] != 0:
                        raise SystemExit(f"the broker refuses a gateway: {body[1]}")
                    topic = topics.down(self.gateway, topics.ACK)
                    self.transport.write(_packet(0x82, b"\x00\x02" + _text(topic) + b"\x00"))
                case 9:
                    self.ready.set()
                case 3:
                    size = int.from_bytes(body[:2], "big")
                    self._acknowledged(_acks.decode(body[2 + size :]))
                case 4 if self.by_broker:
                    self._advance()

    def _acknowledged(self, ack: Ack) -> None:
        if ack.refused or ack.resend or ack.spool != self.spool:
            raise SystemExit(f"not taken: {ack}")
        if ack.seq == self.last[self._next]:
            self._advance()

    def _advance(self) -> None:
        self._next += 1
        if self._next == len(self._packets):
            if not self.done.done():
                self.done.set_result(None)
        else:
            self.send()


_acks = msgspec.json.Decoder(Ack)


def _text(text: str) -> bytes:
    return len(text).to_bytes(2, "big") + text.encode()


def _packet(head: int, body: bytes) -> bytes:
    size, length = len(body), b""
    while True:
        size, digit = size >> 7, size & 127
        length += bytes([digit | (128 if size else 0)])
        if not size:
            return bytes([head]) + length + body


def _next_packet(buffer: bytes) -> tuple[int, bytes, int] | None:
    size, shift, at = 0, 0, 1
    while at < len(buffer):
        digit = buffer[at]
        size |= (digit & 127) << shift
        at, shift = at + 1, shift + 7
        if digit < 128:
            return (buffer[0], buffer[at : at + size], at + size) if len(buffer) >= at + size else None
    return None


def make_batches(
    spool: str, doors: Sequence[tuple[str, str]], people: Sequence[str], number: int, a_message: int, random: Random
) -> tuple[list[bytes], list[int]]:
    """Encoded messages of one gateway, and the last sequence number of each."""
    boot, now = str(uuid4()), time.time_ns() // 1_000_000
    bodies, last = [], []
    for first in range(1, number + 1, a_message):
        events: list[Any] = []
        for seq in range(first, min(first + a_message, number + 1)):
            device, relay = random.choice(doors)
            known = random.random() < 0.8
            events.append(
                Passage(
                    seq=seq,
                    boot=boot,
                    mono_ms=seq,
                    wall_ms=now,
                    true_ms=now - random.randrange(1000),
                    device=device,
                    relay=relay,
                    method="card",
                    allowed=known,
                    reason="granted" if known else "credential.unknown",
                    holder=random.choice(people) if known else None,
                    credential=str(UUID(int=random.getrandbits(128))) if known else None,
                    decide_us=140,
                    revision=17,
                )
            )
        bodies.append(encode(EventBatch(spool=spool, boot=boot, sent_mono_ms=10**6, events=events)))
        last.append(events[-1].seq)
    return bodies, last


def load(place: Installation, events: int, a_message: int, seed: int, by_broker: bool, result: Any) -> None:
    """One run of the load, in its own process: seconds from the first publish to the last acknowledgement."""

    async def run() -> float:
        random = Random(seed)
        loop = asyncio.get_running_loop()
        connections = []
        each = events // GATEWAYS
        for gateway, doors in place.gateways:
            spool = str(uuid4())
            bodies, last = make_batches(spool, doors, place.people, each, a_message, random)
            _, connection = await loop.create_connection(
                lambda g=gateway, s=spool, b=bodies, n=last: Connection(g, place.secret, s, b, n, by_broker),  # type: ignore[misc]
                "127.0.0.1",
                place.mqtt_port,
            )
            connections.append(connection)
        await asyncio.wait_for(asyncio.gather(*(connection.ready.wait() for connection in connections)), 30)
        began = time.perf_counter()
        for connection in connections:
            connection.send()
        await asyncio.wait_for(asyncio.gather(*(connection.done for connection in connections)), 300)
        took = time.perf_counter() - began
        for connection in connections:
            connection.transport.close()
        return took

    result.send(asyncio.run(run()))


def run_load(place: Installation, events: int, a_message: int, seed: int, by_broker: bool = False) -> float:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=load, args=(place, events, a_message, seed, by_broker, theirs), daemon=True)
    process.start()
    theirs.close()
    try:
        return float(ours.recv())
    finally:
        process.join(20)


# --- The rows ---------------------------------------------------------------------------------------


def empty(place: Installation) -> None:
    with psycopg.connect(_owner(place), autocommit=True) as owner:
        owner.execute("TRUNCATE events_passage, events_ingestcursor, events_doorstate")
    with psycopg.connect(place.superuser, autocommit=True) as superuser:
        superuser.execute("CHECKPOINT")


def _owner(place: Installation) -> str:
    return f"{place.url}?options=-c%20role%3Dgatehouse_owner"


def stored(place: Installation) -> list[bytes]:
    """All rows as COPY writes them, in the order of their ids."""
    rows = "COPY (SELECT * FROM events_passage ORDER BY id) TO STDOUT"
    with psycopg.connect(_owner(place)) as owner, owner.cursor() as cursor, cursor.copy(rows) as copy:
        return b"".join(bytes(block) for block in copy).splitlines(keepends=True)


def check(place: Installation, events: int) -> None:
    """Each event once and in the order of its spool, with its people's names sealed. Stops the benchmark otherwise."""
    with psycopg.connect(_owner(place)) as owner:
        row = owner.execute(
            "SELECT count(*), count(DISTINCT (spool, seq)), count(DISTINCT spool), max(seq),"
            " count(*) FILTER (WHERE holder_id IS NOT NULL AND who IS NULL), count(*) FILTER (WHERE relay_id IS NULL)"
            " FROM events_passage"
        ).fetchone()
        disordered = owner.execute(
            "SELECT count(*) FROM (SELECT seq, lag(seq, 1, 0::int8) OVER (PARTITION BY spool ORDER BY id) AS before"
            " FROM events_passage) AS steps WHERE seq <> before + 1"
        ).fetchone()
    if row != (events, events, GATEWAYS, events // GATEWAYS, 0, 0) or disordered != (0,):
        raise SystemExit(f"lost, double or out of order: {row} of {events}, {disordered}")


def copy(place: Installation, rows: Sequence[bytes]) -> float:
    """The peer."""
    with psycopg.connect(_owner(place)) as owner, owner.cursor() as cursor:
        began = time.perf_counter()
        for first in range(0, len(rows), COPY_ROWS):
            with cursor.copy("COPY events_passage FROM STDIN") as copy:
                copy.write(b"".join(rows[first : first + COPY_ROWS]))
            owner.commit()
        return time.perf_counter() - began


def measure(place: Installation, a_message: int) -> dict[str, Any]:
    """Rates of both sides for messages of this many events."""
    events, seeds = EVENTS[a_message], iter(range(100))
    empty(place)
    run_load(place, events, a_message, next(seeds))
    check(place, events)
    rows = stored(place)
    empty(place)
    copy(place, rows)
    if hashlib.sha256(b"".join(stored(place))).digest() != hashlib.sha256(b"".join(rows)).digest():
        raise SystemExit("the peer leaves other rows")
    rates: dict[str, list[float]] = {"A": [], "B": []}
    for turn in TURNS:
        empty(place)
        took = run_load(place, events, a_message, next(seeds)) if turn == "A" else copy(place, rows)
        rates[turn].append(events / took)
        if turn == "A":
            check(place, events)
    ratios = [ours / peer for ours, peer in zip(rates["A"], rates["B"], strict=True)]
    ceiling = events / run_load(place, events, a_message, next(seeds), by_broker=True)
    return {
        "ours": round(statistics.median(rates["A"])),
        "peer": round(statistics.median(rates["B"])),
        "ratio": round(statistics.median(ratios), 3),
        "spread": [round(min(ratios), 3), round(max(ratios), 3)],
        "ceiling": round(ceiling),
        "target": TARGETS[a_message],
    }


def main() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < 4 * GATEWAYS:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 4 * GATEWAYS), hard))
    print(f"{datetime.now(tz=UTC):%Y-%m-%d %H:%M} UTC, {os.cpu_count()} cores, {GATEWAYS} gateways, {PEOPLE} people")
    with installation() as place:
        results = {a_message: measure(place, a_message) for a_message in (1, 50)}
    for a_message, found in results.items():
        print(
            f"{a_message:>3} a message: {found['ours']:>7,} events/s, COPY {found['peer']:>7,} rows/s, "
            f"ratio {found['ratio']} {found['spread']} (target {found['target']}), "
            f"generator and broker alone {found['ceiling']:,}"
        )
    fifty, one = results[50], results[1]
    print(
        json.dumps(
            {
                "bench": "ingest",
                "ours": fifty["ours"],
                "peer": fifty["peer"],
                "peer_name": "COPY, 1,000 rows a commit",
                "ratio": fifty["ratio"],
                "target": fifty["target"],
                "unit": "events/s",
                "better": "higher",
                "held": all(found["ratio"] >= found["target"] for found in results.values()),
                "one_event_a_message": one,
                "spread": fifty["spread"],
                "ceiling": fifty["ceiling"],
                "lost": 0,
                "double": 0,
            }
        )
    )


if __name__ == "__main__":
    main()
