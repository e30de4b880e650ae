"""How long is somebody still let in after he was removed?

Work: 600 doors with a gateway each, connected to a real broker; 500 of them hold the same 10,000 people. One of
these is removed: from the commit of that act until the last of the 500 gateways has read the removal. Between
them: the worker that compiles, the link that publishes, both as processes of their own, and PostgreSQL with
fsync. The other 100 gateways must get nothing.

Peer: plain fan-out. One client that knows beforehand what to say publishes the very messages that ours sent,
to the same 500 connections through the same broker, all at once, with the same quality of service. The two
take turns (A B B A). The other limit is bytes: a removal against the whole configuration of one such door.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import secrets
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
from benchmarks.compile import NOW, ROOT_ROWS, durable_server, migrated, run

from gatehouse.run import broker as run_broker
from gatehouse.run import processes
from gatehouse.run.home import free_port
from gatehouse.wire import topics
from gatehouse.wire.messages import FeedDelta, decode, encode

QUICK = os.environ.get("QUICK") == "1"
DOORS, CONCERNED, PEOPLE, BYSTANDERS = 600, 500, 10_000, 100
TURNS = "ABBA" * (2 if QUICK else 10)
TARGET, TARGET_BYTES = 1.5, 1 / 1000
WITHIN_S = 20.0

ROWS = """
INSERT INTO devices_gateway (id, site_id, name, native, claimed_at, secret_digest, broker_hash, online, version, health,
  created_at, row_version)
SELECT id(1, n), %(site)s, 'Gateway ' || n, true, now(), %(digest)s, %(hash)s, true, '', '{}', now(), 1
FROM generate_series(1, %(doors)s) n;
INSERT INTO devices_device (id, site_id, gateway_id, placement, all_buildings, type, name, internet, settings, online,
  created_at, row_version)
SELECT id(2, n), %(site)s, id(1, n), 'public', true, 'access_terminal', 'Door ' || n, true, '{}', true, now(), 1
FROM generate_series(1, %(doors)s) n;
INSERT INTO devices_relay (id, site_id, device_id, kind, position, name, enabled, dtmf, methods, hold_ms, row_version)
SELECT id(5, n), %(site)s, id(2, n), 'door', 1, 'Relay1', true, '#', '{pin,card}', 5000, 1
FROM generate_series(1, %(doors)s) n;
INSERT INTO access_accessgroup (id, site_id, number, name, source, row_version)
SELECT id(6, n), %(site)s, n, 'Group ' || n, 'manual', 1 FROM generate_series(1, 2) n;
INSERT INTO access_window (id, site_id, access_group_id, kind, days, start_min, length_min)
SELECT id(7, n), %(site)s, id(6, n), 'daily', 127, 0, 1440 FROM generate_series(1, 2) n;
INSERT INTO access_accessgrouprelay (id, site_id, access_group_id, relay_id)
SELECT id(8, n), %(site)s, id(6, CASE WHEN n <= %(concerned)s THEN 1 ELSE 2 END), id(5, n) FROM generate_series(1, %(doors)s) n;
INSERT INTO tenants_party (id, site_id, kind) SELECT id(9, 1), %(site)s, 'company';
INSERT INTO premises_company (party_id, site_id, name, row_version) SELECT id(9, 1), %(site)s, 'Company', 1;
INSERT INTO access_companyrelay (id, site_id, company_id, relay_id)
SELECT id(10, n), %(site)s, id(9, 1), id(5, n) FROM generate_series(1, %(doors)s) n;
INSERT INTO premises_peoplegroup (id, site_id, company_id, name, directory_mode, immune, row_version)
SELECT id(11, n), %(site)s, id(9, 1), 'People ' || n, 'people', false, 1 FROM generate_series(1, 2) n;
INSERT INTO access_accessgrouppeoplegroup (id, site_id, access_group_id, people_group_id)
SELECT id(12, n), %(site)s, id(6, n), id(11, n) FROM generate_series(1, 2) n;
INSERT INTO people_holder (id, site_id, kind, party_id, label, created_at, row_version)
SELECT id(13, n), %(site)s, 'person', id(9, 1), 'Person ' || n, now(), 1 FROM generate_series(1, %(people)s) n;
INSERT INTO people_person (holder_id, site_id, role, company_id, people_group_id, first_name, last_name, staff_no, email, mobile,
  language, intercom, in_directory, guest_keys)
SELECT id(13, n), %(site)s, 'personnel', id(9, 1), id(11, CASE WHEN n <= %(people)s - 100 THEN 1 ELSE 2 END), 'Person', n::text,
  n::text, '', '', '', false, false, false FROM generate_series(1, %(people)s) n;
INSERT INTO people_credential (id, site_id, holder_id, kind, scope, digest, notation, state, source, made_at)
SELECT id(14, n), %(site)s, id(13, n), 'pin', %(site)s, md5('pin' || n), '', 'live', 'portal', now()
FROM generate_series(1, %(people)s) n;
"""

REMOVE = """
UPDATE people_credential SET state = 'quarantined', withdrawn_at = now(), holder_id = NULL WHERE site_id = %(site)s AND holder_id = %(key)s;
DELETE FROM people_person WHERE site_id = %(site)s AND holder_id = %(key)s;
DELETE FROM people_holder WHERE site_id = %(site)s AND id = %(key)s;
INSERT INTO changes_touched (site_id, kind, key, at) VALUES (%(site)s, 'holder', %(key)s, now());
SELECT pg_notify('gatehouse_touched', %(site)s::text)
"""
"""What the act of removing a person writes."""


def made(kind: int, number: int) -> UUID:
    """As the database makes ids here."""
    return UUID(int=kind << 96 | number)


def fill(superuser: str, secret: str) -> UUID:
    """The site, written past services and checks of links: they are not what is measured."""
    from gatehouse.cloud.devices.services import broker_hash, digest

    site = UUID(int=1)
    with psycopg.connect(superuser, dbname="bench") as connection:
        connection.execute(
            "CREATE FUNCTION pg_temp.id(kind int, n int) RETURNS uuid LANGUAGE sql IMMUTABLE AS "
            "$$ SELECT (lpad(to_hex(kind), 8, '0') || lpad(to_hex(n), 24, '0'))::uuid $$"
        )
        connection.execute("SET search_path = pg_temp, public; SET session_replication_role = replica")
        run(connection, ROOT_ROWS.replace("id(", "pg_temp.id("), site=site)
        sizes = {"doors": DOORS, "concerned": CONCERNED, "people": PEOPLE + BYSTANDERS}
        values = {"digest": digest(secret), "hash": broker_hash(secret)}
        run(connection, ROWS.replace(" id(", " pg_temp.id("), site=site, **sizes, **values)
    return site


@contextlib.contextmanager
def broker(folder: Path, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """The broker, with the link's account; the link adds the gateways."""
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
def ours(folder: Path, port: int, mosquitto: subprocess.Popen[bytes]) -> Iterator[None]:
    """Worker and link, ready: the broker knows the gateways, and all that was to be said at first is said."""
    environment = {**os.environ, "GATEHOUSE_PORT_MQTT": str(port), "GATEHOUSE_DB_ROLE": "system"}
    running = []
    try:
        for name in ("worker", "link"):
            with (folder / f"{name}.log").open("ab") as log:
                command = [sys.executable, "-m", "gatehouse.cli", name]
                running.append(processes.spawn(command, who=None, output=log, environment=environment))
        limit = time.monotonic() + 60
        while (folder / "broker" / "passwords").read_text().count("\n") <= DOORS:
            if time.monotonic() > limit or any(process.poll() is not None for process in running):
                logs = [(folder / f"{name}.log").read_text()[-1500:] for name in ("worker", "link")]
                raise SystemExit("worker or link does not start:\n" + "\n".join(logs))
            time.sleep(0.05)
        mosquitto.send_signal(signal.SIGHUP)
        time.sleep(0.5)
        yield
    finally:
        for process in running:
            process.kill()
            process.wait(10)


# --- Clients --------------------------------------------------------------------------------------


class Client(asyncio.Protocol):
    """An MQTT connection (3.1.1), as little of it as it takes: a heavier one would be what is measured."""

    def __init__(self, name: str, password: str, listens: str | None) -> None:
        self.name, self.password, self.listens = name, password, listens
        self.ready = asyncio.Event()
        self.got: list[tuple[float, bytes]] = []
        self.acknowledged = 0
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: asyncio.Transport = transport  # type: ignore[assignment]  # it is one
        body = _text("MQTT") + bytes([4, 0b11000010]) + (600).to_bytes(2, "big")
        self.transport.write(_packet(0x10, body + _text(self.name) + _text(self.name) + _text(self.password)))

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while (found := _next_packet(self._buffer)) is not None:
            kind, body, length = found
            self._buffer = self._buffer[length:]
            match kind >> 4:
                case 2:
                    if body[1] != 0:
                        raise SystemExit(f"the broker refuses {self.name}: {body[1]}")
                    if self.listens is None:
                        self.ready.set()
                    else:
                        self.transport.write(_packet(0x82, b"\x00\x01" + _text(self.listens) + b"\x01"))
                case 9:
                    self.ready.set()
                case 4:
                    self.acknowledged += 1
                case 3:
                    start = 2 + int.from_bytes(body[:2], "big")
                    if kind & 6:
                        self.transport.write(b"\x40\x02" + body[start : start + 2])
                        start += 2
                    self.got.append((time.perf_counter(), body[start:]))

    def publish(self, messages: list[tuple[str, bytes]]) -> None:
        """All at once; the broker acknowledges each."""
        self.transport.write(
            b"".join(
                _packet(0x32, _text(topic) + number.to_bytes(2, "big") + payload)
                for number, (topic, payload) in enumerate(messages, 1)
            )
        )


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


async def _all(clients: list[Client], number: int) -> None:
    limit = time.perf_counter() + WITHIN_S
    while any(len(client.got) < number for client in clients):
        if time.perf_counter() > limit:
            missing = sum(len(client.got) < number for client in clients)
            raise SystemExit(f"{missing} of {len(clients)} gateways got nothing within {WITHIN_S:.0f} s")
        await asyncio.sleep(0.001)


def _last(clients: list[Client]) -> float:
    return max(client.got[-1][0] for client in clients)


# --- The measure ----------------------------------------------------------------------------------


async def measure(superuser: str, site: UUID, port: int, secret: str) -> dict[str, Any]:
    """Connect everybody, remove somebody again and again, and as often let one client say the same."""
    loop = asyncio.get_running_loop()
    clients = []
    for number in range(1, DOORS + 1):
        name = str(made(1, number))
        _, client = await loop.create_connection(
            lambda name=name: Client(name, secret, topics.down(name, topics.FEED)),  # type: ignore[misc]  # bound now
            "127.0.0.1",
            port,
        )
        clients.append(client)
    _, plain = await loop.create_connection(lambda: Client("link", "link", None), "127.0.0.1", port)
    await asyncio.gather(*(asyncio.wait_for(client.ready.wait(), 30) for client in [*clients, plain]))
    concerned, others = clients[:CONCERNED], clients[CONCERNED:]
    await asyncio.sleep(2.0)  # what the link had to say to those who just came
    times: dict[str, list[float]] = {"A": [], "B": []}
    messages: list[tuple[str, bytes]] = []
    person = 0
    connection = await psycopg.AsyncConnection.connect(superuser, dbname="bench", autocommit=True)
    ear = await psycopg.AsyncConnection.connect(superuser, dbname="bench", autocommit=True)
    await ear.execute("LISTEN gatehouse_feed")
    heard: list[float] = []

    async def listen() -> None:
        async for _note in ear.notifies():
            heard.append(time.perf_counter())

    listening = asyncio.create_task(listen())
    compiled: list[float] = []
    async with connection, ear:
        for turn in "A" + TURNS:
            for client in clients:
                client.got.clear()
            if turn == "A":
                person += 1
                async with connection.transaction():
                    for statement in REMOVE.split(";\n"):
                        await connection.execute(statement, {"site": site, "key": made(13, person)})
                begun = time.perf_counter()
                await _all(concerned, 1)
                times["A"].append(_last(concerned) - begun)
                compiled.append(heard[-1] - begun)
                messages = [(topics.down(c.name, topics.FEED), c.got[-1][1]) for c in concerned]
                for _topic, payload in messages:
                    delta = decode(FeedDelta, payload)
                    keys = [(entry.key, entry.payload) for entry in delta.entries or []]
                    if keys != [(f"holder:{made(13, person)}", None)]:
                        raise SystemExit(f"a door was told something else: {keys}")
            else:
                before = plain.acknowledged
                begun = time.perf_counter()
                plain.publish(messages)
                await _all(concerned, 1)
                times["B"].append(_last(concerned) - begun)
                while plain.acknowledged < before + CONCERNED:
                    await asyncio.sleep(0.001)
            await asyncio.sleep(0.3)
            if any(client.got for client in others):
                raise SystemExit("a door that has nothing to do with him was told something")
        listening.cancel()
    for client in [*clients, plain]:
        client.transport.close()
    return {
        "ours": times["A"][1:],
        "compiled": statistics.median(compiled[1:]),
        "peer": times["B"],
        "message": statistics.mean(len(payload) for _topic, payload in messages),
    }


def configuration() -> int:
    """Bytes of everything that one of these doors holds."""
    from gatehouse.cloud.feed.pages import page_for

    size, cursor = 0, None
    while True:
        page = page_for(made(1, 1), None, 0, cursor)
        size += len(encode(page))
        cursor = page.cursor
        if cursor is None:
            return size


def main() -> int:
    """Measure; print what was found, last of all as JSON."""
    with durable_server() as (superuser, folder):
        migrated(superuser, folder)
        secret, port = secrets.token_urlsafe(32), free_port()
        site = fill(superuser, secret)
        from gatehouse.cloud.feed.services import compile_site

        compile_site(site, NOW, everything=True)
        whole = configuration()
        with broker(folder, port) as mosquitto, ours(folder, port, mosquitto):
            found = asyncio.run(measure(superuser, site, port, secret))
        from django.db import connection

        connection.close()
    ratios = sorted(a / b for a, b in zip(found["ours"], found["peer"], strict=True))
    ratio, share = statistics.median(ratios), found["message"] / whole
    a, b = statistics.median(found["ours"]), statistics.median(found["peer"])
    print(f"compiled {found['compiled'] * 1000:.0f} ms after the commit; the rest is the link and the broker")
    print(
        f"commit to the last of {CONCERNED} gateways: {a * 1000:.0f} ms, plain fan-out {b * 1000:.0f} ms, in {len(ratios)} pairs"
    )
    print(
        f"{found['message']:.0f} bytes a door, 1/{1 / share:,.0f} of its {whole:,}; {DOORS - CONCERNED} others got nothing"
    )
    print(
        json.dumps(
            {
                "bench": "revoke",
                "ours": round(a * 1000, 1),
                "peer": round(b * 1000, 1),
                "peer_name": "one client publishing the same messages to the same connections at once",
                "ratio": round(ratio, 2),
                "spread": [round(ratios[0], 2), round(ratios[-1], 2)],
                "compiled_ms": round(found["compiled"] * 1000, 1),
                "bytes_share": round(share, 7),
                "target": TARGET,
                "target_bytes_share": TARGET_BYTES,
                "unit": "ms",
                "better": "lower",
                "held": ratio <= TARGET and share <= TARGET_BYTES,
            }
        )
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
