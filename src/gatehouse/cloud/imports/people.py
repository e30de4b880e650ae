"""Personnel of an office: what the 13 columns come to, what is made of them, what undo takes back."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db.models.functions import Lower, Trim

from gatehouse.cloud.access.models import AccessGroup, AccessGroupHolder, AccessGroupRelay, CompanyRelay
from gatehouse.cloud.access.services import give_to_holders
from gatehouse.cloud.authz.actor import Actor
from gatehouse.cloud.authz.permissions import P
from gatehouse.cloud.events.models import Passage
from gatehouse.cloud.imports.checking import Checked, Once, check_exact
from gatehouse.cloud.imports.formats import format_named
from gatehouse.cloud.imports.models import Cells, Job
from gatehouse.cloud.kit import seal
from gatehouse.cloud.people.models import Credential, Person
from gatehouse.cloud.people.services import NewPerson, add_people, remove_people
from gatehouse.cloud.premises.models import Company, PeopleGroup
from gatehouse.rules import credentials as rules

KIND = "person"
SECRETS = frozenset({"pin", "cards"})
"""Columns that are never written into a report."""
RINGS_A_PHONE = {1, 2, 4, 5}


@dataclass(frozen=True, slots=True)
class Wanted:
    """A row that can be made: the person, and the access groups of his own."""

    person: NewPerson
    access_groups: tuple[AccessGroup, ...]


def permit(actor: Actor, job: Job) -> None:
    """Raises Denied or NotFound unless the actor may add people with codes and rights at the job's site."""
    actor.require(P.PERSON_EDIT, job)
    actor.require(P.CREDENTIAL_EDIT, job)
    actor.require(P.ACCESS_EDIT, job)


class Check:
    """One pass over a file, in a fixed number of queries."""

    def __init__(self, job: Job) -> None:
        assert job.site_id is not None
        self.site: UUID = job.site_id
        self.only = job.company_id
        self.columns = format_named(job.format).columns
        self.result: Checked[Wanted] = Checked()
        self.once = {name: Once(name) for name in ("staff_no", "email", "pin", "cards")}
        self.companies = {_fold(c.name): c for c in Company.objects.filter(site_id=self.site)}
        self.groups = {(g.company_id, _fold(g.name)): g for g in PeopleGroup.objects.filter(site_id=self.site)}
        self.access = {str(g.number): g for g in AccessGroup.objects.filter(site_id=self.site)}
        companies: dict[UUID, set[UUID]] = {}
        for relay, company in CompanyRelay.objects.filter(site_id=self.site).values_list("relay_id", "company_id"):
            companies.setdefault(relay, set()).add(company)
        links = AccessGroupRelay.objects.filter(site_id=self.site).values_list("access_group_id", "relay_id")
        self.doors = {(group, company) for group, relay in links for company in companies.get(relay, ())}
        self.key = seal.lookup_key(self.site)

    def row(self, number: int, cells: Cells) -> None:
        """Judge one row by itself, and note what it shares with others."""
        check_exact(self.result, number, cells, self.columns)
        texts = {column.key: cells.texts.get(column.key, "").strip() for column in self.columns}
        company, group = self._place(number, texts)
        for name in ("first_name", "last_name"):
            self._expect(number, name, bool(texts[name]), "required")
        for name in ("first_name", "last_name", "staff_no"):
            self._expect(number, name, len(texts[name]) <= 64, "long")
        if texts["staff_no"]:
            self.once["staff_no"].seen(texts["staff_no"].lower(), number)
        intercom, call_type = self._calls(number, texts)
        self._email(number, texts["email"], intercom)
        mobile = self._mobile(number, texts, intercom, call_type)
        pin, cards = self._codes(number, texts)
        groups = self._access_groups(number, texts["access_groups"], company)
        if company and group and self.result.good(number):
            person = NewPerson(
                company=company,
                people_group=group,
                first_name=texts["first_name"],
                last_name=texts["last_name"],
                staff_no=texts["staff_no"],
                email=texts["email"],
                mobile=mobile,
                intercom=intercom,
                call_type=call_type,
                pin=pin,
                cards=cards,
            )
            self.result.parsed[number] = Wanted(person, groups)

    def finish(self) -> Checked[Wanted]:
        """Compare the rows with each other and with the database."""
        people = Person.objects.filter(site_id=self.site)
        numbers = people.annotate(folded=Lower(Trim("staff_no"))).filter(folded__in=list(self.once["staff_no"].rows))
        self.once["staff_no"].report(self.result, set(numbers.values_list("folded", flat=True)))
        mails = people.annotate(folded=Lower("email")).filter(folded__in=list(self.once["email"].rows))
        self.once["email"].report(self.result, set(mails.values_list("folded", flat=True)))
        for column, kind in (("pin", "pin"), ("cards", "card")):
            digests = Credential.objects.filter(
                site_id=self.site, kind=kind, scope=self.site, digest__in=list(self.once[column].rows)
            ).exclude(state=Credential.State.FREED)
            self.once[column].report(self.result, set(digests.values_list("digest", flat=True)))
        self.result.parsed = {n: wanted for n, wanted in self.result.parsed.items() if self.result.good(n)}
        return self.result

    def _expect(self, number: int, column: str, holds: bool, code: str) -> None:
        if not holds:
            self.result.fault(number, column, code)

    def _place(self, number: int, texts: dict[str, str]) -> tuple[Company | None, PeopleGroup | None]:
        for column in ("company", "people_group"):
            self._expect(number, column, bool(texts[column]), "required")
        company = self.companies.get(_fold(texts["company"]))
        if texts["company"]:
            if self.only is not None and (company is None or company.pk != self.only):
                self.result.fault(number, "company", "not_found.company")
                return None, None
            self._expect(number, "company", company is not None, "not_found")
        group = self.groups.get((company.pk, _fold(texts["people_group"]))) if company else None
        if company and texts["people_group"]:
            self._expect(number, "people_group", group is not None, "not_found")
        return company, group

    def _calls(self, number: int, texts: dict[str, str]) -> tuple[bool, int]:
        self._expect(number, "intercom", texts["intercom"] in ("", "0", "1"), "range")
        fits = texts["call_type"] in ("", "0", "1", "2", "3", "4", "5")
        self._expect(number, "call_type", fits, "range")
        intercom = texts["intercom"] == "1"
        if texts["call_type"] and fits and not intercom:
            self.result.fault(number, "call_type", "ignored")
        return intercom, int(texts["call_type"]) if intercom and fits and texts["call_type"] else 0

    def _email(self, number: int, email: str, intercom: bool) -> None:
        if not email:
            self._expect(number, "email", not intercom, "required")
            return
        try:
            validate_email(email)
        except ValidationError:
            self.result.fault(number, "email", "format")
        self.once["email"].seen(email.lower(), number)

    def _mobile(self, number: int, texts: dict[str, str], intercom: bool, call_type: int) -> str:
        digits, code = texts["mobile"].replace(" ", ""), texts["calling_code"]
        for column, text, most in (("mobile", digits, 15), ("calling_code", code, 3)):
            self._expect(number, column, not text or (text.isascii() and text.isdigit()), "format")
            self._expect(number, column, len(text) <= most, "long")
        if not digits:
            self._expect(number, "mobile", not (intercom and call_type in RINGS_A_PHONE), "required")
            return ""
        return f"+{code}{digits}" if code else digits

    def _codes(self, number: int, texts: dict[str, str]) -> tuple[str, tuple[str, ...]]:
        damaged = {fault["column"] for fault in self.result.faults.get(number, ()) if fault["code"] == "format.damaged"}
        pin, cards = texts["pin"], []
        if pin and "pin" not in damaged:
            try:
                pin = rules.normalise_pin(pin)
                self.once["pin"].seen(rules.lookup(self.key, "pin", pin), number)
            except rules.CredentialError as error:
                self.result.fault(number, "pin", "range" if error.code == "pin.length" else "format")
        for piece in texts["cards"].split(";") if "cards" not in damaged else ():
            if not piece.strip():
                continue
            try:
                card = rules.normalise_card(piece).text
            except rules.CredentialError as error:
                self.result.fault(number, "cards", "range" if error.code == "card.range" else "format")
                continue
            cards.append(card)
            self.once["cards"].seen(rules.lookup(self.key, "card", card), number)
        return pin, tuple(cards)

    def _access_groups(self, number: int, text: str, company: Company | None) -> tuple[AccessGroup, ...]:
        found: dict[UUID, AccessGroup] = {}
        for piece in (piece.strip() for piece in text.split(";")):
            if not piece:
                continue
            group = self.access.get(piece.lstrip("0"))
            if group is None:
                self.result.fault(number, "access_groups", "not_found")
                continue
            found[group.id] = group
            if company and (group.id, company.pk) not in self.doors:
                self.result.fault(number, "access_groups", "not_found.door")
        return tuple(found.values())


def check(job: Job, table: Mapping[int, Cells]) -> Checked[Wanted]:
    """Judge every row of a file. The number of queries does not depend on the number of rows."""
    once = Check(job)
    for number, cells in table.items():
        once.row(number, cells)
    return once.finish()


def make(*, actor: Actor, job: Job, rows: Mapping[int, Wanted], now: datetime) -> dict[int, UUID]:
    """Add the people, with codes and access groups; returns the holder of each row. All or none."""
    assert job.site_id is not None
    data = {"import": str(job.id)}
    people = add_people(actor=actor, rows=[wanted.person for wanted in rows.values()], source="import", now=now, **data)
    links = [
        (group, person.holder)
        for person, wanted in zip(people, rows.values(), strict=True)
        for group in wanted.access_groups
    ]
    if links:
        give_to_holders(actor=actor, site=job.site_id, links=links, now=now, **data)
    return {number: person.holder.id for number, person in zip(rows, people, strict=True)}


def states(job: Job, ids: Collection[UUID]) -> dict[UUID, dict[str, Any]]:
    """How the things stand now, as values that can be compared; what is gone is not in it."""
    assert job.site_id is not None
    people = Person.objects.filter(site=job.site, holder_id__in=ids)
    fields = (
        "holder_id", "role", "company_id", "people_group_id", "unit_id", "first_name", "last_name", "staff_no", "email",
        "mobile", "language", "intercom", "call_type", "in_directory", "guest_keys", "user_id", "number_id",
        "holder__valid_from_local", "holder__valid_until_local",
    )  # fmt: skip
    found: dict[UUID, dict[str, Any]] = {
        row["holder_id"]: {
            **{
                key: value if value is None or isinstance(value, bool | int) else str(value)
                for key, value in row.items()
            },
            "codes": [],
            "access_groups": [],
        }
        for row in people.values(*fields)
    }
    codes = Credential.objects.filter(site=job.site, holder_id__in=ids).order_by("id")
    for holder, id_, state in codes.values_list("holder_id", "id", "state"):
        if holder in found:
            found[holder]["codes"].append([str(id_), state])
    links = AccessGroupHolder.objects.filter(site=job.site, holder_id__in=ids).order_by("id")
    for holder, group in links.values_list("holder_id", "access_group_id"):
        if holder in found:
            found[holder]["access_groups"].append(str(group))
    passages = Passage.objects.filter(site_id=job.site_id, holder_id__in=ids)
    for used in passages.values_list("holder_id", flat=True).distinct():
        if used in found:
            found[used]["used"] = True
    return found


def remove(*, actor: Actor, job: Job, ids: Collection[UUID], now: datetime) -> None:
    """Take back what `make` made."""
    assert job.site_id is not None
    remove_people(actor=actor, site=job.site_id, holders=ids, now=now, **{"import": str(job.id)})


def _fold(name: str) -> str:
    return name.strip().lower()
