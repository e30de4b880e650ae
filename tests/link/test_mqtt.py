"""The link's own MQTT client: every cut of the byte stream, every refusal of the broker."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from gatehouse.cloud.link.mqtt import Connection, MqttLost, number, packet, text
from tests.link.conftest import Broker


class Line(asyncio.Transport):
    """A line that remembers what was written."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.gone = False

    def write(self, data: object) -> None:
        self.written += bytes(data)  # type: ignore[call-overload]

    def is_closing(self) -> bool:
        return self.gone

    def abort(self) -> None:
        self.gone = True

    def close(self) -> None:
        self.gone = True


def made(take: Callable[[str, bytes], None] = lambda topic, payload: None) -> tuple[Connection, Line]:
    connection, line = Connection(take), Line()
    connection.connection_made(line)
    return connection, line


@pytest.mark.parametrize("value", [0, 1, 127, 128, 16_383, 16_384, 2_097_151, 2_097_152, 268_435_455])
def test_a_length_is_read_as_it_was_written(value: int) -> None:
    class Big(bytes):
        def __len__(self) -> int:
            return value

    head = packet(3, 0, Big())
    assert number(head, 1) == (value, len(head))
    assert number(head[:-1], 1) is None


async def test_a_message_arrives_whole_however_the_stream_is_cut() -> None:
    stream = b""
    for each in range(40):
        body = text(f"gh/{each}") + each.to_bytes(2, "big") + b"\0" + b"x" * (each * 17)
        stream += packet(3, 2, body)
        stream += packet(3, 0, text("calm") + b"\x05\x02\0\0\0\x09" + b"with a property")
    for cut in (1, 2, 3, 7, 100, len(stream)):
        got: list[tuple[str, bytes]] = []
        connection, line = made(lambda topic, payload, got=got: got.append((topic, payload)))  # type: ignore[misc]
        for at in range(0, len(stream), cut):
            connection.data_received(stream[at : at + cut])
        assert [payload for topic, payload in got if topic != "calm"] == [b"x" * (n * 17) for n in range(40)]
        assert {payload for topic, payload in got if topic == "calm"} == {b"with a property"}
        assert line.written == b"".join(packet(4, 0, n.to_bytes(2, "big")) for n in range(40))


async def test_what_is_no_packet_ends_the_connection_and_nothing_else() -> None:
    for stream in (b"\x30\xff\xff\xff\xff\x01", packet(3, 0, b"\x00"), packet(3, 0, b"\x00\x02\xff\xff\0")):
        connection, line = made()
        connection.data_received(stream)
        assert line.gone
        with pytest.raises(MqttLost):
            await connection.closed
        with pytest.raises(MqttLost):
            connection.send([("topic", b"")])


async def test_who_waits_for_a_confirmation_hears_of_the_end() -> None:
    connection, line = made()
    waiting = asyncio.ensure_future(connection.publish("topic", b"payload"))
    await asyncio.sleep(0)
    connection.connection_lost(None)
    with pytest.raises(MqttLost):
        await waiting
    assert line.written.endswith(b"payload")


async def test_a_message_that_the_broker_refuses_is_not_taken_for_sent() -> None:
    connection, _ = made()
    waiting = asyncio.ensure_future(connection.publish("topic", b"payload"))
    await asyncio.sleep(0)
    connection.data_received(packet(4, 0, b"\x00\x01\x87"))
    with pytest.raises(MqttLost, match="135"):
        await waiting
    with pytest.raises(MqttLost, match="does not answer"):
        await connection.publish("topic", b"", within=0.05)


async def test_the_broker_says_how_many_it_takes_at_once_and_may_send_us_away() -> None:
    connection, _ = made()
    accepted = connection._wait(0)
    connection.data_received(
        packet(2, 0, b"\0\0" + b"\x0a" + b"\x22\x00\x0a" + b"\x13\x00\x05" + b"\x21\x00\x14" + b"\x25")
    )
    await accepted
    assert connection.at_once == 20
    connection.data_received(packet(14, 0, b"\x8e\0"))
    with pytest.raises(MqttLost, match="142"):
        await connection.closed


class TestAgainstARealBroker:
    async def test_messages_go_round_with_either_quality(self, broker: Broker) -> None:
        got: list[bytes] = []
        connection = await self.connected(broker, lambda topic, payload: got.append(payload))
        await connection.subscribe(["gh/v1/test/+"])
        await asyncio.gather(*(connection.publish("gh/v1/test/a", b"%d" % n) for n in range(20)))
        connection.send([("gh/v1/test/b", b"%d" % n) for n in range(20, 40)])
        await connection.publish("gh/v1/test/a", b"x" * 200_000, life_s=60)
        async with asyncio.timeout(5):
            while len(got) < 41:
                await asyncio.sleep(0.02)
        assert sorted(got[:-1], key=int) == [b"%d" % n for n in range(40)]
        assert got[-1] == b"x" * 200_000
        connection.close()

    async def connected(self, broker: Broker, take: Callable[[str, bytes], None], keepalive: int = 30) -> Connection:
        return await Connection.connect(
            "127.0.0.1", broker.port, "link", "the link's password", take, keepalive=keepalive
        )

    async def test_an_idle_line_is_kept_and_a_dead_one_noticed(self, broker: Broker) -> None:
        connection = await self.connected(broker, lambda topic, payload: None, keepalive=1)
        await asyncio.sleep(2.5)
        await connection.publish("gh/v1/test/a", b"still here")
        broker.kill()
        async with asyncio.timeout(3):
            with pytest.raises(MqttLost):
                await connection.closed

    async def test_a_wrong_password_is_refused_and_a_missing_broker_is_said(self, broker: Broker) -> None:
        with pytest.raises(MqttLost, match="refuses"):
            await Connection.connect("127.0.0.1", broker.port, "link", "wrong", lambda topic, payload: None)
        broker.kill()
        with pytest.raises(MqttLost):
            await Connection.connect("127.0.0.1", broker.port, "link", "x", lambda topic, payload: None, within=2)
