from django.db import migrations, models

import gatehouse.cloud.kit.ids
from gatehouse.cloud.authz.walls import SiteWall


class Migration(migrations.Migration):
    initial = True

    dependencies = [
        ("authz", "0001_walls"),
    ]

    operations = [
        migrations.CreateModel(
            name="Entry",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=gatehouse.cloud.kit.ids.new_id, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("at", models.DateTimeField()),
                ("site_id", models.UUIDField(null=True)),
                ("organisation_id", models.UUIDField(null=True)),
                ("actor_id", models.UUIDField()),
                ("actor_label", models.CharField(max_length=200)),
                ("on_behalf_id", models.UUIDField(null=True)),
                ("on_behalf_label", models.CharField(blank=True, max_length=200)),
                ("via", models.CharField(max_length=16)),
                ("verb", models.CharField(max_length=64)),
                ("object_kind", models.CharField(blank=True, max_length=32)),
                ("object_id", models.UUIDField(null=True)),
                ("object_label", models.CharField(blank=True, max_length=200)),
                ("data", models.JSONField(default=dict)),
                ("before_image", models.BinaryField(null=True)),
                ("undo_until", models.DateTimeField(null=True)),
                ("request_id", models.CharField(blank=True, max_length=40)),
            ],
            options={
                "indexes": [
                    models.Index(fields=["site_id", "-id"], name="journal_site"),
                    models.Index(fields=["organisation_id", "-id"], name="journal_organisation"),
                    models.Index(fields=["object_id", "-id"], name="journal_object"),
                ],
            },
        ),
        SiteWall("Entry", app="SELECT, INSERT", system="SELECT, INSERT", shared=True),
    ]
