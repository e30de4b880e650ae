"""True time on a box whose own clock nobody may trust.

True time is the cloud's time at the last measurement plus what the monotonic counter has run since.
The wall clock is carried along as evidence and decides nothing: setting it, by hand or by a dead
battery, moves no decision. Before the first measurement there is no true time at all, and callers get
None rather than a guess (GH-GW-06).
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

DRIFT_PPM = 200
"""By how much a quartz of a cheap box may be wrong, parts in a million; ages a measurement."""
WORST_ROUND_TRIP_MS = 30_000
"""A slower answer says nothing about the time."""


def counter_ms() -> int:
    """Milliseconds since the machine started, suspended time included."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000


def wall_ms() -> int:
    """What the machine's own clock shows, milliseconds since 1970."""
    return time.time_ns() // 1_000_000


def machine_boot() -> str | None:
    """Identity of the machine's present boot, None where the system has none."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return None


class Measured(NamedTuple):
    """One measurement of the cloud's clock; kept in the store so that a restarted process goes on with it."""

    counter_ms: int
    """The counter at the moment of the measurement."""
    true_ms: int
    """Cloud time at that moment."""
    uncertain_ms: int
    """Half the round trip: the true time lies within plus or minus this."""


class Clock:
    """Counter, wall clock and, once measured, true time. All milliseconds.

    `counter` and `wall` are parameters so that tests and the lab can stop, skew and jump them. `machine`
    names the boot whose counter this is; with None nothing measured before is ever taken over.
    """

    def __init__(
        self,
        counter: Callable[[], int] = counter_ms,
        wall: Callable[[], int] = wall_ms,
        machine: str | None = None,
    ) -> None:
        self._counter = counter
        self._wall = wall
        self.machine = machine
        self.boot = str(uuid.uuid4())
        """Made anew for every run of the process; goes into each event."""
        self.measured: Measured | None = None

    def mono_ms(self) -> int:
        """The counter; only differences within one `boot` mean anything."""
        return self._counter()

    def wall_ms(self) -> int:
        """The wall clock, kept within what a wire message can carry."""
        return min(max(self._wall(), 0), 253402300800000)

    def true_ms(self) -> int | None:
        """True time now, None when it was never measured since the machine started."""
        return self.true_at(self._counter())

    def true_at(self, mono_ms: int) -> int | None:
        """True time at a moment of this counter, by the present measurement."""
        if self.measured is None:
            return None
        return self.measured.true_ms + mono_ms - self.measured.counter_ms

    def offset_ms(self) -> int | None:
        """True time minus wall clock, None when never measured."""
        true = self.true_ms()
        return None if true is None else true - self._wall()

    def measure(self, sent_mono_ms: int, server_ms: int) -> bool:
        """Take an answer of the cloud to a question sent at `sent_mono_ms`; True when the clock was set by it.

        Half of the round trip is added. A worse measurement than the present one, aged by the drift, is
        not taken, so that one slow answer does not spoil a good clock.
        """
        now = self._counter()
        round_trip = now - sent_mono_ms
        if not 0 <= round_trip <= WORST_ROUND_TRIP_MS:
            return False
        uncertain = (round_trip + 1) // 2
        if self.measured is not None:
            age = now - self.measured.counter_ms
            if uncertain > self.measured.uncertain_ms + age * DRIFT_PPM // 1_000_000 + 1:
                return False
        self.measured = Measured(now, server_ms + round_trip // 2, uncertain)
        return True

    def resume(self, machine: str | None, measured: Measured) -> bool:
        """Go on with a measurement of an earlier process; only of the same machine boot. True when taken."""
        if self.machine is None or machine != self.machine or measured.counter_ms > self._counter():
            return False
        self.measured = measured
        return True
