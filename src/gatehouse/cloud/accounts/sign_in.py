"""Signing in and out: the one adapter between the portal and Django's session machinery.

Whatever does the work behind it (today Django's own backend, with second factors another library), screens
call `sign_in`, `sign_out` and nothing else. Guesses are slowed down by account and by address; an attempt is
charged before the password is looked at, so that many at once gain nothing.
"""

from __future__ import annotations

import hashlib
import ipaddress
import logging
import math
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from django.contrib import auth
from django.core import signing
from django.db import connection, transaction
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext_lazy

from gatehouse.cloud.accounts.models import Realm, Throttle, User, username_of
from gatehouse.cloud.accounts.services import FORGOTTEN
from gatehouse.cloud.authz.actor import Actor, enter
from gatehouse.cloud.authz.permissions import Role
from gatehouse.cloud.journal.services import record
from gatehouse.cloud.kit.errors import Invalid, Unavailable
from gatehouse.cloud.kit.seal import sign

FREE_ACCOUNT: Final = 3
"""Wrong passwords for one account before each further one has to wait."""
FREE_ADDRESS: Final = 20
"""The same for one address, behind which a whole office may sit."""
LONGEST: Final = timedelta(minutes=15)
KNOWN_COOKIE: Final = "gatehouse_known"
KNOWN_LIFE: Final = timedelta(days=180)
RIGHTS: Final = "gatehouse_rights"
"""Channel that tells open streams to look at their rights again; payload: the account's id."""

_log = logging.getLogger("gatehouse.sign_in")


def _delay(failures: int, free: int) -> timedelta:
    """1, 2, 4, ... seconds once the free tries are used up, at most a quarter of an hour."""
    over = failures - free
    return timedelta(0) if over <= 0 else min(timedelta(seconds=2 ** min(over - 1, 20)), LONGEST)


def _network(address: str) -> str:
    """The address; of IPv6 the /64, since one customer has all of it."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return address
    return str(ipaddress.ip_network((ip, 64), strict=False)) if ip.version == 6 else str(ip)


def _known_here(request: HttpRequest) -> list[str]:
    """Digests of the accounts that signed in on this browser: guesses of others do not lock them out (GH-SEC-03)."""
    try:
        names = signing.loads(request.COOKIES.get(KNOWN_COOKIE, ""), salt=KNOWN_COOKIE, max_age=KNOWN_LIFE)
    except signing.BadSignature:
        return []
    return [str(name) for name in names]


def _digest(text: str) -> str:
    return sign("throttle", text)[:32]


def _keys(request: HttpRequest, username: str) -> list[tuple[str, int]]:
    address = _network(request.META.get("REMOTE_ADDR", ""))
    if _digest(username) in _known_here(request):
        cookie = hashlib.sha256(request.COOKIES[KNOWN_COOKIE].encode()).hexdigest()[:16]
        return [(f"device:{_digest(username)}:{cookie}", FREE_ACCOUNT)]
    return [(f"account:{_digest(username)}", FREE_ACCOUNT), (f"address:{_digest(address)}", FREE_ADDRESS)]


def _charge(keys: list[tuple[str, int]], now: datetime) -> timedelta:
    """Count one try against every key, or say how long to wait; a refused try counts for nothing."""
    with transaction.atomic():
        for key, _free in keys:
            # writes: counting tries is signing in itself, before there is an actor
            Throttle.objects.bulk_create([Throttle(key=key, updated_at=now)], ignore_conflicts=True)
        locked = Throttle.objects.select_for_update().filter(key__in=[key for key, _free in keys]).order_by("key")
        rows = {row.key: row for row in locked}
        wait = max((row.until - now for row in rows.values() if row.until and row.until > now), default=timedelta(0))
        if wait:
            return wait
        for key, free in keys:
            row = rows[key]
            row.failures = 1 if now - row.updated_at > FORGOTTEN else row.failures + 1
            delay = _delay(row.failures, free)
            row.until = now + delay if delay else None
            row.updated_at = now
            # writes: counting tries is signing in itself, before there is an actor
            row.save(update_fields=["failures", "until", "updated_at"])
    return timedelta(0)


def _give_back(keys: list[tuple[str, int]]) -> None:
    """A right password ends the account's count, and takes the one try off the address's."""
    with connection.cursor() as cursor:
        for key, _free in keys:
            if key.startswith("address:"):
                # writes: counting tries is signing in itself
                back = "UPDATE accounts_throttle SET failures = greatest(failures - 1, 0), until = NULL WHERE key = %s"
            else:
                back = "DELETE FROM accounts_throttle WHERE key = %s"  # writes: counting tries is signing in itself
            cursor.execute(back, [key])


def _journal(verb: str, user: User, request: HttpRequest, now: datetime, *, proven: bool = True) -> None:
    address = request.META.get("REMOTE_ADDR", "")
    actor = Actor(
        id=user.id if proven else UUID(int=0),
        label=user.name if proven else address,
        role=Role.PERSONNEL,
        via="portal",
        permissions=frozenset(),
        request_id=getattr(request, "request_id", ""),
    )
    with transaction.atomic():
        enter(actor)
        record(
            actor=actor,
            verb=verb,
            now=now,
            kind="account",
            id=user.id,
            label=user.name,
            address=address,
        )


@dataclass(frozen=True, slots=True)
class SignedIn:
    """Who came in; `known` is the cookie's value by which this browser is recognised."""

    user: User
    known: str

    def mark(self, response: HttpResponse) -> None:
        """Let the browser remember that this account has been here."""
        response.set_cookie(KNOWN_COOKIE, self.known, max_age=KNOWN_LIFE, httponly=True, samesite="Lax")


def sign_in(request: HttpRequest, *, realm: Realm, login: str, password: str, now: datetime) -> SignedIn:
    """Begin a session of this account, with a new session key.

    Raises Invalid, with one same text, for a wrong name, a wrong password and a disabled account; Unavailable
    with the time to wait after too many of them. Call it outside a transaction: what it counts must stay.
    """
    username = username_of(realm, login)
    keys = _keys(request, username)
    if wait := _charge(keys, now):
        seconds = math.ceil(wait.total_seconds())
        _log.info("sign-in slowed down", extra={"address": request.META.get("REMOTE_ADDR", ""), "seconds": seconds})
        if seconds < 60:
            text = ngettext_lazy(
                "Too many wrong tries. Wait %(count)d second, then try again.",
                "Too many wrong tries. Wait %(count)d seconds, then try again.",
                seconds,
            ) % {"count": seconds}
        else:
            minutes = math.ceil(seconds / 60)
            text = ngettext_lazy(
                "Too many wrong tries. Wait %(count)d minute, then try again.",
                "Too many wrong tries. Wait %(count)d minutes, then try again.",
                minutes,
            ) % {"count": minutes}
        raise Unavailable("sign_in.wait", text, seconds=seconds)
    user = auth.authenticate(request, username=username, password=password)
    if not isinstance(user, User):
        if meant := User.objects.named(realm, login):
            _journal("account.sign_in_refused", meant, request, now, proven=False)
        _log.info("sign-in refused", extra={"address": request.META.get("REMOTE_ADDR", "")})
        raise Invalid("sign_in.wrong", _("Username or password is wrong."))
    _give_back(keys)
    auth.login(request, user)
    _journal("account.signed_in", user, request, now)
    known = [*(name for name in _known_here(request) if name != _digest(username)), _digest(username)][-5:]
    return SignedIn(user, signing.dumps(known, salt=KNOWN_COOKIE))


def sign_out(request: HttpRequest, *, now: datetime) -> None:
    """End this session at once, on this side: the row is gone, and open streams of the account look again."""
    user = request.user
    auth.logout(request)
    if isinstance(user, User):
        _journal("account.signed_out", user, request, now)
        tell_rights(user.id)


def tell_rights(user: UUID) -> None:
    """Tell every web process that this account's rights or sessions changed."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_notify(%s, %s)", [RIGHTS, str(user)])


def staff_user(request: HttpRequest) -> User | None:
    """Who is signed in at the staff's portal; None for nobody, a disabled account, or a resident's session."""
    user = request.user
    return user if isinstance(user, User) and user.is_active and user.realm == Realm.STAFF else None
