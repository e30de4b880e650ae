"""Devices, their relays, opening a door, and the gateways that speak for them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from django.db.models import QuerySet
from django.utils.translation import gettext_lazy as _
from ninja import Router, Schema

from gatehouse.cloud.api.manners import Answer, Request, endpoint
from gatehouse.cloud.api.shapes import Cursor, Limit, Page, page_by_id
from gatehouse.cloud.authz.actor import Actor
from gatehouse.cloud.authz.permissions import P
from gatehouse.cloud.devices.models import Command, Device, Gateway, Relay
from gatehouse.cloud.devices.services import CLAIM_LIFE, issue_claim_code, open_relay
from gatehouse.cloud.kit import clock
from gatehouse.cloud.kit.errors import NotFound

router = Router(tags=["devices"])


class DeviceOut(Schema):
    """A place in the building with a name and relays. `changed_at`: since when it is (not) online."""

    id: UUID
    name: str
    type: str
    gateway: UUID | None
    online: bool
    changed_at: datetime | None


class RelayOut(Schema):
    """One door of a device."""

    id: UUID
    device: UUID
    name: str
    kind: str
    enabled: bool
    methods: list[str]


class CommandOut(Schema):
    """An order to a gateway: queued, published, done, failed, refused or expired."""

    id: UUID
    verb: str
    relay: UUID | None
    state: str
    reason: str
    issued_at: datetime
    expires_at: datetime
    ended_at: datetime | None


class GatewayOut(Schema):
    """The agent on the site's network, or a native controller."""

    id: UUID
    name: str
    native: bool
    claimed: bool
    revoked: bool
    online: bool
    last_seen_at: datetime | None
    version: str


class ClaimCodeOut(Schema):
    """Shown this once. Give it to the gateway before `expires_at`."""

    code: str
    expires_at: datetime


def relays_of(actor: Actor) -> QuerySet[Relay]:
    """Relays of the site, or those assigned to his company (OFF-CO-12)."""
    rows = Relay.objects.visible_to(actor).filter(deleted_at=None, device__deleted_at=None)
    return rows.filter(company_links__company_id=actor.party) if actor.party else rows


def _relay_at(actor: Actor, id_: UUID) -> Relay:
    row = relays_of(actor).filter(pk=id_).first()
    if row is None:
        raise NotFound("not_found", _("This does not exist, or not any more."))
    return row


def _device(row: Device) -> DeviceOut:
    return DeviceOut(
        id=row.id,
        name=row.name,
        type=row.type,
        gateway=row.gateway_id,
        online=row.online,
        changed_at=row.online_changed_at,
    )


def _relay(row: Relay) -> RelayOut:
    return RelayOut(
        id=row.id, device=row.device_id, name=row.name, kind=row.kind, enabled=row.enabled, methods=row.methods
    )


def _command(row: Command) -> CommandOut:
    return CommandOut(
        id=row.id,
        verb=row.verb,
        relay=row.relay_id,
        state=row.state,
        reason=row.reason,
        issued_at=row.issued_at,
        expires_at=row.expires_at,
        ended_at=row.ended_at,
    )


def _gateway(row: Gateway) -> GatewayOut:
    return GatewayOut(
        id=row.id,
        name=row.name,
        native=row.native,
        claimed=row.claimed_at is not None,
        revoked=row.revoked_at is not None,
        online=row.online,
        last_seen_at=row.last_seen_at,
        version=row.version,
    )


def _devices(rows: Sequence[Device]) -> list[DeviceOut]:
    return [_device(row) for row in rows]


def _relays(rows: Sequence[Relay]) -> list[RelayOut]:
    return [_relay(row) for row in rows]


def _gateways(rows: Sequence[Gateway]) -> list[GatewayOut]:
    return [_gateway(row) for row in rows]


@router.get("/sites/{uuid:site}/devices", response=Page[DeviceOut], url_name="devices", summary="Devices")
@endpoint(P.DEVICE_VIEW)
def device_list(request: Request, site: UUID, cursor: Cursor = "", limit: Limit = 50) -> Page[DeviceOut]:
    """In the order in which they were added."""
    rows = Device.objects.visible_to(request.actor).filter(deleted_at=None)
    return Page[DeviceOut](**page_by_id(rows, cursor, limit, _devices))


@router.get("/sites/{uuid:site}/devices/{uuid:device}", response=DeviceOut, url_name="device", summary="One device")
@endpoint(P.DEVICE_VIEW)
def device_detail(request: Request, site: UUID, device: UUID) -> Answer:
    """With its version as ETag."""
    row = Device.objects.get_visible(request.actor, device, deleted_at=None)
    return Answer(_device(row), version=row.row_version)


@router.get("/sites/{uuid:site}/relays", response=Page[RelayOut], url_name="relays", summary="Doors")
@endpoint(P.SITE_VIEW)
def relay_list(
    request: Request, site: UUID, device: UUID | None = None, cursor: Cursor = "", limit: Limit = 50
) -> Page[RelayOut]:
    """In the order in which they were added; those of one `device` when it is given."""
    rows = relays_of(request.actor)
    rows = rows.filter(device_id=device) if device else rows
    return Page[RelayOut](**page_by_id(rows, cursor, limit, _relays))


@router.get("/sites/{uuid:site}/relays/{uuid:relay}", response=RelayOut, url_name="relay", summary="One door")
@endpoint(P.SITE_VIEW)
def relay_detail(request: Request, site: UUID, relay: UUID) -> Answer:
    """With its version as ETag."""
    row = _relay_at(request.actor, relay)
    return Answer(_relay(row), version=row.row_version)


@router.post(
    "/sites/{uuid:site}/relays/{uuid:relay}/open",
    response={202: CommandOut},
    url_name="relay_open",
    summary="Open a door",
)
@endpoint(P.RELAY_OPEN)
def relay_open(request: Request, site: UUID, relay: UUID) -> Answer:
    """Now or not at all: 503 when the door cannot be reached. Follow the command at `Location` for what became of it."""
    command = open_relay(actor=request.actor, relay=_relay_at(request.actor, relay), now=clock.now())
    where = f"/api/v1/sites/{site}/commands/{command.id}"
    return Answer(_command(command), status=202, headers={"Location": where})


@router.get(
    "/sites/{uuid:site}/commands/{uuid:command}", response=CommandOut, url_name="command", summary="One command"
)
@endpoint(P.RELAY_OPEN)
def command_detail(request: Request, site: UUID, command: UUID) -> Answer:
    """Where it stands. For those who gave it; others read the door log."""
    row = Command.objects.get_visible(request.actor, command, actor_id=request.actor.id)
    return Answer(_command(row))


@router.get("/sites/{uuid:site}/gateways", response=Page[GatewayOut], url_name="gateways", summary="Gateways")
@endpoint(P.DEVICE_VIEW)
def gateway_list(request: Request, site: UUID, cursor: Cursor = "", limit: Limit = 50) -> Page[GatewayOut]:
    """In the order in which they were added, revoked ones included."""
    return Page[GatewayOut](**page_by_id(Gateway.objects.visible_to(request.actor), cursor, limit, _gateways))


@router.get(
    "/sites/{uuid:site}/gateways/{uuid:gateway}", response=GatewayOut, url_name="gateway", summary="One gateway"
)
@endpoint(P.DEVICE_VIEW)
def gateway_detail(request: Request, site: UUID, gateway: UUID) -> Answer:
    """With its version as ETag."""
    row = Gateway.objects.get_visible(request.actor, gateway)
    return Answer(_gateway(row), version=row.row_version)


@router.post(
    "/sites/{uuid:site}/gateways/{uuid:gateway}/claim-code",
    response={201: ClaimCodeOut},
    url_name="claim_code",
    summary="Issue a claim code",
)
@endpoint(P.GATEWAY_EDIT)
def claim_code(request: Request, site: UUID, gateway: UUID) -> Answer:
    """A later code makes an earlier one void."""
    now = clock.now()
    row = Gateway.objects.get_visible(request.actor, gateway)
    code = issue_claim_code(actor=request.actor, gateway=row, now=now)
    return Answer(ClaimCodeOut(code=code, expires_at=now + CLAIM_LIFE), status=201)
