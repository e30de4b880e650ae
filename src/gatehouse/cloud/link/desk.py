"""Work of the link that must go on: threads for the database, and steps that are taken again and again."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import psycopg
from django.db import InterfaceError, OperationalError, connection

from gatehouse.cloud.link.mqtt import MqttLost

log = logging.getLogger(__name__)

T = TypeVar("T")

FIRST_PAUSE_S, LAST_PAUSE_S = 0.1, 2.0
DATABASE_AWAY = (OperationalError, InterfaceError, psycopg.OperationalError)


class Desk:
    """A thread with a database connection of its own, for one job at a time."""

    def __init__(self, name: str) -> None:
        self._executor = ThreadPoolExecutor(1, thread_name_prefix=name)

    async def do(self, act: Callable[..., T], *arguments: Any) -> T:
        """Run `act` there. A connection that broke is put away, so that the next job gets a new one."""

        def job() -> T:
            try:
                return act(*arguments)
            except (OperationalError, InterfaceError):
                connection.close()
                raise

        return await asyncio.get_running_loop().run_in_executor(self._executor, job)

    def close(self) -> None:
        """Put the connection away and end the thread; waits for the job at work."""
        self._executor.submit(connection.close)
        self._executor.shutdown(wait=True)


async def again(step: Callable[[], Awaitable[None]]) -> None:
    """Take a step for ever. What fails is waited for, longer each time.

    A broker or database that is away is said in one line; anything unforeseen with its whole trace, and then
    the work goes on all the same: one odd row must not silence every gateway.
    """
    pause = FIRST_PAUSE_S
    while True:
        try:
            await step()
            pause = FIRST_PAUSE_S
            continue
        except (MqttLost, TimeoutError) as error:
            log.warning("the broker is away", extra={"why": str(error)})
        except DATABASE_AWAY as error:
            log.warning("the database is away", extra={"why": str(error)})
        except Exception:
            log.exception("unforeseen")
        await asyncio.sleep(pause)
        pause = min(2 * pause, LAST_PAUSE_S)
