import django.db.models.deletion
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
            name="EmergencyState",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=gatehouse.cloud.kit.ids.new_id, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("emergency", models.UUIDField()),
                ("state", models.CharField(choices=[("open", "open"), ("closed", "closed")], max_length=8)),
                ("counter", models.PositiveBigIntegerField()),
                ("at", models.DateTimeField()),
                ("actor_id", models.UUIDField()),
                ("actor_label", models.CharField(max_length=200)),
                ("origin", models.CharField(max_length=16)),
                ("signature", models.CharField(max_length=128)),
                ("published_at", models.DateTimeField(null=True)),
                ("site", models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, to="tenants.site")),
            ],
            options={
                "constraints": [models.UniqueConstraint(fields=("site", "counter"), name="emergency_counter")],
            },
        ),
        SiteWall("EmergencyState", app="SELECT, INSERT", system="SELECT, INSERT, UPDATE"),
    ]
