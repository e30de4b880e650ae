"""A real broker with our configuration: who gets in, what they reach, and what a reload does."""

import asyncio
import contextlib
import datetime as dt
import os
import signal
import ssl
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import aiomqtt
import pytest

from gatehouse.run import broker, child, home, processes, secrets, tls
from gatehouse.wire import topics

FIRST, SECOND = "0192f0c0-0000-7000-8000-000000000001", "0192f0c0-0000-7000-8000-000000000002"


@pytest.fixture
def running(folder: Path) -> Iterator["subprocess.Popen[bytes]"]:
    who = home.account("gatehouse")
    secrets.make(folder, who)
    certificate = tls.ensure(folder, who, public_url=None, now=dt.datetime.now(dt.UTC))
    own = broker.system_account()
    command = broker.prepare(folder, who, own, certificate)
    with (folder / "log").open("ab") as log:
        process = processes.spawn(command, who=own, output=log)
    ready = child.tcp_probe(home.port("MQTT"))
    deadline = time.monotonic() + 10
    while not ready():
        assert process.poll() is None, (folder / "log").read_text()
        assert time.monotonic() < deadline
        time.sleep(0.02)
    yield process
    process.kill()
    process.wait(5)


def client(user: str, password: str) -> aiomqtt.Client:
    return aiomqtt.Client(
        "127.0.0.1", home.port("MQTT"), username=user, password=password, identifier=user, timeout=5,
        protocol=aiomqtt.ProtocolVersion.V5,
    )  # fmt: skip


def link(folder: Path) -> aiomqtt.Client:
    return client(broker.LINK, secrets.read(folder, "broker-link"))


async def allow(folder: Path, running: "subprocess.Popen[bytes]", *gateways: str) -> None:
    """What the link does when it knows new gateways, and what the supervisor does then."""
    hand_over = broker.HandOver(folder, broker.system_account())
    assert hand_over.bring()
    assert not hand_over.bring()
    lines = [broker.password_line(broker.LINK, secrets.read(folder, "broker-link"))]
    lines += [broker.password_line(name, f"secret of {name}") for name in gateways]
    home.write_private(folder / "broker" / "passwords", "\n".join(lines) + "\n", owner=home.account("gatehouse"))
    assert hand_over.bring()
    running.send_signal(signal.SIGHUP)
    await asyncio.sleep(0.3)


async def received(messages: aiomqtt.Client, seconds: float = 1.0) -> list[str]:
    got = []
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            async for message in messages.messages:
                got.append(str(message.topic))
                if str(message.topic).endswith("/last"):
                    return got
    return got


async def test_only_known_names_with_their_password_get_in(running: "subprocess.Popen[bytes]", folder: Path) -> None:
    async with link(folder):
        assert running.poll() is None
    for user, password in ((broker.LINK, "wrong"), (FIRST, "anything"), ("", "")):
        with pytest.raises(aiomqtt.MqttError):
            async with client(user, password):
                raise AssertionError(f"{user!r} was let in")


async def test_a_gateway_added_to_the_files_gets_in_after_a_reload_and_reaches_its_own_tree_only(
    running: "subprocess.Popen[bytes]", folder: Path
) -> None:
    await allow(folder, running, FIRST, SECOND)
    async with link(folder) as cloud, client(FIRST, f"secret of {FIRST}") as gateway:
        await cloud.subscribe("gh/#", qos=1)
        await gateway.subscribe(topics.every_down(SECOND), qos=1)
        await gateway.subscribe(topics.every_down(FIRST), qos=1)
        await gateway.publish(topics.up(SECOND, "events"), b"{}", qos=1)
        await gateway.publish(topics.up(FIRST, "events"), b"{}", qos=1)
        await gateway.publish(topics.up(FIRST, "last"), b"{}", qos=1)
        await cloud.publish(topics.down(SECOND, "command"), b"{}", qos=1)
        await cloud.publish(topics.down(FIRST, "last"), b"{}", qos=1)
        assert await received(gateway) == [topics.down(FIRST, "last")]
        from_gateways = [topic for topic in await received(cloud, 0.5) if "/up/" in topic]
        assert from_gateways == [topics.up(FIRST, "events"), topics.up(FIRST, "last")]


async def test_a_gateway_taken_out_of_the_files_is_dropped_at_once(
    running: "subprocess.Popen[bytes]", folder: Path
) -> None:
    await allow(folder, running, FIRST)
    with pytest.raises(aiomqtt.MqttError):
        async with client(FIRST, f"secret of {FIRST}") as gateway:
            await gateway.subscribe(topics.every_down(FIRST))
            await allow(folder, running)
            async with asyncio.timeout(5):
                async for _ in gateway.messages:
                    raise AssertionError("nothing was sent to it")


async def test_the_network_speaks_tls_only(running: "subprocess.Popen[bytes]", folder: Path) -> None:
    context = ssl.create_default_context(cafile=str(folder / "tls" / "authority.crt"))
    password = secrets.read(folder, "broker-link")
    port = home.port("MQTT_TLS")
    async with aiomqtt.Client("localhost", port, username="link", password=password, tls_context=context, timeout=5):
        assert running.poll() is None
    with pytest.raises(aiomqtt.MqttError):
        async with aiomqtt.Client("localhost", port, username="link", password=password, timeout=2):
            raise AssertionError("spoke without TLS")


@pytest.mark.req("GH-RUN-07")
def test_only_the_tls_port_listens_beyond_loopback(running: "subprocess.Popen[bytes]") -> None:
    inodes = set()
    for descriptor in Path(f"/proc/{running.pid}/fd").iterdir():
        with contextlib.suppress(OSError):
            inodes.add(str(descriptor.readlink()))
    beyond = set()
    for table, loopback in (("tcp", "0100007F"), ("tcp6", "0" * 24 + "01000000")):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            address, number = fields[1].rsplit(":", 1)
            if f"socket:[{fields[9]}]" in inodes and fields[3] == "0A" and address != loopback:
                beyond.add(int(number, 16))
    assert beyond == {home.port("MQTT_TLS")}


@pytest.mark.parametrize("text", ["", "no colon at all\n", "gateway:plain\n", "gateway:$7$101$c2FsdA==\n"])
def test_a_file_that_would_end_the_broker_does_not_reach_it(
    running: "subprocess.Popen[bytes]", folder: Path, text: str
) -> None:
    hand_over = broker.HandOver(folder, broker.system_account())
    assert hand_over.bring()
    good = (folder / "mosquitto" / "passwords").read_text()
    (folder / "broker" / "passwords").write_text(text)
    with pytest.raises(ValueError, match="cannot be understood"):
        hand_over.bring()
    assert not hand_over.bring()
    assert (folder / "mosquitto" / "passwords").read_text() == good


@pytest.mark.req("GH-RUN-08")
def test_the_broker_is_neither_root_nor_able_to_read_what_gatehouse_seals_with(
    running: "subprocess.Popen[bytes]", folder: Path
) -> None:
    runs_as = Path(f"/proc/{running.pid}").stat().st_uid
    assert runs_as != 0
    if os.geteuid() == 0:
        key = (folder / "master.key").stat()
        assert key.st_uid != runs_as
        assert key.st_mode & 0o077 == 0
