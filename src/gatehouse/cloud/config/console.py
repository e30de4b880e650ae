"""`gatehouse user ...`: accounts from the shell of the machine's owner."""

from __future__ import annotations

import argparse
import secrets
from collections.abc import Iterator

from django.db import transaction

from gatehouse.cloud.accounts.models import Realm, User
from gatehouse.cloud.accounts.services import create_user, disable_user, enable_user, set_password
from gatehouse.cloud.authz.actor import Actor, enter, system_actor
from gatehouse.cloud.authz.permissions import Role
from gatehouse.cloud.kit.clock import now
from gatehouse.cloud.kit.errors import DomainError
from gatehouse.cloud.tenants.models import ApiToken, Organisation
from gatehouse.cloud.tenants.queries import actor_at_site, actor_everywhere
from gatehouse.cloud.tenants.services import SCOPES, add_member, create_organisation, create_token, revoke_token


class Refused(Exception):
    """Why nothing was done, in one line."""


def _console() -> Actor:
    plain = system_actor(label="console")
    return Actor(id=plain.id, label="console", role=Role.SYSTEM, via="console", permissions=plain.permissions)


def _found(login: str) -> User:
    user = User.objects.named(Realm.STAFF, login)
    if user is None:
        raise Refused(f"There is no account {login!r}; `gatehouse user list` shows them.")
    return user


@transaction.atomic
def _create(chosen: argparse.Namespace) -> str:
    actor, moment = _console(), now()
    enter(actor)
    password = secrets.token_urlsafe(9)
    user = create_user(
        actor=actor,
        realm=Realm.STAFF,
        login=chosen.login,
        name=chosen.name,
        email=chosen.email,
        password=password,
        must_change=True,
        now=moment,
    )
    if chosen.operator:
        operator = Organisation.objects.filter(kind=Organisation.Kind.OPERATOR).first() or create_organisation(
            actor=actor, kind=Organisation.Kind.OPERATOR, name="Operator", now=moment
        )
        add_member(actor=actor, user=user, role=Role.OPERATOR, organisation=operator, now=moment)
    return password


@transaction.atomic
def _change(act: str, login: str) -> str:
    actor, moment = _console(), now()
    enter(actor)
    user = _found(login)
    if act == "password":
        password = secrets.token_urlsafe(9)
        set_password(actor=actor, user=user, password=password, must_change=True, now=moment)
        return password
    change = disable_user if act == "disable" else enable_user
    change(actor=actor, user=user, now=moment)
    return ""


@transaction.atomic
def _token(login: str, name: str, scopes: list[str] | None) -> str:
    """For all sites of the account, made as the account itself."""
    user = _found(login)
    actor = actor_everywhere(user, via="console")
    rights = {right for site in actor.sites for right in actor_at_site(user, site, via="console").permissions}
    wanted = scopes or [right.value for right in rights & SCOPES]
    return create_token(actor=actor, user=user, name=name, sites=actor.sites, scopes=wanted, now=now()).token


@transaction.atomic
def _revoke(login: str, name: str) -> int:
    user = _found(login)
    found = list(ApiToken.objects.filter(user=user, name=name, revoked_at=None))
    for token in found:
        revoke_token(actor=actor_everywhere(user, via="console"), token=token, now=now())
    return len(found)


def act(chosen: argparse.Namespace) -> Iterator[str]:
    """Do one command; yields the lines to print. Raises Refused with the reason."""
    try:
        if chosen.act == "list":
            for user in User.objects.order_by("realm", "login"):
                yield f"{user.realm:<6} {user.login:<24} {user.name:<32} {'disabled' if user.disabled_at else 'active'}"
        elif chosen.act == "create":
            yield f"{chosen.login}: first password {_create(chosen)} (to be changed at the first sign-in)"
        elif chosen.act == "token":
            yield f"{chosen.login}: token {_token(chosen.login, chosen.name, chosen.scope)} (shown this once; good for 90 days)"
        elif chosen.act == "revoke":
            yield f"{chosen.login}: {_revoke(chosen.login, chosen.name)} revoked"
        else:
            password = _change(chosen.act, chosen.login)
            yield f"{chosen.login}: new password {password}" if password else f"{chosen.login}: {chosen.act}d"
    except DomainError as error:
        raise Refused(str(error.message)) from error
