"""Moving relays: what the causes of a relay sum up to is what its device is told."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from math import inf

from gatehouse.gateway.clock import Clock
from gatehouse.gateway.drivers import DeviceUnreachable, Driver
from gatehouse.gateway.feed import Feed
from gatehouse.gateway.holds import PASSAGE, Holds
from gatehouse.wire.messages import RelayEntry

log = logging.getLogger(__name__)


class Relays:
    """The relays of one agent."""

    def __init__(self, driver: Driver, clock: Clock, feed: Feed, counts: Counter[str]) -> None:
        self.holds = Holds()
        self.last_error: str | None = None
        self._driver = driver
        self._clock = clock
        self._feed = feed
        self._counts = counts
        self._locks: dict[str, asyncio.Lock] = {}

    def of(self, device: str) -> list[RelayEntry]:
        """What the feed says of a device's relays."""
        entry = self._feed.compiled.devices.get(device)
        return [] if entry is None else entry.relays

    def find(self, device: str | None, relay: str | None) -> RelayEntry | None:
        """What the feed says of one relay."""
        return next((one for one in self.of(device or "") if one.id == relay), None)

    async def open(self, device: str, relay: str) -> bool:
        """Hold a relay for its time, for a passage that is recorded; False when the device could not be told."""
        entry = self.find(device, relay)
        if entry is None:
            return False  # taken away while the passage was being recorded
        self.holds.hold(relay, PASSAGE, self._clock.mono_ms() + entry.hold_ms)
        return await self.drive(device, relay)

    async def drive(self, device: str, relay: str) -> bool:
        """Make the relay what its causes want; the last of several callers tells the sum of all."""
        async with self._locks.setdefault(relay, asyncio.Lock()):
            now = self._clock.mono_ms()
            until = self.holds.until(relay, now)
            try:
                if until is None:
                    await self._driver.release(device, relay)
                else:
                    await self._driver.energise(device, relay, None if until == inf else int(until - now))
            except DeviceUnreachable as error:
                self._counts["device.unreachable"] += 1
                self.last_error = str(error)
                log.warning("a relay could not be moved: %s", error)
                return False
            return True
