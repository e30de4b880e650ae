"""The cable between a site and the cloud, for those who want to pull it.

Tests, the lab and the swarm cut it, slow it down, and let it lose, double and swap messages. On a real
site nobody touches it, and it does nothing.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable

log = logging.getLogger(__name__)


class CableCut(ConnectionError):
    """Nothing passes at the moment."""


class Cable:
    """Whole, or cut; and how bad."""

    def __init__(self, seed: int = 0) -> None:
        self.delay_s = 0.0
        """Every message takes so long, each way; order is kept."""
        self.jitter_s = 0.0
        """Up to so much longer, differently for each message: they overtake each other."""
        self.lose = 0.0
        """Share of messages that never arrive."""
        self.double = 0.0
        """Share of messages that arrive twice."""
        self._chance = random.Random(seed)
        self._whole = asyncio.Event()
        self._whole.set()
        self._broken = asyncio.Event()
        self._on_the_way: set[asyncio.Task[None]] = set()

    @property
    def is_cut(self) -> bool:
        """Whether it is cut now."""
        return self._broken.is_set()

    def cut(self) -> None:
        """Nothing passes from now on; what is on the way is lost."""
        self._whole.clear()
        self._broken.set()
        for task in self._on_the_way:
            task.cancel()

    def mend(self) -> None:
        """Whole again."""
        self._broken.clear()
        self._whole.set()

    async def whole(self) -> None:
        """Wait until it is whole."""
        await self._whole.wait()

    async def broken(self) -> None:
        """Wait until it is cut."""
        await self._broken.wait()

    async def carry(self, arrive: Callable[[], Awaitable[None]]) -> None:
        """One message passes, as well as the cable lets it; `arrive` is what happens at the other end.

        On a good cable it has arrived when this returns. Raises CableCut, and what `arrive` raises.
        """
        if self.is_cut:
            raise CableCut("the cable is cut")
        if not (self.delay_s or self.jitter_s or self.lose or self.double):
            await arrive()
            return
        for _ in range(2 if self._chance.random() < self.double else 1):
            if self._chance.random() >= self.lose:
                late = self.delay_s + self.jitter_s * self._chance.random()
                task = asyncio.create_task(self._travel(arrive, late))
                self._on_the_way.add(task)
                task.add_done_callback(self._on_the_way.discard)

    async def _travel(self, arrive: Callable[[], Awaitable[None]], late_s: float) -> None:
        await asyncio.sleep(late_s)
        try:
            await arrive()
        except Exception as error:
            # Nobody waits for it any more: most likely the connection it went to is gone.
            log.info("lost on the way: %s", error)
