"""The gateway's one connection to the cloud: session, clock, feed, events, health.

The order after each connection is fixed: the site's emergency state (it is retained), `Hello`, what the
cloud took away meanwhile, and only then events. Questions that stay unanswered are asked again; nothing
depends on a message arriving once. Everything runs in one event loop and may be cut at any await.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import socket
import ssl
from collections import Counter
from collections.abc import Awaitable
from functools import partial
from importlib.metadata import version
from typing import Protocol

import aiomqtt

from gatehouse.gateway import https
from gatehouse.gateway.cable import Cable, CableCut
from gatehouse.gateway.clock import Clock
from gatehouse.gateway.ending import end
from gatehouse.gateway.feed import Feed, NewerSchema, PullBroken
from gatehouse.gateway.identity import Identity
from gatehouse.gateway.recorder import Recorder
from gatehouse.gateway.settings import AgentSettings
from gatehouse.gateway.store import Damaged, DiskFailed
from gatehouse.wire import FEED_SCHEMA, topics
from gatehouse.wire.messages import (
    DOWN_TYPES,
    Ack,
    AnyEvent,
    Applied,
    Command,
    Emergency,
    EventBatch,
    FeedDelta,
    FeedPage,
    Hello,
    Message,
    Presence,
    Status,
    Unreadable,
    Welcome,
    decode,
    encode,
)

log = logging.getLogger(__name__)

FIRST_PAUSE_S, LAST_PAUSE_S = 0.5, 30.0
"""Between attempts to connect: doubled each time, plus or minus a half at random."""
REMOVALS_WITHIN_S = 15.0
"""So long events wait for the removals; a cloud whose feed cannot be pulled still gets its events."""
KEEP_TIME_EVERY_MS = 3_600_000


class Site(Protocol):
    """What the uplink hands over and asks for: the agent."""

    async def on_command(self, command: Command, received_mono_ms: int) -> None: ...

    async def on_emergency(self, state: Emergency) -> None: ...

    def on_session(self) -> None: ...

    def applied(self) -> Applied: ...

    async def health(self, session: str, sent_mono_ms: int) -> Status: ...


class Uplink:
    """Keeps the session while there is a line; says why when there is none."""

    def __init__(
        self,
        settings: AgentSettings,
        identity: Identity,
        clock: Clock,
        recorder: Recorder,
        feed: Feed,
        site: Site,
        cable: Cable | None = None,
    ) -> None:
        self.cable = cable or Cable()
        self.alone_since_ms = clock.wall_ms()
        """When the last session ended, by the wall clock; before the first, when this was made."""
        self.troubles: dict[str, str] = {}
        """What is wrong now, by part: line, feed, events."""
        self.counts: Counter[str] = Counter()
        """Messages that were ignored, and why; dotted words."""
        self._settings = settings
        self._identity = identity
        self._clock = clock
        self._recorder = recorder
        self._feed = feed
        self._site = site
        self._client: aiomqtt.Client | None = None
        self._session: str | None = None
        self._held = False
        self._asked: set[int] = set()
        self._welcomed = asyncio.Event()
        self._acked = asyncio.Event()
        self._unwell = asyncio.Event()
        self._greet = asyncio.Event()
        self._batch_refused = False
        self._time_kept_ms: int | None = None
        self._tzdata = version("tzdata")
        self._loose: set[asyncio.Task[None]] = set()

    # --- for the agent, tests and the lab -------------------------------------------------------

    def cut(self) -> None:
        """Pull the cable: broker and HTTPS alike."""
        self.cable.cut()

    def mend(self) -> None:
        """Put it back."""
        self.cable.mend()

    async def settle(self) -> None:
        """Let commands that are being done come to their end, for a moment at most."""
        if self._loose:
            await asyncio.wait(self._loose, timeout=3)

    @property
    def session(self) -> str | None:
        """The link session, None while there is none."""
        return self._session

    def _enter(self, session: str | None) -> None:
        if self._session is not None and session is None:
            self.alone_since_ms = self._clock.wall_ms()
        self._session = session

    @property
    def last_error(self) -> str | None:
        """What is wrong now, in words; None when nothing is."""
        return "; ".join(self.troubles.values()) or None

    @property
    def connected(self) -> bool:
        """Whether the broker has us, session or not."""
        return self._client is not None

    @property
    def alone(self) -> bool:
        """Whether decisions are taken without the cloud: no session, or its removals are not in force yet."""
        return self.session is None or not self._feed.removals_in.is_set()

    def report(self) -> None:
        """Something in the health report or in `Applied` has changed; send both soon."""
        self._unwell.set()
        self._feed.moved.ring()

    # --- connection -----------------------------------------------------------------------------

    async def run(self) -> None:
        """Until cancelled."""
        pause = FIRST_PAUSE_S
        while True:
            await self.cable.whole()
            try:
                await self._connection()
            except CableCut:
                pause = 0.0
            except (aiomqtt.MqttError, OSError) as error:
                self.troubles["line"] = str(error) or type(error).__name__
                log.info("line down: %s", self.troubles["line"])
            finally:
                self._client = None
                self._enter(None)
            if self._held:
                pause, self._held = min(pause, FIRST_PAUSE_S), False
            wait = pause * random.uniform(0.5, 1.5)
            pause = min(max(2 * pause, FIRST_PAUSE_S), LAST_PAUSE_S)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.cable.broken(), wait)

    async def _connection(self) -> None:
        me = self._identity
        trust = await asyncio.to_thread(ssl.create_default_context, cadata=me.ca_pem) if me.mqtt_tls else None
        gone = encode(Presence(online=False, boot=self._clock.boot))
        client = aiomqtt.Client(
            me.mqtt_host,
            me.mqtt_port,
            identifier=me.gateway,
            username=me.gateway,
            password=me.secret,
            protocol=aiomqtt.ProtocolVersion.V5,
            clean_start=True,
            keepalive=20,
            tls_context=trust,
            will=aiomqtt.Will(topics.up(me.gateway, topics.PRESENCE), gone, qos=1, retain=True),
        )
        async with client:
            try:
                self._client = client
                await self._serve(client)
            except asyncio.CancelledError:
                # Orderly end: say so, since a clean disconnect keeps the will unsent.
                with contextlib.suppress(aiomqtt.MqttError, OSError):
                    await self._send(topics.PRESENCE, Presence(online=False, boot=self._clock.boot))
                raise
            except CableCut:
                self._tear(client)
                raise
            finally:
                self._client = None
                self._enter(None)

    async def _serve(self, client: aiomqtt.Client) -> None:
        me = self._identity
        self._asked.clear()
        self._feed.removals_in.clear()
        for event in (self._welcomed, self._acked):
            event.clear()
        await client.subscribe([(topics.emergency(me.site), 1), (topics.every_down(me.gateway), 1)])
        await self._send(topics.PRESENCE, Presence(online=True, boot=self._clock.boot))
        works = [self._receive(client), self._talk(), self._send_events(), self._pull(), self._tell_applied()]
        tasks = [asyncio.create_task(work) for work in [*works, self._watch_cable()]]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
            for task in done:
                task.result()
        finally:
            await end(tasks)
            self._feed.give_up_pull()

    async def _watch_cable(self) -> None:
        await self.cable.broken()
        raise CableCut("the cable is cut")

    @staticmethod
    def _tear(client: aiomqtt.Client) -> None:
        """Drop the connection as a pulled cable does: without a word, so that the broker sends the will."""
        line = client._client.socket()
        if isinstance(line, socket.socket):
            with contextlib.suppress(OSError):
                line.shutdown(socket.SHUT_RDWR)
        if not client._disconnected.done():
            client._disconnected.set_result(None)

    async def _send(self, kind: str, message: Message) -> None:
        client = self._client
        if client is None:
            raise CableCut("not connected")
        topic, payload = topics.up(self._identity.gateway, kind), encode(message)

        async def arrive() -> None:
            await client.publish(topic, payload, qos=1, retain=kind == topics.PRESENCE)

        await self.cable.carry(arrive)

    # --- what comes down ------------------------------------------------------------------------

    async def _receive(self, client: aiomqtt.Client) -> None:
        async for message in client.messages:
            if isinstance(message.payload, bytes):
                await self.cable.carry(partial(self._take, str(message.topic), message.payload))

    async def _take(self, topic: str, payload: bytes) -> None:
        received = self._clock.mono_ms()
        try:
            if topic == topics.emergency(self._identity.site):
                await self._site.on_emergency(decode(Emergency, payload))
                return
            kind = DOWN_TYPES.get(topics.kind_of_down(topic) or "")
            if kind is None:
                self.counts["message.unknown"] += 1
                return
            message = decode(kind, payload)
        except Unreadable as error:
            self.counts["message.unreadable"] += 1
            log.warning("ignored: %s", error)
            return
        try:
            match message:
                case Welcome():
                    await self._on_welcome(message)
                case Ack():
                    await self._on_ack(message)
                case FeedDelta():
                    await self._feed.delta(message)
                case Command():
                    # A task of its own: a slow relay must not hold up the next command, nor an emergency.
                    self._aside(self._site.on_command(message, received))
        except (DiskFailed, Damaged) as error:
            self._recorder.fault = str(error)
            log.warning("disk: %s", error)

    def _aside(self, work: Awaitable[None]) -> None:
        async def done() -> None:
            await work

        task = asyncio.create_task(done())
        self._loose.add(task)
        task.add_done_callback(self._loose.discard)

    async def _on_welcome(self, welcome: Welcome) -> None:
        if welcome.echo_mono_ms not in self._asked:
            self.counts["welcome.unasked"] += 1  # of an earlier connection, or a double
            return
        self._asked.discard(welcome.echo_mono_ms)
        if self._clock.measure(welcome.echo_mono_ms, welcome.server_ms):
            await self._keep_time()
        fresh = welcome.session != self.session
        spool = self._recorder.spool
        if fresh and welcome.acked_seq >= spool.next_seq:
            # The cloud has more of this spool than this disk ever held: an old copy of the disk was put back.
            self.counts["spool.renumbered"] += 1
            await self._recorder.on_disk(spool.renumber)
            self._greet.set()
        elif fresh or welcome.acked_seq > spool.acked:
            await self._recorder.on_disk(spool.acknowledge, welcome.acked_seq)
        self._feed.expect(welcome.epoch, welcome.revision)
        self._enter(welcome.session)
        self._held = True
        self._site.on_session()
        self.troubles.pop("line", None)
        self._acked.set()
        self._welcomed.set()
        if fresh:
            self._feed.moved.ring()
            self._recorder.written.ring()

    async def _keep_time(self) -> None:
        measured = self._clock.measured
        now = self._clock.mono_ms()
        if measured is not None and (self._time_kept_ms is None or now - self._time_kept_ms > KEEP_TIME_EVERY_MS):
            self._time_kept_ms = now
            await self._recorder.on_disk(self._recorder.store.keep_time, self._clock.machine, measured)

    async def _on_ack(self, ack: Ack) -> None:
        spool = self._recorder.spool
        if ack.spool != spool.id or ack.seq >= spool.next_seq:
            self.counts["ack.foreign"] += 1
            return
        if ack.resend or ack.seq > spool.acked:
            await self._recorder.on_disk(spool.acknowledge, ack.seq)
        self._batch_refused = ack.refused is not None
        self.troubles.pop("events", None)
        if ack.refused is not None:
            self.counts["batch.refused"] += 1
            self.troubles["events"] = f"events refused: {ack.refused}"
        self._acked.set()

    # --- what goes up ---------------------------------------------------------------------------

    async def _talk(self) -> None:
        """`Hello` until it is answered, then `Status`; a status without answer leads back to `Hello`."""
        within = self._settings.answer_within_s
        while True:
            self._welcomed.clear()
            self._greet.clear()
            self._enter(None)
            await self._say_hello()
            try:
                await asyncio.wait_for(self._welcomed.wait(), within)
            except TimeoutError:
                self.troubles["line"] = "the cloud does not answer"
                within = min(2 * within, 6 * self._settings.answer_within_s)
                continue
            within = self._settings.answer_within_s
            while self.session is not None and not self._greet.is_set():
                self._welcomed.clear()
                await self._say_status(self.session)
                try:
                    await asyncio.wait_for(self._welcomed.wait(), within)
                except TimeoutError:
                    self.troubles["line"] = "the cloud does not answer"
                    break
                await self._until_next_status()

    async def _until_next_status(self) -> None:
        self._unwell.clear()
        every = self._settings.status_every_s
        # Changes are told at once, but a flapping device does not make a flood.
        await asyncio.sleep(min(1.0, every))
        waits = [asyncio.create_task(event.wait()) for event in (self._unwell, self._greet)]
        try:
            await asyncio.wait(waits, timeout=max(0.0, every - 1.0), return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()

    def _question(self) -> int:
        now = self._clock.mono_ms()
        self._asked.add(now)
        if len(self._asked) > 16:
            self._asked.discard(min(self._asked))
        return now

    async def _say_hello(self) -> None:
        state, spool = self._feed.state, self._recorder.spool
        hello = Hello(
            boot=self._clock.boot,
            spool=spool.id,
            next_seq=spool.next_seq,
            sent_mono_ms=self._question(),
            wall_ms=self._clock.wall_ms(),
            epoch=state.epoch,
            revision=state.revision,
            version=self._settings.version,
            schema=FEED_SCHEMA,
            tzdata=self._tzdata,
        )
        await self._send(topics.HELLO, hello)

    async def _say_status(self, session: str) -> None:
        # What the devices hold is told with it again: nothing acknowledges `Applied`, and the link may have
        # died over the last one.
        self._feed.moved.ring()
        await self._send(topics.STATUS, await self._site.health(session, self._question()))

    async def _send_events(self) -> None:
        """One batch in flight; the next leaves after its acknowledgement."""
        await self._welcomed.wait()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._feed.removals_in.wait(), REMOVALS_WITHIN_S)
        spool, pause = self._recorder.spool, 1.0
        while True:
            rung = self._recorder.written.count
            self._acked.clear()
            events: list[AnyEvent] = []
            if self.session is not None:
                try:
                    events = await self._recorder.on_disk(spool.batch)
                except (DiskFailed, Damaged) as error:
                    self._recorder.fault = str(error)
            if not events:
                await self._recorder.written.after(rung)
                continue
            last = events[-1]
            spool.sent = getattr(last, "upto", last.seq)
            batch = EventBatch(spool=spool.id, boot=self._clock.boot, sent_mono_ms=self._clock.mono_ms(), events=events)
            await self._send(topics.EVENTS, batch)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._acked.wait(), self._settings.answer_within_s)
            if self._batch_refused:
                await asyncio.sleep(pause)
            pause = min(2 * pause, LAST_PAUSE_S) if self._batch_refused else 1.0

    async def _tell_applied(self) -> None:
        rung = 0
        while True:
            rung = await self._feed.moved.after(rung)
            if self.session is not None and self._feed.state.epoch is not None:
                await self._send(topics.APPLIED, self._site.applied())

    async def _pull(self) -> None:
        """Whenever the cloud has something else than we hold and no delta brought it."""
        pause = FIRST_PAUSE_S
        while True:
            await self._feed.behind.wait()
            try:
                await self._pull_once()
                self.troubles.pop("feed", None)
                pause = FIRST_PAUSE_S
                if not self._feed.behind.is_set():
                    continue
            except NewerSchema as error:
                self.counts["feed.newer_schema"] += 1
                self.troubles["feed"] = f"the feed has schema {error}, newer than this gateway"
                self._feed.removals_in.set()
            except (PullBroken, https.CloudUnreachable, https.CloudRefused) as error:
                self.troubles["feed"] = str(error)
            except (DiskFailed, Damaged) as error:
                self.troubles["feed"] = self._recorder.fault = str(error)
            finally:
                self._feed.give_up_pull()
            await asyncio.sleep(pause * random.uniform(0.5, 1.5))
            pause = min(2 * pause, LAST_PAUSE_S)

    async def _pull_once(self) -> None:
        epoch, since = self._feed.asks()
        cursor: str | None = None
        first, done = True, False
        while not done:
            page = await asyncio.to_thread(self._page, epoch, since, cursor)
            if self.cable.is_cut:
                raise CableCut("the cable is cut")
            done = await self._feed.page(page, first)
            cursor, first = page.cursor, False

    def _page(self, epoch: str | None, since: int, cursor: str | None) -> FeedPage:
        return https.feed_page(self._settings.base_url, self._identity, epoch, since, cursor)
