import django.db.models.deletion
import django.db.models.functions.text
from django.db import migrations, models

import gatehouse.cloud.kit.ids
import gatehouse.cloud.kit.local
from gatehouse.cloud.authz.walls import SiteWall


class Migration(migrations.Migration):
    initial = True

    dependencies = [
        ("authz", "0001_walls"),
        ("devices", "0001_initial"),
        ("people", "0001_initial"),
        ("premises", "0001_initial"),
        ("tenants", "0001_initial"),
    ]

    operations = [
        migrations.CreateModel(
            name="AccessGroup",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=gatehouse.cloud.kit.ids.new_id, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("number", models.PositiveIntegerField()),
                ("name", models.CharField(max_length=128)),
                (
                    "source",
                    models.CharField(
                        choices=[
                            ("manual", "Manual"),
                            ("default", "Default"),
                            ("public", "Public"),
                            ("building", "Building"),
                            ("unit", "Unit"),
                        ],
                        default="manual",
                        max_length=12,
                    ),
                ),
                ("row_version", models.PositiveIntegerField(default=1)),
                (
                    "building",
                    models.ForeignKey(
                        db_constraint=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        to="premises.building",
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
            name="AccessGroupHolder",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=gatehouse.cloud.kit.ids.new_id, editable=False, primary_key=True, serialize=False
                    ),
                ),
                (
                    "access_group",
                    models.ForeignKey(
                        db_constraint=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="holder_links",
                        to="access.accessgroup",
                    ),
                ),
                (
                    "holder",
                    models.ForeignKey(
                        db_constraint=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="access_group_links",
                        to="people.holder",
                    ),
                ),
                ("site", models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, to="tenants.site")),
            ],
        ),
        migrations.CreateModel(
            name="AccessGroupPeopleGroup",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=gatehouse.cloud.kit.ids.new_id, editable=False, primary_key=True, serialize=False
                    ),
                ),
                (
                    "access_group",
                    models.ForeignKey(
                        db_constraint=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="people_group_links",
                        to="access.accessgroup",
                    ),
                ),
                (
                    "people_group",
                    models.ForeignKey(
                        db_constraint=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="access_group_links",
                        to="premises.peoplegroup",
                    ),
                ),
                ("site", models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, to="tenants.site")),
            ],
        ),
        migrations.CreateModel(
            name="AccessGroupRelay",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=gatehouse.cloud.kit.ids.new_id, editable=False, primary_key=True, serialize=False
                    ),
                ),
                (
                    "access_group",
                    models.ForeignKey(
                        db_constraint=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="relay_links",
                        to="access.accessgroup",
                    ),
                ),
                (
                    "relay",
                    models.ForeignKey(
                        db_constraint=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="access_group_links",
                        to="devices.relay",
                    ),
                ),
                ("site", models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, to="tenants.site")),
            ],
        ),
        migrations.CreateModel(
            name="CompanyRelay",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=gatehouse.cloud.kit.ids.new_id, editable=False, primary_key=True, serialize=False
                    ),
                ),
                (
                    "company",
                    models.ForeignKey(
                        db_constraint=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="relay_links",
                        to="premises.company",
                    ),
                ),
                (
                    "relay",
                    models.ForeignKey(
                        db_constraint=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="company_links",
                        to="devices.relay",
                    ),
                ),
                ("site", models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, to="tenants.site")),
            ],
        ),
        migrations.CreateModel(
            name="Window",
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
                        choices=[("daily", "Daily"), ("weekly", "Weekly"), ("once", "Once")], max_length=8
                    ),
                ),
                ("days", models.PositiveSmallIntegerField(default=127)),
                ("start_min", models.PositiveSmallIntegerField(default=0)),
                ("length_min", models.PositiveSmallIntegerField(default=1440)),
                ("from_local", gatehouse.cloud.kit.local.LocalDateTimeField(null=True)),
                ("until_local", gatehouse.cloud.kit.local.LocalDateTimeField(null=True)),
                (
                    "access_group",
                    models.ForeignKey(
                        db_constraint=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="windows",
                        to="access.accessgroup",
                    ),
                ),
                ("site", models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, to="tenants.site")),
            ],
        ),
        migrations.AddConstraint(
            model_name="accessgroup",
            constraint=models.UniqueConstraint(fields=("site", "number"), name="access_group_number"),
        ),
        migrations.AddConstraint(
            model_name="accessgroup",
            constraint=models.UniqueConstraint(
                models.F("site"),
                models.F("party"),
                django.db.models.functions.text.Lower(django.db.models.functions.text.Trim("name")),
                name="access_group_name",
                nulls_distinct=False,
            ),
        ),
        migrations.AddConstraint(
            model_name="accessgroup",
            constraint=models.UniqueConstraint(
                condition=models.Q(("source", "default")), fields=("site",), name="access_group_one_default"
            ),
        ),
        migrations.AddConstraint(
            model_name="accessgroupholder",
            constraint=models.UniqueConstraint(fields=("holder", "access_group"), name="access_group_holder"),
        ),
        migrations.AddConstraint(
            model_name="accessgrouppeoplegroup",
            constraint=models.UniqueConstraint(
                fields=("people_group", "access_group"), name="access_group_people_group"
            ),
        ),
        migrations.AddConstraint(
            model_name="accessgrouprelay",
            constraint=models.UniqueConstraint(fields=("access_group", "relay"), name="access_group_relay"),
        ),
        migrations.AddConstraint(
            model_name="companyrelay",
            constraint=models.UniqueConstraint(fields=("company", "relay"), name="company_relay"),
        ),
        migrations.AddConstraint(
            model_name="window",
            constraint=models.CheckConstraint(
                condition=models.Q(("length_min__gte", 1), ("length_min__lte", 1440), ("start_min__lte", 1439)),
                name="window_minutes",
            ),
        ),
        migrations.AddConstraint(
            model_name="window",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("kind", "weekly"), _negated=True),
                    models.Q(("days__gte", 1), ("days__lte", 127)),
                    _connector="OR",
                ),
                name="window_days",
            ),
        ),
        migrations.AddConstraint(
            model_name="window",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("kind", "once"), _negated=True),
                    models.Q(("from_local__isnull", False), ("until_local__isnull", False)),
                    _connector="OR",
                ),
                name="window_once",
            ),
        ),
        migrations.AddConstraint(
            model_name="window",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("from_local", None),
                    ("until_local", None),
                    ("until_local__gt", models.F("from_local")),
                    _connector="OR",
                ),
                name="window_order",
            ),
        ),
        SiteWall("AccessGroup", app="SELECT, INSERT, UPDATE, DELETE", system="SELECT"),
        SiteWall("Window", app="SELECT, INSERT, UPDATE, DELETE", system="SELECT"),
        SiteWall("AccessGroupRelay", app="SELECT, INSERT, UPDATE, DELETE", system="SELECT"),
        SiteWall("AccessGroupPeopleGroup", app="SELECT, INSERT, UPDATE, DELETE", system="SELECT"),
        SiteWall("AccessGroupHolder", app="SELECT, INSERT, UPDATE, DELETE", system="SELECT"),
        SiteWall("CompanyRelay", app="SELECT, INSERT, UPDATE, DELETE", system="SELECT"),
    ]
