"""One listening connection a process, any number of live screens.

PostgreSQL tells every web process what has become new, as ids; the hub hands it to the screens of that site
in memory. A screen holds no database connection: it keeps the set of topics it has not told yet and the few
results of openings that are its own, so a slow reader costs nothing and can be late, never wrong.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import UUID

import psycopg
from asgiref.sync import sync_to_async
from django.conf import settings
from django.db import connections, transaction

from gatehouse.cloud.accounts.sign_in import RIGHTS
from gatehouse.cloud.authz.actor import Actor, enter, system_actor
from gatehouse.cloud.authz.permissions import P
from gatehouse.cloud.devices.models import Command

LIVE: Final = "gatehouse_live"
FEED: Final = "gatehouse_feed"
TOPICS: Final = {
    "passages": P.LOG_READ,
    "alarms": P.LOG_READ,
    "doors": P.SITE_VIEW,
    "devices": P.DEVICE_VIEW,
    "gateways": P.DEVICE_VIEW,
    "feed": P.DEVICE_VIEW,
}
"""What a screen may hear of, and the right it needs."""
MOST_HOLDS: Final = 20
AGAIN_S: Final = 1.0
UP_S: Final = 2.0

_log = logging.getLogger("gatehouse.stream")


@dataclass(frozen=True, slots=True)
class Result:
    """What became of an opening; `asked_by` alone is told. `detail` holds codes, the screen has the language."""

    asked_by: UUID
    detail: dict[str, object]


@dataclass(eq=False)
class Screen:
    """One open stream. Everything here happens on the event loop."""

    actor: Actor
    session: str
    rung: asyncio.Event = field(default_factory=asyncio.Event)
    topics: set[str] = field(default_factory=set)
    holds: deque[dict[str, object]] = field(default_factory=lambda: deque(maxlen=MOST_HOLDS))
    look_again: bool = False
    """Its rights may have changed."""

    def hear(self, topics: Iterable[str], results: Iterable[Result] = ()) -> None:
        """Note what became new, as far as this screen may know."""
        before = len(self.topics), len(self.holds)
        self.topics |= {topic for topic in topics if self.actor.may(TOPICS[topic])}
        self.holds.extend(result.detail for result in results if result.asked_by == self.actor.id)
        if (len(self.topics), len(self.holds)) != before or self.holds:
            self.rung.set()

    def doubt(self) -> None:
        """Have the rights checked before anything else is told."""
        self.look_again = True
        self.rung.set()

    def take(self) -> tuple[list[str], list[dict[str, object]]]:
        """Everything not told yet; nothing is left afterwards."""
        self.rung.clear()
        topics, holds = sorted(self.topics), list(self.holds)
        self.topics.clear()
        self.holds.clear()
        return topics, holds


class Hub:
    """The screens of this process by site, and when each topic of a site last changed."""

    def __init__(self, results_of: Callable[[UUID, list[str]], list[Result]] | None = None) -> None:
        self.epoch = f"{os.getpid():x}{int(time.time()):x}"
        self.number = 0
        self._results_of = results_of or ended_commands
        self._screens: dict[UUID, set[Screen]] = {}
        self._changed: dict[UUID, dict[str, int]] = {}
        self._listening: asyncio.Task[None] | None = None
        self._up = asyncio.Event()
        self._missed = False
        self._work: set[asyncio.Task[None]] = set()

    @property
    def last_id(self) -> str:
        """Where a screen that has told everything stands."""
        return f"{self.epoch}-{self.number}"

    def open(self, actor: Actor, site: UUID, session: str, last_id: str = "") -> Screen:
        """A new screen. With the id at which it stopped it hears at once what changed meanwhile."""
        if self._listening is None or self._listening.done() or self._listening.get_loop() is not _loop():
            self._up = asyncio.Event()  # an event belongs to the loop that first waits for it
            self._listening = asyncio.create_task(self._listen())
        screen = Screen(actor, session)
        self._screens.setdefault(site, set()).add(screen)
        if last_id:
            screen.hear(self._since(site, last_id))
        return screen

    def close(self, screen: Screen, site: UUID) -> None:
        """The screen is gone."""
        screens = self._screens.get(site, set())
        screens.discard(screen)
        if not screens:
            self._screens.pop(site, None)

    def _since(self, site: UUID, last_id: str) -> Iterable[str]:
        epoch, _, number = last_id.rpartition("-")
        if epoch != self.epoch or not number.isdigit():
            return TOPICS  # another process, or one that was restarted: everything may be new
        return [topic for topic, at in self._changed.get(site, {}).items() if at > int(number)]

    # ---------------------------------------------------------------- hearing

    async def listening(self) -> None:
        """Returns once changes are heard, or after a moment all the same: then all is asked again when they are."""
        try:
            await asyncio.wait_for(self._up.wait(), UP_S)
        except TimeoutError:
            self._missed = True

    async def _listen(self) -> None:
        while True:
            try:
                async with await psycopg.AsyncConnection.connect(_address(), autocommit=True) as line:
                    for channel in (LIVE, FEED, RIGHTS):
                        await line.execute(f"LISTEN {channel}".encode())
                    if self._missed:
                        self._all_again()
                    self._missed = False
                    self._up.set()
                    async for note in line.notifies():
                        self._note(note.channel, note.payload)
            except (psycopg.Error, OSError) as error:
                _log.warning("live notifications lost", extra={"error": str(error)})
            self._missed = True
            self._up.clear()
            await asyncio.sleep(AGAIN_S)

    def _all_again(self) -> None:
        """Notifications were missed: every screen asks for everything once."""
        self.number += 1
        for site, screens in self._screens.items():
            self._changed[site] = dict.fromkeys(TOPICS, self.number)
            for screen in screens:
                screen.hear(TOPICS)
                screen.doubt()

    def _note(self, channel: str, payload: str) -> None:
        try:
            if channel == RIGHTS:
                self._rights(UUID(payload))
            elif channel == FEED:
                self._tell(UUID(payload), ["feed"])
            else:
                told: dict[str, Any] = json.loads(payload)
                site = UUID(str(told["site"]))
                self._tell(site, [topic for topic in told if topic in TOPICS])
                if told.get("commands") and site in self._screens:
                    task = asyncio.create_task(self._ended(site, told["commands"]))
                    self._work.add(task)
                    task.add_done_callback(self._work.discard)
        except (ValueError, KeyError, TypeError):
            _log.warning("notification not understood", extra={"channel": channel})

    def _tell(self, site: UUID, topics: list[str], results: Iterable[Result] = ()) -> None:
        self.number += 1
        self._changed.setdefault(site, {}).update(dict.fromkeys(topics, self.number))
        for screen in self._screens.get(site, ()):
            screen.hear(topics, results)

    def _rights(self, subject: UUID) -> None:
        """`subject` is an account or a site."""
        for site, screens in self._screens.items():
            for screen in screens:
                if subject in (screen.actor.id, site):
                    screen.doubt()

    async def _ended(self, site: UUID, commands: list[str]) -> None:
        try:
            results = await sync_to_async(self._results_of, thread_sensitive=False)(site, commands)
        except Exception:
            # The button says by itself that nobody answered; the log must say why.
            _log.exception("results of commands not read")
            return
        for screen in self._screens.get(site, ()):
            screen.hear((), results)


def ended_commands(site: UUID, ids: list[str]) -> list[Result]:
    """Results of openings among these commands, in a transaction of their own."""
    try:
        with transaction.atomic():
            actor = system_actor(site)
            enter(actor)
            rows = list(
                Command.objects.visible_to(actor)
                .filter(id__in=ids, verb="relay.open", state__in=("done", "failed", "refused", "expired"))
                .select_related("relay")
            )
    finally:
        connections.close_all()
    return [Result(row.actor_id, _detail(row)) for row in rows]


def _detail(command: Command) -> dict[str, object]:
    detail: dict[str, object] = {"relay": str(command.relay_id)}
    if command.state == Command.State.DONE:
        return detail | {"state": "opened", "seconds": -(-command.relay.hold_ms // 1000) if command.relay else 5}
    reason = "command.expired" if command.state == Command.State.EXPIRED else command.reason
    state = "refused" if command.state == Command.State.REFUSED else "failed"
    return detail | {"state": state, "reason": reason}


def _address() -> str:
    database = settings.DATABASES["default"]
    return psycopg.conninfo.make_conninfo(
        host=database["HOST"],
        port=database["PORT"],
        dbname=database["NAME"],
        user=database["USER"],
        password=database["PASSWORD"],
        options=database["OPTIONS"]["options"],
        application_name="gatehouse live",
        keepalives_idle=20,
        keepalives_interval=5,
        keepalives_count=3,
    )


def _loop() -> asyncio.AbstractEventLoop:
    return asyncio.get_running_loop()


hub = Hub()
