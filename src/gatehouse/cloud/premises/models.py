"""Buildings, floors, apartments; companies and their groups of people."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.db.models.functions import Lower, Trim

from gatehouse.cloud.authz.scope import ScopedQuerySet
from gatehouse.cloud.kit.ids import new_id
from gatehouse.cloud.tenants.models import Party, Site, same_site


class Building(models.Model):
    """A building of a site. What belongs to none is the public area."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    site = models.ForeignKey(Site, models.PROTECT)
    name = models.CharField(max_length=128)
    row_version = models.PositiveIntegerField(default=1)

    objects = ScopedQuerySet.as_manager()

    class Meta:
        constraints = [models.UniqueConstraint("site", Lower(Trim("name")), name="building_name")]

    def __str__(self) -> str:
        return self.name


class Floor(models.Model):
    """A floor that a lift can be sent to."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    site = models.ForeignKey(Site, models.PROTECT)
    building = same_site("premises.Building", models.CASCADE)
    code = models.CharField(max_length=8)
    order = models.SmallIntegerField()

    objects = ScopedQuerySet.as_manager()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["building", "code"], name="floor_code")]

    def __str__(self) -> str:
        return self.code


class Company(models.Model):
    """A company of an office: one party."""

    party = models.OneToOneField(Party, models.PROTECT, primary_key=True, db_constraint=False)
    site = models.ForeignKey(Site, models.PROTECT)
    name = models.CharField(max_length=128)
    row_version = models.PositiveIntegerField(default=1)

    objects = ScopedQuerySet.as_manager()

    class Meta:
        constraints = [models.UniqueConstraint("site", Lower(Trim("name")), name="company_name")]

    def __str__(self) -> str:
        return self.name


class PeopleGroup(models.Model):
    """People of a company who share rights, floors and the way they stand in directories."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    site = models.ForeignKey(Site, models.PROTECT)
    company = same_site("premises.Company", related_name="people_groups")
    name = models.CharField(max_length=128)
    directory_mode = models.CharField(max_length=12, default="people")
    immune = models.BooleanField(default=False)
    row_version = models.PositiveIntegerField(default=1)

    objects = ScopedQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint("company", Lower(Trim("name")), name="people_group_name"),
            models.UniqueConstraint(fields=["company", "id"], name="people_group_of_company"),
        ]

    def __str__(self) -> str:
        return self.name


class Unit(models.Model):
    """An apartment (or a home): one party. What stays when people move hangs here."""

    party = models.OneToOneField(Party, models.PROTECT, primary_key=True, db_constraint=False)
    site = models.ForeignKey(Site, models.PROTECT)
    building = same_site("premises.Building", null=True, related_name="units")
    floor = same_site("premises.Floor", null=True)
    number = models.CharField(max_length=8)
    legacy_number = models.BooleanField(default=False)
    name = models.CharField(max_length=128, blank=True)
    call_type = models.PositiveSmallIntegerField(default=0)
    by_ip = models.BooleanField(default=True)
    web_relay = models.PositiveSmallIntegerField(default=0)
    family_number = models.OneToOneField("tenants.DialNumber", models.PROTECT, null=True, db_constraint=False)
    row_version = models.PositiveIntegerField(default=1)

    objects = ScopedQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["site", "building", "number"], name="unit_number", nulls_distinct=False),
            # COM-APT-17: a digit first, one to six digits, at most one "#" between digits
            models.CheckConstraint(
                condition=Q(legacy_number=True)
                | (Q(number__regex="^[0-9]+(#[0-9]+)?$") & ~Q(number__regex="[0-9]([#]?[0-9]){6}")),
                name="unit_number_form",
            ),
            models.CheckConstraint(condition=Q(call_type__lte=5), name="unit_call_type"),
            models.CheckConstraint(condition=Q(web_relay__lte=50), name="unit_web_relay"),
        ]

    def __str__(self) -> str:
        return self.number


class Occupancy(models.Model):
    """One household's time in a unit. All that is personal hangs here; a reset closes it and opens the next."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    site = models.ForeignKey(Site, models.PROTECT)
    unit = same_site("premises.Unit", related_name="occupancies")
    opened_at = models.DateTimeField()
    closed_at = models.DateTimeField(null=True)
    seal_key = models.BinaryField(null=True)

    objects = ScopedQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["unit"], name="occupancy_open_once", condition=Q(closed_at=None)),
        ]

    def __str__(self) -> str:
        return f"{self.unit_id} since {self.opened_at:%Y-%m-%d}"
