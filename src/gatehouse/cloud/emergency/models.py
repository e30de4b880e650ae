"""The signed emergency state of a site."""

from __future__ import annotations

from django.db import models

from gatehouse.cloud.authz.scope import ScopedQuerySet
from gatehouse.cloud.kit.ids import new_id
from gatehouse.cloud.tenants.models import Site


class EmergencyState(models.Model):
    """One change of a site's wanted state: the row with the highest counter holds. Never changed, only followed."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    site = models.ForeignKey(Site, models.PROTECT)
    emergency = models.UUIDField()
    """Stays the same from opening to closing."""
    state = models.CharField(max_length=8, choices=[("open", "open"), ("closed", "closed")])
    counter = models.PositiveBigIntegerField()
    at = models.DateTimeField()
    actor_id = models.UUIDField()
    actor_label = models.CharField(max_length=200)
    origin = models.CharField(max_length=16)
    signature = models.CharField(max_length=128)
    published_at = models.DateTimeField(null=True)

    objects = ScopedQuerySet.as_manager()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["site", "counter"], name="emergency_counter")]

    def __str__(self) -> str:
        return f"{self.state} {self.counter}"
