import django.db.models.deletion
import django.db.models.functions.text
from django.conf import settings
from django.db import migrations, models

import gatehouse.cloud.kit.ids
import gatehouse.cloud.kit.local
from gatehouse.cloud.authz.walls import SiteWall


class Migration(migrations.Migration):
    initial = True

    dependencies = [
        ("authz", "0001_walls"),
        ("premises", "0001_initial"),
        ("tenants", "0001_initial"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="Holder",
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
                        choices=[("person", "Person"), ("courier", "Courier"), ("visitor", "Visitor")], max_length=12
                    ),
                ),
                ("label", models.CharField(max_length=130)),
                ("valid_from_local", gatehouse.cloud.kit.local.LocalDateTimeField(null=True)),
                ("valid_until_local", gatehouse.cloud.kit.local.LocalDateTimeField(null=True)),
                ("seal_key", models.BinaryField(null=True)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("row_version", models.PositiveIntegerField(default=1)),
                (
                    "occupancy",
                    models.ForeignKey(
                        db_constraint=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        to="premises.occupancy",
                    ),
                ),
                (
                    "party",
                    models.ForeignKey(
                        db_constraint=False, null=True, on_delete=django.db.models.deletion.PROTECT, to="tenants.party"
                    ),
                ),
                ("site", models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, to="tenants.site")),
            ],
        ),
        migrations.CreateModel(
            name="Credential",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=gatehouse.cloud.kit.ids.new_id, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("kind", models.CharField(max_length=12)),
                ("scope", models.UUIDField()),
                ("digest", models.CharField(max_length=32)),
                ("secret", models.BinaryField(null=True)),
                ("notation", models.CharField(blank=True, max_length=12)),
                (
                    "state",
                    models.CharField(
                        choices=[("live", "Live"), ("quarantined", "Quarantined"), ("freed", "Freed")],
                        default="live",
                        max_length=12,
                    ),
                ),
                ("source", models.CharField(default="portal", max_length=12)),
                ("made_at", models.DateTimeField()),
                ("withdrawn_at", models.DateTimeField(null=True)),
                ("withdrawn_revision", models.BigIntegerField(null=True)),
                ("freed_at", models.DateTimeField(null=True)),
                ("site", models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, to="tenants.site")),
                (
                    "holder",
                    models.ForeignKey(
                        db_constraint=False,
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="credentials",
                        to="people.holder",
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="Person",
            fields=[
                (
                    "holder",
                    models.OneToOneField(
                        db_constraint=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        primary_key=True,
                        related_name="person",
                        serialize=False,
                        to="people.holder",
                    ),
                ),
                (
                    "role",
                    models.CharField(
                        choices=[
                            ("personnel", "Personnel"),
                            ("master", "Master"),
                            ("member", "Member"),
                            ("unassigned", "Unassigned"),
                            ("staff", "Staff"),
                        ],
                        max_length=12,
                    ),
                ),
                ("first_name", models.CharField(max_length=64)),
                ("last_name", models.CharField(max_length=64)),
                ("staff_no", models.CharField(blank=True, max_length=64)),
                ("email", models.EmailField(blank=True, max_length=254)),
                ("mobile", models.CharField(blank=True, max_length=20)),
                ("language", models.CharField(blank=True, max_length=12)),
                ("intercom", models.BooleanField(default=False)),
                ("call_type", models.PositiveSmallIntegerField(null=True)),
                ("in_directory", models.BooleanField(default=False)),
                ("guest_keys", models.BooleanField(default=False)),
                (
                    "company",
                    models.ForeignKey(
                        db_constraint=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        to="premises.company",
                    ),
                ),
                (
                    "number",
                    models.OneToOneField(
                        db_constraint=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        to="tenants.dialnumber",
                    ),
                ),
                (
                    "people_group",
                    models.ForeignKey(
                        db_constraint=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="people",
                        to="premises.peoplegroup",
                    ),
                ),
                ("site", models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, to="tenants.site")),
                (
                    "unit",
                    models.ForeignKey(
                        db_constraint=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="people",
                        to="premises.unit",
                    ),
                ),
                (
                    "user",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="persons",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
        ),
        migrations.AddIndex(
            model_name="holder",
            index=models.Index(fields=["site", "party"], name="holder_party"),
        ),
        migrations.AddConstraint(
            model_name="holder",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("valid_from_local", None),
                    ("valid_until_local", None),
                    ("valid_until_local__gt", models.F("valid_from_local")),
                    _connector="OR",
                ),
                name="holder_valid_time",
            ),
        ),
        migrations.AddConstraint(
            model_name="holder",
            constraint=models.CheckConstraint(
                condition=models.Q(("kind__in", ["person", "courier", "visitor"])), name="holder_kind"
            ),
        ),
        migrations.AddIndex(
            model_name="credential",
            index=models.Index(fields=["site", "state"], name="credential_state"),
        ),
        migrations.AddConstraint(
            model_name="credential",
            constraint=models.UniqueConstraint(
                condition=models.Q(("state__in", ["live", "quarantined"])),
                fields=("site", "kind", "scope", "digest"),
                name="credential_once",
            ),
        ),
        migrations.AddConstraint(
            model_name="credential",
            constraint=models.CheckConstraint(
                condition=models.Q(("kind__in", ["pin", "card", "face", "qr", "bluetooth", "nfc"])),
                name="credential_kind",
            ),
        ),
        migrations.AddConstraint(
            model_name="credential",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("state", "live"), ("withdrawn_at", None)),
                    models.Q(models.Q(("state", "live"), _negated=True), ("withdrawn_at__isnull", False)),
                    _connector="OR",
                ),
                name="credential_withdrawn",
            ),
        ),
        migrations.AddConstraint(
            model_name="person",
            constraint=models.UniqueConstraint(
                models.F("site"),
                django.db.models.functions.text.Lower(django.db.models.functions.text.Trim("staff_no")),
                condition=models.Q(("staff_no", ""), _negated=True),
                name="person_staff_no",
            ),
        ),
        migrations.AddConstraint(
            model_name="person",
            constraint=models.UniqueConstraint(
                models.F("site"),
                django.db.models.functions.text.Lower("email"),
                condition=models.Q(("email", ""), _negated=True),
                name="person_email",
            ),
        ),
        migrations.AddConstraint(
            model_name="person",
            constraint=models.UniqueConstraint(
                condition=models.Q(("role", "master")), fields=("unit",), name="person_master_once"
            ),
        ),
        migrations.AddConstraint(
            model_name="person",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(
                        ("company__isnull", False),
                        ("people_group__isnull", False),
                        ("role", "personnel"),
                        ("unit", None),
                    ),
                    models.Q(
                        ("company", None),
                        ("people_group", None),
                        ("role__in", ["master", "member"]),
                        ("unit__isnull", False),
                    ),
                    models.Q(
                        ("company", None), ("people_group", None), ("role__in", ["unassigned", "staff"]), ("unit", None)
                    ),
                    _connector="OR",
                ),
                name="person_place",
            ),
        ),
        SiteWall("Holder", app="SELECT, INSERT, UPDATE, DELETE", system="SELECT"),
        SiteWall("Person", app="SELECT, INSERT, UPDATE, DELETE", system="SELECT"),
        SiteWall("Credential", app="SELECT, INSERT, UPDATE, DELETE", system="SELECT, UPDATE"),
    ]
