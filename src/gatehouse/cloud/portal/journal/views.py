"""The journal: who did what to what, newest first. Nothing here can be changed."""

from __future__ import annotations

from uuid import UUID

from django.http import HttpResponse
from django.views.decorators.http import require_safe

from gatehouse.cloud.authz.permissions import P
from gatehouse.cloud.journal.models import Entry
from gatehouse.cloud.kit import web
from gatehouse.cloud.portal.screen import Request, screen

PAGE = 50


@require_safe
@screen(P.JOURNAL_READ)
def entry_list(request: Request) -> HttpResponse:
    """A page by keyset: entries are made in the order of their ids."""
    rows = Entry.objects.visible_to(request.actor).order_by("-id")
    try:
        rows = rows.filter(id__lt=UUID(request.GET.get("before", "")))
        newest = False
    except ValueError:
        newest = True
    found = list(rows[: PAGE + 1])
    older = found[PAGE - 1].id if len(found) > PAGE else None
    return web.page(
        request, "portal/journal/entry_list.html", {"entries": found[:PAGE], "older": older, "newest": newest}
    )
