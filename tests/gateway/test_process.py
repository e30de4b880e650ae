"""The program itself, as a process that is killed: claims, decides, tells, and loses nothing that was recorded."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import signal
import stat
import sys
import urllib.request
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from gatehouse.gateway import page
from gatehouse.gateway.process import main
from gatehouse.wire.messages import Claimed, EmergencyMoved, Lost, Passage
from tests.gateway.cloud import SECRET, Cloud, free_port
from tests.gateway.site import GARAGE, GATEWAY, RAMP, SITE, eventually, signed, uid


class VirtualPhone:
    """A dumb device of the lab, as the driver's protocol has it."""

    def __init__(self, device: str) -> None:
        self.device = device
        self.told: list[dict[str, Any]] = []
        self.answers: dict[int, dict[str, Any]] = {}
        self.takes = True
        self.socket: ServerConnection | None = None
        self._server: Server | None = None
        self._number = 0

    async def start(self) -> str:
        self._server = await serve(self._serve, "127.0.0.1", 0)
        (listening,) = self._server.sockets
        return f"ws://127.0.0.1:{listening.getsockname()[1]}/device"

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close(close_connections=True)
            await self._server.wait_closed()

    async def _serve(self, socket: ServerConnection) -> None:
        await socket.send(json.dumps({"am": self.device, "model": "virtual", "firmware": "1.0"}))
        self.socket = socket
        with contextlib.suppress(ConnectionClosed):
            async for raw in socket:
                message = json.loads(raw)
                self.told.append(message)
                if message["do"] == "answer":
                    self.answers[message["to"]] = message
                elif self.takes:
                    await socket.send(json.dumps({"took": message["id"]}))
        if self.socket is socket:
            self.socket = None

    async def say(self, **message: Any) -> None:
        assert self.socket is not None
        await self.socket.send(json.dumps(message))

    async def type(self, code: str, within_s: float = 10.0) -> dict[str, Any]:
        """A code at the keypad; what the device was told to show."""
        self._number += 1
        number = self._number
        await self.say(saw="pin", text=code, id=number)
        await eventually(lambda: number in self.answers, within_s)
        return self.answers[number]


class Program:
    """`gatehouse gateway` as a process."""

    def __init__(self, home: Path, cloud: Cloud, address: str) -> None:
        self.home, self.port = home, free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.process: asyncio.subprocess.Process | None = None
        (home / "gateway").mkdir(parents=True)
        self.config: dict[str, Any] = {
            "base_url": cloud.base_url,
            "claim_code": "a-claim-code-of-this-test",
            "drivers": [{"device": GARAGE, "family": "virtual", "address": address}],
        }
        self.write()
        claimed = Claimed(
            gateway=GATEWAY,
            site=SITE,
            secret=SECRET,
            mqtt_host="127.0.0.1",
            mqtt_port=cloud.broker.port,
            mqtt_tls=False,
        )
        cloud.claims["a-claim-code-of-this-test"] = claimed

    def write(self) -> None:
        (self.home / "gateway" / "config.json").write_text(json.dumps(self.config))

    async def start(self) -> None:
        environment = os.environ | {"GATEHOUSE_HOME": str(self.home), "GATEHOUSE_PORT_GATEWAY": str(self.port)}
        log = (self.home / "log").open("ab")
        self.process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "gatehouse.cli", "gateway", env=environment, stdout=log, stderr=log
        )
        log.close()

    async def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        await self.process.wait()

    async def end(self) -> int:
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return await asyncio.wait_for(self.process.wait(), 10)

    def log(self) -> str:
        return (self.home / "log").read_text()

    async def look(self, path: str = "/status.json") -> Any:
        def ask() -> str:
            with urllib.request.urlopen(self.url + path, timeout=5) as answer:
                return str(answer.read().decode())

        text = await asyncio.to_thread(ask)
        return json.loads(text) if path.endswith("json") else text


@pytest.fixture
async def phone() -> AsyncIterator[VirtualPhone]:
    phone = VirtualPhone(GARAGE)
    yield phone
    await phone.stop()


@pytest.fixture
async def program(tmp_path: Path, cloud: Cloud, phone: VirtualPhone) -> AsyncIterator[Program]:
    program = Program(tmp_path / "home", cloud, await phone.start())
    yield program
    if program.process is not None and program.process.returncode is None:
        await program.kill()


async def test_from_a_claim_code_to_an_open_door_and_an_orderly_end(
    program: Program, cloud: Cloud, phone: VirtualPhone
) -> None:
    await program.start()
    await eventually(lambda: phone.socket is not None and cloud.applied() is not None, 20)
    identity = program.home / "gateway" / "agent" / "identity.json"
    assert stat.S_IMODE(identity.stat().st_mode) == 0o600
    assert (await phone.type("1234"))["allowed"] is True
    assert {"do": "energise", "relay": RAMP, "ms": 5000}.items() <= phone.told[-2].items()
    assert await phone.type("0000") == {"do": "answer", "to": 2, "allowed": False, "relays": [], "wait_s": 0}
    await phone.say(door=RAMP, state="open")
    await phone.say(input="exit", active=True, relay=RAMP)
    await eventually(lambda: len(cloud.events()) == 5)
    assert [event.seq for event in cloud.events()] == [1, 2, 3, 4, 5]
    await eventually(lambda: cloud.online() is True)
    assert await program.end() == 0
    await eventually(lambda: cloud.online() is False)
    assert "a-claim-code" not in program.log() and SECRET not in program.log() and "1234" not in program.log()


@pytest.mark.req("GH-GW-12")
async def test_killed_again_and_again_it_loses_nothing_that_was_recorded_and_repeats_nothing(
    program: Program, cloud: Cloud, phone: VirtualPhone
) -> None:
    chance = random.Random(7)
    await program.start()
    await eventually(lambda: phone.socket is not None and cloud.applied() is not None, 20)
    opened = 0
    for life in range(6):
        if life == 3:
            await cloud.link_down()
        if life == 5:
            await cloud.link_up()
        deadline = asyncio.get_running_loop().time() + chance.uniform(0.1, 0.5)
        while asyncio.get_running_loop().time() < deadline:
            opened += bool((await phone.type("1234"))["allowed"])
        if chance.random() < 0.7:
            await phone.say(saw="pin", text="1234", id=900_000 + life)  # killed somewhere in the middle of this
            await asyncio.sleep(chance.uniform(0, 0.02))
        await program.kill()
        await eventually(lambda: phone.socket is None)
        await program.start()
        await eventually(lambda: phone.socket is not None, 20)
    energised = sum(message["do"] == "energise" for message in phone.told)
    done = asyncio.get_running_loop().time() + 20
    while asyncio.get_running_loop().time() < done:
        if (await program.look()).get("spool_depth") == 0:
            break
        await asyncio.sleep(0.1)
    (rows,) = cloud.committed.values()
    assert [event.seq for event in rows] == list(range(1, len(rows) + 1))
    assert not any(isinstance(event, Lost) for event in rows)
    granted = [event for event in rows if isinstance(event, Passage) and event.allowed]
    assert opened <= energised <= len(granted) <= opened + 6, "nothing moved that is not in the log"
    assert opened > 20


async def test_after_a_kill_in_the_dark_it_decides_from_its_disk_with_its_clock(
    program: Program, cloud: Cloud, phone: VirtualPhone
) -> None:
    await program.start()
    await eventually(lambda: phone.socket is not None and cloud.applied() is not None, 20)
    await cloud.emergency(signed("open", 1, at_ms=cloud.now_ms()))
    await eventually(lambda: any(message.get("ms", 0) is None for message in phone.told))
    await program.kill()
    await cloud.link_down()
    cloud.broker.stop()
    phone.told.clear()
    await program.start()
    await eventually(lambda: any(message.get("ms", 0) is None for message in phone.told), 20, "resumes the emergency")
    status = await program.look()
    assert (status["alone"], status["link"], status["emergency"]) == (True, "connecting", True)
    assert status["true_ms"] is not None and abs(status["true_ms"] - cloud.now_ms()) < 1_000
    assert (await phone.type("1234"))["allowed"] is True


async def test_a_device_that_goes_and_comes_back_is_put_right(
    program: Program, cloud: Cloud, phone: VirtualPhone
) -> None:
    await program.start()
    await eventually(lambda: phone.socket is not None and cloud.applied() is not None, 20)
    phone.takes = False
    await cloud.emergency(signed("open", 1, at_ms=cloud.now_ms()))

    def states() -> list[str]:
        return [event.state for event in cloud.events() if isinstance(event, EmergencyMoved) and event.relay == RAMP]

    await eventually(lambda: states() == ["failed"], 10, "a device that does not answer has not moved")
    phone.takes = True
    assert phone.socket is not None
    await phone.socket.close()
    await eventually(lambda: states() == ["failed", "opened"], 15)
    await eventually(
        lambda: {health.device: health.online for health in cloud.heard["status"][-1].devices} == {GARAGE: True}
    )


async def test_nonsense_from_a_device_is_ignored_and_another_device_is_not_taken_for_it(
    program: Program, cloud: Cloud, phone: VirtualPhone
) -> None:
    await program.start()
    await eventually(lambda: phone.socket is not None and cloud.applied() is not None, 20)
    assert phone.socket is not None
    for nonsense in ("", "{", "[" * 5_000, '{"saw": "telepathy"}', '{"took": 99}', "{}", '{"door": 7}'):
        await phone.socket.send(nonsense)
    await phone.socket.send(b"\xff\xfe")
    assert (await phone.type("1234"))["allowed"] is True
    first = phone.socket
    phone.device = uid(0x99)
    await first.send(json.dumps({"am": uid(0x99)}))
    await eventually(lambda: phone.socket is not first)
    await asyncio.sleep(0.3)
    status = await program.look()
    assert status["devices"][0]["online"] is False


async def test_the_local_page_shows_the_state_and_no_person_and_no_code(
    program: Program, cloud: Cloud, phone: VirtualPhone
) -> None:
    await program.start()
    await eventually(lambda: phone.socket is not None and cloud.applied() is not None, 20)
    await phone.type("1234")
    shown = await program.look("/")
    assert "in session with the cloud" in shown and GATEWAY in shown and "phone" in shown
    status = json.dumps(await program.look())
    for secret in ("1234", uid(40), uid(0x1000 + 40), SECRET):
        assert secret not in shown and secret not in status
    with pytest.raises(urllib.error.HTTPError) as refused:
        request = urllib.request.Request(program.url + "/status.json", headers={"Host": "evil.example"})
        await asyncio.to_thread(urllib.request.urlopen, request, timeout=5)
    assert refused.value.code == 403


async def test_without_a_code_or_with_a_wrong_one_it_says_what_to_do_and_takes_the_next_one(
    program: Program, cloud: Cloud, phone: VirtualPhone
) -> None:
    good = program.config.pop("claim_code")
    program.write()
    await program.start()
    waiting: dict[str, str] = {}

    async def shows(part: str) -> None:
        end = asyncio.get_running_loop().time() + 15
        while part not in waiting.get("waiting", ""):
            assert asyncio.get_running_loop().time() < end, waiting
            with contextlib.suppress(OSError):
                waiting.update(await program.look())
            await asyncio.sleep(0.1)

    await shows("not claimed yet")
    program.config["claim_code"] = "a-wrong-code-of-this-test"
    program.write()
    await shows("refused")
    await asyncio.sleep(2.5)
    assert cloud.counts["claim.refused"] == 1, "a refused code is not tried again"
    program.config["claim_code"] = good
    program.write()
    await eventually(lambda: cloud.applied() is not None, 20)
    assert cloud.claims == {}


@pytest.mark.parametrize(
    ("config", "said"),
    [
        (None, "waiting for"),
        ("{", "cannot be understood"),
        ('{"base_url": 7}', "cannot be understood"),
        ('{"base_url": "x", "drivers": [{"device": "d", "family": "steam", "address": "a"}]}', "family steam"),
    ],
)
async def test_a_configuration_that_cannot_be_used_is_named(program: Program, config: str | None, said: str) -> None:
    path = program.home / "gateway" / "config.json"
    path.unlink()
    if config is not None:
        path.write_text(config)
    await program.start()
    await eventually(lambda: said in program.log())
    assert await program.end() == 0


def test_a_wrong_port_is_one_clear_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("GATEHOUSE_PORT_GATEWAY", "eighty")
    assert main([]) == 1
    assert main(["--verbose"]) == 2


async def test_a_taken_port_ends_it_with_a_clear_line(program: Program) -> None:
    server = await page.serve(program.port, lambda: "somebody else")
    await program.start()
    assert program.process is not None
    assert await asyncio.wait_for(program.process.wait(), 15) == 1
    assert "GATEHOUSE_PORT_GATEWAY" in program.log()
    server.close()
