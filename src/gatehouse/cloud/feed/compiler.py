"""The worker that compiles feeds; `services.compiling` says how one compile is done and why nothing is lost."""

from __future__ import annotations

import logging
import time
from contextlib import suppress
from dataclasses import dataclass
from threading import Event
from typing import Any, Final
from uuid import UUID

import psycopg
from django.db import InterfaceError, OperationalError, connection

from gatehouse.cloud.changes.services import CHANNEL
from gatehouse.cloud.feed.services import Busy, compile_site, release_quarantine
from gatehouse.cloud.kit import clock

LOOK: Final = 2.0
"""Seconds between the worker's own looks for touched rows."""
SWEEP: Final = 10.0
"""Seconds between its looks for withdrawn codes that can be freed."""
PAUSE: Final = 30.0
"""Seconds that a site which could not be compiled is left alone."""

STRIKES: Final = 5
"""Times in a row that the database may fail in one site's compile before the site is taken for the cause."""

log = logging.getLogger(__name__)


@dataclass
class _Trouble:
    """A site whose last compile failed."""

    times: int = 0
    until: float = 0.0


def run(stop: Event) -> None:
    """The worker's loop: compile whatever is touched until `stop` is set. Several may run; each site has one at a time.

    1. It listens on a connection of its own, outside the pool, so that an act's commit wakes it at once.
    2. A notification is only a hint. Every `LOOK` seconds, and after each new connection, it looks for touched
       rows itself, so that one that was lost costs seconds and nothing else.
    3. A site that another worker has is left to it; what that one does not see is found at the next look.
    4. A site that cannot be compiled is reported and left alone for a while, and does not hold up the others.
    5. When the database goes away the loop waits and connects anew; what was under way has not happened.
    6. Now and then it frees withdrawn codes: a confirmation and a compile that overtake each other would
       otherwise both have missed what the other one brought.
    """
    sites: dict[UUID, _Trouble] = {}
    sweep, away = 0.0, 0.05
    while not stop.is_set():
        try:
            with _listener() as listener:
                hints: set[UUID] = set()
                look = 0.0
                while not stop.is_set():
                    if time.monotonic() >= look:
                        hints |= _touched_sites()
                        look = time.monotonic() + LOOK
                        away = 0.05
                    for site in sorted(hints):
                        if not stop.is_set() and (site not in sites or time.monotonic() >= sites[site].until):
                            _serve(site, sites)
                    if time.monotonic() >= sweep:
                        for site in _quarantined_sites():
                            release_quarantine(site, clock.now())
                        sweep = time.monotonic() + SWEEP
                    hints = _hints(listener)
        except (psycopg.OperationalError, OperationalError, InterfaceError) as error:
            log.warning("feed.database_away", extra={"reason": type(error).__name__})
            connection.close()
            stop.wait(away)
            away = min(2 * away, 2.0)
    connection.close()


def _serve(site: UUID, sites: dict[UUID, _Trouble]) -> None:
    """Compile a site until nothing is touched. Raises when it is the database that failed, not the site."""
    try:
        while compile_site(site, clock.now(), wait=False).touched:
            release_quarantine(site, clock.now())
    except Busy:
        return
    except Exception as error:
        trouble = sites.setdefault(site, _Trouble())
        trouble.times += 1
        if isinstance(error, OperationalError | InterfaceError) and trouble.times < STRIKES:
            raise
        log.exception("feed.compile_failed", extra={"site": str(site), "times": trouble.times})
        trouble.until = time.monotonic() + PAUSE
        connection.close()
    else:
        sites.pop(site, None)


def _listener() -> psycopg.Connection[Any]:
    options = {**connection.get_connection_params(), "autocommit": True}
    for name in ("cursor_factory", "context"):
        options.pop(name, None)
    listener: psycopg.Connection[Any] = psycopg.connect(**options)
    listener.execute(f"LISTEN {CHANNEL}")
    return listener


def _hints(listener: psycopg.Connection[Any]) -> set[UUID]:
    """Sites that notifications name, waited for shortly; what is no site is somebody else's."""
    sites = set()
    for note in listener.notifies(timeout=0.2, stop_after=1):
        with suppress(ValueError):
            sites.add(UUID(note.payload))
    return sites


def _touched_sites() -> set[UUID]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT DISTINCT site_id FROM changes_touched")
        return {site for (site,) in cursor.fetchall()}


def _quarantined_sites() -> set[UUID]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT DISTINCT site_id FROM people_credential WHERE state = 'quarantined' AND withdrawn_revision IS NOT NULL"
        )
        return {site for (site,) in cursor.fetchall()}
