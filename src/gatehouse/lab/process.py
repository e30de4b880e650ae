"""`gatehouse lab`: plays the virtual devices of `lab/config.json` in the data folder and serves their panels.

HTTP on loopback, and HTTPS on the network when there is a certificate. The file is looked at every second:
devices come, go and change without a restart.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import uvicorn
from starlette.applications import Starlette

from gatehouse.lab import config as configs
from gatehouse.lab.config import ConfigBroken, DeviceConfig, LabConfig
from gatehouse.lab.dumb import DumbCore
from gatehouse.lab.native import NativeCore
from gatehouse.lab.panels import Lab, application
from gatehouse.lab.station import Core, Station

log = logging.getLogger("gatehouse.lab")

LOOK_EVERY_S = 1.0
PORTS = {"LAB": 8010, "LAB_TLS": 8453, "WEB": 8000, "WEB_TLS": 8443}


class CannotStart(Exception):
    """One line that names cause and cure."""


class Players:
    """Keeps the stations that the configuration names."""

    def __init__(self, folder: Path, lab: Lab) -> None:
        self._folder = folder
        self._lab = lab
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._cores: dict[str, Core] = {}
        self._base_url = ""
        self._changed = -1
        self._said = ""

    async def run(self) -> None:
        """Until cancelled."""
        try:
            while True:
                await self.look()
                await asyncio.sleep(LOOK_EVERY_S)
        finally:
            await asyncio.gather(*(self._end(device) for device in list(self._tasks)))

    async def look(self) -> None:
        """Do as the file says, if it says something new."""
        path = self._folder / configs.FILE
        try:
            changed = path.stat().st_mtime_ns
        except OSError:
            self._say(f"waiting for {path}")
            return
        if changed == self._changed:
            return
        try:
            config = configs.load(path)
        except ConfigBroken as error:
            self._say(str(error))
            return
        if config is not None:
            self._changed = changed
            await self._play(config)

    async def _play(self, config: LabConfig) -> None:
        wanted = {device.id: device for device in config.devices}
        fresh = config.base_url != self._base_url
        self._base_url = config.base_url
        for known, station in list(self._lab.stations.items()):
            there = wanted.get(known)
            if there is None or fresh or _lasting(there) != _lasting(station.config):
                await self._end(known)
            elif isinstance(core := self._cores[known], NativeCore):
                core.claim_code = there.claim_code
        self._lab.config = config
        for device in config.devices:
            if device.id not in self._lab.stations:
                self._begin(device)
        self._say(f"{len(wanted)} virtual {'device' if len(wanted) == 1 else 'devices'}")

    def _begin(self, device: DeviceConfig) -> None:
        station = Station(device, self._core)
        self._lab.stations[device.id] = station
        task = asyncio.create_task(station.run())
        task.add_done_callback(lambda done: _complain(device.name, done))
        self._tasks[device.id] = task

    def _core(self, station: Station) -> Core:
        device = station.config
        core: Core
        if device.native:
            core = NativeCore(station, self._folder / device.mac, self._base_url)
        else:
            core = self._lab.dumb[device.id] = DumbCore(station)
        self._cores[device.id] = core
        return core

    async def _end(self, device: str) -> None:
        self._lab.stations.pop(device, None)
        self._lab.dumb.pop(device, None)
        task = self._tasks.pop(device)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task

    def _say(self, text: str) -> None:
        if text != self._said:
            self._said = text
            log.info("%s", text)


def _lasting(device: DeviceConfig) -> DeviceConfig:
    """What a running device cannot take over: all but the claim code."""
    return msgspec.structs.replace(device, claim_code=None)


def _complain(name: str, task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        log.error("%s has stopped by a fault", name, exc_info=error)


class _Server(uvicorn.Server):
    """Two of them share one process, which takes the signals for both."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def serve(
    folder: Path, sockets: list[tuple[socket.socket, tuple[Path, Path] | None]], ports: dict[str, int]
) -> None:
    """Play and answer on these sockets, with their certificate and key, until SIGTERM or SIGINT."""
    lab = Lab({"http": ports["WEB"], "https": ports["WEB_TLS"]})
    servers = [_server(application(lab), pair) for _, pair in sockets]
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    players = asyncio.create_task(Players(folder, lab).run())
    serving = [
        asyncio.create_task(server.serve(sockets=[sock])) for server, (sock, _) in zip(servers, sockets, strict=True)
    ]
    stop = asyncio.create_task(stopped.wait())
    await asyncio.wait([stop, players, *serving], return_when=asyncio.FIRST_COMPLETED)
    lab.close()
    for server in servers:
        server.should_exit = True
    stop.cancel()
    players.cancel()
    outcome = await asyncio.gather(players, *serving, return_exceptions=True)
    for one in outcome:
        if isinstance(one, Exception):
            raise one


def _server(app: Starlette, pair: tuple[Path, Path] | None) -> _Server:
    return _Server(
        uvicorn.Config(
            app,
            ssl_certfile=None if pair is None else str(pair[0]),
            ssl_keyfile=None if pair is None else str(pair[1]),
            log_config=None,
            access_log=False,
            lifespan="off",
            server_header=False,
            ws="websockets-sansio",
            ws_max_size=64 * 1024,
            timeout_graceful_shutdown=3,
        )
    )


def listen(host: str, number: int, name: str) -> socket.socket:
    """A listening socket. Raises CannotStart."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((host, number))
    except OSError as error:
        sock.close()
        raise CannotStart(f"port {number}: {error.strerror}; choose another with GATEHOUSE_PORT_{name}") from error
    return sock


def _port(name: str) -> int:
    given = os.environ.get(f"GATEHOUSE_PORT_{name}") or str(PORTS[name])
    if not given.isascii() or not given.isdigit() or not 0 <= int(given) <= 65535:
        raise CannotStart(f"GATEHOUSE_PORT_{name} is {given!r}, which is no port number")
    return int(given)


def _certificate(home: Path) -> tuple[Path, Path] | None:
    pair = (
        Path(os.environ.get("GATEHOUSE_TLS_CERT") or home / "tls" / "server.pem"),
        Path(os.environ.get("GATEHOUSE_TLS_KEY") or home / "tls" / "server.key"),
    )
    return pair if all(file.is_file() for file in pair) else None


def _start() -> None:
    if os.environ.get("PUBLIC_URL") and os.environ.get("GATEHOUSE_LAB") != "1":
        raise CannotStart("this server has a public name: set GATEHOUSE_LAB=1 to run a lab on it all the same")
    given = os.environ.get("GATEHOUSE_HOME")
    own = Path("/var/lib/gatehouse") if os.geteuid() == 0 else Path.home() / ".local/share/gatehouse"
    home = Path(given) if given else own
    ports = {name: _port(name) for name in PORTS}
    sockets: list[tuple[socket.socket, tuple[Path, Path] | None]] = [(listen("127.0.0.1", ports["LAB"], "LAB"), None)]
    if (pair := _certificate(home)) is not None:
        sockets.append((listen("0.0.0.0", ports["LAB_TLS"], "LAB_TLS"), pair))
    asyncio.run(serve(home / "lab", sockets, ports))


def main(argv: list[str]) -> int:
    """Run until told to stop; returns the exit code."""
    if argv:
        sys.stderr.write("usage: gatehouse lab (takes no arguments; see docs/running.md)\n")
        return 2
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s", stream=sys.stderr)
    try:
        _start()
    except CannotStart as error:
        sys.stderr.write(f"gatehouse: {error}\n")
        return 1
    return 0
