"""The API as one application: its areas, its addresses, its document and the page that shows it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path, re_path
from django.utils.translation import gettext_lazy as _
from ninja import NinjaAPI

from gatehouse.cloud.api import document, problems
from gatehouse.cloud.api.manners import entrance
from gatehouse.cloud.api.shapes import Strict
from gatehouse.cloud.api.v1 import access, devices, logs, people, sites
from gatehouse.cloud.kit.errors import NotFound

KINDS = {"relay_open": "open"}
"""Addresses whose limit is not that of their method."""

api = NinjaAPI(
    title="Gatehouse",
    version="1",
    description=document.INTRODUCTION,
    urls_namespace="api",
    openapi_url=None,
    docs_url=None,
    parser=Strict(),
)
for area in (sites, people, access, devices, logs):
    api.add_router("", area.router)


@api.exception_handler(Exception)
def _refused(request: HttpRequest, error: Exception | type[Exception]) -> HttpResponse:
    assert isinstance(error, Exception)  # ninja raises no classes
    return problems.answer(request, problems.translated(error))


# Our handler is asked for these too: ninja prefers the most exact class, and has its own for some.
for kind in document.REFUSALS:
    api.add_exception_handler(kind, _refused)


def _unknown(request: HttpRequest, **parts: Any) -> HttpResponse:
    raise NotFound("not_found", _("This does not exist, or not any more."))


def _addresses() -> list[URLPattern]:
    operations: dict[str, URLPattern] = {}
    for pattern in api.urls[0]:
        if isinstance(pattern, URLPattern) and pattern.name and pattern.name != "api-root":
            around: Callable[..., Any] = entrance(pattern.callback, kind=KINDS.get(pattern.name, ""))
            operations[pattern.name] = URLPattern(pattern.pattern, around, pattern.default_args, pattern.name)
    return [
        path("", entrance(document.page(api), free=True), name="reference"),
        path("openapi.json", entrance(document.serve(api), free=True), name="document"),
        *operations.values(),
        re_path(r"^[\s\S]*$", entrance(_unknown, free=True), name="unknown"),
    ]


app_name = "api"
urlpatterns = _addresses()
