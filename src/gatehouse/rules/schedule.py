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
from datetime import datetime, timedelta
from functools import lru_cache
from math import floor, inf
from typing import Any, Final, Literal, NamedTuple
from zoneinfo import ZoneInfo

DAY: Final = 86_400
WEEK: Final = 7 * DAY
_MONDAY: Final = 3 * DAY
"""1970-01-01 was a Thursday: this far into a week that begins on Monday."""
_DAYS_KEPT: Final = 4_096
_EPOCH: Final = datetime(1970, 1, 1)  # noqa: DTZ001 (a local time has no zone)
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

    It remembers the offset of each UTC day without a change, which makes the usual instant four times as
    fast as asking the zone database; a day with a change in it is asked about exactly.
    Raises ScheduleError `zone.unknown` for a zone that the database on this machine does not have.
    """

    __slots__ = ("_days", "_info", "name")

    def __init__(self, name: str) -> None:
        try:
            self._info = ZoneInfo(name)
        except (KeyError, ValueError, OSError) as error:
            raise ScheduleError("zone.unknown") from error
        self.name = name
        self._days: dict[int, int | None] = {}

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Zone) and other.name == self.name

    def __hash__(self) -> int:
        return hash(self.name)

    def local(self, now: datetime) -> int:
        """What the wall clock shows at the instant `now`, whole seconds.

        Raises ValueError for a datetime without zone: guessing one would open doors at wrong hours.
        """
        if now.tzinfo is None:
            raise ValueError("an instant needs a zone")
        second = floor(now.timestamp())
        day = second // DAY
        try:
            offset = self._days[day]
        except KeyError:
            offset = self._learn(day)
        return second + (self._offset(second) if offset is None else offset)

    def _offset(self, second: int) -> int:
        offset = datetime.fromtimestamp(second, self._info).utcoffset()
        return 0 if offset is None else offset // _SECOND

    def _learn(self, day: int) -> int | None:
        first, last = self._offset(day * DAY), self._offset((day + 1) * DAY)
        if len(self._days) >= _DAYS_KEPT:
            self._days.clear()
        offset = self._days[day] = first if first == last else None
        return offset


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
        """From the wire's form. Raises ScheduleError for a bad bound, and `window.once` for a once without both."""
        since, until = payload.get("from"), payload.get("until")
        if payload["kind"] == "once" and (since is None or until is None):
            raise ScheduleError("window.once")
        return cls(
            payload["kind"],
            payload.get("start", 0),
            payload.get("length", 1440),
            payload.get("days", 127),
            None if since is None else local_seconds(since),
            None if until is None else local_seconds(until),
        )


class Schedule:
    """Windows joined and compiled: open where any of them is (OFF-AG-20).

    Bounds of windows cut time into stretches; within one stretch the same week repeats. A week is the
    sorted tuple of seconds at which it opens and closes in turn, so "open" is an odd number of them at
    or before the moment. Equal sets of moments have equal schedules, however they were written.
    """

    __slots__ = ("_breaks", "_weeks", "always")

    def __init__(self, windows: Iterable[Window] = ()) -> None:
        windows = tuple(windows)
        bounds = sorted({bound for w in windows for bound in (w.since, w.until) if bound is not None})
        weeks: list[tuple[int, ...]] = []
        breaks: list[int] = []
        for first, last in zip([-inf, *bounds], [*bounds, inf], strict=True):
            week = _week(w for w in windows if _covers(w, first, last))
            if not weeks or week != weeks[-1]:
                if weeks:
                    breaks.append(int(first))
                weeks.append(week)
        self._breaks = tuple(breaks)
        self._weeks = tuple(weeks)
        self.always = self._weeks == ((0,),)
        """Open at every moment there is: the one right that needs no clock."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Schedule) and (self._breaks, self._weeks) == (other._breaks, other._weeks)

    def __hash__(self) -> int:
        return hash((self._breaks, self._weeks))

    def open_at(self, local: int) -> bool:
        """Whether it is open at these local seconds."""
        week = self._weeks[bisect_right(self._breaks, local)]
        return bisect_right(week, (local + _MONDAY) % WEEK) & 1 == 1

    def next_change(self, local: int) -> int | None:
        """The first local second after `local` at which it opens or closes; None when it never does again."""
        state = self.open_at(local)
        place = bisect_right(self._breaks, local)
        moment = local
        while True:
            end = self._breaks[place] if place < len(self._breaks) else None
            week = self._weeks[place]
            into = (moment + _MONDAY) % WEEK
            begin = moment - into
            # The rest of this week, then the whole of the next: further on it only repeats.
            for candidate in (begin + lap + bound for lap in (0, WEEK) for bound in (0, *week)):
                if candidate > local and (end is None or candidate < end) and self.open_at(candidate) != state:
                    return candidate
            if end is None:
                return None
            if self.open_at(end) != state:
                return end
            moment, place = end, place + 1


@lru_cache(maxsize=4_096)
def compiled(windows: tuple[Window, ...]) -> Schedule:
    """The schedule of these windows; access groups with the same hours share one."""
    return Schedule(windows)


def _covers(window: Window, first: float, last: float) -> bool:
    since = -inf if window.since is None else window.since
    until = inf if window.until is None else window.until
    return since <= first and last <= until


def _week(windows: Iterable[Window]) -> tuple[int, ...]:
    """Seconds of the week at which the union of the windows opens and closes in turn."""
    periods: list[tuple[int, int]] = []
    for window in windows:
        if window.kind == "once":
            return (0,)
        for day in range(7):
            if window.kind == "weekly" and not window.days >> day & 1:
                continue
            begin = day * DAY + window.start * 60
            end = begin + window.length * 60
            periods.append((begin, min(end, WEEK)))
            if end > WEEK:
                periods.append((0, end - WEEK))
    bounds: list[int] = []
    for begin, end in sorted(periods):
        if not bounds or begin > bounds[-1]:
            bounds += (begin, end)
        elif end > bounds[-1]:
            bounds[-1] = end
    if bounds and bounds[-1] == WEEK:
        bounds.pop()  # open to the end: what follows is the next week's first bound
    return tuple(bounds)
