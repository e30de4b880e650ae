import django.db.models.deletion
from django.db import migrations, models

import gatehouse.cloud.kit.ids
from gatehouse.cloud.authz.walls import SiteWall
from gatehouse.cloud.kit.partitions import CreatePartitionedModel


class Migration(migrations.Migration):
    initial = True

    dependencies = [
        ("authz", "0001_walls"),
        ("devices", "0001_initial"),
        ("tenants", "0001_initial"),
    ]

    operations = [
        CreatePartitionedModel(
            name="Alarm",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=gatehouse.cloud.kit.ids.new_id, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("site_id", models.UUIDField()),
                ("at", models.DateTimeField()),
                ("device_at", models.DateTimeField()),
                ("received_at", models.DateTimeField()),
                ("clock", models.CharField(default="set", max_length=8)),
                ("gateway_id", models.UUIDField()),
                ("spool", models.UUIDField()),
                ("seq", models.BigIntegerField()),
                ("device_id", models.UUIDField(null=True)),
                ("relay_id", models.UUIDField(null=True)),
                ("device_label", models.CharField(blank=True, max_length=64)),
                ("relay_label", models.CharField(blank=True, max_length=64)),
                ("mac", models.CharField(blank=True, max_length=12)),
                ("kind", models.CharField(max_length=24)),
                ("active", models.BooleanField(default=True)),
                ("data", models.JSONField(default=dict)),
            ],
            options={
                "indexes": [models.Index(fields=["site_id", "-at", "-id"], name="alarm_log")],
            },
        ),
        migrations.CreateModel(
            name="DoorState",
            fields=[
                (
                    "relay",
                    models.OneToOneField(
                        db_constraint=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        primary_key=True,
                        serialize=False,
                        to="devices.relay",
                    ),
                ),
                ("state", models.CharField(default="unknown", max_length=8)),
                ("since", models.DateTimeField(null=True)),
                ("last_passage_id", models.UUIDField(null=True)),
                ("last_passage_at", models.DateTimeField(null=True)),
                ("site", models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, to="tenants.site")),
            ],
        ),
        migrations.CreateModel(
            name="IngestCursor",
            fields=[
                ("spool", models.UUIDField(primary_key=True, serialize=False)),
                ("seq", models.BigIntegerField(default=0)),
                ("duplicates", models.BigIntegerField(default=0)),
                ("lost", models.BigIntegerField(default=0)),
                ("updated_at", models.DateTimeField(auto_now=True)),
                (
                    "gateway",
                    models.ForeignKey(
                        db_constraint=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="spools",
                        to="devices.gateway",
                    ),
                ),
                ("site", models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, to="tenants.site")),
            ],
        ),
        CreatePartitionedModel(
            name="Passage",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=gatehouse.cloud.kit.ids.new_id, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("site_id", models.UUIDField()),
                ("at", models.DateTimeField()),
                ("device_at", models.DateTimeField()),
                ("received_at", models.DateTimeField()),
                ("clock", models.CharField(default="set", max_length=8)),
                ("gateway_id", models.UUIDField()),
                ("spool", models.UUIDField()),
                ("seq", models.BigIntegerField()),
                ("device_id", models.UUIDField(null=True)),
                ("relay_id", models.UUIDField(null=True)),
                ("device_label", models.CharField(blank=True, max_length=64)),
                ("relay_label", models.CharField(blank=True, max_length=64)),
                ("mac", models.CharField(blank=True, max_length=12)),
                ("holder_id", models.UUIDField(null=True)),
                ("party_id", models.UUIDField(null=True)),
                ("occupancy_id", models.UUIDField(null=True)),
                ("credential_id", models.UUIDField(null=True)),
                ("command_id", models.UUIDField(null=True)),
                ("who", models.BinaryField(null=True)),
                ("method", models.CharField(max_length=16)),
                ("allowed", models.BooleanField()),
                ("reason", models.CharField(max_length=64)),
                ("way", models.CharField(blank=True, max_length=4)),
                ("alone", models.BooleanField(default=False)),
                ("revision", models.BigIntegerField(default=0)),
                ("decide_us", models.PositiveIntegerField(default=0)),
            ],
            options={
                "managed": True,
                "indexes": [
                    models.Index(fields=["site_id", "-at", "-id"], name="passage_log"),
                    models.Index(fields=["site_id", "relay_id", "-at"], name="passage_relay"),
                    models.Index(fields=["site_id", "holder_id", "-at"], name="passage_holder"),
                ],
            },
        ),
        SiteWall("IngestCursor", app="SELECT", system="SELECT, INSERT, UPDATE, DELETE"),
        SiteWall("Passage", app="SELECT", system="SELECT, INSERT, UPDATE, DELETE"),
        SiteWall("Alarm", app="SELECT", system="SELECT, INSERT, UPDATE, DELETE"),
        SiteWall("DoorState", app="SELECT", system="SELECT, INSERT, UPDATE, DELETE"),
    ]
