"""Acts on holders and their credentials.

A credential is one row: ciphertext for those who may see it, a keyed digest for doors and uniqueness. A
withdrawn one is quarantined until every door has confirmed; the feed frees it (`feed`).
"""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models import F
from django.utils.translation import gettext_lazy as _

from gatehouse.cloud.authz.actor import Actor
from gatehouse.cloud.authz.permissions import P
from gatehouse.cloud.changes.services import touch
from gatehouse.cloud.journal.services import record
from gatehouse.cloud.kit import seal
from gatehouse.cloud.kit.errors import Conflict, Invalid
from gatehouse.cloud.kit.ids import new_id
from gatehouse.cloud.people.models import Credential, Holder, Person
from gatehouse.cloud.premises.models import Company, PeopleGroup
from gatehouse.rules import credentials as rules
from gatehouse.rules import reasons

_TABLE = "people_credential"

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
    """Add personnel to a group of a company. `valid_from` and `valid_until` are local to the site, half-open.

    Raises Invalid for blank or over-long names, an end before the start, or a group of another company;
    Conflict when the number or e-mail is taken at this site.
    """
    actor.require(P.PERSON_EDIT, company)
    faults = _name_faults(first_name=first_name, last_name=last_name)
    if valid_from and valid_until and valid_until <= valid_from:
        faults["valid_until"] = _("The end lies before the start.")
    if people_group.company_id != company.pk:
        faults["people_group"] = _("Choose a group of this company.")
    if faults:
        raise Invalid("person.invalid", _("Some fields need another look."), fields=faults)  # type: ignore[arg-type]  # lazy texts
    first, last = first_name.strip(), last_name.strip()
    try:
        with transaction.atomic():
            id_ = new_id()
            holder = Holder.objects.create(
                id=id_,
                seal_key=seal.new_key(table="people_holder", site=company.site_id, row=id_),
                site_id=company.site_id,
                kind=Holder.Kind.PERSON,
                party_id=company.pk,
                label=f"{first} {last}",
                valid_from_local=valid_from,
                valid_until_local=valid_until,
            )
            person = Person.objects.create(
                holder=holder,
                site_id=company.site_id,
                role=Person.Standing.PERSONNEL,
                company=company,
                people_group=people_group,
                first_name=first,
                last_name=last,
                staff_no=staff_no.strip(),
                email=email.strip(),
            )
    except IntegrityError as error:
        field = "email" if "person_email" in str(error) else "staff_no"
        raise Conflict("person.taken", _("Another person of this site has this."), field=field) from error
    touch(company.site_id, "holder", holder.id)
    record(
        actor=actor, verb="person.added", now=now, site=company.site_id, kind="person", id=holder.id, label=holder.label
    )
    return person


def _new_credential(
    *, actor: Actor, holder: Holder, kind: str, text: str, scope: UUID, notation: str, source: str, now: datetime
) -> Credential:
    digest = rules.lookup(seal.lookup_key(holder.site_id), kind, text)
    id_ = new_id()
    try:
        with transaction.atomic():
            made = Credential.objects.create(
                id=id_,
                site_id=holder.site_id,
                holder=holder,
                kind=kind,
                scope=scope,
                digest=digest,
                secret=seal.seal(text, table=_TABLE, site=holder.site_id, row=id_, field="secret"),
                notation=notation,
                source=source,
                made_at=now,
            )
    except IntegrityError as error:
        # Neither who has it nor whether it is only quarantined is said: a code is a secret.
        raise Conflict("credential.taken", _("This code is in use here. Choose another one."), field=kind) from error
    touch(holder.site_id, "holder", holder.id)
    record(
        actor=actor,
        verb="credential.added",
        now=now,
        site=holder.site_id,
        kind="person",
        id=holder.id,
        label=holder.label,
        credential=kind,
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
        return _new_credential(
            actor=actor, holder=holder, kind="pin", text=text, scope=holder.site_id, notation="", source=source, now=now
        )


def add_card(*, actor: Actor, holder: Holder, card: str, source: str = "portal", now: datetime) -> Credential:
    """Give a holder a card, beside those he has. Raises Invalid for no card number, Conflict when it is in use here."""
    actor.require(P.CREDENTIAL_EDIT, holder)
    return _new_credential(
        actor=actor,
        holder=holder,
        kind="card",
        text=_parsed("card", card),
        scope=holder.site_id,
        notation="hex",
        source=source,
        now=now,
    )


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
