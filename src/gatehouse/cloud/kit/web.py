"""Answers of screens: `page` and `done` are the only two, `attempt` stands between a form and an act.

Pages are rendered eagerly, inside the request's transaction: a lazily rendered one would read its rows
after the scope of the database has evaporated. Refusals of services come here as `DomainError` and are
translated once, by the middleware `Answers`, which also gives every request its id.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlsplit

from django import forms
from django.contrib import messages
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template import loader
from django.utils.cache import patch_vary_headers
from django.utils.functional import Promise
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext_lazy as _

from gatehouse.cloud.kit.errors import Conflict, Denied, DomainError, Invalid, NotFound, Unavailable
from gatehouse.cloud.kit.ids import new_id
from gatehouse.cloud.kit.logs import request_id

if TYPE_CHECKING:
    from django_htmx.middleware import HtmxDetails

    class HtmxRequest(HttpRequest):
        """A request as it reaches a view."""

        htmx: HtmxDetails
        request_id: str
else:
    HtmxRequest = HttpRequest

Text = str | Promise

_log = logging.getLogger("gatehouse.web")
_ID = re.compile(r"[A-Za-z0-9-]{8,40}")

CONTENT_POLICY = (
    "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'none'"
)


def wants_part(request: HttpRequest) -> bool:
    """True when htmx asks for a piece of a page, not for a whole one (boosted links, history)."""
    htmx = cast("HtmxRequest", request).htmx
    return bool(htmx) and not htmx.boosted and not htmx.history_restore_request


def in_background(request: HttpRequest) -> bool:
    """True when nobody pressed anything: a live part asks for its news. Such requests keep no session alive."""
    return request.headers.get("X-Requested-With") == "fetch"


def page(
    request: HttpRequest,
    template: str,
    context: Mapping[str, Any] | None = None,
    *,
    partial: str = "",
    status: int = 200,
) -> HttpResponse:
    """A screen. htmx gets only the named partial of the template; `status` 422 marks a form with faults.

    Never stored by browsers or proxies: after sign-out the back button shows nothing (OFF-NAV-E03).
    """
    name = f"{template}#{partial}" if partial and wants_part(request) else template
    response = HttpResponse(loader.render_to_string(name, dict(context or {}), request), status=status)
    return _private(response)


def done(
    request: HttpRequest,
    message: Text = "",
    *,
    to: str = "",
    refresh: bool = False,
    events: Mapping[str, object] | None = None,
) -> HttpResponse:
    """An act was done. A plain form post goes on to `to` (303); htmx is told by headers.

    For htmx: `to` leads there, `refresh` loads the page anew, both with the message on the next page;
    otherwise nothing moves, and `events` (name > detail) say what happened, or a toast does.
    """
    if not wants_part(request):
        if message:
            messages.success(request, str(message))
        return _private(HttpResponseRedirect(to or _back(request), status=303))
    response = HttpResponse(status=204)
    if to or refresh:
        if message:
            messages.success(request, str(message))
        if refresh:
            response["HX-Refresh"] = "true"
        else:
            response["HX-Redirect"] = to
    else:
        told = events or ({"gh-toast": {"text": str(message), "tone": "done"}} if message else {})
        response["HX-Trigger"] = json.dumps(told)
    return _private(response)


def attempt(form: forms.Form, act: Callable[[], object]) -> bool:
    """Run an act for a valid form, in a savepoint. A refusal lands in the form's errors and nothing is written.

    Invalid goes to its fields, Conflict to the field it names or above the form; everything else passes on.
    """
    try:
        with transaction.atomic():
            act()
    except Invalid as error:
        for field, text in (error.fields or {"": error.message}).items():
            form.add_error(field if field in form.fields else None, str(text))
        return False
    except Conflict as error:
        field = str(error.data.get("field", ""))
        form.add_error(field if field in form.fields else None, str(error.message))
        return False
    return True


@dataclass(frozen=True)
class Listing:
    """One page of a bounded list, with exact counts."""

    rows: Sequence[Any]
    number: int
    pages: int
    count: int
    query: str

    @property
    def has_previous(self) -> bool:
        return self.number > 1

    @property
    def has_next(self) -> bool:
        return self.number < self.pages


def listing(request: HttpRequest, rows: Any, *, size: int = 50) -> Listing:
    """The page of a queryset that `?page=` asks for; nonsense and pages beyond the end become a valid page."""
    count = rows.count()
    pages = max(1, -(-count // size))
    asked = request.GET.get("page", "1")
    number = min(max(int(asked) if asked.isascii() and asked.isdigit() and len(asked) < 10 else 1, 1), pages)
    rest = request.GET.copy()
    rest.pop("page", None)
    return Listing(list(rows[(number - 1) * size : number * size]), number, pages, count, rest.urlencode())


def safe_next(request: HttpRequest, address: str, otherwise: str = "/") -> str:
    """The address, when it leads back into this server (no other host, no other scheme); else `otherwise`."""
    good = address.startswith("/") and url_has_allowed_host_and_scheme(
        address, allowed_hosts=None, require_https=request.is_secure()
    )
    return address if good else otherwise


def _back(request: HttpRequest) -> str:
    referer = urlsplit(request.headers.get("Referer", ""))
    if referer.netloc == request.get_host() and referer.path:
        return safe_next(request, referer.path + (f"?{referer.query}" if referer.query else ""))
    return "/"


def _private(response: HttpResponse) -> HttpResponse:
    response["Cache-Control"] = "private, no-store"
    patch_vary_headers(response, ("HX-Request", "Cookie", "Accept-Language"))
    return response


# ---------------------------------------------------------------- errors

_FAMILIES: tuple[tuple[type[DomainError], int, Text], ...] = (
    (NotFound, 404, _("Not here")),
    (Denied, 403, _("Not for you")),
    (Invalid, 422, _("That does not fit")),
    (Conflict, 409, _("Something stands in the way")),
    (Unavailable, 503, _("Not at the moment")),
)


def refusal(request: HttpRequest, error: DomainError) -> HttpResponse:
    """A service's refusal as an answer: a toast for htmx, a page for everything else."""
    status, title = next((status, title) for family, status, title in _FAMILIES if isinstance(error, family))
    return _failed(request, status, title, error.message)


def not_found(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """404: gone, never there, or behind a wall."""
    return _failed(request, 404, _FAMILIES[0][2], _("This does not exist, or not any more."))


def denied(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """403."""
    return _failed(request, 403, _FAMILIES[1][2], _("You may not do this here."))


def bad_request(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """400: the request makes no sense."""
    return _failed(request, 400, _("That does not fit"), _("Gatehouse could not read this request."))


def stale_form(request: HttpRequest, reason: str = "") -> HttpResponse:
    """403 of the forgery check: usually a page from before signing in or out."""
    _log.warning("forgery check failed", extra={"reason": reason, "path": request.path})
    return _failed(
        request,
        403,
        _("This page is too old"),
        _("It is from before you signed in or out. Nothing was changed. Load it again and repeat your step."),
    )


def broken(request: HttpRequest) -> HttpResponse:
    """500: our fault; the id finds the log line."""
    return _failed(
        request,
        500,
        _("Something broke"),
        _("This is our fault. Nothing was changed. The number below finds it in the log."),
    )


def _failed(request: HttpRequest, status: int, title: Text, message: Text) -> HttpResponse:
    if getattr(request, "htmx", False):
        response = HttpResponse(status=status)
        response["HX-Trigger"] = json.dumps({"gh-toast": {"text": str(message), "tone": "refused"}})
        return _private(response)
    context = {
        "status": status,
        "title": title,
        "message": message,
        "request_id": getattr(request, "request_id", request_id.get()),
    }
    try:
        return _private(HttpResponse(loader.render_to_string("error.html", context, request), status=status))
    except Exception:
        # The page of the error is broken as well: say so plainly, and let the log tell why.
        _log.exception("error page failed")
        text = f"{status} {title}. {message} {context['request_id']}"
        return _private(HttpResponse(text, status=status, content_type="text/plain; charset=utf-8"))


class Answers:
    """Outermost middleware of ours: the request's id, the headers of every answer, refusals of services."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        given = request.headers.get("X-Request-ID", "")
        current = given if _ID.fullmatch(given) else str(new_id())
        cast("HtmxRequest", request).request_id = current
        request_id.set(current)  # never taken back: what the server logs after us belongs to this request too
        response = self.get_response(request)
        response["X-Request-ID"] = current
        response.setdefault("Content-Security-Policy", CONTENT_POLICY)
        response.setdefault("Permissions-Policy", "geolocation=(), payment=(), usb=()")
        if request.is_secure():
            # One server answers http on loopback and https outside: a cookie given over https stays there.
            for cookie in response.cookies.values():
                cookie["secure"] = True
        return response

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        """After the request's transaction was rolled back."""
        if isinstance(error, DomainError):
            return refusal(request, error)
        return None
