"""When an access group opens: windows in local time, compiled so that asking costs two binary searches.

Everything here is judged by the clock on the wall. An instant becomes local seconds in the site's zone
first (`Zone.local`), and only those are compared. So an hour that does not exist when summer time begins
opens nothing, an hour that comes twice opens both times, and "9 to 5" stays "9 to 5" (OFF-AG-E08). All
periods are half-open; an end minute that people mean inclusively is moved before it comes here.

Local seconds: seconds since 1970-01-01T00:00 on the wall clock, an integer without zone.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from math import inf
from typing import Any, Final, Literal, NamedTuple
from zoneinfo import ZoneInfo

DAY: Final = 86_400
WEEK: Final = 7 * DAY
_MONDAY: Final = 3 * DAY
"""1970-01-01 was a Thursday: this far into a week that begins on Monday."""
_DAYS_KEPT: Final = 4_096
_MINUTES: Final = (1 << 10_080) - 1
"""One bit for each minute of a week."""
_ALWAYS: Final = _MINUTES.to_bytes(1_260, "little")
_EPOCH: Final = datetime(1970, 1, 1)  # noqa: DTZ001 (a local time has no zone)
_EPOCH_UTC: Final = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND: Final = timedelta(seconds=1)


class ScheduleError(ValueError):
    """A zone, local time or window that cannot be read; `code` says which."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


def local_seconds(text: str) -> int:
    """Local seconds of `2026-11-21T18:00` or `2026-11-21T18:00:30`.

    Raises ScheduleError `local.format`, also for dates that do not exist and for text with a zone.
    """
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise ScheduleError("local.format") from error
    if moment.tzinfo is not None or moment.microsecond:
        raise ScheduleError("local.format")
    return (moment - _EPOCH) // _SECOND


class Zone:
    """An IANA zone: turns instants into local seconds.

    It remembers the offset of each UTC day without a change, which makes the usual instant several times
    as fast as asking the zone database; a day with a change in it is asked about exactly.
    Raises ScheduleError `zone.unknown` for a zone that the database on this machine does not have.
    """

    __slots__ = ("_days", "_info", "name")

    def __init__(self, name: str) -> None:
        try:
            self._info = ZoneInfo(name)
        except (KeyError, ValueError, OSError) as error:
            raise ScheduleError("zone.unknown") from error
        self.name = name
        self._days: dict[int, int | None] = {}  # UTC day > local seconds at which it begins

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Zone) and other.name == self.name

    def __hash__(self) -> int:
        return hash(self.name)

    def local(self, now: datetime) -> int:
        """What the wall clock shows at the instant `now`, whole seconds.

        Raises TypeError for a datetime without zone: guessing one would open doors at wrong hours.
        """
        since = now - _EPOCH_UTC
        day = since.days
        try:
            begin = self._days[day]
        except KeyError:
            begin = self._learn(day)
        if begin is None:
            return self._exactly(day * DAY + since.seconds)
        return begin + since.seconds

    def _exactly(self, second: int) -> int:
        wall = datetime.fromtimestamp(second, self._info).replace(tzinfo=None)
        return (wall - _EPOCH) // _SECOND

    def _learn(self, day: int) -> int | None:
        first, next_day = self._exactly(day * DAY), self._exactly((day + 1) * DAY)
        if len(self._days) >= _DAYS_KEPT:
            self._days.clear()
        begin = self._days[day] = first if next_day - first == DAY else None
        return begin


class Window(NamedTuple):
    """One window of a schedule; mirrors the wire's `Window`, its bounds as local seconds."""

    kind: Literal["daily", "weekly", "once"]
    start: int = 0
    """Minute of the day at which it opens, 0 to 1439."""
    length: int = 1440
    """Minutes, 1 to 1440; may pass midnight, and then belongs to the day on which it began."""
    days: int = 127
    """For weekly windows: bit 0 = Monday."""
    since: int | None = None
    until: int | None = None

    @classmethod
    def read(cls, payload: Mapping[str, Any]) -> Window:
        """From the wire's form.

        Raises ScheduleError: `local.format` for a bound that is no local time, `window.once` for a once
        without both bounds, `window.range` for another kind or for numbers outside their range.
        """
        since, until = payload.get("from"), payload.get("until")
        window = cls(
            payload["kind"],
            payload.get("start", 0),
            payload.get("length", 1440),
            payload.get("days", 127),
            None if since is None else local_seconds(since),
            None if until is None else local_seconds(until),
        )
        if window.kind == "once":
            if since is None or until is None:
                raise ScheduleError("window.once")
        elif window.kind not in ("daily", "weekly") or not (
            0 <= window.start <= 1439 and 1 <= window.length <= 1440 and 0 <= window.days <= 127
        ):
            raise ScheduleError("window.range")
        return window


class Schedule:
    """Windows joined and compiled: open where any of them is (OFF-AG-20).

    Bounds of windows cut time into stretches; within one stretch the same week repeats. A week is one bit
    for each of its minutes, Monday's first minute in the lowest bit of the first byte. Equal sets of
    moments have equal schedules, however they were written.
    """

    __slots__ = ("_breaks", "_only", "_weeks", "always")

    def __init__(self, windows: Iterable[Window] = ()) -> None:
        windows = tuple(windows)
        bounds = sorted({bound for w in windows for bound in (w.since, w.until) if bound is not None})
        weeks: list[bytes] = []
        breaks: list[int] = []
        for first, last in zip([-inf, *bounds], [*bounds, inf], strict=True):
            week = _week(w for w in windows if _covers(w, first, last))
            if not weeks or week != weeks[-1]:
                if weeks:
                    breaks.append(int(first))
                weeks.append(week)
        self._breaks = tuple(breaks)
        self._weeks = tuple(weeks)
        self._only = None if breaks else weeks[0]
        self.always = self._weeks == (_ALWAYS,)
        """Open at every moment there is: the one right that needs no clock."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Schedule) and (self._breaks, self._weeks) == (other._breaks, other._weeks)

    def __hash__(self) -> int:
        return hash((self._breaks, self._weeks))

    def open_at(self, local: int) -> bool:
        """Whether it is open at these local seconds."""
        week = self._only
        if week is None:
            week = self._weeks[bisect_right(self._breaks, local)]
        minute = (local + _MONDAY) % WEEK // 60
        return week[minute >> 3] >> (minute & 7) & 1 == 1

    def next_change(self, local: int) -> int | None:
        """The first local second after `local` at which it opens or closes; None when it never does again."""
        state = self.open_at(local)
        for place in range(bisect_right(self._breaks, local), len(self._weeks)):
            if place and self._breaks[place - 1] > local:
                local = self._breaks[place - 1]
                if self.open_at(local) != state:
                    return local
            minute = (local + _MONDAY) % WEEK // 60
            change = local - local % 60 + 60 * _minutes_until(not state, self._weeks[place], minute)
            if change > local and (place == len(self._breaks) or change < self._breaks[place]):
                return change
        return None


@lru_cache(maxsize=4_096)
def compiled(windows: tuple[Window, ...]) -> Schedule:
    """The schedule of these windows; access groups with the same hours share one."""
    return Schedule(windows)


def _covers(window: Window, first: float, last: float) -> bool:
    since = -inf if window.since is None else window.since
    until = inf if window.until is None else window.until
    return since <= first and last <= until


def _week(windows: Iterable[Window]) -> bytes:
    """The minutes of the week at which any of the windows is open."""
    bits = 0
    for window in windows:
        if window.kind == "once":
            return _ALWAYS
        for day in range(7):
            if window.kind == "daily" or window.days >> day & 1:
                bits |= (1 << window.length) - 1 << day * 1440 + window.start
    bits = bits & _MINUTES | bits >> 10_080  # what passes Sunday's midnight is early on Monday
    return bits.to_bytes(1_260, "little")


def _minutes_until(state: bool, week: bytes, minute: int) -> int:
    """Minutes from this minute of the week to the next that is open (or shut), 0 if there is none or it is this one."""
    bits = int.from_bytes(week, "little")
    if not state:
        bits ^= _MINUTES
    ahead = bits >> minute | bits << 10_080 - minute
    return (ahead & -ahead).bit_length() - 1 if ahead else 0
