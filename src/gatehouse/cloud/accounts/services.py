"""Acts on accounts."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.contrib.auth.hashers import make_password
from django.contrib.sessions.models import Session
from django.db import IntegrityError, transaction
from django.utils.translation import gettext_lazy as _

from gatehouse.cloud.accounts.models import Realm, Throttle, User, username_of
from gatehouse.cloud.authz.actor import Actor
from gatehouse.cloud.authz.permissions import P
from gatehouse.cloud.journal.services import record
from gatehouse.cloud.kit.errors import Conflict, Invalid

FORGOTTEN = timedelta(hours=24)
"""A wrong try this old counts no more."""


def create_user(
    *,
    actor: Actor,
    realm: Realm,
    login: str,
    name: str,
    email: str = "",
    password: str | None = None,
    must_change: bool = False,
    now: datetime,
) -> User:
    """Make an account. There is no self-registration: somebody with a right over accounts does it.

    Without a password the account cannot sign in until a link sets one; `must_change` asks for another one at
    the first sign-in. Raises Invalid for a blank login or
    name, Conflict when the login or the e-mail is taken in this realm.
    """
    actor.require(P.ACCOUNT_EDIT)
    login = login.strip()
    if not login or " " in login:
        raise Invalid(
            "account.login",
            _("Give a sign-in name without blanks."),
            fields={"login": _("Give a sign-in name without blanks.")},
        )
    if not name.strip():
        raise Invalid("account.name", _("Give a name."), fields={"name": _("Give a name.")})
    user = User(
        username=username_of(realm, login),
        realm=realm,
        login=login,
        email=email.strip(),
        name=name.strip(),
        password=make_password(password),
        password_changed_at=now if password else None,
        must_change_password=must_change,
    )
    try:
        with transaction.atomic():
            user.save(force_insert=True)
    except IntegrityError as error:
        field = "email" if "email" in str(error) else "login"
        raise Conflict("account.taken", _("This is taken by another account."), field=field) from error
    record(actor=actor, verb="account.created", now=now, kind="account", id=user.id, label=user.name)
    return user


def clear_sign_ins(now: datetime) -> None:
    """Delete sessions that have ended, and counted tries that no longer slow anybody down."""
    Session.objects.filter(expire_date__lt=now).delete()
    Throttle.objects.filter(updated_at__lt=now - FORGOTTEN).delete()


def choose_language(*, user: User, language: str) -> None:
    """The account's own choice of language for what it is shown; nothing else changes with it (COM-NAV-C3)."""
    User.objects.filter(pk=user.pk).update(language=language)


def set_password(*, actor: Actor, user: User, password: str, must_change: bool = False, now: datetime) -> None:
    """Give an account another password; its sessions end at their next request."""
    actor.require(P.ACCOUNT_EDIT)
    user.password, user.password_changed_at = make_password(password), now
    user.must_change_password = must_change
    user.save(update_fields=["password", "password_changed_at", "must_change_password"])
    record(actor=actor, verb="account.password", now=now, kind="account", id=user.id, label=user.name)


def disable_user(*, actor: Actor, user: User, now: datetime) -> None:
    """Nobody signs in with this account any more; its sessions end at their next request."""
    actor.require(P.ACCOUNT_EDIT)
    user.disabled_at = user.disabled_at or now
    user.save(update_fields=["disabled_at"])
    record(actor=actor, verb="account.disable", now=now, kind="account", id=user.id, label=user.name)


def enable_user(*, actor: Actor, user: User, now: datetime) -> None:
    """Let a disabled account sign in again."""
    actor.require(P.ACCOUNT_EDIT)
    user.disabled_at = None
    user.save(update_fields=["disabled_at"])
    record(actor=actor, verb="account.enable", now=now, kind="account", id=user.id, label=user.name)
