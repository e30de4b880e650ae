"""People, their valid time, their codes, and what the doors know of them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from django.db.models import QuerySet
from django.utils.translation import gettext_lazy as _
from ninja import Query, Router, Schema
from pydantic import Field, NaiveDatetime

from gatehouse.cloud.api.manners import Answer, Request, endpoint, matching
from gatehouse.cloud.api.shapes import Cursor, Given, Limit, Page, page_by_id
from gatehouse.cloud.api.v1.sites import people_groups_of
from gatehouse.cloud.authz.actor import Actor
from gatehouse.cloud.authz.permissions import P
from gatehouse.cloud.feed.queries import receipt
from gatehouse.cloud.kit import clock
from gatehouse.cloud.kit.errors import NotFound
from gatehouse.cloud.people.models import Credential, Holder, Person
from gatehouse.cloud.people.services import add_card, add_person, set_pin, set_valid_time, withdraw_credential

router = Router(tags=["people"])

Name = Annotated[str, Field(min_length=1, max_length=64)]


class PersonIn(Given):
    """Somebody new in a group of people. Valid times are local to the site, half-open."""

    people_group: UUID
    first_name: Name = Field(examples=["Amélie"])
    last_name: Name = Field(examples=["Rousseau"])
    staff_no: str = Field("", max_length=64, examples=["1001"])
    email: str = Field("", max_length=254, pattern=r"^([^@\s]+@[^@\s]+)?$", examples=["amelie@example.com"])
    valid_from: NaiveDatetime | None = Field(None, examples=["2026-12-01T08:00:00"])
    valid_until: NaiveDatetime | None = Field(None, examples=["2027-12-01T00:00:00"])


class ValidTime(Given):
    """The period of all rights of a person, local to the site, half-open; null: no bound."""

    valid_from: NaiveDatetime | None = Field(examples=["2026-12-01T08:00:00"])
    valid_until: NaiveDatetime | None = Field(examples=["2027-12-01T00:00:00"])


class PersonOut(Schema):
    """A person. `company` and `people_group` for personnel, `unit` for residents."""

    id: UUID
    first_name: str
    last_name: str
    role: str
    company: UUID | None
    people_group: UUID | None
    unit: UUID | None
    staff_no: str
    email: str
    valid_from: datetime | None
    valid_until: datetime | None


class PinIn(Given):
    """A PIN of 2 to 8 digits."""

    pin: str = Field(max_length=32, examples=["271828"])


class CardIn(Given):
    """A card's number, hexadecimal or decimal."""

    card: str = Field(max_length=64, examples=["0x00BADA55"])


class CredentialOut(Schema):
    """A code of a person, without the code: live, or quarantined until every door has confirmed that it is gone."""

    id: UUID
    kind: str
    state: str
    made_at: datetime
    withdrawn_at: datetime | None


class ReceiptLine(Schema):
    """One device: what it says about the change."""

    device: UUID
    name: str
    state: Literal["confirmed", "pending", "offline", "refused", "removed"]
    at: datetime | None
    reason: str


class ReceiptOut(Schema):
    """What became of the last change of a person at the doors."""

    revision: int
    at: datetime | None
    waiting: bool
    complete: bool
    devices: list[ReceiptLine]


def _people(actor: Actor) -> QuerySet[Person]:
    """People of the site; of his company for a company's administrator."""
    rows = Person.objects.visible_to(actor).select_related("holder")
    return rows.filter(company_id=actor.party) if actor.party else rows


def person_at(actor: Actor, id_: UUID) -> Person:
    """One of them, or NotFound."""
    row = _people(actor).filter(pk=id_).first()
    if row is None:
        raise NotFound("not_found", _("This does not exist, or not any more."))
    return row


def _locked(actor: Actor, id_: UUID) -> Holder:
    person_at(actor, id_)
    return Holder.objects.visible_to(actor).select_for_update().get(pk=id_)


def _person(row: Person) -> PersonOut:
    return PersonOut(
        id=row.pk,
        first_name=row.first_name,
        last_name=row.last_name,
        role=row.role,
        company=row.company_id,
        people_group=row.people_group_id,
        unit=row.unit_id,
        staff_no=row.staff_no,
        email=row.email,
        valid_from=row.holder.valid_from_local,
        valid_until=row.holder.valid_until_local,
    )


def _persons(rows: Sequence[Person]) -> list[PersonOut]:
    return [_person(row) for row in rows]


def _credential(row: Credential) -> CredentialOut:
    return CredentialOut(id=row.id, kind=row.kind, state=row.state, made_at=row.made_at, withdrawn_at=row.withdrawn_at)


def _credentials(rows: Sequence[Credential]) -> list[CredentialOut]:
    return [_credential(row) for row in rows]


@router.get("/sites/{uuid:site}/people", response=Page[PersonOut], url_name="people", summary="People")
@endpoint(P.PERSON_VIEW)
def person_list(
    request: Request,
    site: UUID,
    q: Annotated[str, Query(max_length=100, description="Part of the name.")] = "",
    people_group: UUID | None = None,
    cursor: Cursor = "",
    limit: Limit = 50,
) -> Page[PersonOut]:
    """In the order in which they were added; with a part of the name or a group, those only."""
    rows = _people(request.actor)
    rows = rows.filter(holder__label__icontains=q) if q else rows
    rows = rows.filter(people_group_id=people_group) if people_group else rows
    return Page[PersonOut](**page_by_id(rows, cursor, limit, _persons))


@router.post("/sites/{uuid:site}/people", response={201: PersonOut}, url_name="people", summary="Add a person")
@endpoint(P.PERSON_EDIT)
def person_add(request: Request, site: UUID, body: PersonIn) -> Answer:
    """To a group of people of a company. Codes and access groups are given afterwards."""
    group = people_groups_of(request.actor).filter(pk=body.people_group).select_related("company").first()
    if group is None:
        raise NotFound("not_found", _("This does not exist, or not any more."))
    given: dict[str, Any] = body.model_dump(exclude={"people_group"})
    made = add_person(actor=request.actor, company=group.company, people_group=group, now=clock.now(), **given)
    return Answer(
        _person(made),
        status=201,
        version=made.holder.row_version,
        headers={"Location": f"/api/v1/sites/{site}/people/{made.pk}"},
    )


@router.get("/sites/{uuid:site}/people/{uuid:person}", response=PersonOut, url_name="person", summary="One person")
@endpoint(P.PERSON_VIEW)
def person_detail(request: Request, site: UUID, person: UUID) -> Answer:
    """With the version as ETag."""
    row = person_at(request.actor, person)
    return Answer(_person(row), version=row.holder.row_version)


@router.put(
    "/sites/{uuid:site}/people/{uuid:person}/valid-time",
    response=PersonOut,
    url_name="valid_time",
    summary="Bound a person's rights to a period",
)
@endpoint(P.PERSON_EDIT, versioned=True)
def person_valid_time(request: Request, site: UUID, person: UUID, body: ValidTime) -> Answer:
    """It stands above all other permissions."""
    holder = _locked(request.actor, person)
    matching(request, holder.row_version)
    set_valid_time(
        actor=request.actor,
        holder=holder,
        valid_from=body.valid_from,
        valid_until=body.valid_until,
        now=clock.now(),
    )
    row = person_at(request.actor, person)
    return Answer(_person(row), version=row.holder.row_version)


@router.get(
    "/sites/{uuid:site}/people/{uuid:person}/credentials",
    response=Page[CredentialOut],
    url_name="credentials",
    summary="Codes of a person",
)
@endpoint(P.PERSON_VIEW)
def credential_list(
    request: Request, site: UUID, person: UUID, cursor: Cursor = "", limit: Limit = 50
) -> Page[CredentialOut]:
    """Live and quarantined ones. The codes themselves are not told."""
    person_at(request.actor, person)
    rows = Credential.objects.visible_to(request.actor).filter(holder_id=person)
    rows = rows.exclude(state=Credential.State.FREED)
    return Page[CredentialOut](**page_by_id(rows, cursor, limit, _credentials))


@router.put(
    "/sites/{uuid:site}/people/{uuid:person}/pin", response=CredentialOut, url_name="pin", summary="Set a person's PIN"
)
@endpoint(P.CREDENTIAL_EDIT)
def pin_set(request: Request, site: UUID, person: UUID, body: PinIn) -> Answer:
    """In place of the one there is, which nobody gets before every door has confirmed."""
    holder = _locked(request.actor, person)
    return Answer(_credential(set_pin(actor=request.actor, holder=holder, pin=body.pin, source="api", now=clock.now())))


@router.post(
    "/sites/{uuid:site}/people/{uuid:person}/cards",
    response={201: CredentialOut},
    url_name="cards",
    summary="Give a person a card",
)
@endpoint(P.CREDENTIAL_EDIT)
def card_add(request: Request, site: UUID, person: UUID, body: CardIn) -> Answer:
    """Beside those there are."""
    holder = _locked(request.actor, person)
    made = add_card(actor=request.actor, holder=holder, card=body.card, source="api", now=clock.now())
    return Answer(_credential(made), status=201)


@router.delete(
    "/sites/{uuid:site}/people/{uuid:person}/credentials/{uuid:credential}",
    response=CredentialOut,
    url_name="credential",
    summary="Take a code back",
)
@endpoint(P.CREDENTIAL_EDIT)
def credential_withdraw(request: Request, site: UUID, person: UUID, credential: UUID) -> Answer:
    """Twice changes nothing."""
    person_at(request.actor, person)
    row = Credential.objects.get_visible(request.actor, credential, holder_id=person)
    withdraw_credential(actor=request.actor, credential=row, now=clock.now())
    return Answer(_credential(Credential.objects.get_visible(request.actor, credential)))


@router.get(
    "/sites/{uuid:site}/people/{uuid:person}/receipt",
    response=ReceiptOut,
    url_name="receipt",
    summary="What the doors know of the last change",
)
@endpoint(P.DEVICE_VIEW)
def person_receipt(request: Request, site: UUID, person: UUID) -> Answer:
    """One line for each device that the change concerns. `waiting`: it is not on its way yet, ask again."""
    person_at(request.actor, person)
    found = receipt(request.actor, "holder", person)
    lines = [
        ReceiptLine(device=line.device, name=line.name, state=line.state, at=line.at, reason=line.reason)
        for line in found.lines
    ]
    return Answer(
        ReceiptOut(revision=found.revision, at=found.at, waiting=found.waiting, complete=found.complete, devices=lines)
    )
