"""From an account to an actor: where it may go, and with which rights there."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, cast
from uuid import UUID

from django.db import connection
from django.utils.translation import gettext_lazy as _

from gatehouse.cloud.accounts.models import User
from gatehouse.cloud.authz.actor import Actor, Via
from gatehouse.cloud.authz.permissions import Delegation, P, Role, effective
from gatehouse.cloud.kit.errors import NotFound
from gatehouse.cloud.tenants.models import Site


@dataclass(frozen=True, slots=True)
class Standing:
    """One way in which an account reaches a site, or (without site) an organisation."""

    site: UUID | None
    organisation: UUID
    party: UUID | None
    role: Role
    switches: dict[str, Any]


def standings(user: UUID) -> list[Standing]:
    """Every standing of an account, read before any site is entered. Disabled accounts and organisations have none."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT site_id, organisation_id, party_id, role, switches::text FROM gatehouse_reach(%s)", [user]
        )
        rows = cast("list[tuple[UUID | None, UUID, UUID | None, str, str]]", cursor.fetchall())
    return [Standing(site, org, party, Role(role), json.loads(switches)) for site, org, party, role, switches in rows]


_FIRST = (Role.MANAGER, Role.INSTALLER, Role.SUB_INSTALLER, Role.COMPANY_ADMIN, Role.GUARD, Role.MASTER, Role.MEMBER)


def _switched_off(standing: Standing) -> frozenset[P]:
    """What the switches of a membership take: log access of managers (COM-PM-15)."""
    return frozenset({P.LOG_READ}) if standing.switches.get("read_logs") is False else frozenset()


def actor_at_site(user: User, site: UUID, *, via: Via, request_id: str = "") -> Actor:
    """The account as it acts at one site: its strongest standing there.

    Raises NotFound when the account has none: a foreign site and a missing one look the same.
    """
    here = sorted(
        (s for s in standings(user.id) if s.site == site),
        key=lambda s: _FIRST.index(s.role) if s.role in _FIRST else len(_FIRST),
    )
    if not here:
        raise NotFound("not_found", _("This does not exist, or not any more."))
    standing = here[0]
    redirected = standing.role in (Role.INSTALLER, Role.SUB_INSTALLER)
    return Actor(
        id=user.id,
        label=user.name,
        role=standing.role,
        via=via,
        permissions=effective(
            standing.role, delegation=Delegation.REDIRECT if redirected else None, without=_switched_off(standing)
        ),
        sites=frozenset({site}),
        party=standing.party,
        organisation=standing.organisation,
        delegation=Delegation.REDIRECT if redirected else "",
        request_id=request_id,
    )


@dataclass(frozen=True, slots=True)
class LiveToken:
    """A token that was presented and is good at this moment."""

    id: UUID
    user: UUID
    name: str
    scopes: frozenset[str]
    sites: frozenset[UUID]
    last_used_at: datetime | None


def live_token(digest: str, now: datetime) -> LiveToken | None:
    """The token of this digest, read before any site is entered; None when unknown, revoked, expired or its maker disabled."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT token_id, user_id, name, scopes, sites, last_used_at FROM gatehouse_token_sign_in(%s, %s)",
            [digest, now],
        )
        row = cursor.fetchone()
    if row is None:
        return None
    id_, user, name, scopes, sites, used = row
    return LiveToken(id_, user, name, frozenset(scopes), frozenset(sites), used)


def actor_of_token(token: LiveToken, site: UUID, *, request_id: str = "") -> Actor:
    """The token's maker at a site, with what he may do there now, as far as the token's scopes go.

    Raises NotFound for a site that the token was not made for, or that its maker does not reach any more.
    """
    if site not in token.sites:
        raise NotFound("not_found", _("This does not exist, or not any more."))
    maker = actor_at_site(User.objects.get(pk=token.user), site, via="api", request_id=request_id)
    rights = frozenset(right for right in maker.permissions if right.value in token.scopes)
    return replace(maker, label=f"{maker.label} ({token.name})", permissions=rights)


def sites_of_token(token: LiveToken, *, request_id: str = "") -> Actor:
    """The token's maker before a site is chosen: sees those of the token's sites that he reaches with the right to."""
    mine = {standing.site for standing in standings(token.user)} & token.sites if "site.view" in token.scopes else set()
    everywhere = actor_everywhere(User.objects.get(pk=token.user), via="api", request_id=request_id)
    rights = frozenset(right for right in everywhere.permissions if right.value in token.scopes)
    return replace(everywhere, permissions=rights, sites=frozenset(site for site in mine if site))


def actor_everywhere(user: User, *, via: Via, request_id: str = "") -> Actor:
    """The account before it has chosen a site: may see the list of its sites, nothing within them."""
    mine = standings(user.id)
    return Actor(
        id=user.id,
        label=user.name,
        role=mine[0].role if mine else Role.PERSONNEL,
        via=via,
        permissions=frozenset({P.SITE_VIEW}) if mine else frozenset(),
        sites=frozenset(s.site for s in mine if s.site),
        organisation=next((s.organisation for s in mine if s.site is None), None),
        request_id=request_id,
    )


def actor_in_organisation(user: User, organisation: UUID, *, via: Via, request_id: str = "") -> Actor:
    """The account as it acts in one organisation, with that organisation's sites in reach.

    Raises NotFound when the account has no standing there.
    """
    mine = standings(user.id)
    standing = next((s for s in mine if s.site is None and s.organisation == organisation), None)
    if standing is None:
        raise NotFound("not_found", _("This does not exist, or not any more."))
    return Actor(
        id=user.id,
        label=user.name,
        role=standing.role,
        via=via,
        permissions=effective(standing.role),
        sites=frozenset(s.site for s in mine if s.site and s.organisation == organisation and s.role == standing.role),
        organisation=organisation,
        request_id=request_id,
    )


def sites_of(actor: Actor) -> list[Site]:
    """Sites in the actor's reach, by name."""
    return list(Site.objects.visible_to(actor).select_related("organisation").order_by("name"))
