"""Coming in, going out, choosing a language."""

from __future__ import annotations

import json
from typing import Any

from django.conf import settings
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils.translation import check_for_language
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST

from gatehouse.cloud.accounts.models import Realm
from gatehouse.cloud.accounts.services import choose_language
from gatehouse.cloud.accounts.sign_in import sign_in, sign_out, staff_user
from gatehouse.cloud.kit import clock, web
from gatehouse.cloud.kit.errors import Invalid, Unavailable
from gatehouse.cloud.portal.sign_in.forms import SignInForm

LANGUAGE_YEAR_S = 365 * 86400


@transaction.non_atomic_requests  # what a wrong try counts must stay, whatever the answer is
@sensitive_post_parameters("password")
@never_cache
@require_http_methods(["GET", "POST"])
def enter(request: HttpRequest) -> HttpResponse:
    """The form, and what becomes of it."""
    wanted = web.safe_next(request, request.POST.get("next") or request.GET.get("next", ""))
    if request.method == "GET":
        if staff_user(request):
            return HttpResponseRedirect(wanted)
        return _form(request, SignInForm(), wanted)
    form = SignInForm(request.POST)
    if not form.is_valid():
        return _form(request, form, wanted, status=422)
    typed = form.cleaned_data
    try:
        came = sign_in(request, realm=Realm.STAFF, login=typed["login"], password=typed["password"], now=clock.now())
    except Invalid as error:
        return _form(request, form, wanted, said=str(error.message), status=422)
    except Unavailable as error:
        response = _form(request, form, wanted, said=str(error.message), status=429)
        response["Retry-After"] = str(error.data["seconds"])
        return response
    response = web.done(request, to=wanted)
    came.mark(response)
    if came.user.language and settings.LANGUAGE_COOKIE_NAME not in request.COOKIES:
        _speak(response, came.user.language)
    return response


def _form(request: HttpRequest, form: SignInForm, wanted: str, *, said: str = "", status: int = 200) -> HttpResponse:
    context: dict[str, Any] = {"form": form, "next": wanted, "said": said, "demo": _demo(request)}
    return web.page(request, "portal/sign_in/enter.html", context, status=status)


def _demo(request: HttpRequest) -> list[dict[str, str]]:
    """The demo's accounts, for whoever sits at this machine: on the network they stay secret."""
    if not settings.DEMO or request.META.get("REMOTE_ADDR") not in ("127.0.0.1", "::1"):
        return []
    try:
        told = json.loads((settings.HOME / "run" / "demo.json").read_text())
    except (OSError, ValueError):
        return []
    return [
        {**one, "fill": json.dumps({"id_login": one["login"], "id_password": one["password"]})}
        for one in told.get("sign_ins", [])
    ]


@require_POST
def leave(request: HttpRequest) -> HttpResponse:
    """Ends the session at once; whatever the browser kept of our pages goes with it (OFF-NAV-04, E03)."""
    sign_out(request, now=clock.now())
    response = web.done(request, to="/sign-in/")
    response["Clear-Site-Data"] = '"cache"'
    return response


@require_POST
def language(request: HttpRequest) -> HttpResponse:
    """Choose the portal's language; it is the account's when somebody is signed in (COM-NAV-C3: nothing else changes)."""
    chosen = request.POST.get("language", "")
    response = web.done(request, to=web.safe_next(request, request.POST.get("next", "")))
    if chosen in dict(settings.LANGUAGES) and check_for_language(chosen):
        _speak(response, chosen)
        if user := staff_user(request):
            choose_language(user=user, language=chosen)
    return response


def _speak(response: HttpResponse, code: str) -> None:
    response.set_cookie(settings.LANGUAGE_COOKIE_NAME, code, max_age=LANGUAGE_YEAR_S, samesite="Lax", httponly=True)
