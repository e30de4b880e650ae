"""Who may try a claim code: ten wrong ones from an address within ten minutes pause it (GH-GW-E1)."""

from __future__ import annotations

import ipaddress
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from django.db import connection, transaction

from gatehouse.cloud.accounts.models import Throttle
from gatehouse.cloud.authz.actor import Actor, enter
from gatehouse.cloud.authz.permissions import ROLE_PERMISSIONS, Role
from gatehouse.cloud.devices.models import Gateway
from gatehouse.cloud.devices.services import Claimed, claim_gateway, digest
from gatehouse.cloud.kit.errors import NotFound
from gatehouse.cloud.kit.seal import sign

TRIES: Final = 10
WITHIN: Final = timedelta(minutes=10)


class Paused(Exception):
    """Too many wrong codes from this address; `seconds` until the next try is looked at."""

    def __init__(self, seconds: int) -> None:
        super().__init__(seconds)
        self.seconds = seconds


def device_actor(gateway: UUID, site: UUID) -> Actor:
    """A gateway that has proven who it is, at its own site."""
    return Actor(
        id=gateway,
        label="Gateway",
        role=Role.DEVICE,
        via="device",
        permissions=ROLE_PERMISSIONS[Role.DEVICE],
        sites=frozenset({site}),
    )


def claim(*, code: str, version: str, address: str, now: datetime) -> Claimed | None:
    """Exchange a code for an identity; None, whatever is wrong with it. Raises Paused.

    Tries of one address wait for each other, so many at once count like many in a row. Runs inside the
    request's transaction and leaves the site entered.
    """
    with transaction.atomic():
        key = f"claim:{sign('throttle', _network(address))[:32]}"
        # unscoped: guesses are counted before any site is known
        Throttle.objects.bulk_create([Throttle(key=key, updated_at=now)], ignore_conflicts=True)
        # unscoped: the same row
        row = Throttle.objects.select_for_update().get(key=key)
        if row.until and row.until > now:
            raise Paused(int((row.until - now).total_seconds()) + 1)
        if row.until or now - row.updated_at > WITHIN:
            row.failures, row.until, row.updated_at = 0, None, now
        claimed = _claim(code, version, now)
        if claimed is None:
            row.failures += 1
            if row.failures >= TRIES:
                row.until = now + WITHIN
        row.save(update_fields=["failures", "until", "updated_at"])
    return claimed


def _claim(code: str, version: str, now: datetime) -> Claimed | None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT gateway_id, site_id FROM gatehouse_gateway_claiming(%s, %s)", [digest(code), now])
        found = cursor.fetchone()
    if found is None:
        return None
    actor = device_actor(*found)
    enter(actor)
    gateway = Gateway.objects.get_visible(actor, found[0])
    try:
        return claim_gateway(actor=actor, gateway=gateway, code=code, version=version, now=now)
    except NotFound:  # somebody was faster
        return None


def sign_in(gateway: str, secret: str) -> UUID | None:
    """The site of a gateway whose secret this is; None for a wrong, revoked or unknown one."""
    hashed = digest(secret)
    try:
        who = UUID(gateway)
    except ValueError:
        return None
    with connection.cursor() as cursor:
        cursor.execute("SELECT gatehouse_gateway_sign_in(%s, %s)", [who, hashed])
        (site,) = cursor.fetchone() or (None,)
    return site if isinstance(site, UUID) else None


def _network(address: str) -> str:
    """The address; of IPv6 the /64, since one customer has all of it."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return address
    return str(ipaddress.ip_network((ip, 64), strict=False)) if ip.version == 6 else str(ip)
