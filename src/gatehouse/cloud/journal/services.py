"""Writing the journal, inside the act's own transaction."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any
from uuid import UUID

from gatehouse.cloud.authz.actor import Actor
from gatehouse.cloud.journal.models import Entry


def record(
    *,
    actor: Actor,
    verb: str,
    now: datetime,
    site: UUID | None = None,
    organisation: UUID | None = None,
    kind: str = "",
    id: UUID | None = None,
    label: str = "",
    **data: Any,
) -> Entry:
    """Append one line. `data` never holds a PIN, card, password, token or picture."""
    return Entry.objects.create(
        at=now,
        site_id=site,
        organisation_id=organisation,
        actor_id=actor.id,
        actor_label=actor.label[:200],
        on_behalf_id=actor.on_behalf_id,
        on_behalf_label=actor.on_behalf_label[:200],
        via=actor.via,
        verb=verb,
        object_kind=kind,
        object_id=id,
        object_label=label[:200],
        data=data,
        request_id=actor.request_id,
    )


def record_each(
    *,
    actor: Actor,
    verb: str,
    now: datetime,
    site: UUID | None = None,
    organisation: UUID | None = None,
    kind: str,
    things: Iterable[tuple[UUID, str]],
    **data: Any,
) -> None:
    """Append one line for each thing (id, label) that an act on many has touched, in a few statements."""
    Entry.objects.bulk_create(
        (
            Entry(
                at=now,
                site_id=site,
                organisation_id=organisation,
                actor_id=actor.id,
                actor_label=actor.label[:200],
                on_behalf_id=actor.on_behalf_id,
                on_behalf_label=actor.on_behalf_label[:200],
                via=actor.via,
                verb=verb,
                object_kind=kind,
                object_id=id_,
                object_label=label[:200],
                data=data,
                request_id=actor.request_id,
            )
            for id_, label in things
        ),
        batch_size=2000,
    )
