"""A gateway that speaks wire over MQTT, with a spool in memory and the stubbornness of the real one."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from socket import socket
from typing import Any, TypeVar
from uuid import UUID, uuid4

import aiomqtt

from gatehouse.wire import topics
from gatehouse.wire.messages import (
    DOWN_TYPES,
    Ack,
    AnyEvent,
    Command,
    DeviceHealth,
    Emergency,
    EventBatch,
    Hello,
    Message,
    Passage,
    Presence,
    Status,
    Welcome,
    decode,
    encode,
)

T = TypeVar("T", bound=Message)


def mono_ms() -> int:
    """Milliseconds on this machine's monotonic clock."""
    return time.monotonic_ns() // 1_000_000


class FakeGateway:
    """One gateway. `inbox` holds what came down; `take` waits for a kind of message."""

    def __init__(self, port: int, gateway: UUID | str, secret: str, site: UUID | str = "") -> None:
        self.id = str(gateway)
        self.site = str(site)
        self.port = port
        self.secret = secret
        self.boot = str(uuid4())
        self.spool = str(uuid4())
        self.session = ""
        self.inbox: list[Message] = []
        self.arrived = asyncio.Event()
        self.client: aiomqtt.Client | None = None
        self.dropped = asyncio.Event()

    @contextlib.asynccontextmanager
    async def connected(self, within: float = 10.0) -> AsyncIterator[FakeGateway]:
        """A connection that ends with the block; retried, since the broker must have heard of the gateway."""
        deadline = time.monotonic() + within
        while True:
            gone = encode(Presence(online=False, boot=self.boot))
            client = aiomqtt.Client(
                "127.0.0.1",
                self.port,
                identifier=self.id,
                username=self.id,
                password=self.secret,
                protocol=aiomqtt.ProtocolVersion.V5,
                clean_start=True,
                keepalive=10,
                will=aiomqtt.Will(topics.up(self.id, topics.PRESENCE), gone, qos=1, retain=True),
            )
            try:
                await client.__aenter__()
                break
            except aiomqtt.MqttError:
                if time.monotonic() > deadline:
                    raise
                await asyncio.sleep(0.1)
        self.client = client
        reader = asyncio.create_task(self._read(client))
        try:
            await client.subscribe([(topics.every_down(self.id), 1)])
            if self.site:
                await client.subscribe(topics.emergency(self.site), 1)
            yield self
        finally:
            self.client = None
            reader.cancel()
            with contextlib.suppress(aiomqtt.MqttError):
                await client.__aexit__(None, None, None)
            await asyncio.gather(reader, return_exceptions=True)

    async def _read(self, client: aiomqtt.Client) -> None:
        try:
            async for message in client.messages:
                topic, payload = str(message.topic), bytes(message.payload)
                kind = DOWN_TYPES.get(topics.kind_of_down(topic) or "", Emergency)
                self.inbox.append(decode(kind, payload))
                self.arrived.set()
        except aiomqtt.MqttError:
            self.dropped.set()

    def tear(self) -> None:
        """Lose the line without a word, so that the broker sends the will."""
        assert self.client is not None
        line = self.client._client.socket()
        assert isinstance(line, socket)
        line.shutdown(2)

    async def say(self, kind: str, message: Message | bytes, retain: bool = False) -> None:
        """Publish below the own `up`."""
        assert self.client is not None
        body = message if isinstance(message, bytes) else encode(message)
        await self.client.publish(topics.up(self.id, kind), body, qos=1, retain=retain, timeout=10)

    async def take(self, kind: type[T], within: float = 5.0, that: Callable[[T], bool] = lambda _: True) -> T:
        """The next message of a kind; raises TimeoutError."""
        async with asyncio.timeout(within):
            while True:
                for message in self.inbox:
                    if isinstance(message, kind) and that(message):
                        self.inbox.remove(message)
                        return message
                self.arrived.clear()
                await self.arrived.wait()

    async def hello(self, next_seq: int = 1, within: float = 5.0) -> Welcome:
        """Say hello until it is answered."""
        async with asyncio.timeout(within):
            while True:
                message = Hello(
                    boot=self.boot,
                    spool=self.spool,
                    next_seq=next_seq,
                    sent_mono_ms=mono_ms(),
                    wall_ms=time.time_ns() // 1_000_000,
                    epoch=None,
                    revision=0,
                    version="0.1.0",
                    schema=1,
                    tzdata="2026a",
                )
                await self.say(topics.HELLO, message)
                with contextlib.suppress(TimeoutError):
                    welcome = await self.take(Welcome, 1.0, lambda w: w.echo_mono_ms == message.sent_mono_ms)
                    self.session = welcome.session
                    return welcome

    def status(self, devices: list[DeviceHealth] | None = None, session: str | None = None, **more: Any) -> Status:
        """A health report."""
        fields: dict[str, Any] = {
            "session": session or self.session,
            "sent_mono_ms": mono_ms(),
            "wall_ms": time.time_ns() // 1_000_000,
            "uptime_s": 5,
            "clock_offset_ms": 0,
            "disk_free": 10**9,
            "memory": 10**7,
            "spool_depth": 0,
            "devices": devices or [],
        }
        return Status(**fields | more)

    def passage(self, seq: int, **more: Any) -> Passage:
        """A granted card, just now."""
        now = time.time_ns() // 1_000_000
        fields: dict[str, Any] = {
            "seq": seq,
            "boot": self.boot,
            "mono_ms": mono_ms(),
            "wall_ms": now,
            "true_ms": now,
            "method": "card",
            "allowed": True,
            "reason": "granted",
        }
        return Passage(**fields | more)

    def batch(self, events: list[AnyEvent]) -> EventBatch:
        """These events as one batch."""
        return EventBatch(spool=self.spool, boot=self.boot, sent_mono_ms=mono_ms(), events=events)

    async def send(self, *events: AnyEvent, within: float = 5.0) -> Ack:
        """Send one batch and wait for its acknowledgement."""
        await self.say(topics.EVENTS, self.batch(list(events)))
        return await self.take(Ack, within)

    async def command(self, within: float = 5.0) -> Command:
        """The next command."""
        return await self.take(Command, within)
