"""What gateways must know: keyed entries with history, and what each gateway and device holds of them.

Rows that only the compiler writes, by the hundred thousand, have no foreign key to the site: it takes the
site from `SiteFeed`, which has one.
"""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex
from django.db import models
from django.db.models import F, Q

from gatehouse.cloud.authz.scope import ScopedQuerySet
from gatehouse.cloud.kit.ids import new_id
from gatehouse.cloud.tenants.models import Site, same_site


class SiteFeed(models.Model):
    """Where a site's feed stands. One compiler at a time moves it (advisory lock on the site)."""

    site = models.OneToOneField(Site, models.PROTECT, primary_key=True)
    epoch = models.UUIDField(default=new_id)
    revision = models.BigIntegerField(default=0)
    horizon = models.BigIntegerField(default=0)
    """Versions that ended at it or before are gone: who holds less may need a reset."""
    compiled_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"{self.site_id} at {self.revision}"


class Revision(models.Model):
    """When a revision was made: the clock of receipts, and the way from a moment to what was in force then."""

    id = models.BigAutoField(primary_key=True)
    site = models.ForeignKey(Site, models.PROTECT, db_index=False, db_constraint=False)
    number = models.BigIntegerField()
    at = models.DateTimeField()

    objects = ScopedQuerySet.as_manager()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["site", "number"], name="revision_once")]
        indexes = [models.Index(fields=["site", "at"], name="revision_at")]

    def __str__(self) -> str:
        return f"{self.number} at {self.at}"


class Entry(models.Model):
    """One version of one key, never changed but for `ended`: in force from `revision` until `ended` (half-open).

    `audience` names the things (access groups, people group, party, device or the site itself) whose
    interest carries this entry to a gateway. `priority` 0: it takes away something that the version before
    it gave. A key that is gone is one whose last version has ended.
    """

    id = models.BigAutoField(primary_key=True)
    site = models.ForeignKey(Site, models.PROTECT, db_index=False, db_constraint=False)
    kind = models.CharField(max_length=16)
    key = models.UUIDField()
    revision = models.BigIntegerField()
    ended = models.BigIntegerField(null=True)
    priority = models.PositiveSmallIntegerField(default=1)
    payload = models.JSONField()
    audience = ArrayField(models.UUIDField(), default=list)

    objects = ScopedQuerySet.as_manager()

    class Meta:
        constraints = [
            # Keeps one version in force and leads to the version of any moment. The key comes first, so that a
            # table without statistics (a site that was just imported) is not read whole for one entry of it.
            models.UniqueConstraint(
                fields=["key", "kind", "site", "ended"], name="entry_one_in_force", nulls_distinct=False
            ),
            models.CheckConstraint(condition=Q(ended=None) | Q(ended__gt=F("revision")), name="entry_period"),
        ]
        indexes = [
            models.Index(fields=["site", "revision"], name="entry_revision"),
            models.Index(fields=["site", "ended"], name="entry_ended", condition=Q(ended__isnull=False)),
            GinIndex(fields=["audience"], name="entry_audience", condition=Q(ended=None)),
        ]

    def __str__(self) -> str:
        return f"{self.kind}:{self.key} @{self.revision}"


class Interest(models.Model):
    """A gateway needs everything whose audience holds `key`, from `since` until `ended` (revisions, half-open)."""

    id = models.BigAutoField(primary_key=True)
    site = models.ForeignKey(Site, models.PROTECT, db_index=False, db_constraint=False)
    gateway = same_site("devices.Gateway", models.CASCADE, related_name="interests", db_index=False)
    kind = models.CharField(max_length=16)
    key = models.UUIDField()
    since = models.BigIntegerField()
    ended = models.BigIntegerField(null=True)

    objects = ScopedQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["gateway", "key", "ended"], name="interest_once", nulls_distinct=False),
            models.CheckConstraint(condition=Q(ended=None) | Q(ended__gt=F("since")), name="interest_period"),
        ]
        indexes = [models.Index(fields=["site", "key"], name="interest_key")]

    def __str__(self) -> str:
        return f"{self.gateway_id} > {self.key}"


class Wanted(models.Model):
    """The last revision that concerns a gateway, and the one before it. Only the compiler writes it.

    A gateway that holds `revision` holds the site's present state, however far the site has gone on; one
    that holds `previous` misses exactly what `revision` brought.
    """

    gateway = models.OneToOneField("devices.Gateway", models.CASCADE, primary_key=True, db_constraint=False)
    site = models.ForeignKey(Site, models.PROTECT)
    revision = models.BigIntegerField()
    previous = models.BigIntegerField(default=0)

    objects = ScopedQuerySet.as_manager()

    def __str__(self) -> str:
        return f"{self.gateway_id} {self.previous}..{self.revision}"


class GatewayFeed(models.Model):
    """What was sent to a gateway, and what it says it holds. Receipts are comparisons with `Wanted`."""

    gateway = models.OneToOneField("devices.Gateway", models.CASCADE, primary_key=True, db_constraint=False)
    site = models.ForeignKey(Site, models.PROTECT)
    published = models.BigIntegerField(default=0)
    """Revision up to which deltas were handed to the broker, in the site's present epoch."""
    epoch = models.UUIDField(null=True)
    applied = models.BigIntegerField(default=0)
    applied_at = models.DateTimeField(null=True)

    objects = ScopedQuerySet.as_manager()

    def __str__(self) -> str:
        return f"{self.gateway_id} {self.applied}"


class DeviceFeed(models.Model):
    """What a device says it holds: the receipt's other side."""

    device = models.OneToOneField("devices.Device", models.CASCADE, primary_key=True, db_constraint=False)
    site = models.ForeignKey(Site, models.PROTECT)
    epoch = models.UUIDField(null=True)
    applied = models.BigIntegerField(default=0)
    applied_at = models.DateTimeField(null=True)
    steps = models.JSONField(default=list)
    """The last steps, oldest first: [revision, when it was reported]."""
    refused = models.JSONField(default=list)
    """What the device could not take, as last reported: [key, reason]."""

    objects = ScopedQuerySet.as_manager()

    def __str__(self) -> str:
        return f"{self.device_id} {self.applied}"
