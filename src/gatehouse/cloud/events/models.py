"""What happened at the doors. Log rows are partitioned by their own time-ordered id and carry no foreign keys."""

from __future__ import annotations

from django.db import models

from gatehouse.cloud.authz.scope import ScopedQuerySet
from gatehouse.cloud.kit.ids import new_id
from gatehouse.cloud.tenants.models import Site, same_site


class IngestCursor(models.Model):
    """How far a spool has been taken. Locked while a batch is taken: a duplicate never counts twice."""

    spool = models.UUIDField(primary_key=True)
    site = models.ForeignKey(Site, models.PROTECT)
    gateway = same_site("devices.Gateway", models.CASCADE, related_name="spools")
    seq = models.BigIntegerField(default=0)
    duplicates = models.BigIntegerField(default=0)
    lost = models.BigIntegerField(default=0)
    updated_at = models.DateTimeField(auto_now=True)

    objects = ScopedQuerySet.as_manager()

    def __str__(self) -> str:
        return f"{self.spool} {self.seq}"


class LogRow(models.Model):
    """Common to all logs: identity (spool, seq), three times, snapshots of names as they were."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    site_id = models.UUIDField()
    at = models.DateTimeField()
    """Corrected time: the log's order."""
    device_at = models.DateTimeField()
    """What the device's clock showed."""
    received_at = models.DateTimeField()
    clock = models.CharField(max_length=8, default="set")
    """set: the device knew the time; placed: placed by its monotonic clock; unknown: its own claim only;
    future: it claimed a moment after its arrival, which stands instead."""
    gateway_id = models.UUIDField()
    spool = models.UUIDField()
    seq = models.BigIntegerField()
    device_id = models.UUIDField(null=True)
    relay_id = models.UUIDField(null=True)
    device_label = models.CharField(max_length=64, blank=True)
    relay_label = models.CharField(max_length=64, blank=True)
    mac = models.CharField(max_length=12, blank=True)

    objects = ScopedQuerySet.as_manager()

    class Meta:
        abstract = True


class Passage(LogRow):
    """One decision at one relay, with its reason: the door log."""

    holder_id = models.UUIDField(null=True)
    party_id = models.UUIDField(null=True)
    occupancy_id = models.UUIDField(null=True)
    credential_id = models.UUIDField(null=True)
    command_id = models.UUIDField(null=True)
    who = models.BinaryField(null=True)
    """Names of the time, sealed with the holder's or occupancy's own key."""
    method = models.CharField(max_length=16)
    allowed = models.BooleanField()
    reason = models.CharField(max_length=64)
    way = models.CharField(max_length=4, blank=True)
    alone = models.BooleanField(default=False)
    revision = models.BigIntegerField(default=0)
    decide_us = models.PositiveIntegerField(default=0)

    class Meta:
        managed = True
        indexes = [
            models.Index(fields=["site_id", "-at", "-id"], name="passage_log"),
            models.Index(fields=["site_id", "relay_id", "-at"], name="passage_relay"),
            models.Index(fields=["site_id", "holder_id", "-at"], name="passage_holder"),
        ]

    def __str__(self) -> str:
        return f"{self.method} {self.reason}"


class Alarm(LogRow):
    """Door held or forced, tamper, fire, a loss declared by a gateway."""

    kind = models.CharField(max_length=24)
    active = models.BooleanField(default=True)
    data = models.JSONField(default=dict)

    class Meta:
        indexes = [models.Index(fields=["site_id", "-at", "-id"], name="alarm_log")]

    def __str__(self) -> str:
        return self.kind


class DoorState(models.Model):
    """The door as its sensor last said: one row a relay, for boards and device pages."""

    relay = models.OneToOneField("devices.Relay", models.CASCADE, primary_key=True, db_constraint=False)
    site = models.ForeignKey(Site, models.PROTECT)
    state = models.CharField(max_length=8, default="unknown")
    since = models.DateTimeField(null=True)
    last_passage_id = models.UUIDField(null=True)
    last_passage_at = models.DateTimeField(null=True)

    objects = ScopedQuerySet.as_manager()

    def __str__(self) -> str:
        return f"{self.relay_id} {self.state}"
