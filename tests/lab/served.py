"""A lab with a fake controller behind it, served on a free port."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import socket
import time
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlsplit

import uvicorn
from websockets.asyncio.client import ClientConnection, connect

from gatehouse.lab import tickets
from gatehouse.lab.config import LabConfig
from gatehouse.lab.panels import Lab, application
from gatehouse.lab.station import Station
from tests.lab.fake import DEVICE, KEY, FakeCore, lab_config

WITHIN_S = 5.0


class Served:
    """The lab, the one station in it, and its controller."""

    def __init__(self, config: LabConfig) -> None:
        self.lab = Lab({"http": 8000, "https": 8443})
        self.lab.config = config
        self.station = Station(config.devices[0], FakeCore)
        self.lab.stations[self.station.config.id] = self.station
        core = self.station._core
        assert isinstance(core, FakeCore)
        self.core = core
        self.url = ""

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[Served]:
        sock = socket.socket()
        sock.bind(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{sock.getsockname()[1]}"
        config = uvicorn.Config(
            application(self.lab), log_config=None, lifespan="off", ws="websockets-sansio", timeout_graceful_shutdown=1
        )
        server = uvicorn.Server(config)
        serving = asyncio.create_task(server._serve([sock]))
        playing = asyncio.create_task(self.station.run())
        try:
            await self.until(lambda: self.station.phone.running and server.started)
            yield self
        finally:
            self.lab.close()
            server.should_exit = True
            playing.cancel()
            await asyncio.gather(serving, playing, return_exceptions=True)

    async def until(self, true: Any) -> None:
        """Wait, at most a few seconds, until something is so."""
        async with asyncio.timeout(WITHIN_S):
            while not true():
                await asyncio.sleep(0.005)

    # --- as a browser ---------------------------------------------------------------------------

    def ticket(self, devices: Any = "*", user: str = "alice", for_s: float = 60) -> str:
        return tickets.sign(bytes.fromhex(KEY), tickets.Visitor(user, time.time() + for_s, devices))

    async def get(self, path: str, **headers: str) -> tuple[int, dict[str, str], str]:
        """Status, headers and text; redirects are not followed."""

        def ask() -> tuple[int, dict[str, str], str]:
            line = http.client.HTTPConnection(urlsplit(self.url).netloc, timeout=WITHIN_S)
            line.request("GET", path, headers=headers)
            answer = line.getresponse()
            text = answer.read().decode()
            line.close()
            return answer.status, {name.lower(): value for name, value in answer.getheaders()}, text

        return await asyncio.to_thread(ask)

    async def cookie(self, devices: Any = "*") -> str:
        """Come in through the portal; the cookie that one gets."""
        status, headers, _ = await self.get(f"/?ticket={self.ticket(devices)}")
        assert status == 303
        return headers["set-cookie"].partition(";")[0]

    def socket(self, cookie: str, device: str = DEVICE, origin: str | None = None) -> connect:
        """A tab's socket, as a browser opens it."""
        address = f"{self.url.replace('http', 'ws', 1)}/panel/{device}/socket"
        return connect(address, additional_headers={"Cookie": cookie}, origin=origin or self.url, proxy=None)  # type: ignore[arg-type]


async def state(tab: ClientConnection, true: Any = lambda state: True) -> dict[str, Any]:
    """The next state of which something is so."""
    async with asyncio.timeout(WITHIN_S):
        while True:
            message: dict[str, Any] = json.loads(await tab.recv())
            if message["type"] == "state" and true(message):
                return message


async def act(tab: ClientConnection, **message: Any) -> None:
    """One act of the tester."""
    await tab.send(json.dumps(message))


@contextlib.asynccontextmanager
async def served(language: str = "en") -> AsyncIterator[Served]:
    """A running lab."""
    async with Served(lab_config(language)).running() as lab:
        yield lab
