"""`gatehouse link`: the process between the broker and the database.

One event loop reads the broker and answers; a few threads, each with its own database connection, take
events, control messages, and the outbox. Acknowledgements leave after the commit. Nothing here is the only
copy of anything: the process may be killed at any moment.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar, cast
from uuid import UUID

import msgspec
import psycopg
from django.conf import settings
from django.db import InterfaceError, OperationalError, connection, connections

from gatehouse.cloud.devices.services import BROKER, COMMANDS
from gatehouse.cloud.events.arrivals import Arrival, plain_id
from gatehouse.cloud.events.services import Taken, record_batches
from gatehouse.cloud.feed.services import record_applied
from gatehouse.cloud.kit import clock
from gatehouse.cloud.link import identities, live
from gatehouse.cloud.link.broker import Broker
from gatehouse.cloud.link.lanes import Lanes, Waiting
from gatehouse.cloud.link.mqtt import MqttLost
from gatehouse.cloud.link.services import outbox, sessions
from gatehouse.cloud.link.services.outbox import Outgoing
from gatehouse.wire import topics
from gatehouse.wire.messages import (
    MAX_MESSAGE,
    UP_TYPES,
    Ack,
    Applied,
    EventBatch,
    Hello,
    Id,
    Message,
    Presence,
    Status,
    Unreadable,
    decode,
    encode,
)

log = logging.getLogger(__name__)

T = TypeVar("T")

WINDOW_S = 0.02
ROWS = 500
"""A micro-batch closes after so long, or with so many events."""
INTAKES = 2
CONTROL_AT_ONCE = 500
LOOK_S = 1.0
"""The outbox looks for itself this often, whether or not a notification came."""
SWEEP_S = 15.0
GRACE_S = 75.0
"""After a connection to the broker every gateway has this long to report before silence counts."""
COUNT_S = 60.0
DROPPED = "$SYS/broker/publish/messages/dropped"
FEED = "gatehouse_feed"
EMERGENCY = "gatehouse_emergency"


def run(stop: threading.Event) -> None:
    """Until `stop` is set. Broker and database may come and go meanwhile."""
    password = (settings.HOME / "secrets" / "broker-link").read_text().strip()
    # Three connections that live as long as the process need no pool, whose pauses after an outage would be ours.
    connection.close()
    cast(Any, connection).close_pool()
    connections.settings["default"]["OPTIONS"].pop("pool", None)
    asyncio.run(Link(Broker(settings.MQTT_HOST, settings.MQTT_PORT, password)).run(stop))


class _Desk:
    """A thread with a database connection of its own, for one job at a time."""

    def __init__(self, name: str) -> None:
        self._executor = ThreadPoolExecutor(1, thread_name_prefix=name)

    async def do(self, act: Callable[..., T], *arguments: Any) -> T:
        """Run `act` there. A connection that broke is put away, so that the next job gets a new one."""

        def job() -> T:
            try:
                return act(*arguments)
            except (OperationalError, InterfaceError):
                connection.close()
                raise

        return await asyncio.get_running_loop().run_in_executor(self._executor, job)

    def close(self) -> None:
        """Put the connection away and end the thread."""
        self._executor.submit(connection.close)
        self._executor.shutdown(wait=True)


class Link:
    """The link's tasks and what they share."""

    def __init__(self, broker: Broker) -> None:
        self.counted: Counter[str] = Counter()
        self._broker = broker
        self._lanes = Lanes()
        self._news = live.News()
        self._loop: asyncio.AbstractEventLoop
        self._events, self._control, self._send = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self._identities, self._newsworthy = asyncio.Event(), asyncio.Event()
        self._loose: set[asyncio.Future[None]] = set()
        self._connected_at = 0.0
        self._dropped = 0

    async def run(self, stop: threading.Event) -> None:
        """Start all tasks, end with the first that fails for a reason nobody foresaw, or when told to."""
        self._loop = asyncio.get_running_loop()
        self._control_desk, self._send_desk = _Desk("control"), _Desk("send")
        intake = [_Desk(f"intake-{n}") for n in range(INTAKES)]
        works = [
            self._watch(stop),
            self._read(),
            *(self._intake(desk) for desk in intake),
            self._answer(),
            self._outbox(),
            self._listen(),
            self._render(),
            self._tell(),
            self._sweep(),
            self._report(),
        ]
        tasks = [asyncio.create_task(work) for work in works]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            for desk in (*intake, self._control_desk, self._send_desk):
                await asyncio.to_thread(desk.close)

    async def _watch(self, stop: threading.Event) -> None:
        while not stop.is_set():
            await asyncio.sleep(0.1)

    # --- from the broker ------------------------------------------------------------------------

    async def _read(self) -> None:
        pause = 0.2
        subscriptions = [*(topics.every_up(kind) for kind in topics.UP), DROPPED]
        while True:
            try:
                async with self._broker.connection(subscriptions, self._take) as closed:
                    log.info("connected to the broker")
                    self._connected_at, pause = time.monotonic(), 0.2
                    greeting = asyncio.create_task(self._greet())
                    try:
                        await closed
                    finally:
                        greeting.cancel()
            except MqttLost as error:
                log.warning("the broker is away", extra={"why": str(error)})
            await asyncio.sleep(pause)
            pause = min(2 * pause, 5.0)

    async def _greet(self) -> None:
        """After each connection: present emergency states, and where each spool should go on."""
        while True:
            try:
                await self._send_desk.do(outbox.publish_emergencies, self._publish, clock.now(), True)
                cursors = await self._send_desk.do(sessions.standing_cursors)
                await self._broker.publish(
                    [
                        _down(gateway, topics.ACK, Ack(spool=str(spool), seq=seq, resend=True))
                        for gateway, spool, seq in cursors
                    ]
                )
                self._send.set()
                return
            except (MqttLost, OperationalError, InterfaceError) as error:
                log.warning("could not greet", extra={"why": str(error)})
                await asyncio.sleep(1.0)

    def _take(self, topic: str, body: bytes) -> None:
        if topic == DROPPED:
            self._watch_dropped(body)
            return
        whence = topics.sender(topic)
        gateway = plain_id(whence[0]) if whence else None
        if whence is None or gateway is None or whence[1] not in UP_TYPES:
            self.counted["topic.foreign"] += 1
            return
        kind = whence[1]
        if len(body) > MAX_MESSAGE:
            self.counted[f"{kind}.oversized"] += 1
            if kind == topics.EVENTS:
                self._refuse(gateway, body, "oversized")
            return
        waiting = Waiting(UUID(gateway), body, clock.now())
        if kind == topics.EVENTS:
            self._lanes.put_events(waiting)
            self._events.set()
        else:
            self._lanes.put_control(kind, waiting)
            self._control.set()

    def _watch_dropped(self, payload: bytes) -> None:
        """The broker drops silently when a queue is full; at least it counts."""
        try:
            dropped = int(payload)
        except ValueError:
            return
        if dropped > self._dropped:
            log.error("the broker dropped messages", extra={"number": dropped - self._dropped, "total": dropped})
            self.counted["broker.dropped"] += dropped - self._dropped
        self._dropped = dropped

    def _refuse(self, gateway: str | UUID, payload: bytes, reason: str) -> None:
        """Say why a batch was not taken, as far as its spool can be read."""
        try:
            spool = msgspec.json.decode(payload, type=_SpoolOf).spool
        except msgspec.DecodeError:
            return
        task = asyncio.ensure_future(self._say([_down(gateway, topics.ACK, Ack(spool=spool, seq=0, refused=reason))]))
        self._loose.add(task)
        task.add_done_callback(self._loose.discard)

    # --- events ---------------------------------------------------------------------------------

    async def _intake(self, desk: _Desk) -> None:
        """One of several: while the database works for one, Python works for another."""
        pause = 0.1
        while True:
            await self._events.wait()
            if self._lanes.rows < ROWS:
                await asyncio.sleep(WINDOW_S)
            batches = self._lanes.take_events(ROWS)
            if not self._lanes.depth:
                self._events.clear()
            if not batches:
                continue
            try:
                await self._record(desk, batches)
                pause = 0.1
            except (OperationalError, InterfaceError) as error:
                log.warning("the database is away", extra={"why": str(error), "batches": self._lanes.depth})
                self._lanes.put_back(batches)
                self._events.set()
                await asyncio.sleep(pause)
                pause = min(2 * pause, 2.0)

    async def _record(self, desk: _Desk, batches: Sequence[Waiting]) -> None:
        arrivals = []
        for waiting in batches:
            try:
                batch = decode(EventBatch, waiting.payload)
            except Unreadable as error:
                self.counted["events.unreadable"] += 1
                log.info("unreadable batch", extra={"gateway": str(waiting.gateway), "why": str(error)})
                self._refuse(waiting.gateway, waiting.payload, "unreadable")
                continue
            arrivals.append(Arrival(waiting.gateway, batch, waiting.received_at))
        if not arrivals:
            return
        try:
            taken = await desk.do(record_batches, arrivals)
        except (OperationalError, InterfaceError):
            raise
        except Exception:
            if len(arrivals) == 1:
                log.exception("a batch cannot be stored", extra={"gateway": str(arrivals[0].gateway)})
                self.counted["events.unstorable"] += 1
                ack = Ack(spool=arrivals[0].batch.spool, seq=0, refused="unstorable")
                await self._say([_down(arrivals[0].gateway, topics.ACK, ack)])
                return
            # One of them poisons the rest: each for itself then.
            for waiting in batches:
                await self._record(desk, [waiting])
            return
        self._spread(taken)
        await self._say(
            [_down(arrival.gateway, topics.ACK, ack) for arrival, ack in zip(arrivals, taken.acks, strict=True)]
        )

    def _spread(self, taken: Taken) -> None:
        self.counted.update(taken.counted)
        for site, fresh in taken.fresh.items():
            for kind in ("passages", "alarms", "doors", "commands"):
                if ids := getattr(fresh, kind):
                    self._news.add(site, kind, ids)
        self._newsworthy.set()

    # --- everything else that comes up ----------------------------------------------------------

    async def _answer(self) -> None:
        pause = 0.1
        while True:
            await self._control.wait()
            self._control.clear()
            await asyncio.sleep(WINDOW_S)
            while messages := self._lanes.take_control(CONTROL_AT_ONCE):
                try:
                    await self._handle(messages)
                    pause = 0.1
                except (OperationalError, InterfaceError) as error:
                    log.warning("the database is away", extra={"why": str(error)})
                    self._lanes.put_control_back(messages)
                    await asyncio.sleep(pause)
                    pause = min(2 * pause, 2.0)

    async def _handle(self, messages: Sequence[tuple[str, Waiting]]) -> None:
        hellos: dict[UUID, Hello] = {}
        statuses: dict[UUID, Status] = {}
        gone: dict[UUID, Presence] = {}
        applied: dict[UUID, Applied] = {}
        for kind, waiting in messages:
            try:
                message = decode(UP_TYPES[kind], waiting.payload)
            except Unreadable as error:
                self.counted[f"{kind}.unreadable"] += 1
                log.info("unreadable message", extra={"gateway": str(waiting.gateway), "why": str(error)})
                continue
            match message:
                case Hello():
                    hellos[waiting.gateway] = message
                    gone.pop(waiting.gateway, None)  # the line that ended was the one before
                case Status():
                    statuses[waiting.gateway] = message
                case Presence():
                    gone[waiting.gateway] = message
                case Applied():
                    applied[waiting.gateway] = message
        works: list[tuple[Callable[..., sessions.Moved], dict[UUID, Any]]] = [
            (sessions.open_sessions, hellos),
            (sessions.record_status, statuses),
            (sessions.record_gone, gone),
        ]
        for act, said in works:
            if said:
                self._moved(moved := await self._control_desk.do(act, said, clock.now()))
                await self._say([_down(a.gateway, topics.WELCOME, a.welcome) for a in moved.answers])
        for gateway, what in applied.items():
            try:
                await self._control_desk.do(record_applied, gateway, what, clock.now())
            except (OperationalError, InterfaceError):
                raise
            except Exception:
                self.counted["applied.unstorable"] += 1
                log.exception("a report cannot be stored", extra={"gateway": str(gateway)})

    def _moved(self, moved: sessions.Moved) -> None:
        self.counted["session.unknown"] += moved.unknown
        for kind, where in (("gateways", moved.gateways), ("devices", moved.devices)):
            for site, ids in where.items():
                self._news.add(site, kind, ids)
                self._newsworthy.set()
        if moved.answers:
            self._send.set()  # commands may have waited for the session

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_S)
            if not self._broker.connected or time.monotonic() - self._connected_at < GRACE_S:
                continue
            try:
                self._moved(await self._control_desk.do(sessions.sweep_silent, clock.now()))
            except (OperationalError, InterfaceError) as error:
                log.warning("the database is away", extra={"why": str(error)})

    # --- down -----------------------------------------------------------------------------------

    async def _say(self, messages: Sequence[Outgoing]) -> None:
        """Answers: sent when there is somebody to send through; the gateway asks again otherwise."""
        try:
            await self._broker.send(messages)
        except MqttLost:
            self.counted["answers.unsent"] += len(messages)

    def _publish(self, messages: Sequence[Outgoing]) -> None:
        """For the sending thread: blocks until the broker has taken everything."""
        if messages:
            asyncio.run_coroutine_threadsafe(self._broker.publish(messages), self._loop).result(timeout=30)

    async def _outbox(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._send.wait(), LOOK_S)
            self._send.clear()
            if not self._broker.connected:
                continue
            try:
                sent = await self._send_desk.do(outbox.publish_commands, self._publish, clock.now)
                for site, id_ in sent.commands:
                    self._news.add(site, "commands", [id_])
                    self._newsworthy.set()
                await self._send_desk.do(outbox.publish_emergencies, self._publish, clock.now())
                if await self._send_desk.do(outbox.publish_deltas, self._publish) or sent.more:
                    self._send.set()
            except (MqttLost, TimeoutError) as error:
                log.warning("the broker is away", extra={"why": str(error)})
            except (OperationalError, InterfaceError) as error:
                log.warning("the database is away", extra={"why": str(error)})

    async def _render(self) -> None:
        while True:
            try:
                if await self._control_desk.do(identities.reconcile, settings.BROKER_FOLDER):
                    log.info("the broker's accounts were renewed")
            except OSError as error:
                log.error("the broker's accounts cannot be written", extra={"why": str(error)})
            except (OperationalError, InterfaceError) as error:
                log.warning("the database is away", extra={"why": str(error)})
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._identities.wait(), 30.0)
            self._identities.clear()

    # --- notifications --------------------------------------------------------------------------

    async def _listen(self) -> None:
        """Wakes the others. What is missed here they find by themselves."""
        wakes = {COMMANDS: self._send, EMERGENCY: self._send, FEED: self._send, BROKER: self._identities}
        while True:
            try:
                async with await _connect() as ear:
                    for channel in wakes:
                        await ear.execute(f"LISTEN {channel}".encode())
                    for wake in wakes.values():
                        wake.set()
                    async for note in ear.notifies():
                        wakes[note.channel].set()
            except psycopg.OperationalError as error:
                log.warning("the database is away", extra={"why": str(error)})
            await asyncio.sleep(0.5)

    async def _tell(self) -> None:
        mouth: psycopg.AsyncConnection[Any] | None = None
        while True:
            await self._newsworthy.wait()
            self._newsworthy.clear()
            payloads = self._news.take()
            if payloads:
                try:
                    if mouth is None:
                        mouth = await _connect()
                    await mouth.execute(
                        "SELECT pg_notify(%s, payload) FROM unnest(%s::text[]) AS payload", [live.CHANNEL, payloads]
                    )
                except psycopg.OperationalError as error:
                    # Screens look for themselves when they connect again; the log has everything.
                    log.warning("live news were not told", extra={"why": str(error)})
                    mouth = None
            await asyncio.sleep(live.EVERY_S)

    async def _report(self) -> None:
        before: Counter[str] = Counter()
        while True:
            await asyncio.sleep(COUNT_S)
            now = self.counted + self._lanes.counted
            if now != before:
                log.info("counted", extra={"counts": dict(now - before), "waiting": self._lanes.depth})
            before = now


class _SpoolOf(Message, frozen=True, kw_only=True):
    """All that is needed of a batch to refuse it."""

    spool: Id


def _down(gateway: UUID | str, kind: str, message: Message) -> Outgoing:
    return Outgoing(topics.down(gateway, kind), encode(message))


async def _connect() -> psycopg.AsyncConnection[Any]:
    to = settings.DATABASES["default"]
    return await psycopg.AsyncConnection.connect(
        host=to["HOST"],
        port=to["PORT"],
        user=to["USER"],
        password=to["PASSWORD"],
        dbname=to["NAME"],
        options=to["OPTIONS"]["options"],
        autocommit=True,
        connect_timeout=5,
    )
