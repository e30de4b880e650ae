"""Places that decide and open: devices, the hardware that fills them, their relays, the gateways that speak for them."""

from __future__ import annotations

from django.contrib.postgres.constraints import ExclusionConstraint
from django.contrib.postgres.fields import ArrayField, DateTimeRangeField, RangeOperators
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Lower, Trim

from gatehouse.cloud.authz.scope import ScopedQuerySet
from gatehouse.cloud.kit.ids import new_id
from gatehouse.cloud.tenants.models import Organisation, Site, same_site

METHODS = ("homepage", "talking", "pin", "face", "card", "bluetooth", "nfc", "qr")
"""Access methods of a relay, in the order of the manuals' boxes."""


def all_methods() -> list[str]:
    """A new relay takes every method (OFF-DEV-16)."""
    return list(METHODS)


class Hardware(models.Model):
    """A box with a MAC. The MAC finds it, its secret opens it. One row per MAC in the whole installation."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    mac = models.CharField(max_length=12, unique=True)
    distributor = models.ForeignKey(Organisation, models.PROTECT, null=True, related_name="registered_hardware")
    installer = models.ForeignKey(Organisation, models.PROTECT, null=True, related_name="allotted_hardware")
    site = models.ForeignKey(Site, models.PROTECT, null=True, related_name="hardware")
    model = models.CharField(max_length=32, blank=True)
    firmware = ArrayField(models.PositiveIntegerField(), size=4, null=True)
    note = models.CharField(max_length=200, blank=True)
    registered_at = models.DateTimeField(auto_now_add=True)
    blocked_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                # COM-MAC-E1: twelve upper-case hexadecimal digits, unicast, not zero
                condition=Q(mac__regex="^[0-9A-F][02468ACE][0-9A-F]{10}$") & ~Q(mac="000000000000"),
                name="hardware_mac",
            ),
            models.CheckConstraint(condition=Q(site=None) | Q(installer__isnull=False), name="hardware_station"),
        ]

    def __str__(self) -> str:
        return self.mac


class Gateway(models.Model):
    """Our agent on the site's network; a native controller is one with itself as its only device."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    site = models.ForeignKey(Site, models.PROTECT)
    name = models.CharField(max_length=128)
    native = models.BooleanField(default=False)
    claim_digest = models.CharField(max_length=64, null=True, unique=True)  # unique only when present
    claim_until = models.DateTimeField(null=True)
    claimed_at = models.DateTimeField(null=True)
    secret_digest = models.CharField(max_length=64, blank=True)
    broker_hash = models.CharField(max_length=200, blank=True)
    revoked_at = models.DateTimeField(null=True)
    # presence and health, as last reported
    online = models.BooleanField(default=False)
    online_changed_at = models.DateTimeField(null=True)
    last_seen_at = models.DateTimeField(null=True)
    session = models.UUIDField(null=True)
    boot = models.UUIDField(null=True)
    version = models.CharField(max_length=64, blank=True)
    health = models.JSONField(default=dict)
    created_at = models.DateTimeField(auto_now_add=True)
    row_version = models.PositiveIntegerField(default=1)

    objects = ScopedQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint("site", Lower(Trim("name")), name="gateway_name", condition=Q(revoked_at=None))
        ]

    def __str__(self) -> str:
        return self.name


class NetworkGroup(models.Model):
    """Devices on one local network: they call each other by IP."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    site = models.ForeignKey(Site, models.PROTECT)
    gateway = same_site("devices.Gateway", null=True, related_name="network_groups")
    name = models.CharField(max_length=64)

    objects = ScopedQuerySet.as_manager()

    class Meta:
        constraints = [models.UniqueConstraint("site", Lower(Trim("name")), name="network_group_name")]

    def __str__(self) -> str:
        return self.name


class Device(models.Model):
    """A place in the building, with a name and relays. The hardware in it may change."""

    class Type(models.TextChoices):
        MULTI_TENANT_DOOR_PHONE = "multi_tenant_door_phone"
        SINGLE_TENANT_DOOR_PHONE = "single_tenant_door_phone"
        INDOOR_MONITOR = "indoor_monitor"
        GUARD_PHONE = "guard_phone"
        ACCESS_TERMINAL = "access_terminal"
        LIFT_CONTROLLER = "lift_controller"

    class Placement(models.TextChoices):
        PUBLIC = "public"
        BUILDING = "building"
        UNIT = "unit"

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    site = models.ForeignKey(Site, models.PROTECT)
    gateway = same_site("devices.Gateway", null=True, related_name="devices")
    network_group = same_site("devices.NetworkGroup", null=True)
    placement = models.CharField(max_length=12, choices=Placement.choices, default=Placement.PUBLIC)
    building = same_site("premises.Building", null=True)
    unit = same_site("premises.Unit", null=True)
    all_buildings = models.BooleanField(default=True)
    type = models.CharField(max_length=32, choices=Type.choices)
    name = models.CharField(max_length=64)
    number = models.OneToOneField("tenants.DialNumber", models.PROTECT, null=True, db_constraint=False)
    internet = models.BooleanField(default=True)
    settings = models.JSONField(default=dict)
    online = models.BooleanField(default=False)
    online_changed_at = models.DateTimeField(null=True)
    last_seen_at = models.DateTimeField(null=True)
    created_at = models.DateTimeField(auto_now_add=True)
    deleted_at = models.DateTimeField(null=True)
    row_version = models.PositiveIntegerField(default=1)

    objects = ScopedQuerySet.as_manager()

    class Meta:
        indexes = [models.Index(fields=["gateway"], name="device_gateway")]
        constraints = [
            models.CheckConstraint(
                condition=Q(placement="public", building=None, unit=None)
                | Q(placement="building", building__isnull=False, unit=None)
                | Q(placement="unit", unit__isnull=False),
                name="device_place",
            ),
        ]

    def __str__(self) -> str:
        return self.name


class Binding(models.Model):
    """Which hardware fills a device, and when."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    site = models.ForeignKey(Site, models.PROTECT)
    device = same_site("devices.Device", related_name="bindings")
    hardware = models.ForeignKey(Hardware, models.PROTECT, related_name="bindings")
    during = DateTimeRangeField()

    objects = ScopedQuerySet.as_manager()

    class Meta:
        constraints = [
            ExclusionConstraint(
                name="binding_one_hardware",
                expressions=[(F("device"), RangeOperators.EQUAL), (F("during"), RangeOperators.OVERLAPS)],
            ),
            ExclusionConstraint(
                name="binding_one_device",
                expressions=[(F("hardware"), RangeOperators.EQUAL), (F("during"), RangeOperators.OVERLAPS)],
            ),
        ]

    def __str__(self) -> str:
        return f"{self.hardware_id} in {self.device_id}"


class Relay(models.Model):
    """One door of a device. Never renumbered; a deleted one keeps its row, so that late events find a name."""

    class Kind(models.TextChoices):
        DOOR = "door"
        SECURITY = "security"
        MONITOR = "monitor"

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    site = models.ForeignKey(Site, models.PROTECT)
    device = same_site("devices.Device", related_name="relays")
    kind = models.CharField(max_length=12, choices=Kind.choices, default=Kind.DOOR)
    position = models.PositiveSmallIntegerField()
    name = models.CharField(max_length=64)
    enabled = models.BooleanField(default=True)
    dtmf = models.CharField(max_length=1, blank=True)
    methods = ArrayField(models.CharField(max_length=12), default=all_methods)
    hold_ms = models.PositiveIntegerField(default=5000)
    deleted_at = models.DateTimeField(null=True)
    row_version = models.PositiveIntegerField(default=1)

    objects = ScopedQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["device", "kind", "position"], name="relay_position", condition=Q(deleted_at=None)
            ),
            models.UniqueConstraint("device", Lower(Trim("name")), name="relay_name", condition=Q(deleted_at=None)),
            models.UniqueConstraint(
                fields=["device", "dtmf"], name="relay_dtmf", condition=Q(deleted_at=None, enabled=True) & ~Q(dtmf="")
            ),
            models.CheckConstraint(condition=Q(position__gte=1, position__lte=4), name="relay_four"),
            models.CheckConstraint(condition=Q(methods__contained_by=list(METHODS)), name="relay_methods"),
            models.CheckConstraint(condition=Q(hold_ms__gte=100, hold_ms__lte=600_000), name="relay_hold"),
        ]

    def __str__(self) -> str:
        return self.name


class Input(models.Model):
    """An input of a device: door sensor, exit button, fire, tamper."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    site = models.ForeignKey(Site, models.PROTECT)
    device = same_site("devices.Device", related_name="inputs")
    position = models.PositiveSmallIntegerField()
    use = models.CharField(max_length=12)
    relay = same_site("devices.Relay", null=True, related_name="inputs")
    timeout_s = models.PositiveSmallIntegerField(null=True)

    objects = ScopedQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["device", "position"], name="input_position"),
            models.UniqueConstraint(fields=["relay"], name="input_sensor_once", condition=Q(use="sensor")),
            models.CheckConstraint(condition=Q(use__in=["sensor", "exit", "fire", "tamper"]), name="input_use"),
            models.CheckConstraint(
                condition=Q(timeout_s=None) | Q(timeout_s__gte=5, timeout_s__lte=600), name="input_timeout"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.use} {self.position}"


class Command(models.Model):
    """An act for a gateway to do now or never. The row is the truth; the broker only carries it."""

    class State(models.TextChoices):
        QUEUED = "queued"
        PUBLISHED = "published"
        DONE = "done"
        FAILED = "failed"
        REFUSED = "refused"
        EXPIRED = "expired"

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    site = models.ForeignKey(Site, models.PROTECT)
    gateway = same_site("devices.Gateway", related_name="commands")
    device = same_site("devices.Device", null=True)
    relay = same_site("devices.Relay", null=True)
    verb = models.CharField(max_length=32)
    args = models.JSONField(default=dict)
    dedupe_key = models.CharField(max_length=64, blank=True)
    state = models.CharField(max_length=12, choices=State.choices, default=State.QUEUED)
    reason = models.CharField(max_length=64, blank=True)
    actor_id = models.UUIDField()
    actor_label = models.CharField(max_length=200)
    via = models.CharField(max_length=16)
    issued_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    published_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)

    objects = ScopedQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["device", "dedupe_key"],
                name="command_once",
                condition=Q(state__in=["queued", "published"]) & ~Q(dedupe_key=""),
            ),
            models.CheckConstraint(condition=Q(expires_at__gt=F("issued_at")), name="command_expires"),
        ]
        indexes = [
            models.Index(fields=["gateway", "id"], name="command_queue", condition=Q(state="queued")),
            models.Index(fields=["expires_at"], name="command_open", condition=Q(state__in=["queued", "published"])),
        ]

    def __str__(self) -> str:
        return f"{self.verb} {self.state}"
