"""People and their codes: the list, one person, and a new PIN with its receipt."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from django.http import HttpResponse
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_POST, require_safe

from gatehouse.cloud.authz.actor import Actor
from gatehouse.cloud.authz.permissions import P
from gatehouse.cloud.feed.queries import Receipt, receipt
from gatehouse.cloud.kit import clock, web
from gatehouse.cloud.kit.errors import NotFound
from gatehouse.cloud.people.models import Credential, Person
from gatehouse.cloud.people.services import set_pin
from gatehouse.cloud.portal.people.forms import PinForm
from gatehouse.cloud.portal.screen import Request, screen


def _people(actor: Actor) -> QuerySet[Person]:
    """People of the site; of his company for a company's administrator."""
    rows = Person.objects.visible_to(actor).select_related("holder", "company", "people_group", "unit")
    return rows.filter(company_id=actor.party) if actor.party else rows


@require_safe
@screen(P.PERSON_VIEW)
def person_list(request: Request) -> HttpResponse:
    """People by name, a page at a time."""
    actor = request.actor
    search = " ".join(request.GET.get("q", "").split())[:100]
    rows = _people(actor)
    if search:
        rows = rows.filter(holder__label__icontains=search)
    page = web.listing(request, rows.order_by("last_name", "first_name", "pk"))
    codes: dict[UUID, set[str]] = {person.pk: set() for person in page.rows}
    live = Credential.objects.visible_to(actor).filter(holder__in=list(codes), state=Credential.State.LIVE)
    for holder, kind in live.values_list("holder_id", "kind"):
        codes[holder].add(kind)
    return web.page(
        request,
        "portal/people/person_list.html",
        {"list": page, "codes": {holder: sorted(kinds) for holder, kinds in codes.items()}, "search": search},
        partial="table",
    )


def _person(request: Request, holder: UUID) -> Person:
    found = _people(request.actor).filter(pk=holder).first()
    if found is None:
        raise NotFound("not_found", gettext_lazy("This does not exist, or not any more."))
    return found


def _receipt(actor: Actor, holder: UUID) -> Receipt | None:
    if not actor.may(P.DEVICE_VIEW):
        return None
    try:
        return receipt(actor, "holder", holder)
    except NotFound:
        return None


def _context(request: Request, person: Person, form: PinForm) -> dict[str, Any]:
    actor = request.actor
    credentials = Credential.objects.visible_to(actor).filter(holder_id=person.pk).exclude(state=Credential.State.FREED)
    return {
        "person": person,
        "credentials": credentials.order_by("kind", "state", "-made_at"),
        "receipt": _receipt(actor, person.pk),
        "may_edit": actor.may(P.CREDENTIAL_EDIT),
        "may_read": actor.may(P.LOG_READ),
        "form": form,
    }


@require_safe
@screen(P.PERSON_VIEW)
def person_detail(request: Request, holder: UUID) -> HttpResponse:
    """A person, with codes and the receipt of the last change."""
    person = _person(request, holder)
    return web.page(
        request, "portal/people/person_detail.html", _context(request, person, PinForm()), partial="receipt"
    )


@sensitive_post_parameters("pin")
@require_POST
@screen(P.CREDENTIAL_EDIT)
def change_pin(request: Request, holder: UUID) -> HttpResponse:
    """A new PIN in place of the old one, which nobody gets before every door has confirmed."""
    person = _person(request, holder)
    form = PinForm(request.POST)
    if form.is_valid() and web.attempt(
        form,
        lambda: set_pin(actor=request.actor, holder=person.holder, pin=form.cleaned_data["pin"], now=clock.now()),
    ):
        address = reverse("portal:people:person_detail", args=[request.site.id, person.pk])
        return web.done(request, _("The new PIN is saved. The doors are being told."), to=address)
    return web.page(
        request, "portal/people/person_detail.html", _context(request, person, form), partial="pin", status=422
    )
