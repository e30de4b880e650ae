"""A door phone as a thing on a wall: what it shows, feels and moves, without any software of its own.

It knows no rule and no cloud. What happens to it comes out as effects (somebody presented something, an
input changed, the door moved); what its controller wants of it goes in (a relay, an answer for the
screen). Time is a parameter, milliseconds of any steady counter, so that every second can be tested.
What a person types is kept here until it is confirmed and never leaves in a view: it may be a PIN.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from math import inf
from typing import Any, Literal

from gatehouse.gateway.drivers import DoorState, InputUse

KEYS = "0123456789*#"
MOST_KEYS = 20
"""Longest text the keypad takes: a unit with several parts, and a PIN."""

BOOT_MS = 2_500
"""From power to the first question to the controller."""
TYPING_MS = 15_000
"""Keys pressed and not confirmed are forgotten after so long without another."""
ASKING_MS = 6_000
"""After so long without an answer the screen says that something is wrong."""
GRANTED_MS = 4_000
REFUSED_MS = 3_500
FAILED_MS = 3_500
WALK_MS = 3_000
"""How long a door that was pushed stands open before its closer has shut it."""
LET_GO_MS = 800
"""How long a door takes to fall shut from a hand."""
LATCH_MS = 1_000
"""A door that opens so soon after its relay fell was not forced: the hand was on it already."""
HELD_MS = 30_000
"""A door that stands open longer is held open."""
EXIT_MS = 500
MOTION_MS = 3_000


@dataclass(frozen=True, slots=True)
class Presented:
    """A code was confirmed, or a card was held to the reader. `text` is what keypad or reader saw."""

    method: Literal["pin", "card"]
    text: str


@dataclass(frozen=True, slots=True)
class InputChanged:
    """An input changed; `relay` only where the input belongs to one door."""

    use: InputUse
    active: bool
    relay: str | None = None


@dataclass(frozen=True, slots=True)
class DoorMoved:
    """What the sensor of one door says now."""

    relay: str
    state: DoorState


@dataclass(frozen=True, slots=True)
class Powered:
    """The controller begins to run, or has lost its power."""

    on: bool


@dataclass(frozen=True, slots=True)
class CableMoved:
    """The cable to the network was pulled, or put back."""

    cut: bool


Effect = Presented | InputChanged | DoorMoved | Powered | CableMoved


@dataclass(slots=True)
class Relay:
    """One relay and the door behind it."""

    id: str
    position: int
    kind: str
    name: str
    until: float | None = None
    """Released until then (`inf` = until told otherwise); None = resting."""
    fell: float = -inf
    """When it last fell."""
    leaf: Literal["closed", "open"] = "closed"
    kept: bool = False
    """Somebody's hand keeps the door open."""
    shuts: float = inf
    """When the closer will have shut it, if nobody keeps it."""
    opened: float = 0
    forced: bool = False
    sensor: DoorState = "closed"
    """What was reported last."""

    def unlocked(self, now: float) -> bool:
        """Whether the door can be pushed open."""
        return self.until is not None or now - self.fell <= LATCH_MS


@dataclass(slots=True)
class _Screen:
    name: Literal["idle", "typing", "asking", "granted", "refused", "failed"] = "idle"
    until: float = inf
    relays: tuple[str, ...] = field(default=())


class DoorPhone:
    """One door phone. Every method that takes `now` returns what its controller must hear of, in order."""

    def __init__(self, relays: Sequence[tuple[str, int, str, str]]) -> None:
        """`relays`: id, position, kind and name of each. The phone begins unpowered."""
        self.relays = {id_: Relay(id_, position, kind, name) for id_, position, kind, name in relays}
        self.pin_mode: Literal["pin", "apt_pin"] = "pin"
        """In APT+PIN mode the first `#` stands between apartment and PIN (told by the controller)."""
        self.powered = False
        self.running = False
        """The controller runs and answers."""
        self.cable_cut = False
        self.skew_ms = 0
        """By how much the phone's own clock is wrong."""
        self.alarm = False
        """The site is in an emergency (told by the controller); the fire input shows the same by itself."""
        self.inputs: dict[InputUse, bool] = {"fire": False, "tamper": False, "exit": False, "motion": False}
        self._exit_relay: str | None = None
        self._ends: dict[InputUse, float] = {}
        self._boots: float = inf
        self._typed = ""
        self._screen = _Screen()
        self._locked_until: float = -inf
        self._rattled: dict[str, float] = {}

    # --- what people do at the device ----------------------------------------------------------

    def key(self, key: str, now: float) -> list[Effect]:
        """One key of the keypad. `*` forgets what was typed, `#` confirms it."""
        effects = self.tick(now)
        if key not in KEYS or len(key) != 1:
            raise ValueError("no such key")
        if not self._takes(now) or now < self._locked_until:
            return effects
        if key == "*":
            self.clear(now)
        elif key != "#":
            if len(self._typed) < MOST_KEYS:
                self._typed += key
            self._show("typing", now + TYPING_MS)
        elif self.pin_mode == "apt_pin" and self._typed and "#" not in self._typed:
            self._typed += "#"
            self._show("typing", now + TYPING_MS)
        elif self._typed:
            text, self._typed = self._typed.removesuffix("#"), ""
            self._show("asking", now + ASKING_MS)
            effects.append(Presented("pin", text))
        return effects

    def clear(self, now: float) -> list[Effect]:
        """Forget what was typed."""
        effects = self.tick(now)
        self._typed = ""
        if self._screen.name == "typing":
            self._show("idle")
        return effects

    def hold_card(self, text: str, now: float) -> list[Effect]:
        """A card before the reader; `text` is its number in hexadecimal. A dead or busy reader sees nothing."""
        effects = self.tick(now)
        if self._takes(now):
            self._typed = ""
            self._show("asking", now + ASKING_MS)
            effects.append(Presented("card", text))
        return effects

    # --- the doors ------------------------------------------------------------------------------

    def push(self, relay: str, now: float) -> list[Effect]:
        """Push a door. A locked one only rattles; an open one falls shut later."""
        effects = self.tick(now)
        door = self.relays[relay]
        if door.leaf == "open" or door.unlocked(now):
            effects += self._swing(door, now, forced=False)
        else:
            self._rattled[relay] = now
        return effects

    def keep(self, relay: str, now: float) -> list[Effect]:
        """Keep a door open by hand, as long as it can be opened at all."""
        effects = self.push(relay, now)
        door = self.relays[relay]
        door.kept = door.leaf == "open"
        return effects

    def let_go(self, relay: str, now: float) -> list[Effect]:
        """Take the hand from a door; it falls shut."""
        effects = self.tick(now)
        door = self.relays[relay]
        door.kept = False
        if door.leaf == "open":
            door.shuts = now + LET_GO_MS
        return effects

    def force(self, relay: str, now: float) -> list[Effect]:
        """Break a door open, whatever its lock says."""
        effects = self.tick(now)
        door = self.relays[relay]
        return effects + self._swing(door, now, forced=not door.unlocked(now))

    # --- inputs and trouble ---------------------------------------------------------------------

    def press_exit(self, relay: str | None, now: float) -> list[Effect]:
        """Press and let go the button on the inside."""
        effects = self.tick(now)
        self._exit_relay = relay
        return effects + self._set("exit", True, now, EXIT_MS)

    def fire(self, on: bool, now: float) -> list[Effect]:
        """The contact of the fire alarm."""
        return self.tick(now) + self._set("fire", on, now)

    def tamper(self, on: bool, now: float) -> list[Effect]:
        """The contact behind the housing."""
        return self.tick(now) + self._set("tamper", on, now)

    def move_by(self, now: float) -> list[Effect]:
        """Somebody walks past."""
        return self.tick(now) + self._set("motion", True, now, MOTION_MS)

    def pull_cable(self, cut: bool, now: float) -> list[Effect]:
        """Pull the network cable, or put it back."""
        effects = self.tick(now)
        if cut != self.cable_cut:
            self.cable_cut = cut
            effects.append(CableMoved(cut))
        return effects

    def power(self, on: bool, now: float) -> list[Effect]:
        """Switch the power. Without it relays fall, the screen is dark and nothing is felt; doors still move."""
        effects = self.tick(now)
        if on == self.powered:
            return effects
        self.powered = on
        self._typed, self._locked_until, self.alarm = "", -inf, False
        self._show("idle")
        if on:
            self._boots = now + BOOT_MS
            return effects
        self._boots = inf
        for use in ("exit", "motion"):
            self.inputs[use] = False
            self._ends.pop(use, None)
        for door in self.relays.values():
            self._fall(door, now)
        if self.running:
            self.running = False
            effects.append(Powered(False))
        return effects

    # --- what the controller wants --------------------------------------------------------------

    def report(self, now: float) -> list[Effect]:
        """What its inputs and doors say now, for a controller that has just begun to listen."""
        effects = self.tick(now)
        effects += [InputChanged(use, True) for use in ("fire", "tamper") if self.inputs[use]]
        for door in self.relays.values():
            self._sense(door, now)
            effects.append(DoorMoved(door.id, door.sensor))
        return effects

    def energise(self, relay: str, hold_ms: int | None, now: float) -> None:
        """Release a door for so long from now, None = until `release`. The caller ticks first."""
        self.relays[relay].until = inf if hold_ms is None else now + hold_ms

    def release(self, relay: str, now: float) -> None:
        """Let the relay fall now."""
        self._fall(self.relays[relay], now)

    def answer(self, allowed: bool, relays: Sequence[str], wait_s: int, now: float) -> None:
        """Show what became of a presentation. `wait_s`: for so long the keypad takes nothing."""
        if wait_s > 0:
            self._locked_until = now + wait_s * 1_000
        if allowed:
            self._show("granted", now + GRANTED_MS, tuple(relays))
        else:
            self._show("refused", now + REFUSED_MS)

    def fail(self, now: float) -> None:
        """Show that the controller could not answer."""
        self._show("failed", now + FAILED_MS)

    # --- time -----------------------------------------------------------------------------------

    def tick(self, now: float) -> list[Effect]:
        """Let time pass until `now`, a change at a time in its order."""
        effects: list[Effect] = []
        while (due := self.due()) <= now:
            effects += self._pass(due)
        return effects

    def due(self) -> float:
        """When the next thing happens by itself, `inf` for never."""
        return min(self._moments(), default=inf)

    def _moments(self) -> Iterator[float]:
        yield self._boots
        yield self._screen.until
        yield from self._ends.values()
        if self._locked_until > -inf:
            yield self._locked_until
        for door in self.relays.values():
            if door.until is not None:
                yield door.until
            if door.leaf == "open":
                if not door.kept:
                    yield door.shuts
                if self.running and door.sensor == "open":
                    yield door.opened + HELD_MS

    def _pass(self, now: float) -> list[Effect]:
        effects: list[Effect] = []
        if self._boots <= now:
            self._boots, self.running = inf, True
            effects.append(Powered(True))
        if self._screen.until <= now:
            if self._screen.name == "asking":
                self._show("failed", now + FAILED_MS)
            else:
                self._typed = ""
                self._show("idle")
        if self._locked_until <= now:
            self._locked_until = -inf
        for use in [use for use, end in self._ends.items() if end <= now]:
            effects += self._set(use, False, now)
        for door in self.relays.values():
            if door.until is not None and door.until <= now:
                self._fall(door, door.until)
            if door.leaf == "open" and not door.kept and door.shuts <= now:
                door.leaf, door.forced, door.shuts = "closed", False, inf
            effects += self._sense(door, now)
        return effects

    # --- inside ---------------------------------------------------------------------------------

    def _takes(self, now: float) -> bool:
        """Whether keypad and reader take anything at the moment."""
        return self.running and not self.emergency and self._screen.name != "asking"

    @property
    def emergency(self) -> bool:
        """Whether the screen shows the way out."""
        return self.running and (self.alarm or self.inputs["fire"])

    def _show(
        self,
        name: Literal["idle", "typing", "asking", "granted", "refused", "failed"],
        until: float = inf,
        relays: tuple[str, ...] = (),
    ) -> None:
        self._screen = _Screen(name, until, relays)

    def _fall(self, door: Relay, now: float) -> None:
        if door.until is not None:
            door.until, door.fell = None, now

    def _swing(self, door: Relay, now: float, *, forced: bool) -> list[Effect]:
        if door.leaf == "closed":
            door.leaf, door.opened, door.forced = "open", now, forced
        door.shuts = now + WALK_MS
        return self._sense(door, now)

    def _sense(self, door: Relay, now: float) -> list[Effect]:
        state: DoorState = "closed"
        if door.leaf == "open":
            state = "forced" if door.forced else "held" if now - door.opened >= HELD_MS else "open"
        if not self.running or state == door.sensor:
            return []
        door.sensor = state
        return [DoorMoved(door.id, state)]

    def _set(self, use: InputUse, active: bool, now: float, for_ms: float = inf) -> list[Effect]:
        if use in ("exit", "motion") and not self.running:
            return []
        if active and for_ms < inf:
            self._ends[use] = now + for_ms
        elif not active:
            self._ends.pop(use, None)
        if self.inputs[use] == active:
            return []
        self.inputs[use] = active
        return [InputChanged(use, active, self._exit_relay if use == "exit" else None)] if self.running else []

    # --- what can be seen -----------------------------------------------------------------------

    def view(self, now: float) -> dict[str, Any]:
        """What anybody before the device sees, as plain values; times as milliseconds that are left.

        `screen`: off, booting, emergency, waiting, or the screen's own name. `typed` counts keys, and
        `parts` says how many of them stand before a `#`; the keys themselves are not in it.
        """
        screen, left = self._seen(now)
        unit, mark, _ = self._typed.partition("#")
        return {
            "screen": screen,
            "left_ms": _left(left, now),
            "typed": len(self._typed.replace("#", "")),
            "unit": len(unit) if mark else None,
            "released": list(self._screen.relays) if screen == "granted" else [],
            "fire": self.inputs["fire"],
            "tamper": self.inputs["tamper"],
            "motion": self.inputs["motion"],
            "exit": self.inputs["exit"],
            "power": self.powered,
            "cable_cut": self.cable_cut,
            "skew_ms": self.skew_ms,
            "relays": [
                {
                    "id": door.id,
                    "position": door.position,
                    "kind": door.kind,
                    "name": door.name,
                    "released": door.until is not None,
                    "left_ms": _left(door.until, now),
                    "door": self._stands(door, now),
                    "kept": door.kept,
                    "rattled_ms": _since(self._rattled.get(door.id), now),
                }
                for door in self.relays.values()
            ],
        }

    def _seen(self, now: float) -> tuple[str, float | None]:
        if not self.powered:
            return "off", None
        if not self.running:
            return "booting", self._boots
        if self.emergency:
            return "emergency", None
        if self._screen.name in ("idle", "typing") and now < self._locked_until:
            return "waiting", self._locked_until
        return self._screen.name, self._screen.until

    def _stands(self, door: Relay, now: float) -> str:
        if door.leaf == "closed":
            return "closed"
        return "forced" if door.forced else "held" if now - door.opened >= HELD_MS else "open"


def _left(until: float | None, now: float) -> int | None:
    return None if until is None or until == inf else max(0, round(until - now))


def _since(moment: float | None, now: float) -> int | None:
    return None if moment is None else round(now - moment)
