"""Devices: the list, one device with all that hangs on it, and the button that opens a door."""

from __future__ import annotations

import base64
import json
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.http import HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_POST, require_safe

from gatehouse.cloud.authz.permissions import P
from gatehouse.cloud.devices import services
from gatehouse.cloud.devices.models import Binding, Device
from gatehouse.cloud.events import queries as log_queries
from gatehouse.cloud.events.queries import Filters
from gatehouse.cloud.feed.queries import device_step
from gatehouse.cloud.kit import clock, web
from gatehouse.cloud.kit.errors import Conflict, NotFound, Unavailable
from gatehouse.cloud.kit.seal import sign
from gatehouse.cloud.portal.devices.doors import board, doors_of
from gatehouse.cloud.portal.devices.steps import steps
from gatehouse.cloud.portal.screen import Request, screen

TICKET_S = 60
LAST = 8


@require_safe
@screen(P.DEVICE_VIEW)
def device_list(request: Request) -> HttpResponse:
    """All devices of the site, those that need somebody first."""
    actor = request.actor
    rows = (
        Device.objects.visible_to(actor)
        .filter(deleted_at=None)
        .select_related("gateway")
        .prefetch_related("relays")
        .order_by("online", "name", "id")
    )
    page = web.listing(request, rows)
    return web.page(
        request,
        "portal/devices/device_list.html",
        {"list": page, "steps": steps(actor, list(page.rows)), "may_add": actor.may(P.DEVICE_ADD)},
        partial="table",
    )


@require_safe
@screen(P.DEVICE_VIEW)
def device_detail(request: Request, device: UUID) -> HttpResponse:
    """A device: state, its gateway, its doors, what it holds of the changes, who came last."""
    actor = request.actor
    found = Device.objects.visible_to(actor).filter(deleted_at=None, pk=device).select_related("gateway").first()
    if found is None:
        raise NotFound("not_found", gettext_lazy("This does not exist, or not any more."))
    binding = (
        Binding.objects.visible_to(actor)
        .filter(device=found, during__contains=clock.now())
        .select_related("hardware")
        .first()
    )
    relays = doors_of(actor).filter(device=found).select_related("device__gateway").order_by("kind", "position")
    context: dict[str, Any] = {
        "device": found,
        "gateway": found.gateway,
        "hardware": binding.hardware if binding else None,
        "firmware": ".".join(map(str, binding.hardware.firmware or ())) if binding else "",
        "reported": _reported(found),
        "doors": board(actor, relays),
        "step": device_step(actor, found),
        "may_open": actor.may(P.RELAY_OPEN),
        "may_read": actor.may(P.LOG_READ),
        "passages": log_queries.door_log(actor, Filters(device=found.id), limit=LAST).rows
        if actor.may(P.LOG_READ)
        else [],
    }
    return web.page(request, "portal/devices/device_detail.html", context, partial="live")


def _reported(device: Device) -> dict[str, Any]:
    """What the gateway last said about this device itself; empty when it said nothing."""
    health = device.gateway.health if device.gateway else {}
    return next((each for each in health.get("devices", []) if each.get("device") == str(device.id)), {})


@require_POST
@screen(P.RELAY_OPEN)
def open_relay(request: Request, relay: UUID) -> HttpResponse:
    """Ask a door to open; what becomes of it comes over the stream and as a line in the log."""
    actor = request.actor
    found = doors_of(actor).filter(pk=relay).first()
    if found is None:
        raise NotFound("not_found", gettext_lazy("This does not exist, or not any more."))
    back = reverse("portal:dashboard", args=[request.site.id])
    try:
        with transaction.atomic():
            services.open_relay(actor=actor, relay=found, now=clock.now())
    except (Unavailable, Conflict) as error:
        if not web.wants_part(request):
            raise
        told = {"relay": str(relay), "state": "failed", "text": str(error.message)}
        return web.done(request, events={"gh-hold": told})
    return web.done(
        request, _("The door was asked to open."), to=back if not web.wants_part(request) else "",
        events={"gh-hold": {"relay": str(relay), "state": "sent"}},
    )  # fmt: skip


@require_safe
@screen(P.DEVICE_CONFIGURE)
def lab(request: Request) -> HttpResponse:
    """Into the lab of the demo, with a ticket for this site's devices that is good for a minute."""
    if not settings.DEMO:
        raise NotFound("not_found", gettext_lazy("This does not exist, or not any more."))
    devices = Device.objects.visible_to(request.actor).filter(deleted_at=None).values_list("id", flat=True)
    visitor = {
        "user": request.actor.label,
        "until": clock.now().timestamp() + TICKET_S,
        "devices": [str(device) for device in devices],
    }
    payload = base64.urlsafe_b64encode(json.dumps(visitor).encode()).rstrip(b"=").decode()
    host = request.get_host().rpartition(":")[0] or request.get_host()
    secure = request.is_secure()
    port = settings.LAB_TLS_PORT if secure else settings.LAB_PORT
    return HttpResponseRedirect(
        f"{'https' if secure else 'http'}://{host}:{port}/?ticket={payload}.{sign('lab', payload)}"
    )
