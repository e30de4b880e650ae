"""Whoever can hold credentials, and the credentials."""

from __future__ import annotations

from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Lower, Trim

from gatehouse.cloud.authz.scope import ScopedQuerySet
from gatehouse.cloud.kit.ids import new_id
from gatehouse.cloud.kit.local import LocalDateTimeField
from gatehouse.cloud.tenants.models import Site, same_site


class Holder(models.Model):
    """One who may stand before a door: a person, a courier, a visitor. The identity that logs and doors know."""

    class Kind(models.TextChoices):
        PERSON = "person"
        COURIER = "courier"
        VISITOR = "visitor"

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    site = models.ForeignKey(Site, models.PROTECT)
    kind = models.CharField(max_length=12, choices=Kind.choices)
    party = same_site("tenants.Party", null=True)
    occupancy = same_site("premises.Occupancy", null=True)
    label = models.CharField(max_length=130)
    valid_from_local = LocalDateTimeField(null=True)
    valid_until_local = LocalDateTimeField(null=True)
    seal_key = models.BinaryField(null=True)
    created_at = models.DateTimeField(auto_now_add=True)
    row_version = models.PositiveIntegerField(default=1)

    objects = ScopedQuerySet.as_manager()

    class Meta:
        indexes = [models.Index(fields=["site", "party"], name="holder_party")]
        constraints = [
            models.CheckConstraint(
                condition=Q(valid_from_local=None)
                | Q(valid_until_local=None)
                | Q(valid_until_local__gt=F("valid_from_local")),
                name="holder_valid_time",
            ),
            models.CheckConstraint(condition=Q(kind__in=["person", "courier", "visitor"]), name="holder_kind"),
        ]

    def __str__(self) -> str:
        return self.label


class Person(models.Model):
    """A holder with a name of his own: personnel, resident, staff."""

    class Standing(models.TextChoices):
        PERSONNEL = "personnel"
        MASTER = "master"
        MEMBER = "member"
        UNASSIGNED = "unassigned"
        STAFF = "staff"

    holder = models.OneToOneField(Holder, models.CASCADE, primary_key=True, db_constraint=False, related_name="person")
    site = models.ForeignKey(Site, models.PROTECT)
    role = models.CharField(max_length=12, choices=Standing.choices)
    company = same_site("premises.Company", null=True)
    people_group = same_site("premises.PeopleGroup", null=True, related_name="people")
    unit = same_site("premises.Unit", null=True, related_name="people")
    first_name = models.CharField(max_length=64)
    last_name = models.CharField(max_length=64)
    staff_no = models.CharField(max_length=64, blank=True)
    email = models.EmailField(blank=True)
    mobile = models.CharField(max_length=20, blank=True)
    language = models.CharField(max_length=12, blank=True)
    intercom = models.BooleanField(default=False)
    call_type = models.PositiveSmallIntegerField(null=True)
    in_directory = models.BooleanField(default=False)
    guest_keys = models.BooleanField(default=False)
    user = models.ForeignKey("accounts.User", models.SET_NULL, null=True, related_name="persons")
    number = models.OneToOneField("tenants.DialNumber", models.PROTECT, null=True, db_constraint=False)

    objects = ScopedQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint("site", Lower(Trim("staff_no")), name="person_staff_no", condition=~Q(staff_no="")),
            models.UniqueConstraint("site", Lower("email"), name="person_email", condition=~Q(email="")),
            models.UniqueConstraint(fields=["unit"], name="person_master_once", condition=Q(role="master")),
            models.CheckConstraint(
                condition=Q(role="personnel", people_group__isnull=False, company__isnull=False, unit=None)
                | Q(role__in=["master", "member"], unit__isnull=False, people_group=None, company=None)
                | Q(role__in=["unassigned", "staff"], unit=None, people_group=None, company=None),
                name="person_place",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.first_name} {self.last_name}"


class Credential(models.Model):
    """A code or token of a holder. Ciphertext for people who may see it, keyed digest for doors and uniqueness.

    Live: opens. Quarantined: withdrawn, but some door may still know it, so nobody gets it yet. Freed: may
    be given out again; the row stays as a fact, without its secret.
    """

    class State(models.TextChoices):
        LIVE = "live"
        QUARANTINED = "quarantined"
        FREED = "freed"

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    site = models.ForeignKey(Site, models.PROTECT)
    holder = same_site("people.Holder", null=True, on_delete=models.CASCADE, related_name="credentials")
    kind = models.CharField(max_length=12)
    scope = models.UUIDField()
    digest = models.CharField(max_length=32)
    secret = models.BinaryField(null=True)
    notation = models.CharField(max_length=12, blank=True)
    state = models.CharField(max_length=12, choices=State.choices, default=State.LIVE)
    source = models.CharField(max_length=12, default="portal")
    made_at = models.DateTimeField()
    withdrawn_at = models.DateTimeField(null=True)
    withdrawn_revision = models.BigIntegerField(null=True)
    freed_at = models.DateTimeField(null=True)

    objects = ScopedQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["site", "kind", "scope", "digest"],
                name="credential_once",
                condition=Q(state__in=["live", "quarantined"]),
            ),
            models.CheckConstraint(
                condition=Q(kind__in=["pin", "card", "face", "qr", "bluetooth", "nfc"]), name="credential_kind"
            ),
            models.CheckConstraint(
                condition=Q(state="live", withdrawn_at=None) | (~Q(state="live") & Q(withdrawn_at__isnull=False)),
                name="credential_withdrawn",
            ),
        ]
        indexes = [models.Index(fields=["site", "state"], name="credential_state")]

    def __str__(self) -> str:
        return f"{self.kind} {self.state}"
