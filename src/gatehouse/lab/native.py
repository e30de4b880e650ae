"""A native controller: the gateway's own agent, whose hardware is the virtual one.

Nothing here imitates the agent; it is the same code with the same store and the same wire as on a real
box. Losing the power tears its line and ends it; with the power it begins anew from its own disk.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from pathlib import Path
from typing import Any

import msgspec

from gatehouse import __version__
from gatehouse.gateway import https
from gatehouse.gateway.agent import Agent
from gatehouse.gateway.cable import Cable
from gatehouse.gateway.clock import Clock, machine_boot, wall_ms
from gatehouse.gateway.drivers import Door, DoorState, InputUse, Outcome
from gatehouse.gateway.identity import Identity, NoIdentity
from gatehouse.gateway.settings import AgentSettings
from gatehouse.gateway.store import Damaged, DiskFailed
from gatehouse.lab.heard import MOST
from gatehouse.lab.station import NoAnswer, Station
from gatehouse.wire.messages import AnyEvent, DeviceHealth

log = logging.getLogger(__name__)

LOOK_EVERY_S = 0.1
AGAIN_S = 3.0
TORN_WITHIN_S = 2.0
STATUS_EVERY_S = 15.0
MODEL = "Lab phone"

_decoder: msgspec.json.Decoder[AnyEvent] = msgspec.json.Decoder(AnyEvent)


class _Driver:
    """`gateway.drivers.Driver` over the hardware of one station."""

    def __init__(self, station: Station) -> None:
        self._station = station

    async def run(self, door: Door) -> None:
        door.reachable(self._station.config.id)
        await asyncio.Event().wait()

    async def energise(self, device: str, relay: str, hold_ms: int | None) -> None:
        await self._station.energise(relay, hold_ms)

    async def release(self, device: str, relay: str) -> None:
        await self._station.release(relay)

    def health(self) -> list[DeviceHealth]:
        station = self._station
        return [DeviceHealth(device=station.config.id, online=station.phone.running, model=MODEL, firmware=__version__)]


class NativeCore:
    """`station.Core` of a device that is its own gateway. `folder` is its disk."""

    def __init__(self, station: Station, folder: Path, base_url: str) -> None:
        self.claim_code = station.config.claim_code
        """The newest one; the demo writes another while the device is unclaimed."""
        self._station = station
        self._folder = folder
        self._base_url = base_url
        self._agent: Agent | None = None
        self._switch: asyncio.Queue[bool] = asyncio.Queue()
        self._governor: asyncio.Task[None] | None = None
        self._life: asyncio.Task[None] | None = None
        self._starts = 0
        self._note: str | None = None
        self._who: deque[tuple[int, str | None]] = deque([(0, None)], maxlen=MOST)
        """Cards that were held, by the number that the event before each had."""
        self._seen: tuple[object, ...] = ()

    # --- power and cable ------------------------------------------------------------------------

    def power(self, on: bool) -> None:
        """See `Core.power`; on and off take turns, however fast they come."""
        if self._governor is None:
            self._governor = asyncio.create_task(self._govern())
        self._switch.put_nowait(on)

    def cable(self, cut: bool) -> None:
        """See `Core.cable`."""
        if self._agent is not None:
            if cut:
                self._agent.uplink.cut()
            else:
                self._agent.uplink.mend()

    async def close(self) -> None:
        """See `Core.close`: leaves in order, unlike a power cut."""
        await _cancel(self._governor)
        await _cancel(self._life)
        await self._stop()

    async def _govern(self) -> None:
        while True:
            if await self._switch.get():
                self._life = asyncio.create_task(self._live())
                self._life.add_done_callback(_complain)
            else:
                await self._tear()
                await _cancel(self._life)
                await self._stop()

    async def _tear(self) -> None:
        """Break the line before anything could be said over it: a box without power says no goodbye."""
        agent = self._agent
        if agent is not None:
            agent.uplink.cut()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(TORN_WITHIN_S):
                    while agent.uplink.connected:
                        await asyncio.sleep(0.01)

    async def _stop(self) -> None:
        agent, self._agent = self._agent, None
        if agent is not None:
            await agent.stop()

    async def _live(self) -> None:
        await self._claim()
        self._starts += 1
        while True:
            agent = await self._start()
            while agent is not None and not agent.broken.is_set():
                await self._look(agent)
                await asyncio.sleep(LOOK_EVERY_S)
            # A box whose program died, or could not begin, is started anew by its watchdog.
            await self._stop()
            await asyncio.sleep(AGAIN_S)

    async def _start(self) -> Agent | None:
        station = self._station
        # With its power a box loses what it knew of the time; this lab's own restart is not that.
        machine = f"{machine_boot()} {self._starts}"
        clock = Clock(wall=lambda: wall_ms() + station.phone.skew_ms, machine=machine)
        cable = Cable()
        if station.phone.cable_cut:
            cable.cut()
        settings = AgentSettings(self._folder, self._base_url, status_every_s=STATUS_EVERY_S, version=__version__)
        agent = Agent(settings, _Driver(station), clock, cable)
        try:
            await agent.start()
        except (DiskFailed, Damaged, NoIdentity) as error:
            self._note = str(error)
            log.error("%s cannot start: %s", station.config.name, error)
            station.touch()
            return None
        self._agent, self._note = agent, None
        station.listened_to()
        return agent

    async def _claim(self) -> None:
        """Get an identity, if there is none yet."""
        tried: str | None = None
        while True:
            try:
                await asyncio.to_thread(Identity.load, self._folder)
                return
            except NoIdentity as error:
                self._note = str(error)
            code = self.claim_code
            if code is not None and code != tried and not self._station.phone.cable_cut:
                try:
                    identity = await asyncio.to_thread(
                        https.claim, self._base_url, code, __version__, [self._station.config.mac]
                    )
                    await asyncio.to_thread(identity.save, self._folder)
                    continue
                except https.CloudRefused as error:
                    tried, self._note = code, f"the claim code was refused: {error}"
                except (https.CloudUnreachable, OSError) as error:
                    self._note = str(error)
                log.info("%s: %s", self._station.config.name, self._note)
            self._station.touch()
            await asyncio.sleep(AGAIN_S)

    # --- looking on -----------------------------------------------------------------------------

    async def _look(self, agent: Agent) -> None:
        """Pass on what the agent shows since the last time."""
        heard, spool = self._station.heard, agent.recorder.spool
        seen = (
            spool.id,
            spool.next_seq,
            spool.acked,
            agent.uplink.session,
            agent.emergency.open,
            agent.clock.measured,
            agent.feed.state,
            agent.recorder.fault,
        )
        if seen == self._seen:
            return
        if self._seen and self._seen[0] != spool.id:
            heard.forget()
        if (site := agent.feed.compiled.site) is not None:
            self._station.phone.pin_mode = site.pin_mode
        if spool.next_seq - 1 != heard.last:
            heard.add(await self._events(agent), self._held)
        heard.acked, heard.waiting = spool.acked, spool.next_seq - 1 - spool.acked
        self._seen, self._station.phone.alarm = seen, agent.emergency.open
        self._station.touch()

    async def _events(self, agent: Agent) -> list[AnyEvent]:
        """The newest events on the agent's disk, in their order."""
        recorder, newest = agent.recorder, "SELECT seq, body FROM event ORDER BY seq DESC LIMIT ?"
        try:
            rows = await recorder.on_disk(recorder.store.rows, newest, (MOST,))
        except (DiskFailed, Damaged) as error:
            log.warning("%s: %s", self._station.config.name, error)
            return []
        return [msgspec.structs.replace(_decoder.decode(body), seq=seq) for seq, body in reversed(rows)]

    def _held(self, seq: int) -> str | None:
        """The label of the card that was last held before an event."""
        return next((who for first, who in reversed(self._who) if first <= seq), None)

    def line(self) -> dict[str, Any]:
        """See `Core.line`."""
        agent = self._agent
        if agent is None:
            return {"up": False, "claimed": False, "rtt_ms": None, "off_ms": None, "note": self._note}
        measured, offset = agent.clock.measured, agent.clock.offset_ms()
        return {
            "up": agent.uplink.session is not None,
            "claimed": agent.feed.state.epoch is not None,
            "rtt_ms": None if measured is None else 2 * measured.uncertain_ms,
            "off_ms": None if offset is None else -offset,
            "note": agent.recorder.fault or agent.uplink.last_error,
        }

    # --- at the door ----------------------------------------------------------------------------

    async def present(self, method: str, text: str, who: str | None) -> Outcome:
        """See `Core.present`."""
        agent = self._ready()
        self._who.append((agent.recorder.spool.next_seq, who))
        return await agent.present(self._station.config.id, method, text)

    async def input(self, use: InputUse, active: bool, relay: str | None) -> None:
        """See `Core.input`."""
        await self._ready().input(self._station.config.id, use, active, relay)

    async def door(self, relay: str, state: DoorState) -> None:
        """See `Core.door`."""
        await self._ready().door(self._station.config.id, relay, state)

    def _ready(self) -> Agent:
        if self._agent is None:
            raise NoAnswer
        return self._agent


async def _cancel(task: asyncio.Task[None] | None) -> None:
    if task is not None and not task.done():
        task.cancel()
        await asyncio.wait([task])


def _complain(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        log.error("a virtual controller has stopped by a fault", exc_info=error)
