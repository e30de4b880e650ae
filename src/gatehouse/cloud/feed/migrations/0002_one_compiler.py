import django.db.models.deletion
from django.db import migrations, models

from gatehouse.cloud.authz.walls import SiteWall


class Migration(migrations.Migration):
    """What only the compiler writes stands apart from what gateways report: the two must never wait for each other."""

    dependencies = [
        ("devices", "0001_initial"),
        ("tenants", "0001_initial"),
        ("feed", "0001_initial"),
    ]

    operations = [
        migrations.CreateModel(
            name="Revision",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("number", models.BigIntegerField()),
                ("at", models.DateTimeField()),
                (
                    "site",
                    models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, to="tenants.site"),
                ),
            ],
            options={
                "indexes": [models.Index(fields=["site", "at"], name="revision_at")],
                "constraints": [models.UniqueConstraint(fields=["site", "number"], name="revision_once")],
            },
        ),
        migrations.CreateModel(
            name="Wanted",
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
                ("revision", models.BigIntegerField()),
                ("previous", models.BigIntegerField(default=0)),
                ("site", models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, to="tenants.site")),
            ],
        ),
        migrations.RemoveField(model_name="gatewayfeed", name="wanted"),
        migrations.AddField(model_name="devicefeed", name="steps", field=models.JSONField(default=list)),
        migrations.RemoveConstraint(model_name="entry", name="entry_one_in_force"),
        migrations.RemoveIndex(model_name="entry", name="entry_history"),
        migrations.AlterField(model_name="entry", name="payload", field=models.JSONField()),
        migrations.AlterField(
            model_name="entry",
            name="site",
            field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, to="tenants.site"),
        ),
        migrations.AlterField(
            model_name="interest",
            name="site",
            field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, to="tenants.site"),
        ),
        migrations.AddConstraint(
            model_name="entry",
            constraint=models.UniqueConstraint(
                fields=["site", "kind", "key", "ended"], name="entry_one_in_force", nulls_distinct=False
            ),
        ),
        migrations.AddIndex(
            model_name="entry",
            index=models.Index(
                condition=models.Q(("ended__isnull", False)), fields=["site", "ended"], name="entry_ended"
            ),
        ),
        migrations.AddField(
            model_name="interest",
            name="kind",
            field=models.CharField(default="", max_length=16),
            preserve_default=False,
        ),
        migrations.AddConstraint(
            model_name="interest",
            constraint=models.CheckConstraint(
                condition=models.Q(("ended", None), ("ended__gt", models.F("since")), _connector="OR"),
                name="interest_period",
            ),
        ),
        SiteWall("Revision", app="SELECT", system="SELECT, INSERT, UPDATE, DELETE"),
        SiteWall("Wanted", app="SELECT", system="SELECT, INSERT, UPDATE, DELETE"),
        # Nothing links to an entry, and each index costs every compile.
        migrations.RunSQL(
            "ALTER TABLE feed_entry DROP CONSTRAINT feed_entry_site_key",
            "ALTER TABLE feed_entry ADD CONSTRAINT feed_entry_site_key UNIQUE (site_id, id)",
        ),
    ]
