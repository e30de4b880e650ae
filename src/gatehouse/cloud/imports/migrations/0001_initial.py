import django.db.models.deletion
from django.db import migrations, models

import gatehouse.cloud.kit.ids
from gatehouse.cloud.authz.walls import SiteWall


class Migration(migrations.Migration):
    initial = True

    dependencies = [
        ("authz", "0001_walls"),
        ("premises", "0001_initial"),
        ("tenants", "0002_reach"),
    ]

    operations = [
        migrations.CreateModel(
            name="Job",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=gatehouse.cloud.kit.ids.new_id, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("format", models.CharField(max_length=32)),
                ("file_name", models.CharField(max_length=200)),
                ("file_sha256", models.CharField(max_length=64)),
                ("mode", models.CharField(choices=[("all", "All"), ("good_rows", "Good Rows")], max_length=12)),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("checked", "Checked"),
                            ("applied", "Applied"),
                            ("sealed", "Sealed"),
                            ("undone", "Undone"),
                            ("abandoned", "Abandoned"),
                        ],
                        default="checked",
                        max_length=12,
                    ),
                ),
                ("actor_id", models.UUIDField()),
                ("actor_label", models.CharField(max_length=200)),
                ("created_at", models.DateTimeField()),
                ("ended_at", models.DateTimeField(null=True)),
                ("undo_until", models.DateTimeField(null=True)),
                ("total", models.PositiveIntegerField(default=0)),
                ("added", models.PositiveIntegerField(default=0)),
                ("warned", models.PositiveIntegerField(default=0)),
                ("refused", models.PositiveIntegerField(default=0)),
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
                    "organisation",
                    models.ForeignKey(
                        null=True, on_delete=django.db.models.deletion.PROTECT, to="tenants.organisation"
                    ),
                ),
                ("site", models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, to="tenants.site")),
            ],
        ),
        migrations.CreateModel(
            name="Effect",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=gatehouse.cloud.kit.ids.new_id, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("number", models.PositiveIntegerField()),
                ("object_kind", models.CharField(max_length=16)),
                ("object_id", models.UUIDField()),
                ("made", models.JSONField()),
                ("site", models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, to="tenants.site")),
                (
                    "job",
                    models.ForeignKey(
                        db_constraint=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="effects",
                        to="imports.job",
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="Row",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=gatehouse.cloud.kit.ids.new_id, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("number", models.PositiveIntegerField()),
                ("raw", models.BinaryField()),
                ("mended", models.BinaryField(null=True)),
                (
                    "verdict",
                    models.CharField(
                        choices=[("added", "Added"), ("warned", "Warned"), ("refused", "Refused")], max_length=12
                    ),
                ),
                ("faults", models.JSONField(default=list)),
                (
                    "job",
                    models.ForeignKey(
                        db_constraint=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="rows",
                        to="imports.job",
                    ),
                ),
                ("site", models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, to="tenants.site")),
            ],
        ),
        migrations.AddIndex(
            model_name="job",
            index=models.Index(condition=models.Q(("state", "applied")), fields=["undo_until"], name="import_job_undo"),
        ),
        migrations.AddIndex(
            model_name="job",
            index=models.Index(fields=["site", "-id"], name="import_job_list"),
        ),
        migrations.AddConstraint(
            model_name="job",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("organisation__isnull", False), ("site", None)),
                    models.Q(("organisation", None), ("site__isnull", False)),
                    _connector="OR",
                ),
                name="import_job_one_place",
            ),
        ),
        migrations.AddConstraint(
            model_name="job",
            constraint=models.CheckConstraint(
                condition=models.Q(("mode__in", ["all", "good_rows"])), name="import_job_mode"
            ),
        ),
        migrations.AddConstraint(
            model_name="job",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("ended_at", None), ("state", "checked")),
                    models.Q(models.Q(("state", "checked"), _negated=True), ("ended_at__isnull", False)),
                    _connector="OR",
                ),
                name="import_job_ended",
            ),
        ),
        migrations.AddConstraint(
            model_name="job",
            constraint=models.UniqueConstraint(fields=("site", "id"), name="import_job_site"),
        ),
        migrations.AddConstraint(
            model_name="effect",
            constraint=models.UniqueConstraint(fields=("job", "object_id"), name="import_effect_once"),
        ),
        migrations.AddConstraint(
            model_name="row",
            constraint=models.UniqueConstraint(fields=("job", "number"), name="import_row_number"),
        ),
        migrations.AddConstraint(
            model_name="row",
            constraint=models.CheckConstraint(
                condition=models.Q(("verdict__in", ["added", "warned", "refused"])), name="import_row_verdict"
            ),
        ),
        SiteWall("Job", app="SELECT, INSERT, UPDATE, DELETE", system="SELECT, UPDATE", shared=True),
        SiteWall("Row", app="SELECT, INSERT, UPDATE, DELETE", system="SELECT, DELETE", shared=True),
        SiteWall("Effect", app="SELECT, INSERT, UPDATE, DELETE", system="SELECT, DELETE", shared=True),
    ]
