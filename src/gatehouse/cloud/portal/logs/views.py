"""The door log: newest first, live, with a panel that says why."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.http import HttpResponse
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from gatehouse.cloud.authz.permissions import P
from gatehouse.cloud.devices.models import Device
from gatehouse.cloud.events import queries as log_queries
from gatehouse.cloud.events.models import Passage
from gatehouse.cloud.events.queries import Place
from gatehouse.cloud.kit import web
from gatehouse.cloud.kit.errors import NotFound
from gatehouse.cloud.portal.devices.doors import board, doors_of
from gatehouse.cloud.portal.logs.forms import METHODS, Wanted, fits
from gatehouse.cloud.portal.logs.why import why
from gatehouse.cloud.portal.screen import Request, screen

PAGE = 50
ARRIVED = 100
"""Most new rows that a live list is given at once."""


def _place(text: str) -> Place | None:
    try:
        return Place.of(text) if text else None
    except ValueError:
        return None


@require_safe
@screen(P.LOG_READ)
def door_log(request: Request) -> HttpResponse:
    """A page of the log with its filters."""
    return web.page(request, "portal/logs/door_log.html", _log(request))


def _log(request: Request) -> dict[str, Any]:
    actor = request.actor
    wanted = Wanted.of(request.GET)
    filters = wanted.filters(request.site.zone)
    before, after = _place(request.GET.get("before", "")), _place(request.GET.get("after", ""))
    log = log_queries.door_log(actor, filters, before=before, after=after, limit=PAGE)
    address = reverse("portal:logs:door_log", args=[request.site.id])
    newest = before is None and after is None
    names = dict(Device.objects.visible_to(actor).order_by("name").values_list("id", "name"))
    return {
        "log": log,
        "wanted": wanted,
        "address": address,
        "live": newest and wanted.to is None,
        "rows_address": f"{reverse('portal:logs:door_log_rows', args=[request.site.id])}?{wanted.query()}",
        "older": f"{address}?{wanted.query(before=log.older)}" if log.older else "",
        "newer": f"{address}?{wanted.query(after=log.newer)}" if log.newer else "",
        "newest": newest,
        "query": request.GET.urlencode(),
        "about": log_queries.about_count(actor),
        "devices": names,
        "device_name": names.get(wanted.device) if wanted.device else None,
        "methods": METHODS,
        "filtered": wanted != Wanted(),
        "without": {
            name: f"{address}?{wanted.query(**dict.fromkeys(keys))}"
            for name, keys in (
                ("device", ("device",)),
                ("method", ("method",)),
                ("result", ("result",)),
                ("days", ("from", "to")),
                ("holder", ("holder",)),
            )
        },
    }


@require_safe
@screen(P.LOG_READ)
def door_log_rows(request: Request) -> HttpResponse:
    """Rows that arrived after the one with this id, newest first: late ones of a cut line too, so by receipt."""
    actor = request.actor
    wanted = Wanted.of(request.GET)
    filters = wanted.filters(request.site.zone)
    try:
        newest = UUID(request.GET.get("after", ""))
    except ValueError:
        rows = log_queries.door_log(actor, filters, limit=PAGE).rows
    else:
        arrived = Passage.objects.visible_to(actor).filter(id__gt=newest).order_by("-id")
        ids = list(arrived.values_list("id", flat=True)[:ARRIVED])
        rows = [row for row in log_queries.door_log_rows(actor, ids) if fits(row, filters)]
    return web.page(request, "portal/logs/_rows.html", {"rows": rows, "query": wanted.query()})


@require_safe
@screen(P.LOG_READ)
def passage(request: Request, passage: UUID) -> HttpResponse:
    """One passage in the side panel: who, where, why, and by whose clock. The list stays beside it."""
    actor = request.actor
    found = Passage.objects.get_visible(actor, passage)
    rows = log_queries.door_log_rows(actor, [found.id])
    if not rows:
        raise NotFound("not_found", _("This does not exist, or not any more."))
    door = None
    if found.relay_id and actor.may(P.RELAY_OPEN):
        relays = doors_of(actor).filter(pk=found.relay_id, enabled=True).select_related("device__gateway")
        door = next(iter(board(actor, relays)), None)
    context = {} if web.wants_part(request) else _log(request)
    return web.page(
        request,
        "portal/logs/door_log.html",
        context | {"passage": found, "row": rows[0], "why": why(found), "door": door},
        partial="panel",
    )
