import django.db.models.deletion
import django.db.models.functions.text
from django.db import migrations, models

import gatehouse.cloud.kit.ids
from gatehouse.cloud.authz.walls import SiteWall


class Migration(migrations.Migration):
    initial = True

    dependencies = [
        ("authz", "0001_walls"),
        ("tenants", "0001_initial"),
    ]

    operations = [
        migrations.CreateModel(
            name="Building",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=gatehouse.cloud.kit.ids.new_id, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("name", models.CharField(max_length=128)),
                ("row_version", models.PositiveIntegerField(default=1)),
                ("site", models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, to="tenants.site")),
            ],
        ),
        migrations.CreateModel(
            name="Company",
            fields=[
                (
                    "party",
                    models.OneToOneField(
                        db_constraint=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        primary_key=True,
                        serialize=False,
                        to="tenants.party",
                    ),
                ),
                ("name", models.CharField(max_length=128)),
                ("row_version", models.PositiveIntegerField(default=1)),
                ("site", models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, to="tenants.site")),
            ],
        ),
        migrations.CreateModel(
            name="Floor",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=gatehouse.cloud.kit.ids.new_id, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("code", models.CharField(max_length=8)),
                ("order", models.SmallIntegerField()),
                (
                    "building",
                    models.ForeignKey(
                        db_constraint=False, on_delete=django.db.models.deletion.CASCADE, to="premises.building"
                    ),
                ),
                ("site", models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, to="tenants.site")),
            ],
        ),
        migrations.CreateModel(
            name="PeopleGroup",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=gatehouse.cloud.kit.ids.new_id, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("name", models.CharField(max_length=128)),
                ("directory_mode", models.CharField(default="people", max_length=12)),
                ("immune", models.BooleanField(default=False)),
                ("row_version", models.PositiveIntegerField(default=1)),
                (
                    "company",
                    models.ForeignKey(
                        db_constraint=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="people_groups",
                        to="premises.company",
                    ),
                ),
                ("site", models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, to="tenants.site")),
            ],
        ),
        migrations.CreateModel(
            name="Unit",
            fields=[
                (
                    "party",
                    models.OneToOneField(
                        db_constraint=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        primary_key=True,
                        serialize=False,
                        to="tenants.party",
                    ),
                ),
                ("number", models.CharField(max_length=8)),
                ("legacy_number", models.BooleanField(default=False)),
                ("name", models.CharField(blank=True, max_length=128)),
                ("call_type", models.PositiveSmallIntegerField(default=0)),
                ("by_ip", models.BooleanField(default=True)),
                ("web_relay", models.PositiveSmallIntegerField(default=0)),
                ("row_version", models.PositiveIntegerField(default=1)),
                (
                    "building",
                    models.ForeignKey(
                        db_constraint=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="units",
                        to="premises.building",
                    ),
                ),
                (
                    "family_number",
                    models.OneToOneField(
                        db_constraint=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        to="tenants.dialnumber",
                    ),
                ),
                (
                    "floor",
                    models.ForeignKey(
                        db_constraint=False, null=True, on_delete=django.db.models.deletion.PROTECT, to="premises.floor"
                    ),
                ),
                ("site", models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, to="tenants.site")),
            ],
        ),
        migrations.CreateModel(
            name="Occupancy",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=gatehouse.cloud.kit.ids.new_id, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("opened_at", models.DateTimeField()),
                ("closed_at", models.DateTimeField(null=True)),
                ("seal_key", models.BinaryField(null=True)),
                ("site", models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, to="tenants.site")),
                (
                    "unit",
                    models.ForeignKey(
                        db_constraint=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="occupancies",
                        to="premises.unit",
                    ),
                ),
            ],
        ),
        migrations.AddConstraint(
            model_name="building",
            constraint=models.UniqueConstraint(
                models.F("site"),
                django.db.models.functions.text.Lower(django.db.models.functions.text.Trim("name")),
                name="building_name",
            ),
        ),
        migrations.AddConstraint(
            model_name="company",
            constraint=models.UniqueConstraint(
                models.F("site"),
                django.db.models.functions.text.Lower(django.db.models.functions.text.Trim("name")),
                name="company_name",
            ),
        ),
        migrations.AddConstraint(
            model_name="floor",
            constraint=models.UniqueConstraint(fields=("building", "code"), name="floor_code"),
        ),
        migrations.AddConstraint(
            model_name="peoplegroup",
            constraint=models.UniqueConstraint(
                models.F("company"),
                django.db.models.functions.text.Lower(django.db.models.functions.text.Trim("name")),
                name="people_group_name",
            ),
        ),
        migrations.AddConstraint(
            model_name="peoplegroup",
            constraint=models.UniqueConstraint(fields=("company", "id"), name="people_group_of_company"),
        ),
        migrations.AddConstraint(
            model_name="unit",
            constraint=models.UniqueConstraint(
                fields=("site", "building", "number"), name="unit_number", nulls_distinct=False
            ),
        ),
        migrations.AddConstraint(
            model_name="unit",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("legacy_number", True),
                    models.Q(
                        ("number__regex", "^[0-9]+(#[0-9]+)?$"),
                        models.Q(("number__regex", "[0-9]([#]?[0-9]){6}"), _negated=True),
                    ),
                    _connector="OR",
                ),
                name="unit_number_form",
            ),
        ),
        migrations.AddConstraint(
            model_name="unit",
            constraint=models.CheckConstraint(condition=models.Q(("call_type__lte", 5)), name="unit_call_type"),
        ),
        migrations.AddConstraint(
            model_name="unit",
            constraint=models.CheckConstraint(condition=models.Q(("web_relay__lte", 50)), name="unit_web_relay"),
        ),
        migrations.AddConstraint(
            model_name="occupancy",
            constraint=models.UniqueConstraint(
                condition=models.Q(("closed_at", None)), fields=("unit",), name="occupancy_open_once"
            ),
        ),
        SiteWall("Building", app="SELECT, INSERT, UPDATE, DELETE", system="SELECT"),
        SiteWall("Floor", app="SELECT, INSERT, UPDATE, DELETE", system="SELECT"),
        SiteWall("Company", app="SELECT, INSERT, UPDATE, DELETE", system="SELECT"),
        SiteWall("PeopleGroup", app="SELECT, INSERT, UPDATE, DELETE", system="SELECT"),
        SiteWall("Unit", app="SELECT, INSERT, UPDATE, DELETE", system="SELECT"),
        SiteWall("Occupancy", app="SELECT, INSERT, UPDATE, DELETE", system="SELECT"),
    ]
