"""The one thread that touches the store, and the queue before it.

Events that come while the disk is busy with the ones before are written together, with one sync. When
the disk takes nothing, deciding goes on: events wait in memory, in their order, and what memory cannot
hold either is counted and told like any other loss.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from gatehouse.gateway import spool as spools
from gatehouse.gateway.bell import Bell
from gatehouse.gateway.spool import Spool
from gatehouse.gateway.store import Damaged, DiskFailed, Store
from gatehouse.wire.messages import AnyEvent

P = ParamSpec("P")
T = TypeVar("T")

IN_MEMORY = 5_000
"""Most events kept while the disk takes nothing."""
RETRY_S = 5.0


class Recorder:
    """Writes events down; `fault` is a reason code while the disk fails."""

    def __init__(self, store: Store, spool: Spool) -> None:
        self.store = store
        self.spool = spool
        self.fault: str | None = None
        self.written = Bell()
        """Rings after each write."""
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="store")
        self._queue: list[tuple[tuple[AnyEvent, ...], asyncio.Future[bool]]] = []
        self._waiting: list[AnyEvent] = []
        self._lost: Counter[str] = Counter()
        self._flushing: asyncio.Task[None] | None = None

    @property
    def unwritten(self) -> int:
        """Events that are in memory only."""
        return len(self._waiting)

    async def on_disk(self, act: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a method of store or spool, in turn. Raises what it raises."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, lambda: act(*args, **kwargs))

    async def record(self, *events: AnyEvent) -> bool:
        """Write events down, in this order, all or none. True once they are on disk.

        False when the disk takes nothing; they are then in memory and will be written when it does.
        """
        if not events:
            return True
        done: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._queue.append((events, done))
        self._wake()
        return await done

    async def run(self) -> None:
        """Try again, from time to time, what the disk did not take. Until cancelled."""
        while True:
            await asyncio.sleep(RETRY_S)
            if self._waiting or self._lost:
                self._wake()

    async def settle(self) -> None:
        """Until everything recorded so far was tried."""
        while self._flushing is not None and not self._flushing.done():
            await asyncio.wait([self._flushing])

    async def close(self) -> None:
        """Write what is left, then give the store back."""
        await self.settle()
        await self.on_disk(self.store.close)
        self._thread.shutdown()

    def _wake(self) -> None:
        if self._flushing is None or self._flushing.done():
            self._flushing = asyncio.create_task(self._flush())

    async def _flush(self) -> None:
        again = True
        while again:
            taken, self._queue = self._queue, []
            events = self._waiting + [event for group, _ in taken for event in group]
            try:
                await self.on_disk(self.spool.append, events, dict(self._lost))
                self._waiting, self._lost, self.fault = [], Counter(), None
            except (DiskFailed, Damaged) as error:
                self.fault = str(error)
                self._keep(events)
            for _, done in taken:
                if not done.done():
                    done.set_result(self.fault is None)
            self.written.ring()
            again = bool(self._queue)

    def _keep(self, events: list[AnyEvent]) -> None:
        surplus = len(events) - IN_MEMORY
        if surplus > 0:
            by_worth = sorted(range(len(events)), key=lambda place: (spools.rank(events[place]), place))
            gone = set(by_worth[:surplus])
            self._lost.update(spools.kind(events[place]) for place in gone)
            events = [event for place, event in enumerate(events) if place not in gone]
        self._waiting = events
