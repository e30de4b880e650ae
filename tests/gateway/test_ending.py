"""Ending tasks that swallow their cancellation."""

from __future__ import annotations

import asyncio
import time

from gatehouse.gateway.ending import end


async def test_a_task_that_swallows_one_cancellation_ends_all_the_same() -> None:
    swallowed = 0

    async def stubborn() -> None:
        nonlocal swallowed
        while True:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                swallowed += 1
                if swallowed > 1:
                    raise

    task = asyncio.create_task(stubborn())
    await asyncio.sleep(0)
    await end([task], 10)
    assert (task.done(), swallowed) == (True, 2)


async def test_one_that_never_ends_is_not_waited_for_for_ever() -> None:
    free = asyncio.Event()

    async def deaf() -> None:
        while not free.is_set():
            try:
                await free.wait()
            except asyncio.CancelledError:
                continue

    task = asyncio.create_task(deaf())
    await asyncio.sleep(0)
    began = time.monotonic()
    await end([task], 0.2)
    assert time.monotonic() - began < 5
    free.set()
    await task
