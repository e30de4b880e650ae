"""The other end of the wire, played by the test: a real broker, a small link, feed pages and claims over HTTP.

It keeps to the protocol as `docs/wire.md` states it and can be told to misbehave.
"""

from __future__ import annotations

import asyncio
import base64
import gzip
import json
import socket
import subprocess
import threading
import time
import uuid
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import aiomqtt

from gatehouse.gateway.ending import end
from gatehouse.wire import topics
from gatehouse.wire.messages import (
    UP_TYPES,
    Ack,
    AnyEvent,
    Applied,
    Claim,
    Claimed,
    Command,
    Emergency,
    EventBatch,
    FeedDelta,
    FeedEntry,
    FeedPage,
    Hello,
    Lost,
    Message,
    Payload,
    Presence,
    Status,
    Unreadable,
    Welcome,
    decode,
    encode,
)
from tests.gateway.site import GARAGE, GATEWAY, RAMP, SITE, fresh, standard

SECRET = "a secret of this test"


def free_port() -> int:
    """A port that nobody has at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Broker:
    """mosquitto, stopped and started at will; it keeps nothing over a stop."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        folder.mkdir(parents=True)
        passwords = folder / "passwords"
        passwords.touch(mode=0o600)
        for name, password in (("link", "link"), (GATEWAY, SECRET)):
            subprocess.run(["mosquitto_passwd", "-b", str(passwords), name, password], check=True, capture_output=True)
        rules = ["user link", "topic readwrite gh/#", "", f"pattern write {topics.PATTERN_WRITE}"]
        rules += [
            f"pattern read {topics.PATTERN_READ}",
            "",
            f"user {GATEWAY}",
            f"topic readwrite {topics.emergency(SITE)}",
        ]
        (folder / "acl").write_text("\n".join(rules) + "\n")
        lines = [f"listener {self.port} 127.0.0.1", "allow_anonymous false", f"password_file {passwords}"]
        lines += [
            f"acl_file {folder / 'acl'}",
            "persistence false",
            "user root",
            "log_dest none",
            "max_queued_messages 0",
        ]
        (folder / "conf").write_text("\n".join(lines) + "\n")

    def start(self) -> None:
        self._process = subprocess.Popen(["mosquitto", "-c", str(self._folder / "conf")], stderr=subprocess.DEVNULL)
        end = time.monotonic() + 10
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
                return
            except OSError:
                assert time.monotonic() < end and self._process.poll() is None, "mosquitto did not start"
                time.sleep(0.02)

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait(10)
            self._process = None


class Cloud:
    """One site's cloud. Attributes that begin with a verb switch its manners."""

    def __init__(self, broker: Broker) -> None:
        self.broker = broker
        self.epoch, self.revision, self.horizon = "epoch-1", 1, 0
        self.entries: dict[str, tuple[int, Payload]] = {key: (1, payload) for key, payload in standard().items()}
        self.removed: dict[str, int] = {}
        self.committed: dict[str, list[AnyEvent]] = {}
        """By spool, in order, each number once; what PostgreSQL would hold."""
        self.heard: dict[str, list[Any]] = {kind: [] for kind in UP_TYPES}
        self.wrong: list[str] = []
        """Where the gateway broke the protocol."""
        self.counts: Counter[str] = Counter()
        self.session: str | None = None
        self.answers = True
        """Whether hello and status are answered at all."""
        self.acknowledges = True
        self.refuses: str | None = None
        """Reason with which batches are refused."""
        self.commits = True
        self.sends_entries = True
        """Whether deltas carry their entries."""
        self.page_size = 100
        self.breaks_after_pages: int | None = None
        self.status: int | None = None
        """HTTP status to answer with instead."""
        self.schema = 1
        self.clock_wrong_ms = 0
        self.claims: dict[str, Claimed] = {}
        self._client: aiomqtt.Client | None = None
        self._task: asyncio.Task[None] | None = None
        self._up = asyncio.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self.base_url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    # --- life -----------------------------------------------------------------------------------

    async def start(self) -> None:
        self._thread.start()
        await self.link_up()

    async def link_up(self) -> None:
        """The link process begins (again); it has forgotten every session."""
        self._up.clear()
        self._task = asyncio.create_task(self._link())
        await asyncio.wait_for(self._up.wait(), 10)

    async def link_down(self) -> None:
        """The link process is gone, the broker stays."""
        if self._task is not None:
            await end([self._task])
        self._client, self.session = None, None

    async def stop(self) -> None:
        await self.link_down()
        await asyncio.to_thread(self._server.shutdown)
        self._server.server_close()
        assert self.wrong == []

    async def _link(self) -> None:
        while True:
            try:
                async with aiomqtt.Client(
                    "127.0.0.1", self.broker.port, username="link", password="link", identifier=f"link-{uuid.uuid4()}",
                    protocol=aiomqtt.ProtocolVersion.V5,
                ) as client:  # fmt: skip
                    await client.subscribe([(topics.every_up(kind), 1) for kind in topics.UP])
                    self._client = client
                    self._up.set()
                    async for message in client.messages:
                        await self._take(str(message.topic), bytes(message.payload))
            except aiomqtt.MqttError:
                self._client = None
                await asyncio.sleep(0.1)

    # --- what comes up --------------------------------------------------------------------------

    async def _take(self, topic: str, payload: bytes) -> None:
        sender = topics.sender(topic)
        assert sender is not None
        gateway, kind = sender
        try:
            message = decode(UP_TYPES[kind], payload)
        except Unreadable as error:
            self.wrong.append(str(error))
            return
        self.heard[kind].append(message)
        match message:
            case Hello() if self.answers:
                self.session = fresh()
                await self.tell(topics.WELCOME, self._welcome(message.sent_mono_ms, message.spool))
            case Status() if self.answers and message.session == self.session:
                spool = self.heard["hello"][-1].spool
                await self.tell(topics.WELCOME, self._welcome(message.sent_mono_ms, spool))
            case EventBatch():
                await self._commit(message)
        assert gateway == GATEWAY

    def _welcome(self, echo: int, spool: str) -> Welcome:
        assert self.session is not None
        return Welcome(
            session=self.session,
            echo_mono_ms=echo,
            server_ms=self.now_ms(),
            epoch=self.epoch,
            revision=self.revision,
            acked_seq=self.cursor(spool),
        )

    async def _commit(self, batch: EventBatch) -> None:
        rows = self.committed.setdefault(batch.spool, [])
        cursor = self.cursor(batch.spool)
        expected = batch.events[0].seq
        for event in batch.events:
            if event.seq != expected:
                self.wrong.append(f"batch is not consecutive: {event.seq} after {expected - 1}")
            expected = (event.upto if isinstance(event, Lost) else event.seq) + 1
        if self.refuses is not None:
            await self.tell(topics.ACK, Ack(spool=batch.spool, seq=cursor, refused=self.refuses))
            return
        if batch.events[0].seq > cursor + 1:
            self.counts["gap"] += 1
            await self.tell(topics.ACK, Ack(spool=batch.spool, seq=cursor, resend=True))
            return
        if not self.commits:
            return
        for event in batch.events:
            last = event.upto if isinstance(event, Lost) else event.seq
            if last > cursor:
                rows.append(event)
                cursor = last
            else:
                self.counts["repeated"] += 1
        if self.acknowledges:
            await self.tell(topics.ACK, Ack(spool=batch.spool, seq=cursor))

    def cursor(self, spool: str) -> int:
        """Last committed number of a spool."""
        rows = self.committed.get(spool)
        if not rows:
            return 0
        return rows[-1].upto if isinstance(rows[-1], Lost) else rows[-1].seq

    # --- what goes down -------------------------------------------------------------------------

    async def tell(self, kind: str, message: Message) -> None:
        """Send something down, whatever it is."""
        if self._client is not None:
            await self._client.publish(topics.down(GATEWAY, kind), encode(message), qos=1)

    async def change(self, *changes: tuple[str, Payload | None], priority: int | None = None) -> FeedDelta:
        """Entries change in one revision, and the gateway is told."""
        since, self.revision = self.revision, self.revision + 1
        entries = []
        for key, payload in changes:
            rank = priority if priority is not None else 0 if payload is None else 1
            entries.append(FeedEntry(key=key, revision=self.revision, payload=payload, priority=rank))  # type: ignore[arg-type]
            self.removed.pop(key, None)
            self.entries.pop(key, None)
            if payload is None:
                self.removed[key] = self.revision
            else:
                self.entries[key] = (self.revision, payload)
        delta = FeedDelta(
            epoch=self.epoch, since=since, revision=self.revision, entries=entries if self.sends_entries else None
        )
        await self.tell(topics.FEED, delta)
        return delta

    async def command(self, **changes: Any) -> Command:
        """Open the ramp, or what `changes` say."""
        given: dict[str, Any] = {
            "id": fresh(), "session": self.session, "verb": "relay.open", "issued_ms": self.now_ms(),
            "ttl_ms": 10_000, "device": GARAGE, "relay": RAMP,
        }  # fmt: skip
        command = Command(**given | changes)
        await self.tell(topics.COMMAND, command)
        return command

    async def emergency(self, state: Emergency) -> None:
        """Publish an emergency state, retained."""
        assert self._client is not None
        await self._client.publish(topics.emergency(SITE), encode(state), qos=1, retain=True)

    def now_ms(self) -> int:
        """The cloud's time."""
        return time.time_ns() // 1_000_000 + self.clock_wrong_ms

    # --- what tests ask -------------------------------------------------------------------------

    def events(self) -> list[AnyEvent]:
        """Everything committed, spool after spool."""
        return [event for rows in self.committed.values() for event in rows]

    def applied(self) -> Applied | None:
        """The last report of what the devices hold."""
        return self.heard["applied"][-1] if self.heard["applied"] else None

    def online(self) -> bool | None:
        """What the broker last told of the gateway."""
        seen: list[Presence] = self.heard["presence"]
        return seen[-1].online if seen else None

    # --- HTTP -----------------------------------------------------------------------------------

    def _page(self, query: dict[str, str]) -> FeedPage:
        since = int(query["since"])
        reset = query["epoch"] != self.epoch or since < self.horizon or since > self.revision
        listed = [
            FeedEntry(key=key, revision=revision, payload=payload)
            for key, (revision, payload) in self.entries.items()
            if reset or revision > since
        ]
        if not reset:
            listed += [
                FeedEntry(key=key, revision=revision, priority=0)
                for key, revision in self.removed.items()
                if revision > since
            ]
        listed.sort(key=lambda entry: entry.priority)
        start = int(query.get("cursor", "0"))
        end = start + self.page_size
        return FeedPage(
            epoch=self.epoch,
            schema=self.schema,
            revision=self.revision,
            reset=reset,
            entries=listed[start:end],
            cursor=str(end) if end < len(listed) else None,
        )

    def _handler(cloud) -> type[BaseHTTPRequestHandler]:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                url = urlsplit(self.path)
                expected = base64.b64encode(f"{GATEWAY}:{SECRET}".encode()).decode()
                query = {name: values[-1] for name, values in parse_qs(url.query, keep_blank_values=True).items()}
                if url.path != "/link/v1/feed" or not {"epoch", "since"} <= query.keys():
                    cloud.wrong.append(f"GET {self.path}")
                    self._answer(404, b"")
                elif self.headers["Authorization"] != f"Basic {expected}":
                    self._answer(401, b"")
                elif cloud.status is not None:
                    self._answer(cloud.status, b"")
                elif cloud.breaks_after_pages == 0:
                    self.close_connection = True
                else:
                    if cloud.breaks_after_pages is not None:
                        cloud.breaks_after_pages -= 1
                    cloud.counts["pages"] += 1
                    self._answer(200, encode(cloud._page(query)))

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                claim = decode(Claim, body)
                claimed = cloud.claims.pop(claim.code, None)
                if self.path != "/link/v1/claim" or claimed is None:
                    cloud.counts["claim.refused"] += 1
                    self._answer(403, json.dumps({"code": "claim.refused"}).encode())
                else:
                    self._answer(200, encode(claimed))

            def _answer(self, status: int, body: bytes) -> None:
                packed = gzip.compress(body) if "gzip" in self.headers.get("Accept-Encoding", "") else body
                self.send_response(status)
                if packed is not body:
                    self.send_header("Content-Encoding", "gzip")
                self.send_header("Content-Length", str(len(packed)))
                self.end_headers()
                self.wfile.write(packed)

            def log_message(self, *_: object) -> None:
                """Tests are quiet."""

        return Handler
