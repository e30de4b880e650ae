import django.contrib.postgres.constraints
import django.contrib.postgres.fields
import django.contrib.postgres.fields.ranges
import django.db.models.deletion
import django.db.models.functions.text
from django.db import migrations, models

import gatehouse.cloud.devices.models
import gatehouse.cloud.kit.ids
from gatehouse.cloud.authz.walls import SiteWall


class Migration(migrations.Migration):
    initial = True

    dependencies = [
        ("authz", "0001_walls"),
        ("premises", "0001_initial"),
        ("tenants", "0001_initial"),
    ]

    operations = [
        migrations.CreateModel(
            name="Gateway",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=gatehouse.cloud.kit.ids.new_id, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("name", models.CharField(max_length=128)),
                ("native", models.BooleanField(default=False)),
                ("claim_digest", models.CharField(max_length=64, null=True, unique=True)),
                ("claim_until", models.DateTimeField(null=True)),
                ("claimed_at", models.DateTimeField(null=True)),
                ("secret_digest", models.CharField(blank=True, max_length=64)),
                ("broker_hash", models.CharField(blank=True, max_length=200)),
                ("revoked_at", models.DateTimeField(null=True)),
                ("online", models.BooleanField(default=False)),
                ("online_changed_at", models.DateTimeField(null=True)),
                ("last_seen_at", models.DateTimeField(null=True)),
                ("session", models.UUIDField(null=True)),
                ("boot", models.UUIDField(null=True)),
                ("version", models.CharField(blank=True, max_length=64)),
                ("health", models.JSONField(default=dict)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("row_version", models.PositiveIntegerField(default=1)),
                ("site", models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, to="tenants.site")),
            ],
        ),
        migrations.CreateModel(
            name="Device",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=gatehouse.cloud.kit.ids.new_id, editable=False, primary_key=True, serialize=False
                    ),
                ),
                (
                    "placement",
                    models.CharField(
                        choices=[("public", "Public"), ("building", "Building"), ("unit", "Unit")],
                        default="public",
                        max_length=12,
                    ),
                ),
                ("all_buildings", models.BooleanField(default=True)),
                (
                    "type",
                    models.CharField(
                        choices=[
                            ("multi_tenant_door_phone", "Multi Tenant Door Phone"),
                            ("single_tenant_door_phone", "Single Tenant Door Phone"),
                            ("indoor_monitor", "Indoor Monitor"),
                            ("guard_phone", "Guard Phone"),
                            ("access_terminal", "Access Terminal"),
                            ("lift_controller", "Lift Controller"),
                        ],
                        max_length=32,
                    ),
                ),
                ("name", models.CharField(max_length=64)),
                ("internet", models.BooleanField(default=True)),
                ("settings", models.JSONField(default=dict)),
                ("online", models.BooleanField(default=False)),
                ("online_changed_at", models.DateTimeField(null=True)),
                ("last_seen_at", models.DateTimeField(null=True)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("deleted_at", models.DateTimeField(null=True)),
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
                    "number",
                    models.OneToOneField(
                        db_constraint=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        to="tenants.dialnumber",
                    ),
                ),
                ("site", models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, to="tenants.site")),
                (
                    "unit",
                    models.ForeignKey(
                        db_constraint=False, null=True, on_delete=django.db.models.deletion.PROTECT, to="premises.unit"
                    ),
                ),
                (
                    "gateway",
                    models.ForeignKey(
                        db_constraint=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="devices",
                        to="devices.gateway",
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="Hardware",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=gatehouse.cloud.kit.ids.new_id, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("mac", models.CharField(max_length=12, unique=True)),
                ("model", models.CharField(blank=True, max_length=32)),
                (
                    "firmware",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.PositiveIntegerField(), null=True, size=4
                    ),
                ),
                ("note", models.CharField(blank=True, max_length=200)),
                ("registered_at", models.DateTimeField(auto_now_add=True)),
                ("blocked_at", models.DateTimeField(null=True)),
                (
                    "distributor",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="registered_hardware",
                        to="tenants.organisation",
                    ),
                ),
                (
                    "installer",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="allotted_hardware",
                        to="tenants.organisation",
                    ),
                ),
                (
                    "site",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="hardware",
                        to="tenants.site",
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="Binding",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=gatehouse.cloud.kit.ids.new_id, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("during", django.contrib.postgres.fields.ranges.DateTimeRangeField()),
                ("site", models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, to="tenants.site")),
                (
                    "device",
                    models.ForeignKey(
                        db_constraint=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="bindings",
                        to="devices.device",
                    ),
                ),
                (
                    "hardware",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="bindings", to="devices.hardware"
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="NetworkGroup",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=gatehouse.cloud.kit.ids.new_id, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("name", models.CharField(max_length=64)),
                (
                    "gateway",
                    models.ForeignKey(
                        db_constraint=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="network_groups",
                        to="devices.gateway",
                    ),
                ),
                ("site", models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, to="tenants.site")),
            ],
        ),
        migrations.AddField(
            model_name="device",
            name="network_group",
            field=models.ForeignKey(
                db_constraint=False, null=True, on_delete=django.db.models.deletion.PROTECT, to="devices.networkgroup"
            ),
        ),
        migrations.CreateModel(
            name="Relay",
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
                        choices=[("door", "Door"), ("security", "Security"), ("monitor", "Monitor")],
                        default="door",
                        max_length=12,
                    ),
                ),
                ("position", models.PositiveSmallIntegerField()),
                ("name", models.CharField(max_length=64)),
                ("enabled", models.BooleanField(default=True)),
                ("dtmf", models.CharField(blank=True, max_length=1)),
                (
                    "methods",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.CharField(max_length=12),
                        default=gatehouse.cloud.devices.models.all_methods,
                        size=None,
                    ),
                ),
                ("hold_ms", models.PositiveIntegerField(default=5000)),
                ("deleted_at", models.DateTimeField(null=True)),
                ("row_version", models.PositiveIntegerField(default=1)),
                (
                    "device",
                    models.ForeignKey(
                        db_constraint=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="relays",
                        to="devices.device",
                    ),
                ),
                ("site", models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, to="tenants.site")),
            ],
        ),
        migrations.CreateModel(
            name="Input",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=gatehouse.cloud.kit.ids.new_id, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("position", models.PositiveSmallIntegerField()),
                ("use", models.CharField(max_length=12)),
                ("timeout_s", models.PositiveSmallIntegerField(null=True)),
                (
                    "device",
                    models.ForeignKey(
                        db_constraint=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="inputs",
                        to="devices.device",
                    ),
                ),
                ("site", models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, to="tenants.site")),
                (
                    "relay",
                    models.ForeignKey(
                        db_constraint=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="inputs",
                        to="devices.relay",
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="Command",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=gatehouse.cloud.kit.ids.new_id, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("verb", models.CharField(max_length=32)),
                ("args", models.JSONField(default=dict)),
                ("dedupe_key", models.CharField(blank=True, max_length=64)),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("queued", "Queued"),
                            ("published", "Published"),
                            ("done", "Done"),
                            ("failed", "Failed"),
                            ("refused", "Refused"),
                            ("expired", "Expired"),
                        ],
                        default="queued",
                        max_length=12,
                    ),
                ),
                ("reason", models.CharField(blank=True, max_length=64)),
                ("actor_id", models.UUIDField()),
                ("actor_label", models.CharField(max_length=200)),
                ("via", models.CharField(max_length=16)),
                ("issued_at", models.DateTimeField()),
                ("expires_at", models.DateTimeField()),
                ("published_at", models.DateTimeField(null=True)),
                ("ended_at", models.DateTimeField(null=True)),
                ("site", models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, to="tenants.site")),
                (
                    "device",
                    models.ForeignKey(
                        db_constraint=False, null=True, on_delete=django.db.models.deletion.PROTECT, to="devices.device"
                    ),
                ),
                (
                    "gateway",
                    models.ForeignKey(
                        db_constraint=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="commands",
                        to="devices.gateway",
                    ),
                ),
                (
                    "relay",
                    models.ForeignKey(
                        db_constraint=False, null=True, on_delete=django.db.models.deletion.PROTECT, to="devices.relay"
                    ),
                ),
            ],
        ),
        migrations.AddConstraint(
            model_name="gateway",
            constraint=models.UniqueConstraint(
                models.F("site"),
                django.db.models.functions.text.Lower(django.db.models.functions.text.Trim("name")),
                condition=models.Q(("revoked_at", None)),
                name="gateway_name",
            ),
        ),
        migrations.AddConstraint(
            model_name="hardware",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("mac__regex", "^[0-9A-F][02468ACE][0-9A-F]{10}$"), models.Q(("mac", "000000000000"), _negated=True)
                ),
                name="hardware_mac",
            ),
        ),
        migrations.AddConstraint(
            model_name="hardware",
            constraint=models.CheckConstraint(
                condition=models.Q(("site", None), ("installer__isnull", False), _connector="OR"),
                name="hardware_station",
            ),
        ),
        migrations.AddConstraint(
            model_name="binding",
            constraint=django.contrib.postgres.constraints.ExclusionConstraint(
                expressions=[(models.F("device"), "="), (models.F("during"), "&&")], name="binding_one_hardware"
            ),
        ),
        migrations.AddConstraint(
            model_name="binding",
            constraint=django.contrib.postgres.constraints.ExclusionConstraint(
                expressions=[(models.F("hardware"), "="), (models.F("during"), "&&")], name="binding_one_device"
            ),
        ),
        migrations.AddConstraint(
            model_name="networkgroup",
            constraint=models.UniqueConstraint(
                models.F("site"),
                django.db.models.functions.text.Lower(django.db.models.functions.text.Trim("name")),
                name="network_group_name",
            ),
        ),
        migrations.AddIndex(
            model_name="device",
            index=models.Index(fields=["gateway"], name="device_gateway"),
        ),
        migrations.AddConstraint(
            model_name="device",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("building", None), ("placement", "public"), ("unit", None)),
                    models.Q(("building__isnull", False), ("placement", "building"), ("unit", None)),
                    models.Q(("placement", "unit"), ("unit__isnull", False)),
                    _connector="OR",
                ),
                name="device_place",
            ),
        ),
        migrations.AddConstraint(
            model_name="relay",
            constraint=models.UniqueConstraint(
                condition=models.Q(("deleted_at", None)), fields=("device", "kind", "position"), name="relay_position"
            ),
        ),
        migrations.AddConstraint(
            model_name="relay",
            constraint=models.UniqueConstraint(
                models.F("device"),
                django.db.models.functions.text.Lower(django.db.models.functions.text.Trim("name")),
                condition=models.Q(("deleted_at", None)),
                name="relay_name",
            ),
        ),
        migrations.AddConstraint(
            model_name="relay",
            constraint=models.UniqueConstraint(
                condition=models.Q(("deleted_at", None), ("enabled", True), models.Q(("dtmf", ""), _negated=True)),
                fields=("device", "dtmf"),
                name="relay_dtmf",
            ),
        ),
        migrations.AddConstraint(
            model_name="relay",
            constraint=models.CheckConstraint(
                condition=models.Q(("position__gte", 1), ("position__lte", 4)), name="relay_four"
            ),
        ),
        migrations.AddConstraint(
            model_name="relay",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("methods__contained_by", ["homepage", "talking", "pin", "face", "card", "bluetooth", "nfc", "qr"])
                ),
                name="relay_methods",
            ),
        ),
        migrations.AddConstraint(
            model_name="relay",
            constraint=models.CheckConstraint(
                condition=models.Q(("hold_ms__gte", 100), ("hold_ms__lte", 600000)), name="relay_hold"
            ),
        ),
        migrations.AddConstraint(
            model_name="input",
            constraint=models.UniqueConstraint(fields=("device", "position"), name="input_position"),
        ),
        migrations.AddConstraint(
            model_name="input",
            constraint=models.UniqueConstraint(
                condition=models.Q(("use", "sensor")), fields=("relay",), name="input_sensor_once"
            ),
        ),
        migrations.AddConstraint(
            model_name="input",
            constraint=models.CheckConstraint(
                condition=models.Q(("use__in", ["sensor", "exit", "fire", "tamper"])), name="input_use"
            ),
        ),
        migrations.AddConstraint(
            model_name="input",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("timeout_s", None), models.Q(("timeout_s__gte", 5), ("timeout_s__lte", 600)), _connector="OR"
                ),
                name="input_timeout",
            ),
        ),
        migrations.AddIndex(
            model_name="command",
            index=models.Index(condition=models.Q(("state", "queued")), fields=["gateway", "id"], name="command_queue"),
        ),
        migrations.AddIndex(
            model_name="command",
            index=models.Index(
                condition=models.Q(("state__in", ["queued", "published"])), fields=["expires_at"], name="command_open"
            ),
        ),
        migrations.AddConstraint(
            model_name="command",
            constraint=models.UniqueConstraint(
                condition=models.Q(("state__in", ["queued", "published"]), models.Q(("dedupe_key", ""), _negated=True)),
                fields=("device", "dedupe_key"),
                name="command_once",
            ),
        ),
        migrations.AddConstraint(
            model_name="command",
            constraint=models.CheckConstraint(
                condition=models.Q(("expires_at__gt", models.F("issued_at"))), name="command_expires"
            ),
        ),
        SiteWall("Hardware", app="SELECT, INSERT, UPDATE, DELETE", system="SELECT, UPDATE", shared=True),
        SiteWall("Gateway", app="SELECT, INSERT, UPDATE, DELETE", system="SELECT, UPDATE"),
        SiteWall("NetworkGroup", app="SELECT, INSERT, UPDATE, DELETE", system="SELECT"),
        SiteWall("Device", app="SELECT, INSERT, UPDATE, DELETE", system="SELECT, UPDATE"),
        SiteWall("Binding", app="SELECT, INSERT, UPDATE, DELETE", system="SELECT"),
        SiteWall("Relay", app="SELECT, INSERT, UPDATE, DELETE", system="SELECT"),
        SiteWall("Input", app="SELECT, INSERT, UPDATE, DELETE", system="SELECT"),
        SiteWall("Command", app="SELECT, INSERT, UPDATE, DELETE", system="SELECT, INSERT, UPDATE"),
    ]
