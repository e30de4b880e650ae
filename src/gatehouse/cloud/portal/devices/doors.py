"""Doors as people see them: relays with what their sensor said, whether they can be reached, who went last."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db.models import QuerySet

from gatehouse.cloud.authz.actor import Actor
from gatehouse.cloud.authz.permissions import P
from gatehouse.cloud.devices.models import Relay
from gatehouse.cloud.events.models import DoorState
from gatehouse.cloud.events.queries import MOST, Row, door_log_rows
from gatehouse.cloud.wording import words


def doors_of(actor: Actor) -> QuerySet[Relay]:
    """Relays this actor may look at: the site's, or those assigned to his company (OFF-CO-12)."""
    rows = Relay.objects.visible_to(actor).filter(deleted_at=None, device__deleted_at=None)
    return rows.filter(company_links__company_id=actor.party) if actor.party else rows


@dataclass(frozen=True)
class Door:
    """One tile of the board, one row of a device's page."""

    relay: Relay
    state: str
    since: datetime | None
    last: Row | None

    @property
    def look(self) -> words.Look:
        return words.DOOR_LOOKS.get(self.state, words.DOOR_LOOKS["unknown"])

    @property
    def reachable(self) -> bool:
        """False when an order to open would not arrive now."""
        return self.state != "offline"


def board(actor: Actor, relays: Iterable[Relay]) -> list[Door]:
    """Doors with state and last passage; `relays` come with device and gateway. Few queries, whatever their number."""
    rows = list(relays)
    known = {state.relay_id: state for state in DoorState.objects.visible_to(actor).filter(relay__in=rows)}
    last: dict[UUID, Row] = {}
    if actor.may(P.LOG_READ):
        wanted = [state.last_passage_id for state in known.values() if state.last_passage_id]
        for start in range(0, len(wanted), MOST):
            last |= {row.id: row for row in door_log_rows(actor, wanted[start : start + MOST])}
    doors = []
    for relay in rows:
        state = known.get(relay.id)
        device, gateway = relay.device, relay.device.gateway
        up = device.online and gateway is not None and gateway.online and gateway.revoked_at is None
        doors.append(
            Door(
                relay=relay,
                state=(state.state if state else "unknown") if up else "offline",
                since=(state.since if state else None) if up else device.online_changed_at,
                last=last.get(state.last_passage_id) if state and state.last_passage_id else None,
            )
        )
    return doors
