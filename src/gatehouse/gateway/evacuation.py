"""The doors of this gateway in an emergency: all open until it is closed, whatever fails meanwhile.

Doors wait neither for the disk nor for each other, an unreachable one is tried until it follows, and a
restarted gateway resumes. What becomes of each door is told once (`EmergencyMoved`).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import Callable, Coroutine
from typing import Any, Literal

from gatehouse.gateway.bell import Bell
from gatehouse.gateway.clock import Clock
from gatehouse.gateway.emergency import judge
from gatehouse.gateway.feed import Feed
from gatehouse.gateway.holds import EMERGENCY
from gatehouse.gateway.recorder import Recorder
from gatehouse.gateway.relays import Relays
from gatehouse.gateway.store import Damaged, DiskFailed, EmergencyState
from gatehouse.wire.messages import Emergency, EmergencyMoved

log = logging.getLogger(__name__)

DRIVE_AGAIN_S = 5.0
"""Pause between attempts to move a door that does not follow."""

Common = Callable[[str | None, str | None], dict[str, Any]]
"""The fields that all events have, for a device and a relay."""


class Evacuation:
    """Holds the emergency state and makes the doors follow it."""

    def __init__(
        self,
        site: str,
        relays: Relays,
        feed: Feed,
        recorder: Recorder,
        clock: Clock,
        counts: Counter[str],
        common: Common,
        spawn: Callable[[Coroutine[Any, Any, None]], None],
    ) -> None:
        self.state = EmergencyState()
        self._site = site
        self._relays = relays
        self._feed = feed
        self._recorder = recorder
        self._clock = clock
        self._counts = counts
        self._common = common
        self._spawn = spawn
        self._lock = asyncio.Lock()
        self._unjudged: Emergency | None = None
        self._raised_mono_ms: int | None = None
        self._untold: set[str] = set()
        self._failed: set[str] = set()
        self._moving: set[str] = set()
        self._turn = 0
        self._came = Bell()

    async def resume(self) -> None:
        """Go on with what the store holds. Raises DiskFailed, Damaged."""
        self.state = await self._recorder.on_disk(self._recorder.store.emergency)
        if self.state.open:
            self._begin_move()

    async def signed(self, said: Emergency) -> None:
        """A signed state arrived, whoever carried it here."""
        async with self._lock:
            site = self._feed.compiled.site
            judged = judge(self.state, said, self._site, None if site is None else site.emergency_key)
            if judged.ignored is not None:
                self._counts[judged.ignored] += 1
                log.warning("emergency state ignored: %s", judged.ignored)
            # Without the feed there is no key yet; it is judged again when the feed has come.
            self._unjudged = said if judged.ignored == "emergency.no_key" else None
            if judged.state is not None:
                self.state = judged.state
                # Doors wait neither for the disk nor for each other.
                self._begin_move()
                await self._keep(self.state)

    async def fire(self, device: str) -> None:
        """A fire input at a device: open at once."""
        site = self._feed.compiled.site
        if site is not None and not site.emergency_by_input:
            return
        async with self._lock:
            if self.state.raised:
                return
            self._raised_mono_ms = self._clock.mono_ms()
            joined = self.state.open
            self.state = EmergencyState(self.state.signed, True, self._clock.true_ms())
            if not joined:
                self._begin_move()
            raised = EmergencyMoved(**self._common(device, None), counter=self.state.counter, state="raised")
            await asyncio.gather(self._keep(self.state), self._recorder.record(raised))

    async def _keep(self, state: EmergencyState) -> None:
        try:
            await self._recorder.on_disk(self._recorder.store.keep_emergency, state)
        except (DiskFailed, Damaged) as error:
            self._recorder.fault = str(error)

    def _in_emergency(self) -> list[tuple[str, str]]:
        """(device, relay) of every door that an emergency opens; what is switched off stays off."""
        return [
            (device.id, relay.id)
            for device in self._feed.compiled.devices.values()
            if device.in_emergency
            for relay in device.relays
            if relay.enabled and relay.kind != "monitor"
        ]

    def _hold_for_emergency(self) -> None:
        wanted = {relay for _, relay in self._in_emergency()} if self.state.open else set()
        for relay in self._relays.holds.held_by(EMERGENCY) - wanted:
            self._relays.holds.let_go(relay, EMERGENCY)
        for relay in wanted:
            self._relays.holds.hold(relay, EMERGENCY)

    def _begin_move(self) -> None:
        """Every door follows the state that just changed; each is told of once it has."""
        self._hold_for_emergency()
        self._turn += 1
        self._failed.clear()
        places = self._in_emergency()
        self._untold = {relay for _, relay in places}
        for device, relay in places:
            self._spawn(self._move(device, relay))

    async def _move(self, device: str, relay: str) -> None:
        """Drive a door until it follows the emergency state, which may change meanwhile."""
        if relay in self._moving:
            return  # that one looks at the newest state
        self._moving.add(relay)
        try:
            while relay in self._untold:
                turn, came = self._turn, self._came.count
                done = await self._relays.drive(device, relay)
                if turn != self._turn:
                    continue
                if done:
                    self._untold.discard(relay)
                    await self._tell_moved(device, relay, "opened" if self.state.open else "released")
                    continue
                if relay not in self._failed:
                    self._failed.add(relay)
                    await self._tell_moved(device, relay, "failed")
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._came.after(came), DRIVE_AGAIN_S)
        finally:
            self._moving.discard(relay)

    async def _tell_moved(self, device: str, relay: str, state: Literal["opened", "failed", "released"]) -> None:
        event = EmergencyMoved(**self._common(device, relay), counter=self.state.counter, state=state)
        await self._recorder.record(event)

    async def follow_feed(self) -> None:
        """Doors that the feed brought or took away during an emergency; the key that was missing."""
        rung, places = self._feed.moved.count, dict(self._in_emergency_by_relay())
        while True:
            rung = await self._feed.moved.after(rung)
            if self._unjudged is not None:
                await self.signed(self._unjudged)
            present = self._in_emergency_by_relay()
            if self.state.open and present != places:
                self._hold_for_emergency()
                for relay in places.keys() - present.keys():
                    self._spawn(self._let_fall(places[relay], relay))
                for relay in present.keys() - places.keys():
                    self._untold.add(relay)
                    self._spawn(self._move(present[relay], relay))
            places = present

    async def _let_fall(self, device: str, relay: str) -> None:
        await self._relays.drive(device, relay)

    def _in_emergency_by_relay(self) -> dict[str, str]:
        return {relay: device for device, relay in self._in_emergency()}

    async def greet(self, device: str) -> None:
        """A device is reachable again: put its doors right."""
        self._came.ring()
        for relay in self._relays.of(device):
            await self._relays.drive(device, relay.id)
            if relay.id in self._untold:
                self._spawn(self._move(device, relay.id))

    def clock_set(self) -> None:
        """True time is known; so is now the moment at which a fire began before it was."""
        if self.state.raised and self.state.raised_at_ms is None:
            moment = self._clock.mono_ms() if self._raised_mono_ms is None else self._raised_mono_ms
            self.state = EmergencyState(self.state.signed, True, self._clock.true_at(moment))
            self._spawn(self._keep(self.state))
