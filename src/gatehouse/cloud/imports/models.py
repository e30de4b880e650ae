"""What a file asked for, what was wrong with it, and what was made of it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self

from django.db import models
from django.db.models import Q

from gatehouse.cloud.authz.actor import Actor
from gatehouse.cloud.authz.scope import ScopedQuerySet
from gatehouse.cloud.kit import seal
from gatehouse.cloud.kit.ids import new_id
from gatehouse.cloud.tenants.models import Organisation, Site, same_site


class JobQuerySet(ScopedQuerySet["Job"]):
    """Imports; those of an organisation belong to no site."""

    def visible_to(self, actor: Actor) -> Self:
        """Imports of the actor's sites (of his company, when he is bound to one) and of his organisation."""
        inside = Q(site_id__in=actor.sites)
        if actor.party:
            inside &= Q(company_id=actor.party)
        return self.filter(inside | Q(site=None, organisation__isnull=False, organisation_id=actor.organisation))


class Job(models.Model):
    """One file on its way in. Its rows are kept until its undo time is over, then only the counts stay."""

    class Mode(models.TextChoices):
        ALL = "all"
        GOOD_ROWS = "good_rows"

    class State(models.TextChoices):
        CHECKED = "checked"
        APPLIED = "applied"
        SEALED = "sealed"
        UNDONE = "undone"
        ABANDONED = "abandoned"

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    site = models.ForeignKey(Site, models.PROTECT, null=True)
    organisation = models.ForeignKey(Organisation, models.PROTECT, null=True)
    company = same_site("premises.Company", null=True)
    format = models.CharField(max_length=32)
    file_name = models.CharField(max_length=200)
    file_sha256 = models.CharField(max_length=64)
    mode = models.CharField(max_length=12, choices=Mode.choices)
    state = models.CharField(max_length=12, choices=State.choices, default=State.CHECKED)
    actor_id = models.UUIDField()
    actor_label = models.CharField(max_length=200)
    created_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)
    undo_until = models.DateTimeField(null=True)
    total = models.PositiveIntegerField(default=0)
    added = models.PositiveIntegerField(default=0)
    warned = models.PositiveIntegerField(default=0)
    refused = models.PositiveIntegerField(default=0)

    objects = JobQuerySet.as_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(site=None, organisation__isnull=False) | Q(site__isnull=False, organisation=None),
                name="import_job_one_place",
            ),
            models.CheckConstraint(condition=Q(mode__in=["all", "good_rows"]), name="import_job_mode"),
            models.CheckConstraint(
                condition=Q(state="checked", ended_at=None) | (~Q(state="checked") & Q(ended_at__isnull=False)),
                name="import_job_ended",
            ),
            # what rows and effects point at, together with their site
            models.UniqueConstraint(fields=["site", "id"], name="import_job_site"),
        ]
        indexes = [
            models.Index(fields=["undo_until"], name="import_job_undo", condition=Q(state="applied")),
            models.Index(fields=["site", "-id"], name="import_job_list"),
        ]

    def __str__(self) -> str:
        return f"{self.file_name} {self.state}"

    def may_undo(self, now: datetime) -> bool:
        """Whether it can still be taken back, if nobody has changed what it made."""
        return self.state == self.State.APPLIED and self.undo_until is not None and now < self.undo_until


@dataclass(frozen=True, slots=True)
class Cells:
    """The cells of a row by the key of their column; `numbers` are those that the file held as numbers."""

    texts: dict[str, str]
    numbers: tuple[str, ...] = ()


class Row(models.Model):
    """One row of the file. Its cells may hold PINs and cards, so they rest sealed."""

    class Verdict(models.TextChoices):
        ADDED = "added"
        WARNED = "warned"
        REFUSED = "refused"

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    site = models.ForeignKey(Site, models.PROTECT, null=True)
    job = same_site("imports.Job", models.CASCADE, related_name="rows")
    number = models.PositiveIntegerField()
    raw = models.BinaryField()
    mended = models.BinaryField(null=True)
    verdict = models.CharField(max_length=12, choices=Verdict.choices)
    faults = models.JSONField(default=list)

    objects = ScopedQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["job", "number"], name="import_row_number"),
            models.CheckConstraint(condition=Q(verdict__in=["added", "warned", "refused"]), name="import_row_verdict"),
        ]

    def __str__(self) -> str:
        return f"{self.job_id} {self.number}"

    def keep(self, cells: Cells, field: str) -> None:
        """Seal cells for one of the two fields: `raw` as the file had them, `mended` as somebody corrected them."""
        text = json.dumps({"texts": cells.texts, "numbers": cells.numbers}, ensure_ascii=False)
        setattr(self, field, seal.seal(text, **self._place(field)))

    @property
    def cells(self) -> Cells:
        """What counts: the mended cells, else those of the file."""
        field = "raw" if self.mended is None else "mended"
        found = json.loads(seal.unseal(getattr(self, field), **self._place(field)))
        return Cells(found["texts"], tuple(found["numbers"]))

    def _place(self, field: str) -> dict[str, Any]:
        return {"table": "imports_row", "site": self.site_id or "none", "row": self.id, "field": field}


class Effect(models.Model):
    """A thing that an import made, and how it stood then: what undo takes back, if it still stands so."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    site = models.ForeignKey(Site, models.PROTECT, null=True)
    job = same_site("imports.Job", models.CASCADE, related_name="effects")
    number = models.PositiveIntegerField()
    object_kind = models.CharField(max_length=16)
    object_id = models.UUIDField()
    made = models.JSONField()

    objects = ScopedQuerySet.as_manager()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["job", "object_id"], name="import_effect_once")]

    def __str__(self) -> str:
        return f"{self.object_kind} {self.object_id}"
