"""MACs: into a distributor's books (GH-DIST-04), or from an installer's stock into a site's library (COM-MAC-08)."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from django.utils.translation import gettext_lazy as _

from gatehouse.cloud.authz.actor import Actor
from gatehouse.cloud.authz.permissions import P
from gatehouse.cloud.devices.models import Binding, Hardware
from gatehouse.cloud.devices.services import (
    library_candidates,
    normalise_mac,
    put_into_library,
    register_all,
    take_from_library,
    taken_macs,
    unregister,
)
from gatehouse.cloud.imports.checking import Checked, Once, check_exact
from gatehouse.cloud.imports.formats import format_named
from gatehouse.cloud.imports.models import Cells, Job
from gatehouse.cloud.kit.errors import Denied, Invalid

KIND = "hardware"
SECRETS: frozenset[str] = frozenset()


def permit(actor: Actor, job: Job) -> None:
    """Raises Denied or NotFound: a site's library needs the right to add devices, an organisation's books its own people."""
    if job.site_id is not None:
        actor.require(P.DEVICE_ADD, job)
        return
    actor.require(P.ORGANISATION_EDIT)
    if job.organisation is None or actor.organisation != job.organisation.id:
        raise Denied("denied", _("You may not do this here."), permission=P.ORGANISATION_EDIT.value)


def check(job: Job, table: Mapping[int, Cells]) -> Checked[str]:
    """Judge every row of a file. The number of queries does not depend on the number of rows."""
    checked: Checked[str] = Checked()
    once = Once("mac")
    columns = format_named(job.format).columns
    for number, cells in table.items():
        check_exact(checked, number, cells, columns)
        text = cells.texts.get("mac", "").strip()
        if not text:
            checked.fault(number, "mac", "required")
        elif checked.good(number):
            try:
                checked.parsed[number] = normalise_mac(text)
            except Invalid:
                checked.fault(number, "mac", "format")
            else:
                once.seen(checked.parsed[number], number)
    once.report(checked, _standing(job, list(checked.parsed.values())))
    checked.parsed = {number: mac for number, mac in checked.parsed.items() if checked.good(number)}
    return checked


def _standing(job: Job, macs: list[str]) -> dict[Any, str]:
    """The fault of each MAC that cannot be added. Whose it is is only said to those whose it is."""
    if job.site is not None:
        mine = set(Hardware.objects.filter(site=job.site, mac__in=macs).values_list("mac", flat=True))
        free = set(library_candidates(site=job.site, macs=macs))
        refused = set(macs) - free
    else:
        own = Hardware.objects.filter(distributor=job.organisation, mac__in=macs)
        mine = set(own.values_list("mac", flat=True))
        refused = taken_macs(macs)
    return {mac: "duplicate.taken" if mac in mine else "not_found.mac" for mac in refused}


def make(*, actor: Actor, job: Job, rows: Mapping[int, str], now: datetime) -> dict[int, UUID]:
    """Register the MACs, or put them into the site's library; returns the hardware of each row."""
    data: dict[str, Any] = {"import": str(job.id)}
    if job.site is not None:
        found = put_into_library(actor=actor, site=job.site, macs=list(rows.values()), now=now, **data)
    else:
        assert job.organisation is not None
        found = register_all(actor=actor, macs=list(rows.values()), distributor=job.organisation, now=now, **data)
    ids = {hardware.mac: hardware.id for hardware in found}
    return {number: ids[mac] for number, mac in rows.items()}


def states(job: Job, ids: Collection[UUID]) -> dict[UUID, dict[str, Any]]:
    """How the hardware stands now; what is out of reach is not in it."""
    bound = set(
        Binding.objects.filter(hardware_id__in=ids, during__endswith__isnull=True).values_list("hardware_id", flat=True)
    )
    return {
        box.id: {
            "installer": str(box.installer_id or ""),
            "site": str(box.site_id or ""),
            "blocked": box.blocked_at is not None,
            "model": box.model,
            "note": box.note,
            **({"bound": True} if box.id in bound else {}),
        }
        for box in Hardware.objects.filter(pk__in=ids)
    }


def remove(*, actor: Actor, job: Job, ids: Collection[UUID], now: datetime) -> None:
    """Take back what `make` made."""
    data = {"import": str(job.id)}
    if job.site is not None:
        take_from_library(actor=actor, site=job.site, hardware=ids, now=now, **data)
    else:
        assert job.organisation is not None
        unregister(actor=actor, distributor=job.organisation, hardware=ids, now=now, **data)
