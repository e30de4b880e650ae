"""Organisations and sites: who owns what, and where the wall stands."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib.postgres.fields import ArrayField
from django.core.validators import RegexValidator
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Lower, Trim

from gatehouse.cloud.authz.permissions import Delegation as DelegationKind
from gatehouse.cloud.authz.permissions import Role
from gatehouse.cloud.authz.scope import ScopedQuerySet
from gatehouse.cloud.kit.ids import new_id


def same_site(to: str, on_delete: Any = models.PROTECT, **options: Any) -> models.ForeignKey[Any, Any]:
    """A link to another row of the same site.

    Django's constraint is left out: the wall's composite key (site, id) does its work and also makes a
    link into another site impossible (`authz.walls`).
    """
    return models.ForeignKey(to, on_delete=on_delete, db_constraint=False, **options)


class Organisation(models.Model):
    """Operator, distributor or installer: each stands one above the next."""

    class Kind(models.TextChoices):
        OPERATOR = "operator"
        DISTRIBUTOR = "distributor"
        INSTALLER = "installer"

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    kind = models.CharField(max_length=12, choices=Kind.choices)
    parent = models.ForeignKey("self", models.PROTECT, null=True, related_name="children")
    parent_kind = models.CharField(max_length=12, null=True)  # part of a composite key
    name = models.CharField(max_length=128)
    zone = models.CharField(max_length=64, default="UTC")
    language = models.CharField(max_length=12, default="en")
    contact_email = models.EmailField(blank=True)
    contact_phone = models.CharField(max_length=32, blank=True)
    features = models.JSONField(default=dict)
    disabled_at = models.DateTimeField(null=True)
    created_at = models.DateTimeField(auto_now_add=True)
    row_version = models.PositiveIntegerField(default=1)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["id", "kind"], name="organisation_id_kind"),
            models.CheckConstraint(
                condition=(
                    Q(kind="operator", parent=None, parent_kind=None)
                    | Q(kind="distributor", parent__isnull=False, parent_kind="operator")
                    | Q(kind="installer", parent__isnull=False, parent_kind="distributor")
                ),
                name="organisation_one_above",
            ),
        ]

    def __str__(self) -> str:
        return self.name


class Plan(models.Model):
    """A feature plan of communities; its flags are the operator's (GH-OPS-05)."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    code = models.CharField(max_length=32, unique=True)
    names = models.JSONField(default=dict)
    features = models.JSONField(default=list)
    closed_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return self.code


class SiteQuerySet(models.QuerySet["Site"]):
    """Sites; their own id is the tenant key."""

    def visible_to(self, actor: Any) -> SiteQuerySet:
        """Sites that this actor can reach."""
        return self.filter(id__in=actor.sites, deleted_at=None)


class Site(models.Model):
    """A community, an office or a home: the tenant boundary."""

    class Kind(models.TextChoices):
        COMMUNITY = "community"
        OFFICE = "office"
        HOME = "home"

    class PinMode(models.TextChoices):
        PIN = "pin"
        APT_PIN = "apt_pin"

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    organisation = models.ForeignKey(Organisation, models.PROTECT, related_name="sites")
    kind = models.CharField(max_length=12, choices=Kind.choices)
    name = models.CharField(max_length=128)
    country = models.CharField(max_length=2, blank=True)
    state = models.CharField(max_length=128, blank=True)
    city = models.CharField(max_length=128, blank=True)
    post_code = models.CharField(max_length=16, blank=True, validators=[RegexValidator("^[A-Za-z0-9]*$")])
    street = models.CharField(max_length=200, blank=True)
    zone = models.CharField(max_length=64)
    time_format = models.CharField(max_length=3, default="24h")
    date_format = models.CharField(max_length=3, default="ymd")
    language = models.CharField(max_length=12, default="en")
    plan = models.ForeignKey(Plan, models.PROTECT, null=True)
    plan_paid_until = models.DateTimeField(null=True)
    pin_mode = models.CharField(max_length=8, choices=PinMode.choices, default=PinMode.PIN)
    pin_min = models.PositiveSmallIntegerField(default=4)
    call_step_s = models.PositiveSmallIntegerField(default=30)
    capacity = models.PositiveIntegerField(default=5)
    switches = models.JSONField(default=dict)
    retention = models.JSONField(default=dict)
    created_at = models.DateTimeField(auto_now_add=True)
    deleted_at = models.DateTimeField(null=True)
    row_version = models.PositiveIntegerField(default=1)

    objects = SiteQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                "organisation", Lower(Trim("name")), name="site_name", condition=Q(deleted_at=None)
            ),
            models.CheckConstraint(condition=Q(kind__in=["community", "office", "home"]), name="site_kind"),
            models.CheckConstraint(condition=Q(pin_min__gte=2, pin_min__lte=8), name="site_pin_min"),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def site_id(self) -> UUID:
        """A site belongs to itself, so that `actor.require(P.X, site)` asks what it asks of the site's rows."""
        return self.id


class SiteCounter(models.Model):
    """Numbers that count within a site and are never given twice, such as an access group's (OFF-AG-05)."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    site = models.ForeignKey(Site, models.CASCADE)
    name = models.CharField(max_length=32)
    last = models.PositiveIntegerField(default=0)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["site", "name"], name="site_counter")]

    def __str__(self) -> str:
        return f"{self.name} {self.last}"


class Party(models.Model):
    """The group inside a site: a company in an office, a household's unit in a community. The second wall."""

    class Kind(models.TextChoices):
        COMPANY = "company"
        HOUSEHOLD = "household"

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    site = models.ForeignKey(Site, models.PROTECT)
    kind = models.CharField(max_length=12, choices=Kind.choices)
    activated_at = models.DateTimeField(null=True)
    paid_until = models.DateTimeField(null=True)

    objects = ScopedQuerySet.as_manager()

    class Meta:
        constraints = [models.CheckConstraint(condition=Q(kind__in=["company", "household"]), name="party_kind")]

    def __str__(self) -> str:
        return f"{self.kind} {self.id}"


class Membership(models.Model):
    """Standing of an account: in an organisation, or at a site (then perhaps for one party only)."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    user = models.ForeignKey("accounts.User", models.CASCADE, related_name="memberships")
    organisation = models.ForeignKey(Organisation, models.PROTECT, null=True)
    site = models.ForeignKey(Site, models.PROTECT, null=True)
    party = models.ForeignKey(Party, models.PROTECT, null=True, db_constraint=False)
    role = models.CharField(max_length=16, choices=[(r.value, r.value) for r in Role])
    switches = models.JSONField(default=dict)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["user", "organisation", "site", "role"], name="membership_once", nulls_distinct=False
            ),
            models.CheckConstraint(
                condition=Q(organisation=None, site__isnull=False) | Q(organisation__isnull=False, site=None),
                name="membership_one_place",
            ),
            models.CheckConstraint(
                condition=Q(role="company_admin", party__isnull=False) | (~Q(role="company_admin") & Q(party=None)),
                name="membership_party",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.role} {self.user_id}"


class Delegation(models.Model):
    """One organisation may act for another organisation or at a site, with the rights `authz` leaves it."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    kind = models.CharField(max_length=12, choices=[(k.value, k.value) for k in DelegationKind])
    by = models.ForeignKey(Organisation, models.CASCADE, related_name="delegations_given")
    to = models.ForeignKey(Organisation, models.CASCADE, related_name="delegations_held")
    site = models.ForeignKey(Site, models.CASCADE, null=True)
    began_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["kind", "by", "to", "site"],
                name="delegation_open_once",
                condition=Q(ended_at=None),
                nulls_distinct=False,
            ),
            models.CheckConstraint(condition=~Q(by=F("to")), name="delegation_to_another"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.by_id} > {self.to_id}"


class DialNumber(models.Model):
    """A SIP number. Never given twice within the retention of the logs that show it."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    site = models.ForeignKey(Site, models.PROTECT)
    value = models.CharField(max_length=10, unique=True)
    kind = models.CharField(max_length=12)
    retired_at = models.DateTimeField(null=True)
    free_after = models.DateTimeField(null=True)

    objects = ScopedQuerySet.as_manager()

    class Meta:
        constraints = [models.CheckConstraint(condition=Q(value__regex="^[0-9]{10}$"), name="dial_number_digits")]

    def __str__(self) -> str:
        return self.value


class ApiToken(models.Model):
    """A key that a user made for programs: never more than its maker may do. Only its digest is kept."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    user = models.ForeignKey("accounts.User", models.CASCADE, related_name="api_tokens")
    name = models.CharField(max_length=64)
    digest = models.CharField(max_length=64, unique=True)
    scopes = ArrayField(models.CharField(max_length=32), default=list)
    """Names of permissions (`authz.permissions.P`)."""
    made_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    last_used_at = models.DateTimeField(null=True)
    revoked_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return self.name


class ApiTokenSite(models.Model):
    """A token reaches a site."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    site = models.ForeignKey(Site, models.CASCADE)
    token = models.ForeignKey(ApiToken, models.CASCADE, related_name="reach")

    objects = ScopedQuerySet.as_manager()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["token", "site"], name="api_token_site")]

    def __str__(self) -> str:
        return f"{self.token_id} > {self.site_id}"


class ApiAnswer(models.Model):
    """The first answer to a writing call with an `Idempotency-Key`, given again for 24 hours. Sealed: it may hold a code."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    site = models.ForeignKey(Site, models.CASCADE)
    token = models.ForeignKey(ApiToken, models.CASCADE)
    key = models.CharField(max_length=200)
    request_digest = models.CharField(max_length=64)
    status = models.PositiveSmallIntegerField(null=True)
    body = models.BinaryField(null=True)
    headers = models.JSONField(default=dict)
    made_at = models.DateTimeField()

    objects = ScopedQuerySet.as_manager()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["site", "token", "key"], name="api_answer_once")]
        indexes = [models.Index(fields=["site", "made_at"], name="api_answer_age")]

    def __str__(self) -> str:
        return f"{self.key} {self.status}"


class ApiCount(models.Model):
    """Calls of one token or address in one minute; shared by all web processes, lost in a crash without harm."""

    key = models.CharField(primary_key=True, max_length=64)
    minute = models.BigIntegerField()
    calls = models.PositiveIntegerField()

    def __str__(self) -> str:
        return f"{self.key} {self.calls}"
