"""The journal: who did what to what, for whom, from where. Only ever appended."""

from __future__ import annotations

from django.db import models

from gatehouse.cloud.authz.scope import ScopedQuerySet
from gatehouse.cloud.kit.ids import new_id


class Entry(models.Model):
    """One act. Ids and labels are values: the line outlives everything it speaks of."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    at = models.DateTimeField()
    site_id = models.UUIDField(null=True)
    organisation_id = models.UUIDField(null=True)
    actor_id = models.UUIDField()
    actor_label = models.CharField(max_length=200)
    on_behalf_id = models.UUIDField(null=True)
    on_behalf_label = models.CharField(max_length=200, blank=True)
    via = models.CharField(max_length=16)
    verb = models.CharField(max_length=64)
    object_kind = models.CharField(max_length=32, blank=True)
    object_id = models.UUIDField(null=True)
    object_label = models.CharField(max_length=200, blank=True)
    data = models.JSONField(default=dict)
    before_image = models.BinaryField(null=True)
    undo_until = models.DateTimeField(null=True)
    request_id = models.CharField(max_length=40, blank=True)

    objects = ScopedQuerySet.as_manager()

    class Meta:
        indexes = [
            models.Index(fields=["site_id", "-id"], name="journal_site"),
            models.Index(fields=["organisation_id", "-id"], name="journal_organisation"),
            models.Index(fields=["object_id", "-id"], name="journal_object"),
        ]

    def __str__(self) -> str:
        return f"{self.verb} {self.object_label}"
