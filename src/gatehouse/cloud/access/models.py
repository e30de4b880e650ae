"""Who may open which door when: access groups and their links."""

from __future__ import annotations

from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Lower, Trim

from gatehouse.cloud.authz.scope import ScopedQuerySet
from gatehouse.cloud.kit.ids import new_id
from gatehouse.cloud.kit.local import LocalDateTimeField
from gatehouse.cloud.tenants.models import Site, same_site


class AccessGroup(models.Model):
    """Schedule plus relays, given to groups and people. `source` other than manual: made by us, not editable."""

    class Source(models.TextChoices):
        MANUAL = "manual"
        DEFAULT = "default"
        PUBLIC = "public"
        BUILDING = "building"
        UNIT = "unit"

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    site = models.ForeignKey(Site, models.PROTECT)
    number = models.PositiveIntegerField()
    name = models.CharField(max_length=128)
    source = models.CharField(max_length=12, choices=Source.choices, default=Source.MANUAL)
    party = same_site("tenants.Party", null=True)
    building = same_site("premises.Building", null=True)
    row_version = models.PositiveIntegerField(default=1)

    objects = ScopedQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["site", "number"], name="access_group_number"),
            models.UniqueConstraint(
                "site", "party", Lower(Trim("name")), name="access_group_name", nulls_distinct=False
            ),
            models.UniqueConstraint(fields=["site"], name="access_group_one_default", condition=Q(source="default")),
        ]

    def __str__(self) -> str:
        return self.name


class Window(models.Model):
    """When an access group opens: minutes of the local day, `start + length` may pass midnight."""

    class Kind(models.TextChoices):
        DAILY = "daily"
        WEEKLY = "weekly"
        ONCE = "once"

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    site = models.ForeignKey(Site, models.PROTECT)
    access_group = same_site("access.AccessGroup", models.CASCADE, related_name="windows")
    kind = models.CharField(max_length=8, choices=Kind.choices)
    days = models.PositiveSmallIntegerField(default=127)
    start_min = models.PositiveSmallIntegerField(default=0)
    length_min = models.PositiveSmallIntegerField(default=1440)
    from_local = LocalDateTimeField(null=True)
    until_local = LocalDateTimeField(null=True)

    objects = ScopedQuerySet.as_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(start_min__lte=1439, length_min__gte=1, length_min__lte=1440), name="window_minutes"
            ),
            models.CheckConstraint(condition=~Q(kind="weekly") | Q(days__gte=1, days__lte=127), name="window_days"),
            models.CheckConstraint(
                condition=~Q(kind="once") | Q(from_local__isnull=False, until_local__isnull=False), name="window_once"
            ),
            models.CheckConstraint(
                condition=Q(from_local=None) | Q(until_local=None) | Q(until_local__gt=F("from_local")),
                name="window_order",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.start_min}+{self.length_min}"


class AccessGroupRelay(models.Model):
    """An access group opens a relay."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    site = models.ForeignKey(Site, models.PROTECT)
    access_group = same_site("access.AccessGroup", related_name="relay_links")
    relay = same_site("devices.Relay", related_name="access_group_links")

    objects = ScopedQuerySet.as_manager()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["access_group", "relay"], name="access_group_relay")]

    def __str__(self) -> str:
        return f"{self.access_group_id} > {self.relay_id}"


class AccessGroupPeopleGroup(models.Model):
    """An access group is given to a group of people."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    site = models.ForeignKey(Site, models.PROTECT)
    access_group = same_site("access.AccessGroup", related_name="people_group_links")
    people_group = same_site("premises.PeopleGroup", related_name="access_group_links")

    objects = ScopedQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["people_group", "access_group"], name="access_group_people_group")
        ]

    def __str__(self) -> str:
        return f"{self.access_group_id} > {self.people_group_id}"


class AccessGroupHolder(models.Model):
    """An access group is given to one holder."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    site = models.ForeignKey(Site, models.PROTECT)
    access_group = same_site("access.AccessGroup", related_name="holder_links")
    holder = same_site("people.Holder", models.CASCADE, related_name="access_group_links")

    objects = ScopedQuerySet.as_manager()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["holder", "access_group"], name="access_group_holder")]

    def __str__(self) -> str:
        return f"{self.access_group_id} > {self.holder_id}"


class CompanyRelay(models.Model):
    """A door is assigned to a company: the outer limit of what its people can be granted (OFF-CO-12)."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    site = models.ForeignKey(Site, models.PROTECT)
    company = same_site("premises.Company", related_name="relay_links")
    relay = same_site("devices.Relay", related_name="company_links")

    objects = ScopedQuerySet.as_manager()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["company", "relay"], name="company_relay")]

    def __str__(self) -> str:
        return f"{self.company_id} > {self.relay_id}"
