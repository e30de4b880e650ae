"""Something has happened, for whoever wants to know."""

from __future__ import annotations

import asyncio


class Bell:
    """Counts its rings, so that one that falls between two waits is not missed."""

    def __init__(self) -> None:
        self.count = 0
        self._rung = asyncio.Event()

    def ring(self) -> None:
        """Wake everybody who waits."""
        self.count += 1
        self._rung.set()
        self._rung = asyncio.Event()

    async def after(self, count: int) -> int:
        """Wait until it has rung more often than `count`; returns how often it has."""
        while self.count <= count:
            await self._rung.wait()
        return self.count
