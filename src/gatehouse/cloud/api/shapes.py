"""What goes in and out, common to all areas: strict bodies, pages with a cursor, a parser that refuses oddities."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Generic, TypeVar
from uuid import UUID

from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _
from ninja import Query, Schema
from ninja.parser import Parser
from pydantic import AfterValidator, AwareDatetime, ConfigDict, Field

from gatehouse.cloud.api.problems import Problem

MOST = 200
DEEPEST = 32

T = TypeVar("T")
M = TypeVar("M", bound=Model)


def _instant(moment: datetime) -> datetime:
    """In UTC. Raises ValueError for a moment that does not exist there (year 1 far in the west, year 9999 in the east)."""
    try:
        return moment.astimezone(UTC)
    except OverflowError as error:
        raise ValueError("out of range") from error


Moment = Annotated[AwareDatetime, AfterValidator(_instant)]
Limit = Annotated[int, Query(ge=1, le=MOST, description="How many at most.")]
Cursor = Annotated[str, Query(max_length=200, description="`next` of the page before; empty for the first page.")]


class Given(Schema):
    """A body: what it does not name is refused."""

    model_config = ConfigDict(extra="forbid")


class Page(Schema, Generic[T]):
    """A page of a list. `next` is the cursor of the page after it, null at the end."""

    items: list[T]
    next: str | None = Field(None, description="Cursor of the next page; null at the end.")


def cursor_of(place: object) -> str:
    """A place in a list, as callers hold it."""
    return base64.urlsafe_b64encode(str(place).encode()).decode().rstrip("=")


def place_of(cursor: str, read: Callable[[str], T]) -> T | None:
    """The place that a cursor means, None for an empty one; raises Problem for anything that we did not give."""
    if not cursor:
        return None
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        return read(base64.b64decode(padded.encode("ascii"), altchars=b"-_", validate=True).decode())
    except (ValueError, OverflowError) as error:
        fault = {"parameter": "cursor", "detail": _("This cursor is not one of ours.")}
        raise Problem(422, "request.invalid", _("Some fields need another look."), errors=[fault]) from error


def page_by_id(
    rows: QuerySet[M], cursor: str, limit: int, shape: Callable[[Sequence[M]], list[T]], *, newest_first: bool = False
) -> dict[str, Any]:
    """A page in the order of ids, which is the order of making: what comes meanwhile lands at one end."""
    after = place_of(cursor, UUID)
    if after is not None:
        rows = rows.filter(**{"pk__lt" if newest_first else "pk__gt": after})
    found = list(rows.order_by("-pk" if newest_first else "pk")[: limit + 1])
    more = len(found) > limit
    found = found[:limit]
    return {"items": shape(found), "next": cursor_of(found[-1].pk) if more else None}


class Strict(Parser):
    """Reads JSON as it is meant: an object, no NUL, no broken characters, no name twice, no depth that hurts."""

    def parse_body(self, request: HttpRequest) -> dict[str, Any]:
        """The body; raises Problem 400 with the place."""
        try:
            read = json.loads(request.body, object_pairs_hook=_pairs, parse_constant=_constant)
        except (ValueError, RecursionError) as error:
            raise _unreadable("") from error
        _look(read)
        if not isinstance(read, dict):
            raise _unreadable("")
        return read

    def parse_querydict(self, data: Any, list_fields: list[str], request: HttpRequest) -> dict[str, Any]:
        """The query; raises Problem 400 for a NUL or a broken character in it."""
        for name in data:
            for value in (name, *data.getlist(name)):
                if not _plain(value):
                    raise Problem(
                        400,
                        "request.unreadable",
                        _("Gatehouse could not read this request."),
                        errors=[
                            {"parameter": name.encode("utf-8", "replace").decode(), "detail": _("Plain text only.")}
                        ],
                    )
        return super().parse_querydict(data, list_fields, request)


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    read = dict(pairs)
    if len(read) < len(pairs):
        raise ValueError("a name stands twice")
    return read


def _constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")


def _plain(text: str) -> bool:
    return "\x00" not in text and not any("\ud800" <= c <= "\udfff" for c in text)


def _look(read: Any) -> None:
    waiting: list[tuple[str, int, Any]] = [("", 0, read)]
    while waiting:
        place, depth, value = waiting.pop()
        if depth > DEEPEST or (isinstance(value, str) and not _plain(value)):
            raise _unreadable(place)
        if isinstance(value, dict):
            if not all(_plain(name) for name in value):
                raise _unreadable(place)
            waiting += [(f"{place}/{name}"[:200], depth + 1, part) for name, part in value.items()]
        elif isinstance(value, list):
            waiting += [(f"{place}/{number}", depth + 1, part) for number, part in enumerate(value)]


def _unreadable(pointer: str) -> Problem:
    text = _("Gatehouse could not read this request.")
    return Problem(400, "request.unreadable", text, errors=[{"pointer": pointer, "detail": text}])
