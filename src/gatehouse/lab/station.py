"""One virtual device in real time: its hardware, its controller, and everybody who looks at it.

Acts and time go into the hardware; what comes out goes to the controller in order, through one queue.
Whoever looks gets the whole state after a change, at his own pace; a slow tab holds nobody up.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from math import inf
from typing import Any, Protocol

from gatehouse.gateway.drivers import DeviceUnreachable, DoorState, InputUse, Outcome
from gatehouse.lab.config import DeviceConfig
from gatehouse.lab.hardware import CableMoved, DoorMoved, DoorPhone, Effect, InputChanged, Powered, Presented
from gatehouse.lab.heard import Heard
from gatehouse.rules.credentials import CredentialError, normalise_card

log = logging.getLogger(__name__)


class NoAnswer(Exception):
    """The controller is not there, or not ready."""


class BadAct(ValueError):
    """An act that the panel cannot have sent."""


class Core(Protocol):
    """The controller behind the hardware: an agent of its own, or a gateway at the other end of a line."""

    def power(self, on: bool) -> None:
        """Begin to run, or lose the power; returns at once."""

    def cable(self, cut: bool) -> None:
        """The network cable was pulled, or put back."""

    async def present(self, method: str, text: str, who: str | None) -> Outcome:
        """See `gateway.drivers.Door.present`; `who` names a card for the tester. Raises NoAnswer."""
        ...

    async def input(self, use: InputUse, active: bool, relay: str | None) -> None:
        """See `gateway.drivers.Door.input`. Raises NoAnswer."""

    async def door(self, relay: str, state: DoorState) -> None:
        """See `gateway.drivers.Door.door`. Raises NoAnswer."""

    def line(self) -> dict[str, Any]:
        """`up`, `claimed`, `rtt_ms`, `off_ms` (by how much the own clock is wrong), `note` (why there is no line)."""
        ...

    async def close(self) -> None:
        """The lab ends."""


class Station:
    """One device. Made and used in one event loop."""

    def __init__(self, config: DeviceConfig, make_core: Callable[[Station], Core]) -> None:
        self.config = config
        self.phone = DoorPhone([(r.id, r.position, r.kind, r.name) for r in config.relays])
        self.heard = Heard()
        self.version = 0
        """Grows with every change."""
        self.wake = asyncio.Event()
        """Set, once and for all, at the next change; then there is a new one."""
        self._core = make_core(self)
        self._effects: asyncio.Queue[Effect] = asyncio.Queue()
        self._moved = asyncio.Event()
        self._fires: set[asyncio.Task[None]] = set()
        self._who: str | None = None

    async def run(self) -> None:
        """Power on, and live until cancelled."""
        self.do(self.phone.power(True, self.now()))
        try:
            await asyncio.gather(self._pass_time(), self._tell())
        finally:
            await self._core.close()

    def now(self) -> float:
        """The hardware's counter, milliseconds."""
        return time.monotonic() * 1_000

    def wall_ms(self) -> int:
        """What the device's own clock shows."""
        return time.time_ns() // 1_000_000 + self.phone.skew_ms

    def do(self, effects: list[Effect]) -> None:
        """Something happened to the hardware."""
        for effect in effects:
            self._effects.put_nowait(effect)
        self._moved.set()
        self.touch()

    def touch(self) -> None:
        """Something that can be seen has changed."""
        self.version += 1
        woken, self.wake = self.wake, asyncio.Event()
        woken.set()

    # --- the tester's hands ---------------------------------------------------------------------

    def act(self, message: dict[str, Any]) -> None:
        """One act of the panel, as it came over the socket. Raises BadAct."""
        phone, now = self.phone, self.now()
        match message:
            case {"act": "key", "key": str(key)} if len(key) == 1 and key in "0123456789*#":
                self.do(phone.key(key, now))
            case {"act": "clear"}:
                self.do(phone.clear(now))
            case {"act": "card", "text": str(text), "notation": ("auto" | "hex" | "decimal") as notation}:
                try:
                    number = normalise_card(text[:200], notation).hex
                except CredentialError as error:
                    raise BadAct(error.code) from error
                self._who = str(message.get("label") or "")[:80] or None
                self.do(phone.hold_card(number, now))
            case {"act": "door", "relay": str(relay), "do": ("push" | "keep" | "let_go" | "force") as what} if (
                relay in phone.relays
            ):
                self.do(getattr(phone, what)(relay, now))
            case {"act": "exit", "relay": (str() | None) as relay} if relay is None or relay in phone.relays:
                self.do(phone.press_exit(relay, now))
            case {"act": ("fire" | "tamper" | "power") as what, "on": bool(on)}:
                self.do(getattr(phone, what)(on, now))
            case {"act": "motion"}:
                self.do(phone.move_by(now))
            case {"act": "cable", "cut": bool(cut)}:
                self.do(phone.pull_cable(cut, now))
            case {"act": "clock", "skew_s": int(skew)} if abs(skew) <= 366 * 86_400:
                phone.skew_ms = skew * 1_000
                self.touch()
            case _:
                raise BadAct("act.unknown")

    # --- the controller's hands -----------------------------------------------------------------

    def listened_to(self) -> None:
        """The controller can hear from now on: it is told how things are."""
        if self.phone.running:
            self.do(self.phone.report(self.now()))

    async def energise(self, relay: str, hold_ms: int | None) -> None:
        """See `gateway.drivers.Driver.energise`."""
        self._reached(relay)
        self.do(self.phone.tick(self.now()))
        self.phone.energise(relay, hold_ms, self.now())
        self.touch()

    async def release(self, relay: str) -> None:
        """See `gateway.drivers.Driver.release`."""
        self._reached(relay)
        self.do(self.phone.tick(self.now()))
        self.phone.release(relay, self.now())
        self.touch()

    def _reached(self, relay: str) -> None:
        if not self.phone.running or relay not in self.phone.relays:
            raise DeviceUnreachable(
                f"{self.config.name} has no power" if relay in self.phone.relays else "no such relay"
            )

    # --- inside ---------------------------------------------------------------------------------

    async def _pass_time(self) -> None:
        while True:
            self._moved.clear()
            due = self.phone.due()
            if due > self.now():
                try:
                    await asyncio.wait_for(self._moved.wait(), None if due == inf else (due - self.now()) / 1_000)
                except TimeoutError:
                    pass
                else:
                    continue
            self.do(self.phone.tick(self.now()))

    async def _tell(self) -> None:
        while True:
            effect = await self._effects.get()
            if isinstance(effect, InputChanged) and effect.use == "fire":
                # Never behind a presentation that waits for its relay.
                fire = asyncio.create_task(self._tell_one(effect))
                self._fires.add(fire)
                fire.add_done_callback(self._fires.discard)
            else:
                await self._tell_one(effect)

    async def _tell_one(self, effect: Effect) -> None:
        try:
            await self._pass_on(effect)
        except NoAnswer:
            if isinstance(effect, Presented) and self.phone.running:
                self.phone.fail(self.now())
                self.do([])

    async def _pass_on(self, effect: Effect) -> None:
        match effect:
            case Presented(method, text):
                outcome = await self._core.present(method, text, self._who)
                self.do(self.phone.tick(self.now()))
                if self.phone.running:
                    self.phone.answer(outcome.allowed, outcome.relays, outcome.wait_s, self.now())
                    self.do([])
            case InputChanged(use, active, relay):
                await self._core.input(use, active, relay)
            case DoorMoved(relay, state):
                await self._core.door(relay, state)
            case Powered(on):
                self._core.power(on)
            case CableMoved(cut):
                self._core.cable(cut)

    # --- what can be seen -----------------------------------------------------------------------

    def state(self) -> dict[str, Any]:
        """Everything a panel shows, as plain values."""
        return {
            "device": self.phone.view(self.now()),
            "line": self._core.line(),
            "wall_ms": self.wall_ms(),
            "waiting": self.heard.waiting,
            "heard": self.heard.view(),
        }
