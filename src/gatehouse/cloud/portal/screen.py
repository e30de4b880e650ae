"""The way into every screen: who asks, at which site, with which right.

`@screen(P.X)` resolves `/s/<site>/...` to an `Actor`, enters the database's scope for it and gives the view
`request.actor` and `request.site`. A stranger's site and a missing one look the same (404); a missing right
is 403; nobody is sent to sign in, htmx by a header.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Any, Concatenate, cast
from urllib.parse import urlencode, urlsplit
from uuid import UUID

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils.translation import gettext_lazy as _

from gatehouse.cloud.accounts.models import User
from gatehouse.cloud.accounts.sign_in import staff_user
from gatehouse.cloud.authz.actor import Actor, enter
from gatehouse.cloud.authz.permissions import P
from gatehouse.cloud.kit import clock, web
from gatehouse.cloud.kit.errors import NotFound
from gatehouse.cloud.tenants.models import Site
from gatehouse.cloud.tenants.queries import actor_at_site

if TYPE_CHECKING:

    class Request(web.HtmxRequest):
        """A request of somebody signed in; at a site, with `actor` and `site`."""

        user: User
        actor: Actor
        site: Site  # type: ignore[assignment]  # django-stubs thinks of contrib.sites, which is not installed
else:
    Request = HttpRequest

View = Callable[Concatenate[Request, ...], HttpResponse]

_log = logging.getLogger("gatehouse.portal")
_SEEN_EVERY_S = 60


def to_sign_in(request: HttpRequest) -> HttpResponse:
    """Where nobody goes: the form, and from there back to the page that was wanted."""
    wanted = request.get_full_path() if request.method in ("GET", "HEAD") else ""
    if htmx := getattr(request, "htmx", None):
        wanted = urlsplit(htmx.current_url_abs_path or "").path
    address = "/sign-in/" + (f"?{urlencode({'next': wanted})}" if wanted and wanted != "/" else "")
    if htmx:
        response = HttpResponse(status=401)
        response["HX-Redirect"] = address
        return response
    return HttpResponseRedirect(address)


def actor_for(request: HttpRequest, user: User, site: UUID) -> Actor:
    """The account at this site, with the database's scope entered. Raises NotFound for a stranger, and logs it."""
    try:
        actor = actor_at_site(user, site, via="portal", request_id=getattr(request, "request_id", ""))
    except NotFound:
        _log.warning("site out of reach", extra={"user": str(user.id), "site": str(site)})
        raise
    enter(actor)
    return actor


def screen(permission: P) -> Callable[[View], Callable[..., HttpResponse]]:
    """See the module's text. The view takes the request and the address's other parts, not the site."""

    def wrap(view: View) -> Callable[..., HttpResponse]:
        @wraps(view)
        def entered(request: HttpRequest, site: UUID, **parts: Any) -> HttpResponse:
            user = staff_user(request)
            if user is None:
                return to_sign_in(request)
            actor = actor_for(request, user, site)
            mine = cast(Request, request)
            mine.actor = actor
            found = Site.objects.visible_to(actor).filter(pk=site).first()
            if found is None:
                raise NotFound("not_found", _("This does not exist, or not any more."))
            mine.site = found
            actor.require(permission)
            _stay(request)
            return view(mine, **parts)

        entered.permission = permission  # type: ignore[attr-defined]  # read by the permission table
        return entered

    return wrap


def signed_in(view: View) -> Callable[..., HttpResponse]:
    """For pages before a site is chosen."""

    @wraps(view)
    def entered(request: HttpRequest, **parts: Any) -> HttpResponse:
        if staff_user(request) is None:
            return to_sign_in(request)
        _stay(request)
        return view(cast(Request, request), **parts)

    return entered


def _stay(request: HttpRequest) -> None:
    """Push the idle limit of the session ahead, at most once a minute, and only when a person asked."""
    if web.in_background(request):
        return
    seen = int(clock.now().timestamp())
    if seen - int(request.session.get("seen", 0)) >= _SEEN_EVERY_S:
        request.session["seen"] = seen
