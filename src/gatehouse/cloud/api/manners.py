"""What every endpoint does alike: who asks, how often, with which right, once only, on which version.

`entrance` stands around the whole address: token, limits, problem documents. `endpoint` stands around one
operation: the transaction, the actor, the idempotency key. A refusal leaves `endpoint` as an exception, so
that its transaction is rolled back, and becomes a document in `entrance`.
"""

from __future__ import annotations

import hashlib
import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import wraps
from typing import TYPE_CHECKING, Any, cast
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.utils.translation import gettext_lazy as _
from django.views.decorators.csrf import csrf_exempt
from ninja import Schema

from gatehouse.cloud.api import problems
from gatehouse.cloud.api.problems import Problem
from gatehouse.cloud.authz.actor import Actor, enter
from gatehouse.cloud.authz.permissions import P
from gatehouse.cloud.kit import clock, seal
from gatehouse.cloud.kit.errors import DomainError, NotFound, Unavailable
from gatehouse.cloud.tenants.models import Site
from gatehouse.cloud.tenants.queries import LiveToken, actor_of_token, live_token, sites_of_token
from gatehouse.cloud.tenants.services import (
    KeptAnswer,
    begin_answer,
    count_calls,
    keep_answer,
    note_token_use,
    token_digest,
)

LIMITS = {"read": 600, "write": 120, "open": 30}
"""Calls a minute, for one token and for one address; `API_LIMITS` in the settings changes them."""
WRITING = frozenset({"POST", "PUT", "PATCH", "DELETE"})
_KEY = re.compile(r"[\x21-\x7e]{1,200}")
_BEARER = re.compile(r"Bearer +([A-Za-z0-9_.~+/=-]{1,200})", re.IGNORECASE)

if TYPE_CHECKING:

    class Request(HttpRequest):
        """A request with its token; at a site, with `actor` and `site`."""

        token: LiveToken
        actor: Actor
        site: Site  # type: ignore[assignment]  # django-stubs thinks of contrib.sites, which is not installed
        request_id: str
else:
    Request = HttpRequest


@dataclass(frozen=True)
class Answer:
    """What an operation says, when a plain 200 with a body is not enough."""

    body: Schema | None = None
    status: int = 200
    version: int | None = None
    """Row version: becomes the ETag."""
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Manner:
    """What the document says about an operation beyond its schemas."""

    right: P
    versioned: bool = False
    """It changes a single resource and asks for `If-Match`."""


def entrance(view: Callable[..., HttpResponseBase], *, kind: str = "", free: bool = False) -> Callable[..., Any]:
    """An address of the API. `kind` names its limit when the method does not; `free`: no token is asked for."""

    @csrf_exempt
    @transaction.non_atomic_requests
    @wraps(view)
    def entered(request: HttpRequest, **parts: Any) -> HttpResponseBase:
        limit: dict[str, str] = {}
        try:
            if not free:
                limit = _let_in(cast(Request, request), kind)
            response = view(request, **parts)
            if response.status_code == 405:
                allow = response.get("Allow", "")
                raise Problem(
                    405, "method.not_allowed", _("This address does not take this method."), headers={"Allow": allow}
                )
        except Exception as error:
            response = problems.answer(request, problems.translated(error))
        for name, value in limit.items():
            response[name] = value
        if not free:
            response["Cache-Control"] = "private, no-store"
            response["Vary"] = "Authorization, Accept-Language"
        return response

    return cast("Callable[..., Any]", entered)


def _let_in(request: Request, kind: str) -> dict[str, str]:
    """Count the call and find its token; raises Problem 429 or 401. The headers that tell what is left."""
    now = clock.now()
    given = _BEARER.fullmatch(request.headers.get("Authorization", "").strip())
    with transaction.atomic():
        token = live_token(token_digest(given[1]), now) if given else None
        kind = kind if kind and request.method in WRITING else "write" if request.method in WRITING else "read"
        address = seal.sign("api.address", request.META.get("REMOTE_ADDR", ""))[:32]
        keys = [f"{kind}:{address}"] + ([f"{kind}:{token.id}"] if token else [])
        calls = count_calls(keys, now)
        if token and (token.last_used_at is None or (now - token.last_used_at).total_seconds() >= 60):
            note_token_use(token.id, now)
    most = getattr(settings, "API_LIMITS", LIMITS)[kind]
    wait = str(60 - int(now.timestamp()) % 60)
    left = {"RateLimit-Limit": str(most), "RateLimit-Remaining": str(max(most - calls, 0)), "RateLimit-Reset": wait}
    if calls > most:
        raise Problem(429, "rate.limited", _("Too many calls in this minute."), headers={"Retry-After": wait} | left)
    if token is None:
        raise Problem(
            401,
            "token.invalid",
            _("Send a token that is live: it may be unknown, expired or revoked."),
            headers={"WWW-Authenticate": 'Bearer realm="Gatehouse"'} | left,
        )
    request.token = token
    return left


def endpoint(right: P, *, versioned: bool = False) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """One operation: a function of the request and its parameters that returns a schema or an `Answer`.

    With a `site` among the parameters it runs as the token's maker at that site, who must have `right`.
    """

    def wrap(view: Callable[..., Any]) -> Callable[..., Any]:
        asked = inspect.signature(view, eval_str=True)

        @wraps(view)
        def run(request: Request, **values: Any) -> HttpResponse:
            _no_strange_parameters(request, asked)
            with transaction.atomic():
                _enter(request, values.get("site"), right)
                key = request.headers.get("Idempotency-Key")
                if key is None or request.method not in WRITING or not values.get("site"):
                    return _written(view(request, **values))
                return _once(request, key, lambda: _written(view(request, **values)))

        run.__signature__ = asked  # type: ignore[attr-defined]  # the annotations are this module's text otherwise
        run.manner = Manner(right, versioned)  # type: ignore[attr-defined]
        return run

    return wrap


def _enter(request: Request, site: UUID | None, right: P) -> None:
    if site is None:
        request.actor = sites_of_token(request.token, request_id=request.request_id)
        enter(request.actor)
    else:
        request.actor = actor_of_token(request.token, site, request_id=request.request_id)
        enter(request.actor)
        found = Site.objects.visible_to(request.actor).filter(pk=site).first()
        if found is None:
            raise NotFound("not_found", _("This does not exist, or not any more."))
        request.site = found
    request.actor.require(right)


def _no_strange_parameters(request: HttpRequest, asked: inspect.Signature) -> None:
    strange = sorted(set(request.GET) - set(asked.parameters))
    if strange:
        errors = [{"parameter": name, "detail": _("There is no such parameter.")} for name in strange[:20]]
        raise Problem(422, "request.invalid", _("Some fields need another look."), errors=errors)


def _once(request: Request, key: str, call: Callable[[], HttpResponse]) -> HttpResponse:
    """The call, or the answer that the first call with this key was given: refusals too, but for "not now"."""
    if not _KEY.fullmatch(key):
        raise Problem(422, "idempotency.key", _("An Idempotency-Key has 1 to 200 visible ASCII characters."))
    site = request.site.id
    said = f"{request.method} {request.get_full_path()} {request.headers.get('If-Match', '')} "
    digest = seal.sign("api.idempotency", said + hashlib.sha256(request.body).hexdigest())
    taken = begin_answer(site=site, token=request.token.id, key=key, request_digest=digest, now=clock.now())
    if isinstance(taken, KeptAnswer):
        response = HttpResponse(taken.body, status=taken.status)
        for name, value in taken.headers.items():
            response[name] = value
        response["Idempotency-Replayed"] = "true"
        return response
    try:
        with transaction.atomic():
            response = call()
    except Unavailable:
        raise  # nothing was done and trying again has sense: the key is not used up
    except (DomainError, Problem) as error:
        response = problems.answer(request, problems.translated(error))
    kept = KeptAnswer(response.status_code, response.content.decode(), dict(response.items()))
    keep_answer(site=site, row=taken, answer=kept)
    return response


def _written(said: Any) -> HttpResponse:
    said = said if isinstance(said, Answer) else Answer(said)
    body = said.body.model_dump_json() if said.body is not None else ""
    response = HttpResponse(body, status=said.status, content_type="application/json")
    if said.version is not None:
        response["ETag"] = etag(said.version)
    for name, value in said.headers.items():
        response[name] = value
    return response


def etag(version: int) -> str:
    """The tag of a row version."""
    return f'"{version}"'


def matching(request: HttpRequest, version: int) -> None:
    """The caller has seen this version, which is locked now. Raises Problem 428 without `If-Match`, 412 for another."""
    given = request.headers.get("If-Match", "").strip()
    if not given:
        raise Problem(428, "version.missing", _("Send If-Match with the ETag of what you saw."))
    if given != "*" and etag(version) not in [tag.strip() for tag in given.split(",")]:
        raise Problem(
            412, "version.stale", _("It was changed meanwhile. Read it again."), headers={"ETag": etag(version)}
        )
