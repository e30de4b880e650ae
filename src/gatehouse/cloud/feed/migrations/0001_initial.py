import django.contrib.postgres.fields
import django.contrib.postgres.indexes
import django.db.models.deletion
from django.db import migrations, models

import gatehouse.cloud.kit.ids
from gatehouse.cloud.authz.walls import SiteWall


class Migration(migrations.Migration):
    initial = True

    dependencies = [
        ("authz", "0001_walls"),
        ("devices", "0001_initial"),
        ("tenants", "0001_initial"),
    ]

    operations = [
        migrations.CreateModel(
            name="SiteFeed",
            fields=[
                (
                    "site",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.PROTECT,
                        primary_key=True,
                        serialize=False,
                        to="tenants.site",
                    ),
                ),
                ("epoch", models.UUIDField(default=gatehouse.cloud.kit.ids.new_id)),
                ("revision", models.BigIntegerField(default=0)),
                ("horizon", models.BigIntegerField(default=0)),
                ("compiled_at", models.DateTimeField(null=True)),
            ],
        ),
        migrations.CreateModel(
            name="DeviceFeed",
            fields=[
                (
                    "device",
                    models.OneToOneField(
                        db_constraint=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        primary_key=True,
                        serialize=False,
                        to="devices.device",
                    ),
                ),
                ("epoch", models.UUIDField(null=True)),
                ("applied", models.BigIntegerField(default=0)),
                ("applied_at", models.DateTimeField(null=True)),
                ("refused", models.JSONField(default=list)),
                ("site", models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, to="tenants.site")),
            ],
        ),
        migrations.CreateModel(
            name="GatewayFeed",
            fields=[
                (
                    "gateway",
                    models.OneToOneField(
                        db_constraint=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        primary_key=True,
                        serialize=False,
                        to="devices.gateway",
                    ),
                ),
                ("wanted", models.BigIntegerField(default=0)),
                ("published", models.BigIntegerField(default=0)),
                ("epoch", models.UUIDField(null=True)),
                ("applied", models.BigIntegerField(default=0)),
                ("applied_at", models.DateTimeField(null=True)),
                ("site", models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, to="tenants.site")),
            ],
        ),
        migrations.CreateModel(
            name="Entry",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("kind", models.CharField(max_length=16)),
                ("key", models.UUIDField()),
                ("revision", models.BigIntegerField()),
                ("ended", models.BigIntegerField(null=True)),
                ("priority", models.PositiveSmallIntegerField(default=1)),
                ("payload", models.JSONField(null=True)),
                (
                    "audience",
                    django.contrib.postgres.fields.ArrayField(base_field=models.UUIDField(), default=list, size=None),
                ),
                ("site", models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, to="tenants.site")),
            ],
            options={
                "indexes": [
                    models.Index(fields=["site", "revision"], name="entry_revision"),
                    models.Index(fields=["site", "kind", "key", "revision"], name="entry_history"),
                    django.contrib.postgres.indexes.GinIndex(
                        condition=models.Q(("ended", None)), fields=["audience"], name="entry_audience"
                    ),
                ],
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("ended", None)), fields=("site", "kind", "key"), name="entry_one_in_force"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("ended", None), ("ended__gt", models.F("revision")), _connector="OR"),
                        name="entry_period",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="Interest",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("key", models.UUIDField()),
                ("since", models.BigIntegerField()),
                ("ended", models.BigIntegerField(null=True)),
                (
                    "gateway",
                    models.ForeignKey(
                        db_constraint=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="interests",
                        to="devices.gateway",
                    ),
                ),
                ("site", models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, to="tenants.site")),
            ],
            options={
                "indexes": [models.Index(fields=["site", "key"], name="interest_key")],
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("ended", None)), fields=("gateway", "key"), name="interest_once"
                    )
                ],
            },
        ),
        SiteWall("SiteFeed", app="SELECT", system="SELECT, INSERT, UPDATE, DELETE"),
        SiteWall("Entry", app="SELECT", system="SELECT, INSERT, UPDATE, DELETE"),
        SiteWall("Interest", app="SELECT", system="SELECT, INSERT, UPDATE, DELETE"),
        SiteWall("GatewayFeed", app="SELECT", system="SELECT, INSERT, UPDATE, DELETE"),
        SiteWall("DeviceFeed", app="SELECT", system="SELECT, INSERT, UPDATE, DELETE"),
    ]
