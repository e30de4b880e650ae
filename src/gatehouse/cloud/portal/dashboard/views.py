"""The first page of a site: what needs somebody, then every door with its state and its last passage."""

from __future__ import annotations

from django.http import HttpResponse
from django.views.decorators.http import require_safe

from gatehouse.cloud.authz.permissions import P
from gatehouse.cloud.devices.models import Device
from gatehouse.cloud.events.queries import door_log
from gatehouse.cloud.kit import web
from gatehouse.cloud.portal.devices.doors import board, doors_of
from gatehouse.cloud.portal.devices.steps import steps
from gatehouse.cloud.portal.screen import Request, screen

LAST = 9


@require_safe
@screen(P.SITE_VIEW)
def dashboard(request: Request) -> HttpResponse:
    """Attention first, then the board; the board alone when it renews itself."""
    actor = request.actor
    relays = doors_of(actor).filter(enabled=True).select_related("device__gateway").order_by("device__name", "position")
    doors = board(actor, relays)
    offline: list[Device] = []
    waiting = 0
    if actor.may(P.DEVICE_VIEW):
        devices = list(Device.objects.visible_to(actor).filter(deleted_at=None).order_by("online_changed_at"))
        offline = [device for device in devices if not device.online]
        waiting = sum(step.state != "in_step" for step in steps(actor, devices).values())
    return web.page(
        request,
        "portal/dashboard/dashboard.html",
        {
            "doors": doors,
            "offline": offline,
            "waiting": waiting,
            "passages": door_log(actor, limit=LAST).rows if actor.may(P.LOG_READ) else [],
            "held": [door for door in doors if door.state in ("held", "forced")],
            "may_open": actor.may(P.RELAY_OPEN),
            "may_read": actor.may(P.LOG_READ),
        },
        partial="live",
    )
