import django.core.validators
import django.db.models.deletion
import django.db.models.functions.text
from django.conf import settings
from django.db import migrations, models

import gatehouse.cloud.kit.ids
from gatehouse.cloud.authz.walls import Grant, SiteWall


class Migration(migrations.Migration):
    initial = True

    dependencies = [
        ("authz", "0001_walls"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="Plan",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=gatehouse.cloud.kit.ids.new_id, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("code", models.CharField(max_length=32, unique=True)),
                ("names", models.JSONField(default=dict)),
                ("features", models.JSONField(default=list)),
                ("closed_at", models.DateTimeField(null=True)),
            ],
        ),
        migrations.CreateModel(
            name="Organisation",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=gatehouse.cloud.kit.ids.new_id, editable=False, primary_key=True, serialize=False
                    ),
                ),
                (
                    "kind",
                    models.CharField(
                        choices=[("operator", "Operator"), ("distributor", "Distributor"), ("installer", "Installer")],
                        max_length=12,
                    ),
                ),
                ("parent_kind", models.CharField(max_length=12, null=True)),
                ("name", models.CharField(max_length=128)),
                ("zone", models.CharField(default="UTC", max_length=64)),
                ("language", models.CharField(default="en", max_length=12)),
                ("contact_email", models.EmailField(blank=True, max_length=254)),
                ("contact_phone", models.CharField(blank=True, max_length=32)),
                ("features", models.JSONField(default=dict)),
                ("disabled_at", models.DateTimeField(null=True)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("row_version", models.PositiveIntegerField(default=1)),
                (
                    "parent",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="children",
                        to="tenants.organisation",
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="Site",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=gatehouse.cloud.kit.ids.new_id, editable=False, primary_key=True, serialize=False
                    ),
                ),
                (
                    "kind",
                    models.CharField(
                        choices=[("community", "Community"), ("office", "Office"), ("home", "Home")], max_length=12
                    ),
                ),
                ("name", models.CharField(max_length=128)),
                ("country", models.CharField(blank=True, max_length=2)),
                ("state", models.CharField(blank=True, max_length=128)),
                ("city", models.CharField(blank=True, max_length=128)),
                (
                    "post_code",
                    models.CharField(
                        blank=True, max_length=16, validators=[django.core.validators.RegexValidator("^[A-Za-z0-9]*$")]
                    ),
                ),
                ("street", models.CharField(blank=True, max_length=200)),
                ("zone", models.CharField(max_length=64)),
                ("time_format", models.CharField(default="24h", max_length=3)),
                ("date_format", models.CharField(default="ymd", max_length=3)),
                ("language", models.CharField(default="en", max_length=12)),
                ("plan_paid_until", models.DateTimeField(null=True)),
                (
                    "pin_mode",
                    models.CharField(choices=[("pin", "Pin"), ("apt_pin", "Apt Pin")], default="pin", max_length=8),
                ),
                ("pin_min", models.PositiveSmallIntegerField(default=4)),
                ("call_step_s", models.PositiveSmallIntegerField(default=30)),
                ("capacity", models.PositiveIntegerField(default=5)),
                ("switches", models.JSONField(default=dict)),
                ("retention", models.JSONField(default=dict)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("deleted_at", models.DateTimeField(null=True)),
                ("row_version", models.PositiveIntegerField(default=1)),
                (
                    "organisation",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="sites", to="tenants.organisation"
                    ),
                ),
                ("plan", models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, to="tenants.plan")),
            ],
        ),
        migrations.CreateModel(
            name="Party",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=gatehouse.cloud.kit.ids.new_id, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("kind", models.CharField(choices=[("company", "Company"), ("household", "Household")], max_length=12)),
                ("activated_at", models.DateTimeField(null=True)),
                ("paid_until", models.DateTimeField(null=True)),
                ("site", models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, to="tenants.site")),
            ],
        ),
        migrations.CreateModel(
            name="Membership",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=gatehouse.cloud.kit.ids.new_id, editable=False, primary_key=True, serialize=False
                    ),
                ),
                (
                    "role",
                    models.CharField(
                        choices=[
                            ("operator", "operator"),
                            ("distributor", "distributor"),
                            ("installer", "installer"),
                            ("sub_installer", "sub_installer"),
                            ("manager", "manager"),
                            ("company_admin", "company_admin"),
                            ("guard", "guard"),
                            ("master", "master"),
                            ("member", "member"),
                            ("personnel", "personnel"),
                            ("device", "device"),
                            ("system", "system"),
                        ],
                        max_length=16,
                    ),
                ),
                ("switches", models.JSONField(default=dict)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                (
                    "user",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="memberships",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "organisation",
                    models.ForeignKey(
                        null=True, on_delete=django.db.models.deletion.PROTECT, to="tenants.organisation"
                    ),
                ),
                (
                    "party",
                    models.ForeignKey(
                        db_constraint=False, null=True, on_delete=django.db.models.deletion.PROTECT, to="tenants.party"
                    ),
                ),
                ("site", models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, to="tenants.site")),
            ],
        ),
        migrations.CreateModel(
            name="DialNumber",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=gatehouse.cloud.kit.ids.new_id, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("value", models.CharField(max_length=10, unique=True)),
                ("kind", models.CharField(max_length=12)),
                ("retired_at", models.DateTimeField(null=True)),
                ("free_after", models.DateTimeField(null=True)),
                ("site", models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, to="tenants.site")),
            ],
        ),
        migrations.CreateModel(
            name="Delegation",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=gatehouse.cloud.kit.ids.new_id, editable=False, primary_key=True, serialize=False
                    ),
                ),
                (
                    "kind",
                    models.CharField(
                        choices=[("redirect", "redirect"), ("grant", "grant"), ("support", "support")], max_length=12
                    ),
                ),
                ("began_at", models.DateTimeField()),
                ("ended_at", models.DateTimeField(null=True)),
                (
                    "by",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="delegations_given",
                        to="tenants.organisation",
                    ),
                ),
                (
                    "to",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="delegations_held",
                        to="tenants.organisation",
                    ),
                ),
                ("site", models.ForeignKey(null=True, on_delete=django.db.models.deletion.CASCADE, to="tenants.site")),
            ],
        ),
        migrations.CreateModel(
            name="SiteCounter",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=gatehouse.cloud.kit.ids.new_id, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("name", models.CharField(max_length=32)),
                ("last", models.PositiveIntegerField(default=0)),
                ("site", models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, to="tenants.site")),
            ],
        ),
        migrations.AddConstraint(
            model_name="organisation",
            constraint=models.UniqueConstraint(fields=("id", "kind"), name="organisation_id_kind"),
        ),
        migrations.AddConstraint(
            model_name="organisation",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("kind", "operator"), ("parent", None), ("parent_kind", None)),
                    models.Q(("kind", "distributor"), ("parent__isnull", False), ("parent_kind", "operator")),
                    models.Q(("kind", "installer"), ("parent__isnull", False), ("parent_kind", "distributor")),
                    _connector="OR",
                ),
                name="organisation_one_above",
            ),
        ),
        migrations.AddConstraint(
            model_name="site",
            constraint=models.UniqueConstraint(
                models.F("organisation"),
                django.db.models.functions.text.Lower(django.db.models.functions.text.Trim("name")),
                condition=models.Q(("deleted_at", None)),
                name="site_name",
            ),
        ),
        migrations.AddConstraint(
            model_name="site",
            constraint=models.CheckConstraint(
                condition=models.Q(("kind__in", ["community", "office", "home"])), name="site_kind"
            ),
        ),
        migrations.AddConstraint(
            model_name="site",
            constraint=models.CheckConstraint(
                condition=models.Q(("pin_min__gte", 2), ("pin_min__lte", 8)), name="site_pin_min"
            ),
        ),
        migrations.AddConstraint(
            model_name="party",
            constraint=models.CheckConstraint(
                condition=models.Q(("kind__in", ["company", "household"])), name="party_kind"
            ),
        ),
        migrations.AddConstraint(
            model_name="membership",
            constraint=models.UniqueConstraint(
                fields=("user", "organisation", "site", "role"), name="membership_once", nulls_distinct=False
            ),
        ),
        migrations.AddConstraint(
            model_name="membership",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("organisation", None), ("site__isnull", False)),
                    models.Q(("organisation__isnull", False), ("site", None)),
                    _connector="OR",
                ),
                name="membership_one_place",
            ),
        ),
        migrations.AddConstraint(
            model_name="membership",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("party__isnull", False), ("role", "company_admin")),
                    models.Q(models.Q(("role", "company_admin"), _negated=True), ("party", None)),
                    _connector="OR",
                ),
                name="membership_party",
            ),
        ),
        migrations.AddConstraint(
            model_name="dialnumber",
            constraint=models.CheckConstraint(
                condition=models.Q(("value__regex", "^[0-9]{10}$")), name="dial_number_digits"
            ),
        ),
        migrations.AddConstraint(
            model_name="delegation",
            constraint=models.UniqueConstraint(
                condition=models.Q(("ended_at", None)),
                fields=("kind", "by", "to", "site"),
                name="delegation_open_once",
                nulls_distinct=False,
            ),
        ),
        migrations.AddConstraint(
            model_name="delegation",
            constraint=models.CheckConstraint(
                condition=models.Q(("by", models.F("to")), _negated=True), name="delegation_to_another"
            ),
        ),
        migrations.AddConstraint(
            model_name="sitecounter",
            constraint=models.UniqueConstraint(fields=("site", "name"), name="site_counter"),
        ),
        Grant("Organisation", app="SELECT, INSERT, UPDATE, DELETE", system="SELECT"),
        Grant("Plan", app="SELECT, INSERT, UPDATE, DELETE", system="SELECT"),
        SiteWall("Site", app="SELECT, INSERT, UPDATE, DELETE", system="SELECT"),
        SiteWall("SiteCounter", app="SELECT, INSERT, UPDATE, DELETE", system="SELECT"),
        SiteWall("Party", app="SELECT, INSERT, UPDATE, DELETE", system="SELECT"),
        SiteWall("Membership", app="SELECT, INSERT, UPDATE, DELETE", system="SELECT", shared=True),
        Grant("Delegation", app="SELECT, INSERT, UPDATE, DELETE", system="SELECT"),
        SiteWall("DialNumber", app="SELECT, INSERT, UPDATE, DELETE", system="SELECT"),
    ]
