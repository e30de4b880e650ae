"""Ending tasks for good."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from typing import Any

AGAIN_S = 0.5


async def end(tasks: Iterable[asyncio.Task[Any]], within_s: float = 10.0) -> None:
    """Cancel tasks and wait until they have ended, at most `within_s`; what they fail with is not wanted any more.

    One cancellation is not enough: `asyncio.wait_for` of Python 3.11 swallows one that arrives together with
    what it waited for, and the task then goes on as if nothing had been said.
    """
    all_tasks = set(tasks)
    pending = {task for task in all_tasks if not task.done()}
    until = time.monotonic() + within_s
    while pending and time.monotonic() < until:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=AGAIN_S)
    for task in all_tasks - pending:
        if not task.cancelled():
            task.exception()
