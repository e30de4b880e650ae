"""What comes up from the gateways: parsed, gathered into micro-batches, handed to one act each, answered.

Nothing here trusts a message. What cannot be read, is too large, speaks for somebody else or cannot be stored
is counted and, where there is somebody to tell, refused with a reason.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from uuid import UUID

import msgspec

from gatehouse.cloud.events.arrivals import Arrival, plain_id
from gatehouse.cloud.events.services import record_batches
from gatehouse.cloud.feed.services import record_applied
from gatehouse.cloud.kit import clock
from gatehouse.cloud.link.broker import Broker
from gatehouse.cloud.link.desk import DATABASE_AWAY, Desk
from gatehouse.cloud.link.lanes import Lanes, Waiting
from gatehouse.cloud.link.live import News
from gatehouse.cloud.link.mqtt import MqttLost
from gatehouse.cloud.link.services import sessions
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

WINDOW_S = 0.02
ROWS = 500
"""A micro-batch closes after so long, or with so many events."""
CONTROL_AT_ONCE = 500
SWEEP_S = 15.0
GRACE_S = 75.0
"""After a connection to the broker every gateway has this long to report before silence counts."""
DROPPED = "$SYS/broker/publish/messages/dropped"


class Handlers:
    """The messages of all gateways. `welcomed` is called when sessions began or went on."""

    def __init__(self, broker: Broker, news: News, welcomed: Callable[[], None]) -> None:
        self.lanes = Lanes()
        self.counted: Counter[str] = Counter()
        self.connected_at = 0.0
        """When the present connection to the broker began, on the monotonic clock."""
        self._broker = broker
        self._news = news
        self._welcomed = welcomed
        self._events, self._control = asyncio.Event(), asyncio.Event()
        self._loose: set[asyncio.Future[None]] = set()
        self._dropped = 0

    def take(self, topic: str, body: bytes) -> None:
        """A message of the broker: put where it waits for its turn."""
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
            self.lanes.put_events(waiting)
            self._events.set()
        else:
            self.lanes.put_control(kind, waiting)
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
        task = asyncio.ensure_future(self._say([down(gateway, topics.ACK, Ack(spool=spool, seq=0, refused=reason))]))
        self._loose.add(task)
        task.add_done_callback(self._loose.discard)

    async def _say(self, messages: Sequence[Outgoing]) -> None:
        """Answers: sent when there is somebody to send through; the gateway asks again otherwise."""
        try:
            await self._broker.send(messages)
        except MqttLost:
            self.counted["answers.unsent"] += len(messages)

    # --- events ---------------------------------------------------------------------------------

    async def events(self, desk: Desk) -> None:
        """One micro-batch. Several of these run side by side: while the database works for one, Python does for another."""
        await self._events.wait()
        if self.lanes.rows < ROWS:
            await asyncio.sleep(WINDOW_S)
        batches = self.lanes.take_events(ROWS)
        if not self.lanes.depth:
            self._events.clear()
        try:
            await self._record(desk, batches)
        except DATABASE_AWAY:
            self.lanes.put_back(batches)
            self._events.set()
            raise

    async def _record(self, desk: Desk, batches: Sequence[Waiting]) -> None:
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
        except DATABASE_AWAY:
            raise
        except Exception:
            if len(arrivals) == 1:
                log.exception("a batch cannot be stored", extra={"gateway": str(arrivals[0].gateway)})
                self.counted["events.unstorable"] += 1
                self._refuse(arrivals[0].gateway, batches[0].payload, "unstorable")
                return
            # One of them poisons the rest: each for itself then.
            for waiting in batches:
                await self._record(desk, [waiting])
            return
        self.counted.update(taken.counted)
        for site, fresh in taken.fresh.items():
            for kind in ("passages", "alarms", "doors", "commands"):
                self._news.add(site, kind, getattr(fresh, kind))
        await self._say(
            [down(arrival.gateway, topics.ACK, ack) for arrival, ack in zip(arrivals, taken.acks, strict=True)]
        )

    # --- everything else ------------------------------------------------------------------------

    async def control(self, desk: Desk) -> None:
        """What has come of hellos, health reports, wills and feed receipts, as one micro-batch."""
        await self._control.wait()
        await asyncio.sleep(WINDOW_S)
        messages = self.lanes.take_control(CONTROL_AT_ONCE)
        if not messages:
            self._control.clear()
            return
        try:
            await self._handle(desk, messages)
        except DATABASE_AWAY:
            self.lanes.put_control_back(messages)
            raise

    async def _handle(self, desk: Desk, messages: Sequence[tuple[str, Waiting]]) -> None:
        said: dict[type[Message], dict[UUID, Any]] = {kind: {} for kind in (Hello, Status, Presence, Applied)}
        for kind, waiting in messages:
            try:
                message = decode(UP_TYPES[kind], waiting.payload)
            except Unreadable as error:
                self.counted[f"{kind}.unreadable"] += 1
                log.info("unreadable message", extra={"gateway": str(waiting.gateway), "why": str(error)})
                continue
            said[type(message)][waiting.gateway] = message
            if isinstance(message, Hello):
                said[Presence].pop(waiting.gateway, None)  # the line that ended was the one before
        try:
            await self._act(desk, said)
        except DATABASE_AWAY:
            raise
        except Exception:
            if len(messages) == 1:
                kind, waiting = messages[0]
                log.exception("a message cannot be stored", extra={"gateway": str(waiting.gateway), "kind": kind})
                self.counted[f"{kind}.unstorable"] += 1
                return
            for one in messages:
                await self._handle(desk, [one])

    async def _act(self, desk: Desk, said: Mapping[type[Message], Mapping[UUID, Any]]) -> None:
        works: list[tuple[type[Message], Callable[..., sessions.Moved]]] = [
            (Hello, sessions.open_sessions),
            (Status, sessions.record_status),
            (Presence, sessions.record_gone),
        ]
        for kind, act in works:
            if said[kind]:
                self._moved(moved := await desk.do(act, said[kind], clock.now()))
                await self._say([down(answer.gateway, topics.WELCOME, answer.welcome) for answer in moved.answers])
        if said[Applied]:
            known = await desk.do(sessions.in_force, list(said[Applied]))
            self.counted["applied.unknown"] += len(said[Applied]) - len(known)
            for gateway in known:
                await desk.do(record_applied, gateway, said[Applied][gateway], clock.now())

    async def sweep(self, desk: Desk) -> None:
        """After a while: gateways that fell silent without a will."""
        await asyncio.sleep(SWEEP_S)
        if self._broker.connected and time.monotonic() - self.connected_at >= GRACE_S:
            self._moved(await desk.do(sessions.sweep_silent, clock.now()))

    def _moved(self, moved: sessions.Moved) -> None:
        self.counted["session.unknown"] += moved.unknown
        for kind, where in (("gateways", moved.gateways), ("devices", moved.devices)):
            for site, ids in where.items():
                self._news.add(site, kind, ids)
        if moved.answers:
            self._welcomed()


class _SpoolOf(Message, frozen=True, kw_only=True):
    """All that is needed of a batch to refuse it."""

    spool: Id


def down(gateway: UUID | str, kind: str, message: Message) -> Outgoing:
    """A message for one gateway."""
    return Outgoing(topics.down(gateway, kind), encode(message))
