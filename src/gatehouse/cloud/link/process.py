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
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any, cast

import psycopg
from django.conf import settings
from django.db import connection, connections

from gatehouse.cloud.devices.services import BROKER, COMMANDS
from gatehouse.cloud.emergency.services import CHANNEL as EMERGENCY
from gatehouse.cloud.feed.services import CHANNEL as FEED
from gatehouse.cloud.kit import clock
from gatehouse.cloud.link import identities, live
from gatehouse.cloud.link.broker import Broker
from gatehouse.cloud.link.desk import Desk, again
from gatehouse.cloud.link.handlers import DROPPED, Handlers, down
from gatehouse.cloud.link.services import outbox, sessions
from gatehouse.cloud.link.services.outbox import Outgoing
from gatehouse.wire import topics
from gatehouse.wire.messages import Ack

log = logging.getLogger(__name__)

INTAKES = 2
LOOK_S = 1.0
"""The outbox looks for itself this often, whether or not a notification came."""
RENDER_S = 30.0
COUNT_S = 60.0


def run(stop: threading.Event) -> None:
    """Until `stop` is set. Broker and database may come and go meanwhile."""
    password = (settings.HOME / "secrets" / "broker-link").read_text().strip()
    # Connections that live as long as the process need no pool, whose pauses after an outage would be ours.
    connection.close()
    cast(Any, connection).close_pool()
    connections.settings["default"]["OPTIONS"].pop("pool", None)
    asyncio.run(Link(Broker(settings.MQTT_HOST, settings.MQTT_PORT, password)).run(stop))


class Link:
    """The link's tasks and what they share."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._news = live.News()
        self._send, self._identities, self._greeting = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self._handlers = Handlers(broker, self._news, self._send.set)
        self._loop: asyncio.AbstractEventLoop
        self._outbox_desk: Desk
        self._mouth: psycopg.AsyncConnection[Any] | None = None
        self._reported: Counter[str] = Counter()

    async def run(self, stop: threading.Event) -> None:
        """Until told to stop."""
        self._loop = asyncio.get_running_loop()
        handlers = self._handlers
        intakes = [Desk(f"intake-{each}") for each in range(INTAKES)]
        control, self._outbox_desk, accounts = Desk("control"), Desk("outbox"), Desk("accounts")
        steps: list[Callable[[], Awaitable[None]]] = [
            *(partial(handlers.events, desk) for desk in intakes),
            partial(handlers.control, control),
            partial(handlers.sweep, control),
            partial(self._render, accounts),
            self._read,
            self._greet,
            self._outbox,
            self._listen,
            self._tell,
            self._report,
        ]
        tasks = [asyncio.create_task(again(step)) for step in steps]
        try:
            while not stop.is_set():
                await asyncio.sleep(0.1)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            for desk in (*intakes, control, self._outbox_desk, accounts):
                await asyncio.to_thread(desk.close)

    # --- the broker -----------------------------------------------------------------------------

    async def _read(self) -> None:
        subscriptions = [*(topics.every_up(kind) for kind in topics.UP), DROPPED]
        async with self._broker.connection(subscriptions, self._handlers.take) as closed:
            log.info("connected to the broker")
            self._handlers.connected_at = time.monotonic()
            self._greeting.set()
            await closed

    async def _greet(self) -> None:
        """After each connection: present emergency states, and where each spool should go on."""
        await self._greeting.wait()
        if self._broker.connected:
            desk = self._outbox_desk
            await desk.do(outbox.publish_emergencies, self._publish, clock.now(), True)
            cursors = await desk.do(sessions.standing_cursors)
            acks = [(gateway, Ack(spool=str(spool), seq=seq, resend=True)) for gateway, spool, seq in cursors]
            await self._broker.publish([down(gateway, topics.ACK, ack) for gateway, ack in acks])
        self._greeting.clear()
        self._send.set()

    def _publish(self, messages: Sequence[Outgoing]) -> None:
        """For the outbox' thread: blocks until the broker has taken everything."""
        if messages:
            asyncio.run_coroutine_threadsafe(self._broker.publish(messages), self._loop).result(timeout=30)

    async def _outbox(self) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._send.wait(), LOOK_S)
        self._send.clear()
        if not self._broker.connected:
            return
        desk = self._outbox_desk
        await desk.do(outbox.publish_emergencies, self._publish, clock.now())
        sent = await desk.do(outbox.publish_commands, self._publish, clock.now)
        for site, id_ in sent.commands:
            self._news.add(site, "commands", [id_])
        if await desk.do(outbox.publish_deltas, self._publish) or sent.more:
            self._send.set()

    async def _render(self, desk: Desk) -> None:
        self._identities.clear()
        try:
            if await desk.do(identities.reconcile, settings.BROKER_FOLDER):
                log.info("the broker's accounts were renewed")
        except OSError as error:
            log.error("the broker's accounts cannot be written", extra={"why": str(error)})
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._identities.wait(), RENDER_S)

    # --- notifications --------------------------------------------------------------------------

    async def _listen(self) -> None:
        """Wakes the others. What is missed here they find by themselves."""
        wakes = {COMMANDS: self._send, EMERGENCY: self._send, FEED: self._send, BROKER: self._identities}
        async with await _connect() as ear:
            for channel in wakes:
                await ear.execute(f"LISTEN {channel}".encode())
            for wake in wakes.values():
                wake.set()
            async for note in ear.notifies():
                wakes[note.channel].set()

    async def _tell(self) -> None:
        """Live screens that miss something look for themselves when they connect again; the log has everything."""
        await self._news.fresh.wait()
        payloads = self._news.take()
        try:
            if self._mouth is None:
                self._mouth = await _connect()
            await self._mouth.execute(
                "SELECT pg_notify(%s, payload) FROM unnest(%s::text[]) AS payload", [live.CHANNEL, payloads]
            )
        except psycopg.OperationalError:
            self._mouth = None
            raise
        await asyncio.sleep(live.EVERY_S)

    async def _report(self) -> None:
        await asyncio.sleep(COUNT_S)
        counted = self._handlers.counted + self._handlers.lanes.counted
        if counted != self._reported:
            counts = dict(counted - self._reported)
            log.info("counted", extra={"counts": counts, "waiting": self._handlers.lanes.depth})
        self._reported = counted


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
