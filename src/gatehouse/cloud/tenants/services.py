"""Acts on organisations, sites and standings."""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from django.db import IntegrityError, connection, transaction
from django.utils.translation import gettext_lazy as _

from gatehouse.cloud.accounts.models import User
from gatehouse.cloud.authz.actor import Actor, enter
from gatehouse.cloud.authz.permissions import P, Role
from gatehouse.cloud.changes.services import touch
from gatehouse.cloud.journal.services import record
from gatehouse.cloud.kit import seal
from gatehouse.cloud.kit.errors import Conflict, Denied, Invalid, NotFound
from gatehouse.cloud.kit.ids import new_id
from gatehouse.cloud.tenants.models import ApiAnswer, ApiToken, ApiTokenSite, Membership, Organisation, Party, Site
from gatehouse.cloud.tenants.queries import actor_at_site

_ABOVE = {
    Organisation.Kind.OPERATOR: None,
    Organisation.Kind.DISTRIBUTOR: Organisation.Kind.OPERATOR,
    Organisation.Kind.INSTALLER: Organisation.Kind.DISTRIBUTOR,
}

TOKEN_LIFE = timedelta(days=90)
TOKEN_LONGEST = timedelta(days=366)
ANSWER_LIFE = timedelta(hours=24)
SCOPES = frozenset(P) - {P.LINK_SPEAK, P.SYSTEM}
"""What a token can be made for."""


def create_organisation(
    *, actor: Actor, kind: Organisation.Kind, name: str, parent: Organisation | None = None, now: datetime
) -> Organisation:
    """Make an operator, a distributor under the operator, or an installer under a distributor."""
    actor.require(P.ORGANISATION_EDIT)
    if not name.strip():
        raise Invalid("organisation.name", _("Give a name."), fields={"name": _("Give a name.")})
    if (parent.kind if parent else None) != _ABOVE[kind]:
        raise Invalid("organisation.parent", _("This kind of organisation stands under another one."))
    made = Organisation.objects.create(
        kind=kind, name=name.strip(), parent=parent, parent_kind=parent.kind if parent else None
    )
    record(
        actor=actor,
        verb="organisation.created",
        now=now,
        organisation=made.id,
        kind="organisation",
        id=made.id,
        label=made.name,
    )
    return made


def known_zone(zone: str) -> str:
    """The zone, when it is an IANA name; raises Invalid otherwise."""
    try:
        ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise Invalid(
            "site.zone", _("This time zone is not known."), fields={"zone": _("Choose a time zone from the list.")}
        ) from error
    return zone


def create_site(
    *, actor: Actor, organisation: Organisation, kind: Site.Kind, name: str, zone: str, now: datetime, **fields: Any
) -> Site:
    """Make a community, an office or a home of an installer. The transaction then has entered it as well.

    Raises Invalid for a blank or over-long name or an unknown zone, Conflict for a name the installer uses already.
    """
    actor.require(P.SITE_CREATE)
    if actor.role is not Role.SYSTEM and actor.organisation != organisation.id:
        raise Denied("denied", _("You may not do this here."))
    name = name.strip()
    if not 1 <= len(name) <= 128:
        raise Invalid(
            "site.name",
            _("Give a name of at most 128 characters."),
            fields={"name": _("Give a name of at most 128 characters.")},
        )
    known_zone(zone)
    id_ = new_id()
    enter(actor, id_)
    try:
        with transaction.atomic():
            site = Site.objects.create(id=id_, organisation=organisation, kind=kind, name=name, zone=zone, **fields)
    except IntegrityError as error:
        raise Conflict("site.taken", _("You have another site of this name."), field="name") from error
    touch(site.id, "site", site.id)
    record(
        actor=actor,
        verb="site.created",
        now=now,
        site=site.id,
        organisation=organisation.id,
        kind="site",
        id=site.id,
        label=name,
    )
    return site


def add_member(
    *,
    actor: Actor,
    user: User,
    role: Role,
    organisation: Organisation | None = None,
    site: Site | None = None,
    party: Party | None = None,
    now: datetime,
) -> Membership:
    """Give an account a standing in an organisation or at a site. Giving it twice changes nothing."""
    actor.require(P.ACCOUNT_EDIT, site)
    member, made = Membership.objects.get_or_create(
        user=user, organisation=organisation, site=site, role=role, defaults={"party": party}
    )
    if made:
        record(
            actor=actor,
            verb="membership.given",
            now=now,
            site=site.id if site else None,
            organisation=organisation.id if organisation else None,
            kind="account",
            id=user.id,
            label=user.name,
            role=role.value,
        )
    return member


def next_number(site: UUID, name: str) -> int:
    """The site's next number of this name, never given twice; holds a row lock until the transaction ends."""
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO tenants_sitecounter (id, site_id, name, last) VALUES (%s, %s, %s, 1) "
            "ON CONFLICT (site_id, name) DO UPDATE SET last = tenants_sitecounter.last + 1 RETURNING last",
            [new_id(), site, name],
        )
        (number,) = cursor.fetchone() or (0,)
    return int(number)


def token_digest(token: str) -> str:
    """How a token is kept: SHA-256, hexadecimal (it holds 256 random bits)."""
    return hashlib.sha256(token.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class MadeToken:
    """A token's row, and the token itself, which exists nowhere else."""

    row: ApiToken
    token: str


def create_token(
    *,
    actor: Actor,
    user: User,
    name: str,
    sites: Iterable[UUID],
    scopes: Iterable[str],
    life: timedelta = TOKEN_LIFE,
    now: datetime,
) -> MadeToken:
    """Make a token for programs that act as this user at these sites, within these scopes. Shown this once.

    The transaction then has entered the sites. Raises Denied for anybody but the user himself and for one who
    asks through a token; NotFound for a site out of his reach; Invalid for no name, site or scope, a scope
    that he has at none of them, or a life beyond a year.
    """
    if actor.id != user.id or actor.via == "api":
        raise Denied("denied", _("You may not do this here."))
    name, wanted, places = name.strip(), sorted(set(scopes)), sorted(set(sites))
    if not 1 <= len(name) <= 64:
        raise Invalid("token.name", _("Give a name of at most 64 characters."), fields={"name": _("Give a name.")})
    if not places:
        raise Invalid("token.sites", _("Choose at least one site."), fields={"sites": _("Choose at least one site.")})
    if not timedelta(0) < life <= TOKEN_LONGEST:
        raise Invalid("token.life", _("A token lives for at most a year."), fields={"life": _("At most a year.")})
    rights: set[str] = set()
    for site in places:
        rights |= actor_at_site(user, site, via=actor.via).permissions & SCOPES
    if not wanted or not rights.issuperset(wanted):
        message = _("Choose scopes that you have yourself.")
        raise Invalid("token.scopes", message, fields={"scopes": message})
    enter(actor, *places)
    token = f"gh_{secrets.token_urlsafe(32)}"
    row = ApiToken.objects.create(
        user=user, name=name, digest=token_digest(token), scopes=wanted, made_at=now, expires_at=now + life
    )
    ApiTokenSite.objects.bulk_create(ApiTokenSite(token=row, site_id=site) for site in places)
    for site in places:
        record(
            actor=actor, verb="token.created", now=now, site=site, kind="token", id=row.id, label=name, scopes=wanted
        )
    return MadeToken(row, token)


def revoke_token(*, actor: Actor, token: ApiToken, now: datetime) -> None:
    """End a token at its next call. Its maker may, and nobody else; twice changes nothing."""
    if actor.id != token.user_id or actor.via == "api":
        raise NotFound("not_found", _("This does not exist, or not any more."))
    if not ApiToken.objects.filter(pk=token.pk, revoked_at=None).update(revoked_at=now):
        return
    enter(actor)
    for reach in ApiTokenSite.objects.visible_to(actor).filter(token=token):
        record(
            actor=actor,
            verb="token.revoked",
            now=now,
            site=reach.site_id,
            kind="token",
            id=token.id,
            label=token.name,
        )


def note_token_use(token: UUID, now: datetime) -> None:
    """Remember when a token was last used; callers ask once a minute at most."""
    ApiToken.objects.filter(pk=token).update(last_used_at=now)


def count_calls(keys: Sequence[str], now: datetime) -> int:
    """Count one call for each key in the current minute; the highest count so far. One statement, any process."""
    minute = int(now.timestamp()) // 60
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO tenants_apicount (key, minute, calls) "
            "SELECT key, %s, 1 FROM unnest(%s::text[]) key ORDER BY key "  # one order, so that nobody waits in a ring
            "ON CONFLICT (key) DO UPDATE SET minute = excluded.minute, calls = CASE "
            "WHEN tenants_apicount.minute = excluded.minute THEN tenants_apicount.calls + 1 ELSE 1 END RETURNING calls",
            [minute, list(keys)],
        )
        calls = max(int(calls) for (calls,) in cursor.fetchall())
        if calls == 1 and minute % 60 == 0:
            cursor.execute("DELETE FROM tenants_apicount WHERE minute < %s", [minute - 1])
    return calls


@dataclass(frozen=True, slots=True)
class KeptAnswer:
    """An answer as it was first given."""

    status: int
    body: str
    headers: dict[str, str]


def begin_answer(*, site: UUID, token: UUID, key: str, request_digest: str, now: datetime) -> KeptAnswer | UUID:
    """Take an idempotency key for a call: the row to finish with `keep_answer`, or the first call's answer.

    While the first call runs, this waits for the end of its transaction. Raises Invalid when the key was used
    for another call within 24 hours.
    """
    ApiAnswer.objects.filter(site_id=site, made_at__lt=now - ANSWER_LIFE).delete()
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO tenants_apianswer (id, site_id, token_id, key, request_digest, headers, made_at) "
            "VALUES (%s, %s, %s, %s, %s, '{}', %s) ON CONFLICT (site_id, token_id, key) DO NOTHING RETURNING id",
            [new_id(), site, token, key, request_digest, now],
        )
        if made := cursor.fetchone():
            return UUID(str(made[0]))
    kept = ApiAnswer.objects.get(site_id=site, token_id=token, key=key)
    if kept.request_digest != request_digest:
        raise Invalid("idempotency.reused", _("This Idempotency-Key was used for another request."))
    body = seal.unseal(bytes(kept.body or b""), table="tenants_apianswer", site=site, row=kept.id, field="body")
    return KeptAnswer(kept.status or 200, json.loads(body), kept.headers)


def keep_answer(*, site: UUID, row: UUID, answer: KeptAnswer) -> None:
    """Keep the answer of the call that took the key, in the call's own transaction."""
    sealed = seal.seal(json.dumps(answer.body), table="tenants_apianswer", site=site, row=row, field="body")
    ApiAnswer.objects.filter(site_id=site, pk=row).update(status=answer.status, body=sealed, headers=answer.headers)
