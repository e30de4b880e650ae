"""Times as a site wants to read them: its zone, its order of day and month, 12 or 24 hours."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import Final
from zoneinfo import ZoneInfo

_DAY: Final = {"ymd": "%Y-%m-%d", "mdy": "%m-%d-%Y", "dmy": "%d-%m-%Y"}
_CLOCK: Final = {"24h": "%H:%M:%S", "12h": "%I:%M:%S %p"}
_PERSIAN: Final = str.maketrans("0123456789", "۰۱۲۳۴۵۶۷۸۹")


@dataclass(frozen=True, slots=True)
class Local:
    """`zone` is an IANA name, `time_format` 24h or 12h, `date_format` ymd, mdy or dmy (COM-COM-32, 33)."""

    zone: str
    time_format: str = "24h"
    date_format: str = "ymd"

    def _there(self, at: datetime) -> datetime:
        return at.astimezone(ZoneInfo(self.zone))

    def clock(self, at: datetime) -> str:
        """To the second."""
        return self._there(at).strftime(_CLOCK.get(self.time_format, "%H:%M:%S"))

    def day(self, at: datetime | date) -> str:
        """The day there."""
        day = self._there(at) if isinstance(at, datetime) else at
        return day.strftime(_DAY.get(self.date_format, "%Y-%m-%d"))

    def stamp(self, at: datetime) -> str:
        """Day and time to the second (COM-NAV-42)."""
        return f"{self.day(at)} {self.clock(at)}"

    def wall(self, local: datetime) -> str:
        """A local time without zone, to the minute."""
        clock = "%I:%M %p" if self.time_format == "12h" else "%H:%M"
        return f"{self.day(local.date())} {local.strftime(clock)}"


def in_digits(text: str, language: str) -> str:
    """The text with the digits of a language."""
    return text.translate(_PERSIAN) if language == "fa" else text


def grouped(value: int, language: str) -> str:
    """12,345 in the manner of a language."""
    text = f"{value:,}"
    return in_digits(text.replace(",", "٬"), language) if language == "fa" else text
