"""Filters of the door log, from the address; nonsense in it is dropped, never an error."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from urllib.parse import urlencode
from uuid import UUID
from zoneinfo import ZoneInfo

from django.http import QueryDict

from gatehouse.cloud.events.queries import Filters, Row
from gatehouse.cloud.wording import words

METHODS = tuple(words.METHODS)


def _id(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


@dataclass(frozen=True)
class Wanted:
    """What somebody asks of the door log. Days are local to the site; `to` is the last day, inclusive."""

    device: UUID | None = None
    method: str = ""
    result: str = ""
    from_: date | None = None
    to: date | None = None
    holder: UUID | None = None

    @classmethod
    def of(cls, query: QueryDict) -> Wanted:
        """From `?device=&method=&result=&from=&to=`."""
        method, result = query.get("method", ""), query.get("result", "")
        return cls(
            device=_id(query.get("device", "")),
            method=method if method in METHODS else "",
            result=result if result in ("granted", "refused") else "",
            from_=_day(query.get("from", "")),
            to=_day(query.get("to", "")),
            holder=_id(query.get("holder", "")),
        )

    @property
    def backwards(self) -> bool:
        """True when the first day lies after the last (OFF-LOG-E01)."""
        return bool(self.from_ and self.to and self.from_ > self.to)

    def query(self, **changed: object) -> str:
        """The address's query for these filters, with some changed or (None or empty) left out."""
        pairs = {
            "device": self.device,
            "method": self.method,
            "result": self.result,
            "from": self.from_,
            "to": self.to,
            "holder": self.holder,
        } | changed
        return urlencode({key: str(value) for key, value in pairs.items() if value not in (None, "")})

    def filters(self, zone: str) -> Filters:
        """For the query, with local days as half-open instants of the site's zone."""
        there = ZoneInfo(zone)
        since = datetime.combine(self.from_, time.min, there) if self.from_ else None
        until = None
        if self.to and self.to < date.max:
            until = datetime.combine(self.to + timedelta(days=1), time.min, there)
        return Filters(
            since=since,
            until=until,
            device=self.device,
            holder=self.holder,
            methods=(self.method,) if self.method else (),
            allowed={"granted": True, "refused": False}.get(self.result),
        )


def fits(row: Row, filters: Filters) -> bool:
    """Whether a row just arrived belongs into a list with these filters."""
    return (
        (filters.since is None or row.at >= filters.since)
        and (filters.until is None or row.at < filters.until)
        and filters.device in (None, row.device)
        and filters.holder in (None, row.holder)
        and filters.allowed in (None, row.allowed)
        and (not filters.methods or row.method in filters.methods)
    )
