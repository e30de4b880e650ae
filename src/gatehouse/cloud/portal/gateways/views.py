"""Gateways: whether they are there, how their clocks stand, what they hold, and the code that claims one."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from django.http import HttpResponse
from django.views.decorators.http import require_POST, require_safe

from gatehouse.cloud.authz.permissions import P
from gatehouse.cloud.devices import services
from gatehouse.cloud.devices.models import Gateway
from gatehouse.cloud.feed.models import GatewayFeed, Wanted
from gatehouse.cloud.kit import clock, web
from gatehouse.cloud.portal.gateways.qr import squares
from gatehouse.cloud.portal.screen import Request, screen


@require_safe
@screen(P.DEVICE_VIEW)
def gateway_list(request: Request) -> HttpResponse:
    """All gateways that were not revoked."""
    return web.page(request, "portal/gateways/gateway_list.html", _context(request), partial="table")


def _rows(request: Request) -> QuerySet[Gateway]:
    return Gateway.objects.visible_to(request.actor).filter(revoked_at=None).order_by("online", "name", "id")


def _context(request: Request) -> dict[str, Any]:
    page = web.listing(request, _rows(request))
    feeds = GatewayFeed.objects.visible_to(request.actor).filter(gateway__in=page.rows)
    wanted = Wanted.objects.visible_to(request.actor).filter(gateway__in=page.rows)
    return {
        "list": page,
        "feeds": {feed.gateway_id: feed for feed in feeds},
        "wanted": {each.gateway_id: each.revision for each in wanted},
        "may_claim": request.actor.may(P.GATEWAY_EDIT),
    }


@require_POST
@screen(P.GATEWAY_EDIT)
def claim_code(request: Request, gateway: UUID) -> HttpResponse:
    """Make a claim code and show it in the answer itself: it is kept nowhere from which it could be shown again."""
    found = Gateway.objects.get_visible(request.actor, gateway)
    code = services.issue_claim_code(actor=request.actor, gateway=found, now=clock.now())
    found.refresh_from_db()
    path, size = squares(code)
    return web.page(
        request,
        "portal/gateways/claim_code.html",
        {
            "gateway": found,
            "code": code,
            "groups": [code[i : i + 5] for i in range(0, len(code), 5)],
            "qr": path,
            "size": size,
        },
    )
