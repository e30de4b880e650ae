"""Opening and closing a whole site: one signed row that says what is wanted, not a set of commands."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from django.db import connection, transaction

from gatehouse.cloud.authz.actor import Actor
from gatehouse.cloud.authz.permissions import P
from gatehouse.cloud.emergency.models import EmergencyState
from gatehouse.cloud.journal.services import record
from gatehouse.cloud.kit import seal
from gatehouse.cloud.kit.ids import new_id
from gatehouse.cloud.tenants.models import Site
from gatehouse.wire.messages import emergency_bytes

CHANNEL = "gatehouse_emergency"


def set_emergency(*, actor: Actor, site: Site, state: Literal["open", "closed"], now: datetime) -> EmergencyState:
    """Say that a site's doors shall stand open, or that this is over. One more row; the link publishes it.

    Saying again what holds already is allowed and counts on: whoever presses twice is heard twice. Two at
    once are put into an order; the later one holds.
    """
    actor.require(P.EMERGENCY_ACT, site)
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"emergency:{site.id}"])
        last = EmergencyState.objects.filter(site_id=site.id).order_by("-counter").first()
        emergency = last.emergency if last and (last.state == "open" or state == "closed") else new_id()
        counter = last.counter + 1 if last else 1
        at_ms = int(now.timestamp() * 1000)
        text = emergency_bytes(str(site.id), str(emergency), state, counter, at_ms)
        row = EmergencyState.objects.create(
            site_id=site.id,
            emergency=emergency,
            state=state,
            counter=counter,
            at=now,
            actor_id=actor.id,
            actor_label=actor.label[:200],
            origin=actor.via,
            signature=seal.emergency_key(site.id).sign(text).hex(),
        )
        record(
            actor=actor,
            verb=f"emergency.{state}",
            now=now,
            site=site.id,
            kind="site",
            id=site.id,
            label=site.name,
            counter=counter,
        )
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_notify(%s, %s)", [CHANNEL, str(site.id)])
    return row
