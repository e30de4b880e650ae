"""Refusals as `application/problem+json`: the one translator of this interface.

The codes are those of the services, so a program and a screen are told the same; a field's fault carries a
JSON pointer into the body or the name of the parameter.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from typing import Any

from django.core.exceptions import RequestDataTooBig, SuspiciousOperation
from django.http import Http404, HttpRequest, HttpResponse
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _
from ninja.errors import HttpError, ValidationError

from gatehouse.cloud.kit.errors import Conflict, Denied, DomainError, Invalid, NotFound, Unavailable

TYPE = "application/problem+json"
Text = str | Promise

_log = logging.getLogger("gatehouse.api")

_FAMILIES: tuple[tuple[type[DomainError], int], ...] = (
    (NotFound, 404),
    (Denied, 403),
    (Invalid, 422),
    (Conflict, 409),
    (Unavailable, 503),
)
TITLES: Mapping[int, Text] = {
    400: _("That cannot be read"),
    401: _("Who are you?"),
    403: _("Not for you"),
    404: _("Not here"),
    405: _("Not this way"),
    409: _("Something stands in the way"),
    412: _("Changed meanwhile"),
    413: _("Too much at once"),
    422: _("That does not fit"),
    428: _("Say which version you saw"),
    429: _("Too fast"),
    500: _("Something broke"),
    503: _("Not at the moment"),
}

_FAULTS: Mapping[str, Text] = {
    "missing": _("This is needed."),
    "extra_forbidden": _("There is no such field."),
    "string_too_short": _("This is too short."),
    "string_too_long": _("This is too long."),
    "too_short": _("There are too few."),
    "too_long": _("There are too many."),
    "timezone_naive": _("A local time has no zone."),
    "timezone_aware": _("This moment needs a zone."),
}
"""Words for the faults that a schema finds; all others say only that the value does not fit."""


class Problem(Exception):
    """A refusal of the interface itself, which no service knows."""

    def __init__(
        self,
        status: int,
        code: str,
        message: Text,
        *,
        errors: Sequence[Mapping[str, Any]] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(code)
        self.status = status
        self.code = code
        self.message = message
        self.errors = list(errors)
        self.headers = dict(headers or {})


def answer(request: HttpRequest, problem: Problem) -> HttpResponse:
    """The problem document."""
    content: dict[str, Any] = {
        "type": f"/api/v1/#{problem.code}",
        "title": str(TITLES[problem.status]),
        "status": problem.status,
        "code": problem.code,
        "detail": str(problem.message),
        "request_id": getattr(request, "request_id", ""),
    }
    if problem.errors:
        content["errors"] = [{key: str(value) for key, value in error.items()} for error in problem.errors]
    response = HttpResponse(json.dumps(content, ensure_ascii=False), status=problem.status, content_type=TYPE)
    for name, value in problem.headers.items():
        response[name] = value
    return response


def translated(error: Exception) -> Problem:
    """What an exception means to the one who asked. An unexpected one is logged here and says nothing of itself."""
    if isinstance(error, HttpError) and isinstance(error.__cause__, Problem | SuspiciousOperation):
        error = error.__cause__  # ninja wraps what its parser raises
    if isinstance(error, Problem):
        return error
    if isinstance(error, DomainError):
        status = next(status for family, status in _FAMILIES if isinstance(error, family))
        fields: dict[str, Text] = dict(error.fields) if isinstance(error, Invalid) else {}
        if isinstance(error, Conflict) and error.data.get("field"):
            fields = {str(error.data["field"]): error.message}
        errors = [{"pointer": f"/{name}", "detail": text} for name, text in fields.items()]
        return Problem(status, error.code, error.message, errors=errors)
    if isinstance(error, ValidationError):
        return Problem(
            422, "request.invalid", _("Some fields need another look."), errors=[_fault(e) for e in error.errors]
        )
    if isinstance(error, RequestDataTooBig):
        return Problem(413, "request.too_large", _("A request may have one million bytes."))
    if isinstance(error, SuspiciousOperation):
        return Problem(400, "request.unreadable", _("Gatehouse could not read this request."))
    if isinstance(error, HttpError) and error.status_code == 400:
        return Problem(400, "request.unreadable", _("Gatehouse could not read this request."))
    if isinstance(error, Http404):
        return Problem(404, "not_found", _("This does not exist, or not any more."))
    _log.error("request failed", exc_info=error)
    return Problem(500, "broken", _("This is our fault. Nothing was changed."))


def _fault(error: Mapping[str, Any]) -> dict[str, Text]:
    """One fault of the schema: where, and what; never the value, which may be a PIN."""
    source, *place = error["loc"]
    detail = _FAULTS.get(str(error["type"]), _("This value does not fit."))
    if source == "body":
        # the first part is the name of our own argument, which is not in the document
        pointer = "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in place[1:])
        return {"pointer": pointer, "detail": detail}
    return {"parameter": str(place[-1]) if place else str(source), "detail": detail}
