"""As much of an MQTT 5 client as the link needs, and no more.

The link speaks for thousands of gateways over one connection. A general client makes objects, tasks and
properties of each message (measured: it was the link's ceiling by far); here a chunk of bytes from the
broker becomes calls, and all answers to it leave in one write. OASIS MQTT 5.0, sections 2 and 3; the broker
stands beside the link on loopback, so there is no TLS.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

_CONNECT, _CONNACK, _PUBLISH, _PUBACK = 1, 2, 3, 4
_SUBSCRIBE, _SUBACK, _PINGREQ, _PINGRESP, _DISCONNECT = 8, 9, 12, 13, 14
_EXPIRY, _RECEIVE_MAXIMUM = 0x02, 0x21
_WIDTHS = {
    **dict.fromkeys((0x24, 0x25, 0x28, 0x29, 0x2A, 0x17, 0x19, 0x01), 1),
    **dict.fromkeys((0x13, 0x21, 0x22, 0x23), 2),
    **dict.fromkeys((0x02, 0x11, 0x18, 0x27), 4),
}
"""Bytes of the properties that have a fixed width; all others are text or binary with a length before them."""

Take = Callable[[str, bytes], None]
"""Called with topic and payload of each message."""


class MqttLost(ConnectionError):
    """The connection is gone, was refused, or never came about; the text says why."""


def packet(kind: int, flags: int, body: bytes) -> bytes:
    """A control packet: type and flags, the length of the rest, the rest."""
    size, length = len(body), bytearray()
    while True:
        size, digit = size >> 7, size & 0x7F
        length.append(digit | (0x80 if size else 0))
        if not size:
            return bytes((kind << 4 | flags,)) + bytes(length) + body


def number(data: bytes | bytearray, at: int) -> tuple[int, int] | None:
    """A variable-length number and where it ends; None when it is not all there. Raises MqttLost for a fifth digit."""
    value = 0
    for shift in (0, 7, 14, 21):
        if at >= len(data):
            return None
        value |= (data[at] & 0x7F) << shift
        at += 1
        if data[at - 1] < 0x80:
            return value, at
    raise MqttLost("the broker sent a packet that is none")


def text(value: str) -> bytes:
    """A text with its length before it."""
    data = value.encode()
    return len(data).to_bytes(2, "big") + data


class Connection(asyncio.Protocol):
    """One connection, from `connect` until `closed`."""

    def __init__(self, take: Take) -> None:
        loop = asyncio.get_running_loop()
        self.closed: asyncio.Future[None] = loop.create_future()
        """Ends with MqttLost when the connection does."""
        self.closed.add_done_callback(lambda ended: ended.cancelled() or ended.exception())
        self.at_once = 0xFFFF
        """How many messages with QoS 1 the broker takes before it has confirmed the first."""
        self._take = take
        self._transport: asyncio.Transport | None = None
        self._buffer = bytearray()
        self._answers: list[bytes] = []
        self._waiting: dict[int, asyncio.Future[bytes]] = {}
        self._last_id = 0
        self._writable = asyncio.Event()
        self._writable.set()
        self._heard = True
        self._pinging: asyncio.Task[None] | None = None

    @classmethod
    async def connect(
        cls, host: str, port: int, user: str, password: str, take: Take, *, keepalive: int = 30, within: float = 10.0
    ) -> Connection:
        """Connect with a clean start, as any client of this user. Raises MqttLost."""
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(within):
                _, connection = await loop.create_connection(lambda: cls(take), host, port)
                accepted = connection._wait(0)
                flags = 0b11000010  # user name, password, clean start
                head = text("MQTT") + bytes((5, flags)) + keepalive.to_bytes(2, "big") + b"\0"
                connection._write(packet(_CONNECT, 0, head + text("") + text(user) + text(password)))
                await accepted
        except TimeoutError as error:
            raise MqttLost("the broker does not answer") from error
        except OSError as error:
            raise error if isinstance(error, MqttLost) else MqttLost(str(error)) from error
        connection._pinging = loop.create_task(connection._ping(keepalive / 2))
        return connection

    async def subscribe(self, topics: Sequence[str], within: float = 10.0) -> None:
        """Ask for these topics with QoS 1. Raises MqttLost, also when the broker refuses one."""
        id_ = self._new_id()
        granted = self._wait(id_)
        body = id_.to_bytes(2, "big") + b"\0" + b"".join(text(topic) + b"\x01" for topic in topics)
        self._write(packet(_SUBSCRIBE, 2, body))
        for topic, reason in zip(topics, await self._within(granted, within), strict=False):
            if reason >= 0x80:
                raise MqttLost(f"the broker refuses the subscription to {topic}")

    def send(self, messages: Sequence[tuple[str, bytes]]) -> None:
        """Publish with QoS 0, all in one write. Raises MqttLost."""
        self._write(b"".join([packet(_PUBLISH, 0, text(topic) + b"\0" + payload) for topic, payload in messages]))

    async def publish(
        self, topic: str, payload: bytes, *, retain: bool = False, life_s: int | None = None, within: float = 5.0
    ) -> None:
        """Publish with QoS 1; returns once the broker has it. Raises MqttLost.

        `life_s`: seconds after which the broker must not deliver it any more. Never more than `at_once` together.
        """
        id_ = self._new_id()
        properties = b"" if life_s is None else bytes((_EXPIRY,)) + life_s.to_bytes(4, "big")
        body = text(topic) + id_.to_bytes(2, "big") + bytes((len(properties),)) + properties + payload
        taken = self._wait(id_)
        self._write(packet(_PUBLISH, 2 | retain, body))
        await self._within(taken, within)

    async def drain(self) -> None:
        """Wait until what was written has mostly left."""
        await self._writable.wait()

    def close(self) -> None:
        """End it in order."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(packet(_DISCONNECT, 0, b""))
            self._transport.close()
        self._end("closed")

    # --- asyncio's side -------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The line is there."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        """The line is gone."""
        self._end(str(exc) if exc else "the broker closed the connection")

    def pause_writing(self) -> None:
        """The broker does not keep up."""
        self._writable.clear()

    def resume_writing(self) -> None:
        """It does again."""
        self._writable.set()

    def data_received(self, data: bytes) -> None:
        """Whole packets are handled, the rest is kept."""
        self._heard = True
        self._buffer += data
        buffer, at = self._buffer, 0
        try:
            while at < len(buffer) and (size := number(buffer, at + 1)) is not None:
                length, begin = size
                if len(buffer) < begin + length:
                    break
                self._packet(buffer[at], bytes(memoryview(buffer)[begin : begin + length]))
                at = begin + length
        except (MqttLost, IndexError, UnicodeDecodeError) as error:
            self._end(f"the broker is not understood: {error}")
            return
        self._buffer = buffer[at:]
        if self._answers:
            self._write(b"".join(self._answers))
            self._answers.clear()

    def _packet(self, head: int, body: bytes) -> None:
        match head >> 4:
            case 3:  # PUBLISH
                end = 2 + int.from_bytes(body[:2], "big")
                topic = body[2:end].decode()
                if head & 0b0110:
                    self._answers.append(bytes((_PUBACK << 4, 2)) + body[end : end + 2])
                    end += 2
                self._take(topic, body[_properties(body, end)[1] :])
            case 4:  # PUBACK
                reason = body[2] if len(body) > 2 else 0
                self._answer(int.from_bytes(body[:2], "big"), body, f"not taken: {reason}" if reason >= 0x80 else "")
            case 9:  # SUBACK
                self._answer(int.from_bytes(body[:2], "big"), body[_properties(body, 2)[1] :])
            case 2:  # CONNACK
                begin, end = _properties(body, 2)
                self.at_once = _receive_maximum(body[begin:end])
                self._answer(0, body, f"the broker refuses: {body[1]}" if body[1] else "")
            case 14:  # DISCONNECT
                raise MqttLost(f"sent away: {body[0] if body else 0}")
            case _:
                pass  # PINGRESP, and what a client never gets

    # --- the rest -------------------------------------------------------------------------------

    def _write(self, data: bytes) -> None:
        if self._transport is None or self.closed.done():
            raise MqttLost("not connected")
        self._transport.write(data)

    def _new_id(self) -> int:
        for _ in range(0xFFFF):
            self._last_id = self._last_id % 0xFFFF + 1
            if self._last_id not in self._waiting:
                return self._last_id
        raise MqttLost("the broker confirms nothing")

    def _wait(self, id_: int) -> asyncio.Future[bytes]:
        future: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._waiting[id_] = future
        future.add_done_callback(lambda _: self._waiting.pop(id_, None))
        return future

    def _answer(self, id_: int, body: bytes, refused: str = "") -> None:
        future = self._waiting.get(id_)
        if future is not None and not future.done():
            if refused:
                future.set_exception(MqttLost(refused))
            else:
                future.set_result(body)

    async def _within(self, future: asyncio.Future[bytes], seconds: float) -> bytes:
        try:
            return await asyncio.wait_for(future, seconds)
        except TimeoutError as error:
            raise MqttLost("the broker does not answer") from error

    async def _ping(self, every: float) -> None:
        while True:
            await asyncio.sleep(every)
            if not self._heard:
                self._end("the broker has fallen silent")
                return
            self._heard = False
            self._write(packet(_PINGREQ, 0, b""))

    def _end(self, why: str) -> None:
        if self.closed.done():
            return
        self.closed.set_exception(MqttLost(why))
        self._writable.set()
        for future in list(self._waiting.values()):
            if not future.done():
                future.set_exception(MqttLost(why))
        if self._pinging is not None:
            self._pinging.cancel()
        if self._transport is not None and not self._transport.is_closing():
            self._transport.abort()


def _properties(body: bytes, at: int) -> tuple[int, int]:
    """Where the properties of a packet begin and end, their length standing at `at`."""
    found = number(body, at)
    if found is None or found[1] + found[0] > len(body):
        raise MqttLost("a packet is cut off")
    return found[1], found[1] + found[0]


def _receive_maximum(properties: bytes) -> int:
    at = 0
    while at < len(properties):
        name = properties[at]
        width = _WIDTHS.get(name)
        if name == _RECEIVE_MAXIMUM:
            return int.from_bytes(properties[at + 1 : at + 3], "big") or 0xFFFF
        if width is None:
            width = 2 + int.from_bytes(properties[at + 1 : at + 3], "big")
        if name == 0x26:  # a pair of texts
            width += 2 + int.from_bytes(properties[at + 1 + width : at + 3 + width], "big")
        at += 1 + width
    return 0xFFFF
