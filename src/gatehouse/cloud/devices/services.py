"""Acts on gateways, hardware, devices and their relays."""

from __future__ import annotations

import base64
import hashlib
import os
import secrets
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import IntegrityError, connection, transaction
from django.utils.translation import gettext_lazy as _

from gatehouse.cloud.authz.actor import Actor
from gatehouse.cloud.authz.permissions import P
from gatehouse.cloud.changes.services import touch
from gatehouse.cloud.devices.models import Binding, Command, Device, Gateway, Hardware, Relay
from gatehouse.cloud.journal.services import record, record_each
from gatehouse.cloud.kit.errors import Conflict, Invalid, NotFound, Unavailable
from gatehouse.cloud.kit.ids import new_id
from gatehouse.cloud.tenants.models import Organisation, Site

CLAIM_LIFE = timedelta(minutes=15)
OPEN_LIFE = timedelta(seconds=10)
"""How long a remote opening may wait for its gateway; after that the finger has long left the button."""
COMMANDS = "gatehouse_commands"
BROKER = "gatehouse_broker"


def digest(secret: str) -> str:
    """How a random secret or claim code is kept: SHA-256, hexadecimal (they hold 80 random bits or more)."""
    return hashlib.sha256(secret.encode()).hexdigest()


def broker_hash(secret: str) -> str:
    """The broker's own form of a password: `$7$iterations$salt$PBKDF2-SHA512` (the secret is random, so few are enough)."""
    salt = os.urandom(12)
    key = hashlib.pbkdf2_hmac("sha512", secret.encode(), salt, 101)
    return f"$7$101${base64.b64encode(salt).decode()}${base64.b64encode(key).decode()}"


def _notify(channel: str, payload: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_notify(%s, %s)", [channel, payload])


def normalise_mac(text: str) -> str:
    """Twelve upper-case hexadecimal digits; separators and blanks dropped (COM-MAC-E1). Raises Invalid."""
    mac = "".join(c for c in text.upper() if c not in ":-. \t")
    ok = len(mac) == 12 and all(c in "0123456789ABCDEF" for c in mac)
    if not ok:
        message = _("A MAC has 12 digits, 0 to 9 and A to F.")
    elif int(mac, 16) == 0 or int(mac[:2], 16) & 1:
        ok, message = False, _("This MAC belongs to no device.")
    if not ok:
        raise Invalid("mac.invalid", message, fields={"mac": message})
    return mac


def register_hardware(
    *,
    actor: Actor,
    mac: str,
    distributor: Organisation,
    installer: Organisation | None = None,
    site: Site | None = None,
    model: str = "",
    now: datetime,
) -> Hardware:
    """Enter one MAC into the books; see `register_all`."""
    (made,) = register_all(
        actor=actor, macs=[mac], distributor=distributor, installer=installer, site=site, model=model, now=now
    )
    return made


def register_all(
    *,
    actor: Actor,
    macs: Sequence[str],
    distributor: Organisation,
    installer: Organisation | None = None,
    site: Site | None = None,
    model: str = "",
    now: datetime,
    **data: Any,
) -> list[Hardware]:
    """Enter MACs into the books: registered, perhaps allotted, perhaps in a site's library already. All or none.

    Somebody who may add devices at the site may do it, or the distributor himself for his own stock. `data`
    goes into each journal line. Raises Conflict, neutrally, when a MAC is known to anybody.
    """
    if site is None and actor.organisation == distributor.id:
        actor.require(P.ORGANISATION_EDIT)
    else:
        actor.require(P.DEVICE_ADD, site)
    rows = [
        Hardware(mac=normalise_mac(mac), distributor=distributor, installer=installer, site=site, model=model)
        for mac in macs
    ]
    try:
        with transaction.atomic():
            made = Hardware.objects.bulk_create(rows, batch_size=2000)
    except IntegrityError as error:
        raise Conflict("mac.taken", _("This MAC cannot be registered here."), field="mac") from error
    record_each(
        actor=actor,
        verb="hardware.registered",
        now=now,
        site=site.id if site else None,
        organisation=distributor.id,
        kind="hardware",
        things=[(row.id, row.mac) for row in made],
        **data,
    )
    return made


def taken_macs(macs: Collection[str]) -> set[str]:
    """Which of these MACs (normalised) somebody's books hold already, whoever's: what `register_all` would refuse.

    The wall hides the rows of other sites, so the unique index is asked instead, and nothing is left behind.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        point = transaction.savepoint()
        cursor.execute(
            "INSERT INTO devices_hardware (id, mac, model, note, registered_at) "
            "SELECT gen_random_uuid(), mac, '', '', now() FROM unnest(%s::text[]) mac "
            "ON CONFLICT (mac) DO NOTHING RETURNING mac",
            [list(macs)],
        )
        free = {mac for (mac,) in cursor.fetchall()}
        transaction.savepoint_rollback(point)
    return set(macs) - free


def library_candidates(*, site: Site, macs: Collection[str]) -> dict[str, Hardware]:
    """Hardware that may enter this site's MAC library: allotted to the site's installer, in no library, not blocked."""
    found = Hardware.objects.filter(mac__in=macs, site=None, installer_id=site.organisation_id, blocked_at=None)
    return {hardware.mac: hardware for hardware in found}


def put_into_library(*, actor: Actor, site: Site, macs: Collection[str], now: datetime, **data: Any) -> list[Hardware]:
    """Put hardware into a site's MAC library. All or none; `data` goes into each journal line.

    Raises NotFound, without saying why, when a MAC is not the installer's to put here.
    """
    actor.require(P.DEVICE_ADD, site)
    wanted = {normalise_mac(mac) for mac in macs}
    with transaction.atomic():
        free = Hardware.objects.filter(mac__in=wanted, site=None, installer_id=site.organisation_id, blocked_at=None)
        found = list(free.select_for_update().order_by("mac"))
        if {hardware.mac for hardware in found} != wanted:
            raise NotFound("mac.not_allotted", _("This MAC cannot be added here."), field="mac")
        Hardware.objects.filter(pk__in=[hardware.pk for hardware in found]).update(site=site)
    things = [(hardware.id, hardware.mac) for hardware in found]
    record_each(actor=actor, verb="hardware.in_library", now=now, site=site.id, kind="hardware", things=things, **data)
    return found


def take_from_library(*, actor: Actor, site: Site, hardware: Collection[UUID], now: datetime, **data: Any) -> None:
    """Take hardware out of a site's MAC library; the installer keeps it. Raises Conflict when some fills a device."""
    actor.require(P.DEVICE_ADD, site)
    there = list(Hardware.objects.select_for_update().filter(site=site, pk__in=hardware).order_by("mac"))
    if Binding.objects.filter(
        site=site, hardware_id__in=[box.pk for box in there], during__endswith__isnull=True
    ).exists():
        raise Conflict("mac.bound", _("This MAC fills a device."), field="mac")
    Hardware.objects.filter(site=site, pk__in=[box.pk for box in there]).update(site=None)
    things = [(box.id, box.mac) for box in there]
    record_each(
        actor=actor, verb="hardware.out_of_library", now=now, site=site.id, kind="hardware", things=things, **data
    )


def unregister(
    *, actor: Actor, distributor: Organisation, hardware: Collection[UUID], now: datetime, **data: Any
) -> None:
    """Strike hardware from the books. Raises Conflict when some is allotted or in a site's library."""
    if actor.organisation == distributor.id:
        actor.require(P.ORGANISATION_EDIT)
    else:
        actor.require(P.DEVICE_ADD)
    there = list(
        Hardware.objects.select_for_update().filter(distributor=distributor, installer=None, site=None, pk__in=hardware)
    )
    if len(there) != len(set(hardware)):
        raise Conflict("mac.in_use", _("Some of this hardware was given on meanwhile."))
    Hardware.objects.filter(pk__in=hardware, installer=None, site=None).delete()
    things = [(box.id, box.mac) for box in there]
    record_each(
        actor=actor,
        verb="hardware.unregistered",
        now=now,
        organisation=distributor.id,
        kind="hardware",
        things=things,
        **data,
    )


def add_gateway(*, actor: Actor, site: Site, name: str, native: bool = False, now: datetime) -> Gateway:
    """Add a gateway to a site; it can do nothing until it is claimed."""
    actor.require(P.GATEWAY_EDIT, site)
    try:
        with transaction.atomic():
            gateway = Gateway.objects.create(site=site, name=name.strip(), native=native)
    except IntegrityError as error:
        raise Conflict("gateway.taken", _("There is a gateway of this name."), field="name") from error
    touch(site.id, "gateway", gateway.id)
    record(actor=actor, verb="gateway.added", now=now, site=site.id, kind="gateway", id=gateway.id, label=gateway.name)
    return gateway


def issue_claim_code(*, actor: Actor, gateway: Gateway, now: datetime) -> str:
    """A code (100 random bits) that one gateway may exchange for its identity within 15 minutes, once.

    Shown this once. A later code makes an earlier one void. Raises Conflict for a revoked gateway.
    """
    actor.require(P.GATEWAY_EDIT, gateway)
    if gateway.revoked_at:
        raise Conflict("gateway.revoked", _("This gateway was revoked. Add a new one."))
    code = base64.b32encode(secrets.token_bytes(15)).decode()[:20]
    gateway.claim_digest, gateway.claim_until = digest(code), now + CLAIM_LIFE
    gateway.save(update_fields=["claim_digest", "claim_until"])
    record(
        actor=actor,
        verb="gateway.claim_code",
        now=now,
        site=gateway.site_id,
        kind="gateway",
        id=gateway.id,
        label=gateway.name,
    )
    return code


@dataclass(frozen=True, slots=True)
class Claimed:
    """A gateway and the secret it was given; the secret exists nowhere else."""

    gateway: Gateway
    secret: str


def claim_gateway(*, actor: Actor, gateway: Gateway, code: str, version: str, now: datetime) -> Claimed:
    """Exchange a claim code for an identity of its own. Works once: the code is void afterwards.

    An identity that the gateway had before is void too, and its connection is dropped. Raises NotFound for
    any code that is wrong, used or expired, without saying which.
    """
    actor.require(P.LINK_SPEAK, gateway)
    secret = secrets.token_urlsafe(32)
    taken = Gateway.objects.filter(
        site_id=gateway.site_id, pk=gateway.pk, claim_digest=digest(code), claim_until__gt=now, revoked_at=None
    ).update(
        claim_digest=None,
        claim_until=None,
        claimed_at=now,
        secret_digest=digest(secret),
        broker_hash=broker_hash(secret),
        version=version,
    )
    if not taken:
        raise NotFound("claim.unknown", _("This code does not work. Ask for a new one."))
    gateway.refresh_from_db()
    record(
        actor=actor,
        verb="gateway.claimed",
        now=now,
        site=gateway.site_id,
        kind="gateway",
        id=gateway.id,
        label=gateway.name,
        version=version,
    )
    _notify(BROKER, str(gateway.id))
    return Claimed(gateway, secret)


def revoke_gateway(*, actor: Actor, gateway: Gateway, now: datetime) -> None:
    """End a gateway's identity: its connection is dropped and nothing of it is accepted any more. Final."""
    actor.require(P.GATEWAY_EDIT, gateway)
    if not Gateway.objects.filter(site_id=gateway.site_id, pk=gateway.pk, revoked_at=None).update(
        revoked_at=now,
        claim_digest=None,
        claim_until=None,
        secret_digest="",
        broker_hash="",
        online=False,
        online_changed_at=now,
    ):
        return
    touch(gateway.site_id, "gateway", gateway.id)
    record(
        actor=actor,
        verb="gateway.revoked",
        now=now,
        site=gateway.site_id,
        kind="gateway",
        id=gateway.id,
        label=gateway.name,
    )
    _notify(BROKER, str(gateway.id))


def add_device(
    *,
    actor: Actor,
    site: Site,
    name: str,
    type: Device.Type,
    mac: str,
    gateway: Gateway | None = None,
    relays: Sequence[dict[str, Any]] = ({"name": "Relay1"},),
    now: datetime,
) -> Device:
    """Put a place for a device into the public area, filled by hardware from the site's MAC library.

    `relays`: one mapping each with `name` and optionally `methods`, `hold_ms`, `dtmf`, `kind`. Raises
    NotFound for a MAC that is not in this site's library, Conflict for one that fills another device,
    Invalid for more than four relays or a blank name.
    """
    actor.require(P.DEVICE_ADD, site)
    name = name.strip()
    if not 1 <= len(name) <= 64:
        message = _("Give a name of at most 64 characters.")
        raise Invalid("device.name", message, fields={"name": message})
    if len(relays) > 4:
        raise Invalid("device.relays", _("A device has at most four relays."), fields={"relays": _("At most four.")})
    hardware = Hardware.objects.filter(site=site, mac=normalise_mac(mac), blocked_at=None).first()
    if hardware is None:
        raise NotFound("mac.not_in_library", _("This MAC is not in the site's MAC library."), field="mac")
    try:
        with transaction.atomic():
            device = Device.objects.create(site=site, gateway=gateway, type=type, name=name)
            Binding.objects.create(site=site, device=device, hardware=hardware, during=(now, None))
            codes = iter("#0123456789*")
            made = Relay.objects.bulk_create(
                Relay(
                    site=site,
                    device=device,
                    position=position,
                    dtmf=relay.get("dtmf", next(codes)),
                    **{key: value for key, value in relay.items() if key != "dtmf"},
                )
                for position, relay in enumerate(relays, 1)
            )
    except IntegrityError as error:
        if "binding" in str(error):
            raise Conflict("mac.bound", _("This MAC fills another device."), field="mac") from error
        raise Conflict(
            "relay.taken", _("Two relays of a device need different names and codes."), field="relays"
        ) from error
    touch(site.id, "device", device.id)
    record(
        actor=actor,
        verb="device.added",
        now=now,
        site=site.id,
        kind="device",
        id=device.id,
        label=name,
        relays=[r.name for r in made],
    )
    return device


def open_relay(*, actor: Actor, relay: Relay, now: datetime) -> Command:
    """Ask a door to open now. The answer comes as the command's end and as a passage in the door log.

    Raises Unavailable when the door cannot be reached at this moment (nothing is queued for later),
    Conflict when the relay is switched off or gone.
    """
    actor.require(P.RELAY_OPEN, relay)
    if actor.party is not None and not relay.company_links.filter(company_id=actor.party).exists():
        raise NotFound("relay.gone", _("This door does not exist any more."))  # another company's: looks like none
    device = Device.objects.select_related("gateway").get(site_id=relay.site_id, pk=relay.device_id)
    if relay.deleted_at or device.deleted_at:
        raise NotFound("relay.gone", _("This door does not exist any more."))
    if not relay.enabled:
        raise Conflict("relay.off", _("This relay is switched off."))
    gateway = device.gateway
    if gateway is None or gateway.revoked_at or not gateway.online:
        raise Unavailable("device.offline", _("The door cannot be reached at the moment. It was not opened."))
    command = Command.objects.create(
        id=new_id(),
        site_id=relay.site_id,
        gateway=gateway,
        device=device,
        relay=relay,
        verb="relay.open",
        actor_id=actor.id,
        actor_label=actor.label[:200],
        via=actor.via,
        issued_at=now,
        expires_at=now + OPEN_LIFE,
    )
    record(
        actor=actor,
        verb="relay.open",
        now=now,
        site=relay.site_id,
        kind="relay",
        id=relay.id,
        label=f"{device.name} / {relay.name}",
    )
    _notify(COMMANDS, str(gateway.id))
    return command
