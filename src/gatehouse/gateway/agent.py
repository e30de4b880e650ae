"""The agent: what happens at the doors of one gateway.

It stands between three things that may each fail: the drivers (devices), the store (disk) and the uplink
(cloud). A passage is recorded before a relay moves; a remote opening is moreover done at most once and
never late; an emergency needs neither cloud nor disk. Decisions are `rules`, this is their surroundings.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Coroutine
from datetime import UTC, datetime
from typing import Any, Literal

import msgspec

from gatehouse.gateway.cable import Cable
from gatehouse.gateway.clock import Clock, machine_boot
from gatehouse.gateway.commands import Commands
from gatehouse.gateway.drivers import DoorState, Driver, InputUse, Outcome
from gatehouse.gateway.ending import end
from gatehouse.gateway.evacuation import Evacuation
from gatehouse.gateway.feed import Feed
from gatehouse.gateway.health import LOW_DISK, AgentStatus, disk_free, memory_bytes
from gatehouse.gateway.identity import Identity
from gatehouse.gateway.keypad import THROTTLED, Keypads
from gatehouse.gateway.recorder import Recorder
from gatehouse.gateway.relays import Relays
from gatehouse.gateway.settings import AgentSettings
from gatehouse.gateway.spool import Spool
from gatehouse.gateway.store import EmergencyState, open_store
from gatehouse.gateway.uplink import Uplink
from gatehouse.rules import reasons
from gatehouse.rules.access import Decision, Memory, Presented, decide, decide_device
from gatehouse.rules.policy import HOLDER_METHODS
from gatehouse.wire.messages import (
    Applied,
    Command,
    DoorMoved,
    Emergency,
    InputMoved,
    Passage,
    Refused,
    Status,
)

log = logging.getLogger(__name__)

WRONG_CODES = (reasons.CREDENTIAL_UNKNOWN, reasons.PIN_FORMAT, reasons.PIN_LENGTH)
DRIVE_AGAIN_S = 5.0
"""Pause between attempts to move a door that does not follow an emergency."""
REFUSED_TOLD = 100
"""Most refused entries told in one `Applied`."""


class Agent:
    """One gateway. Made in a running event loop's thread; see the package for how to use it."""

    def __init__(
        self, settings: AgentSettings, driver: Driver, clock: Clock | None = None, cable: Cable | None = None
    ) -> None:
        self.settings = settings
        self.driver = driver
        self.clock = clock or Clock(machine=machine_boot())
        self.counts: Counter[str] = Counter()
        """What was ignored or went wrong, by dotted word."""
        self.broken = asyncio.Event()
        """Set when a part of the agent has died by a fault of ours; make a new agent."""
        self._cable = cable or Cable()
        self._started_ms = self.clock.mono_ms()
        self._aside: str | None = None
        self._keypads = Keypads()
        self._confirmed: tuple[str | None, dict[str, int]] = (None, {})
        self._online: dict[str, bool] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._last_error: str | None = None

    # --- life -----------------------------------------------------------------------------------

    async def start(self) -> None:
        """Decide from the store at once, connect in the background.

        Raises NoIdentity when the folder holds none, DiskFailed when the store can be neither opened nor
        set aside and made anew.
        """
        self.identity = await asyncio.to_thread(Identity.load, self.settings.folder)
        store, self._aside = await asyncio.to_thread(open_store, self.settings.folder)
        if self._aside is not None:
            log.error("the store was damaged (%s) and is set aside; nothing opens until the feed is here", self._aside)
        spool = Spool(store, self.clock, self.settings.spool_limit, self.settings.keep_acknowledged_s * 1000)
        self.recorder = Recorder(store, spool)
        self.feed = Feed(self.recorder)
        await self.feed.load()
        if (kept := await self.recorder.on_disk(store.last_time)) is not None:
            self.clock.resume(*kept)
        self.relays = Relays(self.driver, self.clock, self.feed, self.counts)
        self.evacuation = Evacuation(
            self.identity.site,
            self.relays,
            self.feed,
            self.recorder,
            self.clock,
            self.counts,
            self.common,
            self._spawn,
        )
        self.commands = Commands(self)
        await self.commands.settle_interrupted()
        self.uplink = Uplink(self.settings, self.identity, self.clock, self.recorder, self.feed, self, self._cable)
        await self.evacuation.resume()
        for work in (self.recorder.run(), self.evacuation.follow_feed(), self.driver.run(self), self.uplink.run()):
            self._spawn(work)

    async def stop(self) -> None:
        """Leave in order: the cloud is told, everything recorded is on disk. Relays stay as they are."""
        await end(list(self._tasks), 5.0)
        await self.uplink.settle()
        await self.recorder.close()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self.counts["task.died"] += 1
            self._last_error = f"{type(error).__name__}: {error}"
            self.broken.set()
            log.error("a part of the gateway died", exc_info=error)

    # --- at the door ----------------------------------------------------------------------------

    async def present(self, device: str, method: str, text: str, relay: str | None = None) -> Outcome:
        """See `drivers.Door.present`."""
        now_ms = self.clock.mono_ms()
        if method == "pin" and (wait := self._keypads.wait_ms(device, now_ms)):
            await self.recorder.record(self.passage(device, None, method, False, THROTTLED))
            return Outcome(False, THROTTLED, wait_s=-(-wait // 1000))
        began = time.perf_counter_ns()
        decisions = self._decide(device, method, text, relay, now_ms)
        took_us = (time.perf_counter_ns() - began) // 1000
        granted = [decision for decision in decisions if decision.allowed]
        events = [self._decided(device, decision, took_us) for decision in granted or decisions[:1]]
        await self.recorder.record(*events)
        if granted:
            moved = await asyncio.gather(*(self.relays.open(device, decision.relay) for decision in granted))
            opened = tuple(d.relay for d, done in zip(granted, moved, strict=True) if done)
            return Outcome(True, granted[0].reason, opened)
        pause = 0
        if method == "pin" and decisions[0].reason in WRONG_CODES:
            pause = self._keypads.wrong(device, now_ms)
        return Outcome(False, decisions[0].reason, wait_s=-(-pause // 1000))

    async def input(self, device: str, use: InputUse, active: bool, relay: str | None = None) -> None:
        """See `drivers.Door.input`."""
        moved = InputMoved(**self.common(device, relay), use=use, active=active)
        if use == "fire" and active:
            await asyncio.gather(self.recorder.record(moved), self.evacuation.fire(device))
            return
        await self.recorder.record(moved)
        if use == "exit" and active:
            relays = [one for one in self.relays.of(device) if relay in (None, one.id) and one.enabled]
            await self.recorder.record(*(self.passage(device, one.id, "exit", True, reasons.GRANTED) for one in relays))
            await asyncio.gather(*(self.relays.open(device, one.id) for one in relays))

    async def door(self, device: str, relay: str, state: DoorState) -> None:
        """See `drivers.Door.door`."""
        await self.recorder.record(DoorMoved(**self.common(device, relay), state=state))

    def reachable(self, device: str) -> None:
        """See `drivers.Door.reachable`."""
        self._spawn(self._greet(device))

    async def _greet(self, device: str) -> None:
        online = any(health.device == device and health.online for health in self.driver.health())
        came, self._online[device] = online and not self._online.get(device, False), online
        self.uplink.report()
        if came:
            await self.evacuation.greet(device)

    def _decide(self, device: str, method: str, text: str, relay: str | None, now_ms: int) -> list[Decision]:
        """What opens, or one refusal."""
        policy = self.feed.compiled.policy
        entry = self.feed.compiled.devices.get(device)
        memory = Memory(emergency=self.evacuation.state.open and entry is not None and entry.in_emergency)
        presented = Presented(method, holder=text) if method in HOLDER_METHODS else policy.read(method, text)
        true = self.clock.true_at(now_ms)
        now = None if true is None else datetime.fromtimestamp(true / 1000, UTC)
        if relay is not None:
            if relay not in policy.relays_of(device):
                return [Decision(False, reasons.RELAY_UNKNOWN, method, "")]
            return [decide(policy, presented, relay, now, memory)]
        whole = decide_device(policy, presented, device, now, memory)
        if whole.allowed:
            return [decision for decision in whole.decisions if decision.allowed]
        if whole.decisive is None:
            return [Decision(False, whole.reason, method, "")]
        # One refusal stands for the device; it belongs to a door only where there is just one.
        alone = whole.decisive.relay if len(whole.decisions) == 1 else ""
        return [whole.decisive._replace(relay=alone)]

    # --- for the uplink -------------------------------------------------------------------------

    async def on_emergency(self, state: Emergency) -> None:
        """A signed state arrived; see `evacuation`."""
        await self.evacuation.signed(state)
        self.uplink.report()

    async def on_command(self, command: Command, received_mono_ms: int) -> None:
        """A command arrived; see `commands`."""
        await self.commands.take(command, received_mono_ms)

    def on_session(self) -> None:
        """The cloud has answered, the clock is set."""
        self.evacuation.clock_set()

    def applied(self) -> Applied:
        """What each device holds. A device that cannot be reached keeps what it was last seen with."""
        epoch, revision = self.feed.state
        if self._confirmed[0] != epoch:
            self._confirmed = (epoch, {})
        devices = self.feed.compiled.devices
        for health in self.driver.health():
            if health.online and health.device in devices:
                self._confirmed[1][health.device] = revision
        refused = [
            Refused(device=device, key=key, reason=reason)
            for key, reason in self.feed.compiled.refused.items()
            for device in devices
        ]
        confirmed = {device: held for device, held in self._confirmed[1].items() if device in devices}
        return Applied(epoch=epoch or "", revision=revision, devices=confirmed, refused=refused[:REFUSED_TOLD])

    async def health(self, session: str, sent_mono_ms: int) -> Status:
        """The report of the moment."""
        status = self.status()
        oldest = await self.recorder.on_disk(self.recorder.spool.oldest_ms)
        return Status(
            session=session,
            sent_mono_ms=sent_mono_ms,
            wall_ms=self.clock.wall_ms(),
            uptime_s=status.uptime_s,
            clock_offset_ms=status.clock_offset_ms,
            disk_free=disk_free(self.settings.folder),
            memory=memory_bytes(),
            spool_depth=status.spool_depth,
            spool_oldest_ms=oldest,
            dropped=status.dropped,
            devices=status.devices,
            faults=status.faults,
        )

    # --- for whoever looks ----------------------------------------------------------------------

    @property
    def emergency(self) -> EmergencyState:
        """The emergency state that the doors follow."""
        return self.evacuation.state

    def status(self) -> AgentStatus:
        """How it is at this moment."""
        spool, uplink, feed = self.recorder.spool, self.uplink, self.feed
        link: Literal["cut", "connecting", "connected", "open"] = "connecting"
        if uplink.cable.is_cut:
            link = "cut"
        elif uplink.connected:
            link = "connected" if uplink.session is None else "open"
        return AgentStatus(
            gateway=self.identity.gateway,
            site=self.identity.site,
            link=link,
            alone=uplink.alone,
            alone_since_ms=uplink.alone_since_ms if uplink.alone else None,
            true_ms=self.clock.true_ms(),
            clock_offset_ms=self.clock.offset_ms(),
            epoch=feed.state.epoch,
            revision=feed.state.revision,
            spool_depth=spool.depth + self.recorder.unwritten,
            unwritten=self.recorder.unwritten,
            dropped=spool.dropped,
            devices=self.driver.health(),
            device_names={device.id: device.name for device in feed.compiled.devices.values()},
            emergency=self.evacuation.state.open,
            faults=self._faults(),
            last_error=uplink.last_error or self._last_error or self.relays.last_error,
            counts=dict(self.counts + uplink.counts),
            uptime_s=(self.clock.mono_ms() - self._started_ms) // 1000,
        )

    def _faults(self) -> list[str]:
        found = {
            self.recorder.fault: self.recorder.fault is not None,
            "store.set_aside": self._aside is not None,
            "disk.low": disk_free(self.settings.folder) < LOW_DISK,
            "clock.unknown": self.clock.true_ms() is None,
            "feed.missing": self.feed.state.epoch is None,
            "feed.newer_schema": self.feed.newer_schema,
            "feed.unreadable": bool(self.feed.compiled.refused),
        }
        return sorted(code for code, wrong in found.items() if code is not None and wrong)

    # --- events ---------------------------------------------------------------------------------

    def common(self, device: str | None, relay: str | None) -> dict[str, Any]:
        """The fields that all events have, at this moment; the number is given by the spool."""
        now = self.clock.mono_ms()
        return {
            "seq": 1,
            "boot": self.clock.boot,
            "mono_ms": now,
            "wall_ms": self.clock.wall_ms(),
            "true_ms": self.clock.true_at(now),
            "device": device or None,
            "relay": relay or None,
        }

    def passage(
        self, device: str | None, relay: str | None, method: str, allowed: bool, reason: str, command: str | None = None
    ) -> Passage:
        """A passage that no credential stands behind."""
        return Passage(
            **self.common(device, relay),
            method=method,
            allowed=allowed,
            reason=reason,
            command=command,
            epoch=self.feed.state.epoch,
            revision=self.feed.state.revision,
            alone=self.uplink.alone,
        )

    def _decided(self, device: str, decision: Decision, took_us: int) -> Passage:
        return msgspec.structs.replace(
            self.passage(device, decision.relay, decision.method, decision.allowed, decision.reason),
            holder=decision.holder or None,
            credential=decision.credential or None,
            decide_us=took_us,
        )
