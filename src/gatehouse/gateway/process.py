"""`gatehouse gateway`: the program of a box on the site's network.

It reads `gateway/config.json` in the data folder:
    {"base_url": "http://127.0.0.1:8000", "claim_code": "...",
     "drivers": [{"device": <id>, "family": "virtual", "address": "ws://..."}]}
claims an identity when it has none (the code is read anew before each try, so a fresh one needs no
restart), then serves until SIGTERM. Its own page listens from the first moment. The agent's files are in
`gateway/agent`.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import sys
from pathlib import Path

import msgspec

from gatehouse import __version__
from gatehouse.gateway import https, page
from gatehouse.gateway.agent import Agent
from gatehouse.gateway.drivers.virtual import VirtualDriver
from gatehouse.gateway.identity import Identity, NoIdentity
from gatehouse.gateway.settings import AgentSettings
from gatehouse.gateway.store import Damaged, DiskFailed

log = logging.getLogger("gatehouse.gateway")

PORT = 8020
AGAIN_S = 2.0


class DriverConfig(msgspec.Struct, frozen=True):
    """How one device is reached."""

    device: str
    family: str
    address: str


class Config(msgspec.Struct, frozen=True):
    """The file. Unknown fields are ignored."""

    base_url: str
    claim_code: str | None = None
    ca_pem: str | None = None
    """Authority to trust when claiming, when the cloud has a certificate of its own making."""
    drivers: list[DriverConfig] = []


class Broken(Exception):
    """The configuration cannot be used; the text says why, in one line."""


def load(path: Path) -> Config:
    """Read the configuration. Raises Broken."""
    try:
        config = msgspec.json.decode(path.read_bytes(), type=Config)
    except FileNotFoundError:
        raise Broken(f"waiting for {path}") from None
    except OSError as error:
        raise Broken(f"cannot read {path}: {error.strerror}") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Broken(f"{path} cannot be understood: {error}") from error
    unknown = sorted({driver.family for driver in config.drivers} - {"virtual"})
    if unknown:
        raise Broken(f"{path}: no driver for the family {', '.join(unknown)}")
    return config


class Gateway:
    """The program, in its event loop."""

    def __init__(self, folder: Path, port: int) -> None:
        self._folder = folder
        self._port = port
        self._note = "starting"
        self._agent: Agent | None = None

    async def run(self) -> int:
        """Until SIGTERM or SIGINT; the exit code."""
        stopped = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stopped.set)
        try:
            server = await page.serve(self._port, lambda: self._note if self._agent is None else self._agent.status())
        except OSError as error:
            log.error("port %s: %s; choose another with GATEHOUSE_PORT_GATEWAY", self._port, error.strerror)
            return 1
        work, stop = asyncio.create_task(self._work()), asyncio.create_task(stopped.wait())
        await asyncio.wait([work, stop], return_when=asyncio.FIRST_COMPLETED)
        server.close()
        for task in (work, stop):
            task.cancel()
        outcome = (await asyncio.gather(work, return_exceptions=True))[0]
        if self._agent is not None:
            await self._agent.stop()
        if isinstance(outcome, Exception):
            log.error("ended by a fault", exc_info=outcome)
        return 0 if stopped.is_set() else 1

    async def _work(self) -> None:
        config = await self._configured()
        identity = await self._claimed(config)
        settings = AgentSettings(self._folder / "agent", config.base_url, version=__version__)
        agent = Agent(settings, VirtualDriver({driver.device: driver.address for driver in config.drivers}))
        while True:
            try:
                await agent.start()
                break
            except (DiskFailed, Damaged) as error:
                self._say(f"the store cannot be opened ({error}); nothing opens until it can")
                await asyncio.sleep(AGAIN_S)
        self._agent = agent
        log.info("gateway %s of site %s decides; cloud %s", identity.gateway, identity.site, config.base_url)
        # A part that died leaves an agent that is only half there; whoever watches us starts it whole again.
        await agent.broken.wait()

    async def _configured(self) -> Config:
        while True:
            try:
                return load(self._folder / "config.json")
            except Broken as error:
                self._say(str(error))
                await asyncio.sleep(AGAIN_S)

    async def _claimed(self, config: Config) -> Identity:
        refused: str | None = None
        while True:
            with contextlib.suppress(NoIdentity):
                return Identity.load(self._folder / "agent")
            with contextlib.suppress(Broken):
                config = load(self._folder / "config.json")
            if config.claim_code is None:
                self._say("not claimed yet: make a claim code in the portal and put it into config.json")
            elif config.claim_code != refused:
                try:
                    identity = await asyncio.to_thread(
                        https.claim, config.base_url, config.claim_code, __version__, [], config.ca_pem
                    )
                    identity.save(self._folder / "agent")
                    self._say(f"claimed as gateway {identity.gateway}")
                    return identity
                except https.CloudUnreachable as error:
                    self._say(f"cannot claim yet: {error}")
                except https.CloudRefused as error:
                    refused = config.claim_code
                    self._say(f"the claim code was refused ({error}): make a new one in the portal")
                except OSError as error:
                    self._say(f"the identity cannot be written: {error.strerror}")
            await asyncio.sleep(AGAIN_S)

    def _say(self, text: str) -> None:
        if text != self._note:
            self._note = text
            log.info("%s", text)


def main(argv: list[str]) -> int:
    """Run until told to stop; returns the exit code."""
    if argv:
        sys.stderr.write("usage: gatehouse gateway (takes no arguments; see docs/running.md)\n")
        return 2
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s", stream=sys.stderr)
    given = os.environ.get("GATEHOUSE_HOME")
    own = Path("/var/lib/gatehouse") if os.geteuid() == 0 else Path.home() / ".local/share/gatehouse"
    port = os.environ.get("GATEHOUSE_PORT_GATEWAY") or str(PORT)
    if not port.isascii() or not port.isdigit() or not 1 <= int(port) <= 65535:
        log.error("GATEHOUSE_PORT_GATEWAY is %r, which is no port number: set it to a number from 1 to 65535", port)
        return 1
    return asyncio.run(Gateway((Path(given) if given else own) / "gateway", int(port)).run())
