"""What gateways must know: keyed entries with history, and what each gateway and device holds of them."""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex
from django.db import models
from django.db.models import Q

from gatehouse.cloud.authz.scope import ScopedQuerySet
from gatehouse.cloud.kit.ids import new_id
from gatehouse.cloud.tenants.models import Site, same_site


class SiteFeed(models.Model):
    """Where a site's feed stands. One compiler at a time moves it (advisory lock on the site)."""

    site = models.OneToOneField(Site, models.PROTECT, primary_key=True)
    epoch = models.UUIDField(default=new_id)
    revision = models.BigIntegerField(default=0)
    horizon = models.BigIntegerField(default=0)
    """Versions below it are gone: who holds less gets a reset."""
    compiled_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"{self.site_id} at {self.revision}"


class Entry(models.Model):
    """One version of one key, never changed but for `ended`: in force from `revision` until `ended` (half-open).

    `audience` names the things (access groups, people group, party, device or the site itself) whose
    interest carries this entry to a gateway. A version without payload is a removal.
    """

    id = models.BigAutoField(primary_key=True)
    site = models.ForeignKey(Site, models.PROTECT)
    kind = models.CharField(max_length=16)
    key = models.UUIDField()
    revision = models.BigIntegerField()
    ended = models.BigIntegerField(null=True)
    priority = models.PositiveSmallIntegerField(default=1)
    payload = models.JSONField(null=True)
    audience = ArrayField(models.UUIDField(), default=list)

    objects = ScopedQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["site", "kind", "key"], name="entry_one_in_force", condition=Q(ended=None)),
            models.CheckConstraint(condition=Q(ended=None) | Q(ended__gt=models.F("revision")), name="entry_period"),
        ]
        indexes = [
            models.Index(fields=["site", "revision"], name="entry_revision"),
            models.Index(fields=["site", "kind", "key", "revision"], name="entry_history"),
            GinIndex(fields=["audience"], name="entry_audience", condition=Q(ended=None)),
        ]

    def __str__(self) -> str:
        return f"{self.kind}:{self.key} @{self.revision}"


class Interest(models.Model):
    """A gateway needs everything whose audience holds `key`, from `since` until `ended` (revisions, half-open)."""

    id = models.BigAutoField(primary_key=True)
    site = models.ForeignKey(Site, models.PROTECT)
    gateway = same_site("devices.Gateway", models.CASCADE, related_name="interests")
    key = models.UUIDField()
    since = models.BigIntegerField()
    ended = models.BigIntegerField(null=True)

    objects = ScopedQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["gateway", "key"], name="interest_once", condition=Q(ended=None)),
        ]
        indexes = [models.Index(fields=["site", "key"], name="interest_key")]

    def __str__(self) -> str:
        return f"{self.gateway_id} > {self.key}"


class GatewayFeed(models.Model):
    """What a gateway should hold and what it says it holds. Receipts are comparisons of these numbers."""

    gateway = models.OneToOneField("devices.Gateway", models.CASCADE, primary_key=True, db_constraint=False)
    site = models.ForeignKey(Site, models.PROTECT)
    wanted = models.BigIntegerField(default=0)
    """Revision of the last change that concerns this gateway."""
    published = models.BigIntegerField(default=0)
    """Revision up to which deltas were handed to the broker."""
    epoch = models.UUIDField(null=True)
    applied = models.BigIntegerField(default=0)
    applied_at = models.DateTimeField(null=True)

    objects = ScopedQuerySet.as_manager()

    def __str__(self) -> str:
        return f"{self.gateway_id} {self.applied}/{self.wanted}"


class DeviceFeed(models.Model):
    """What a device says it holds: the receipt's other side."""

    device = models.OneToOneField("devices.Device", models.CASCADE, primary_key=True, db_constraint=False)
    site = models.ForeignKey(Site, models.PROTECT)
    epoch = models.UUIDField(null=True)
    applied = models.BigIntegerField(default=0)
    applied_at = models.DateTimeField(null=True)
    refused = models.JSONField(default=list)

    objects = ScopedQuerySet.as_manager()

    def __str__(self) -> str:
        return f"{self.device_id} {self.applied}"
