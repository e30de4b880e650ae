"""The event stream of a site: authenticate, give the connection back, then stream."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from importlib import import_module
from typing import Any, Final
from uuid import UUID

from asgiref.sync import sync_to_async
from django.conf import settings
from django.contrib import auth
from django.db import DatabaseError, connections, transaction
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.utils import translation
from django.views.decorators.http import require_safe

from gatehouse.cloud.accounts.sign_in import staff_user
from gatehouse.cloud.authz.actor import Actor
from gatehouse.cloud.authz.permissions import P
from gatehouse.cloud.kit.errors import Denied, DomainError
from gatehouse.cloud.portal.screen import actor_for
from gatehouse.cloud.portal.stream.hub import Screen, hub
from gatehouse.cloud.wording import words

KEEP_ALIVE_S: Final = 15.0
RIGHTS_EVERY_S: Final = 60.0


@transaction.non_atomic_requests  # Django allows no transaction around an async view; `_admit` opens its own
@require_safe
async def stream(request: HttpRequest, site: UUID) -> HttpResponseBase:
    """Server-sent events; see `frontend/README.md` for their names. Ends with `bye` when the rights change."""
    try:
        found = await sync_to_async(_admit)(request, site)
    except DomainError as error:
        return HttpResponse(status=403 if isinstance(error, Denied) else 404)
    if found is None:
        return HttpResponse(status=401)
    actor, session = found
    response = StreamingHttpResponse(
        _events(actor, site, session, request.headers.get("Last-Event-ID", "")),
        content_type="text/event-stream; charset=utf-8",
    )
    response["Cache-Control"] = "no-store"
    response["X-Accel-Buffering"] = "no"
    return response


stream.permission = P.SITE_VIEW  # type: ignore[attr-defined]  # read by the permission table


def _admit(request: HttpRequest, site: UUID) -> tuple[Actor, str] | None:
    """Who streams, or None for nobody; the connection goes back whatever comes of it."""
    try:
        with transaction.atomic():
            user = staff_user(request)
            if user is None:
                return None
            actor = actor_for(request, user, site)
            actor.require(P.SITE_VIEW)
            return actor, request.session.session_key or ""
    finally:
        connections.close_all()


def _still(screen: Screen, site: UUID) -> bool | None:
    """True while session, account and rights are what they were; None when nobody can say."""
    try:
        with transaction.atomic():
            request = HttpRequest()
            request.session = import_module(settings.SESSION_ENGINE).SessionStore(screen.session)
            user = auth.get_user(request)
            request.user = user
            known = staff_user(request)
            if known is None or known.id != screen.actor.id:
                return False
            now = actor_for(request, known, site)
            return now.permissions == screen.actor.permissions and now.party == screen.actor.party
    except DomainError:
        return False
    except DatabaseError:
        return None
    finally:
        connections.close_all()


async def _events(actor: Actor, site: UUID, session: str, last_id: str) -> AsyncIterator[str]:
    language = translation.get_language()
    screen = hub.open(actor, site, session, last_id)
    clock = asyncio.get_running_loop().time
    checked = clock()
    try:
        await hub.listening()
        yield f"retry: 1000\nid: {hub.last_id}\n: hello\n\n"
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(screen.rung.wait(), KEEP_ALIVE_S)
            if screen.look_again or clock() - checked >= RIGHTS_EVERY_S:
                screen.look_again = False
                still = await sync_to_async(_still, thread_sensitive=False)(screen, site)
                if still is False:
                    yield _event("bye", {})
                    return
                if still is not None:
                    checked = clock()
            topics, holds = screen.take()
            text = ""
            with translation.override(language):
                if topics:
                    text += _event("changed", {"topics": topics})
                for detail in holds:
                    reason = str(detail.pop("reason", ""))
                    said = {"text": words.say("reason", reason)} if reason in words.REASONS else {}
                    text += _event("hold", detail | said)
            yield text or ": alive\n\n"
    finally:
        hub.close(screen, site)


def _event(name: str, data: dict[str, Any]) -> str:
    return f"id: {hub.last_id}\nevent: {name}\ndata: {json.dumps(data, ensure_ascii=False)}\n\n"
