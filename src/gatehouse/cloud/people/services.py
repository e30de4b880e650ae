"""Acts on holders and their credentials.

A credential is one row: ciphertext for those who may see it, a keyed digest for doors and uniqueness. A
withdrawn one is quarantined until every door has confirmed; the feed frees it (`feed`).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import IntegrityError, connection, transaction
from django.db.models import F
from django.utils.translation import gettext_lazy as _

from gatehouse.cloud.authz.actor import Actor
from gatehouse.cloud.authz.permissions import P
from gatehouse.cloud.changes.services import touch
from gatehouse.cloud.journal.services import record, record_each
from gatehouse.cloud.kit import seal
from gatehouse.cloud.kit.errors import Conflict, Invalid
from gatehouse.cloud.kit.ids import new_id
from gatehouse.cloud.people.models import Credential, Holder, Person
from gatehouse.cloud.premises.models import Company, PeopleGroup
from gatehouse.rules import credentials as rules
from gatehouse.rules import reasons

_TABLE = "people_credential"
BATCH = 2000
"""Rows of one INSERT when many people are added at once."""

_SAID = {
    reasons.PIN_FORMAT: _("A PIN has digits only."),
    reasons.PIN_LENGTH: _("A PIN has 2 to 8 digits."),
    reasons.CARD_FORMAT: _("Write the card number in hexadecimal or decimal digits."),
    reasons.CARD_RANGE: _("This is no card number: it is zero or too long."),
}


def _name_faults(**names: str) -> dict[str, object]:
    faults: dict[str, object] = {}
    for field, name in names.items():
        if not name.strip():
            faults[field] = _("Give a name.")
        elif len(name.strip()) > 64:
            faults[field] = _("At most 64 characters.")
    return faults


@dataclass(frozen=True, slots=True)
class NewPerson:
    """Personnel to be added. Valid times are local to the site, half-open; `cards` as `rules.credentials` reads them."""

    company: Company
    people_group: PeopleGroup
    first_name: str
    last_name: str
    staff_no: str = ""
    email: str = ""
    mobile: str = ""
    intercom: bool = False
    call_type: int | None = None
    valid_from: datetime | None = None
    valid_until: datetime | None = None
    pin: str = ""
    cards: tuple[str, ...] = ()


def _check(row: NewPerson) -> None:
    faults = _name_faults(first_name=row.first_name, last_name=row.last_name)
    if row.valid_from and row.valid_until and row.valid_until <= row.valid_from:
        faults["valid_until"] = _("The end lies before the start.")
    if row.people_group.company_id != row.company.pk:
        faults["people_group"] = _("Choose a group of this company.")
    if faults:
        raise Invalid("person.invalid", _("Some fields need another look."), fields=faults)  # type: ignore[arg-type]  # lazy texts


def add_people(
    *, actor: Actor, rows: Sequence[NewPerson], source: str = "portal", now: datetime, **data: Any
) -> list[Person]:
    """Add personnel, all of one site, with their PINs and cards: all of them or none, in a few statements.

    `data` goes into each journal line. Raises Invalid for blank or over-long names, an end before the start,
    a group of another company, no PIN or no card; Conflict when a number, an e-mail or a code is taken here.
    """
    for company in {row.company.pk: row.company for row in rows}.values():
        actor.require(P.PERSON_EDIT, company)
    if any(row.pin or row.cards for row in rows):
        actor.require(P.CREDENTIAL_EDIT)
    if not rows:
        return []
    (site,) = {row.company.site_id for row in rows}
    people, codes = [], []
    for row in rows:
        _check(row)
        first, last = row.first_name.strip(), row.last_name.strip()
        id_ = new_id()
        holder = Holder(
            id=id_,
            seal_key=seal.new_key(table="people_holder", site=site, row=id_),
            site_id=site,
            kind=Holder.Kind.PERSON,
            party_id=row.company.pk,
            label=f"{first} {last}",
            valid_from_local=row.valid_from,
            valid_until_local=row.valid_until,
        )
        people.append(
            Person(
                holder=holder,
                site_id=site,
                role=Person.Standing.PERSONNEL,
                company=row.company,
                people_group=row.people_group,
                first_name=first,
                last_name=last,
                staff_no=row.staff_no.strip(),
                email=row.email.strip(),
                mobile=row.mobile.strip(),
                intercom=row.intercom,
                call_type=row.call_type,
            )
        )
        if row.pin:
            codes.append(_Code(holder, "pin", _parsed("pin", row.pin)))
        codes += [_Code(holder, "card", _parsed("card", card)) for card in row.cards]
    holders = [person.holder for person in people]
    try:
        with transaction.atomic():
            Holder.objects.bulk_create(holders, batch_size=BATCH)
            if len(rows) > BATCH:
                # Checks of links go by plans that were made when the table was small: they would read all of it.
                with connection.cursor() as cursor:
                    cursor.execute("DISCARD PLANS")
            Person.objects.bulk_create(people, batch_size=BATCH)
    except IntegrityError as error:
        field = "email" if "person_email" in str(error) else "staff_no"
        raise Conflict("person.taken", _("Another person of this site has this."), field=field) from error
    touch(site, "holder", [holder.id for holder in holders])
    record_each(
        actor=actor,
        verb="person.added",
        now=now,
        site=site,
        kind="person",
        things=[(holder.id, holder.label) for holder in holders],
        **data,
    )
    _add_codes(actor=actor, site=site, codes=codes, source=source, now=now, **data)
    return people


def add_person(
    *,
    actor: Actor,
    company: Company,
    people_group: PeopleGroup,
    first_name: str,
    last_name: str,
    staff_no: str = "",
    email: str = "",
    valid_from: datetime | None = None,
    valid_until: datetime | None = None,
    now: datetime,
) -> Person:
    """Add one person; see `add_people`."""
    row = NewPerson(
        company=company,
        people_group=people_group,
        first_name=first_name,
        last_name=last_name,
        staff_no=staff_no,
        email=email,
        valid_from=valid_from,
        valid_until=valid_until,
    )
    (person,) = add_people(actor=actor, rows=[row], now=now)
    return person


def remove_people(*, actor: Actor, site: UUID, holders: Collection[UUID], now: datetime, **data: Any) -> None:
    """Remove personnel. Their codes stay in quarantine, without a holder, until every door has confirmed.

    Their key goes with them, so what logs sealed with it (their names) is not read again.
    """
    actor.require(P.PERSON_EDIT)
    actor.require(P.CREDENTIAL_EDIT)
    there = list(Holder.objects.visible_to(actor).filter(site_id=site, pk__in=holders, kind=Holder.Kind.PERSON))
    ids = [holder.id for holder in there]
    codes = Credential.objects.filter(site_id=site, holder_id__in=ids)
    codes.filter(state=Credential.State.LIVE).update(state=Credential.State.QUARANTINED, withdrawn_at=now)
    codes.update(holder=None)
    Person.objects.filter(site_id=site, holder_id__in=ids).delete()
    Holder.objects.filter(site_id=site, pk__in=ids).delete()
    touch(site, "holder", ids)
    things = [(holder.id, holder.label) for holder in there]
    record_each(actor=actor, verb="person.removed", now=now, site=site, kind="person", things=things, **data)


@dataclass(frozen=True, slots=True)
class _Code:
    holder: Holder
    kind: str
    text: str


def _add_codes(
    *, actor: Actor, site: UUID, codes: Sequence[_Code], source: str, now: datetime, **data: Any
) -> list[Credential]:
    if not codes:
        return []
    key = seal.lookup_key(site)
    made = []
    for code in codes:
        id_ = new_id()
        made.append(
            Credential(
                id=id_,
                site_id=site,
                holder=code.holder,
                kind=code.kind,
                scope=site,
                digest=rules.lookup(key, code.kind, code.text),
                secret=seal.seal(code.text, table=_TABLE, site=site, row=id_, field="secret"),
                notation="hex" if code.kind == "card" else "",
                source=source,
                made_at=now,
            )
        )
    try:
        with transaction.atomic():
            Credential.objects.bulk_create(made, batch_size=BATCH)
    except IntegrityError as error:
        # Neither who has it nor whether it is only quarantined is said: a code is a secret.
        raise Conflict(
            "credential.taken", _("This code is in use here. Choose another one."), field=codes[0].kind
        ) from error
    for kind in ("pin", "card"):
        things = [(code.holder.id, code.holder.label) for code in codes if code.kind == kind]
        record_each(
            actor=actor,
            verb="credential.added",
            now=now,
            site=site,
            kind="person",
            things=things,
            credential=kind,
            **data,
        )
    return made


def _parsed(kind: str, text: str) -> str:
    try:
        return rules.normalise_pin(text.strip()) if kind == "pin" else rules.normalise_card(text).text
    except rules.CredentialError as error:
        raise Invalid(error.code, _SAID[error.code], fields={kind: _SAID[error.code]}) from error


def set_pin(*, actor: Actor, holder: Holder, pin: str, source: str = "portal", now: datetime) -> Credential:
    """Give a holder a PIN, in place of the one he has. The old one is quarantined until every door has confirmed.

    Saving the PIN he has already changes nothing. Raises Invalid for anything but 2 to 8 digits, Conflict
    when the PIN is live or quarantined anywhere at this site.
    """
    actor.require(P.CREDENTIAL_EDIT, holder)
    text = _parsed("pin", pin)
    digest = rules.lookup(seal.lookup_key(holder.site_id), "pin", text)
    old = list(
        Credential.objects.filter(site_id=holder.site_id, holder=holder, kind="pin", state=Credential.State.LIVE)
    )
    for credential in old:
        if credential.digest == digest:
            return credential
    with transaction.atomic():
        for credential in old:
            withdraw_credential(actor=actor, credential=credential, now=now)
        (made,) = _add_codes(
            actor=actor, site=holder.site_id, codes=[_Code(holder, "pin", text)], source=source, now=now
        )
        touch(holder.site_id, "holder", holder.id)
        return made


def add_card(*, actor: Actor, holder: Holder, card: str, source: str = "portal", now: datetime) -> Credential:
    """Give a holder a card, beside those he has. Raises Invalid for no card number, Conflict when it is in use here."""
    actor.require(P.CREDENTIAL_EDIT, holder)
    codes = [_Code(holder, "card", _parsed("card", card))]
    (made,) = _add_codes(actor=actor, site=holder.site_id, codes=codes, source=source, now=now)
    touch(holder.site_id, "holder", holder.id)
    return made


def withdraw_credential(*, actor: Actor, credential: Credential, now: datetime) -> None:
    """Take a code back. Nobody gets it again before every door has confirmed that it is gone.

    Withdrawing twice changes nothing.
    """
    actor.require(P.CREDENTIAL_EDIT, credential)
    changed = Credential.objects.filter(
        site_id=credential.site_id, pk=credential.pk, state=Credential.State.LIVE
    ).update(state=Credential.State.QUARANTINED, withdrawn_at=now)
    if not changed:
        return
    credential.refresh_from_db()
    holder = credential.holder
    if holder is None:
        return
    touch(credential.site_id, "holder", holder.id)
    record(
        actor=actor,
        verb="credential.withdrawn",
        now=now,
        site=credential.site_id,
        kind="person",
        id=holder.id,
        label=holder.label,
        credential=credential.kind,
    )


def set_valid_time(
    *, actor: Actor, holder: Holder, valid_from: datetime | None, valid_until: datetime | None, now: datetime
) -> None:
    """Bound a holder's rights to a period, local to the site, half-open. It stands above all other permissions."""
    actor.require(P.PERSON_EDIT, holder)
    if valid_from and valid_until and valid_until <= valid_from:
        message = _("The end lies before the start.")
        raise Invalid("person.valid_time", message, fields={"valid_until": message})
    Holder.objects.filter(site_id=holder.site_id, pk=holder.pk).update(
        valid_from_local=valid_from, valid_until_local=valid_until, row_version=F("row_version") + 1
    )
    holder.valid_from_local, holder.valid_until_local = valid_from, valid_until
    touch(holder.site_id, "holder", holder.id)
    record(
        actor=actor,
        verb="person.valid_time",
        now=now,
        site=holder.site_id,
        kind="person",
        id=holder.id,
        label=holder.label,
    )
