"""Where somebody may go: one site leads straight in, several are shown, none is explained."""

from __future__ import annotations

from django.http import HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.views.decorators.http import require_safe

from gatehouse.cloud.authz.actor import enter
from gatehouse.cloud.kit import web
from gatehouse.cloud.portal.screen import Request, signed_in
from gatehouse.cloud.tenants.queries import actor_everywhere, sites_of


@require_safe
@signed_in
def home(request: Request) -> HttpResponse:
    """The first page after signing in (OFF-NAV-05)."""
    actor = actor_everywhere(request.user, via="portal", request_id=request.request_id)
    if len(actor.sites) == 1:
        return HttpResponseRedirect(reverse("portal:dashboard", args=[next(iter(actor.sites))]))
    return choose(request)


@require_safe
@signed_in
def choose(request: Request) -> HttpResponse:
    """All sites within reach, by name."""
    actor = actor_everywhere(request.user, via="portal", request_id=request.request_id)
    enter(actor)
    return web.page(request, "portal/sites/choose.html", {"sites": sites_of(actor)})
