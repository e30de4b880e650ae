import django.db.models.deletion
from django.db import migrations, models

SITE = models.ForeignKey(
    db_constraint=False, db_index=False, on_delete=django.db.models.deletion.PROTECT, to="tenants.site"
)


class Migration(migrations.Migration):
    """A whole site is compiled in seconds only when each row costs no more than it must (benchmark `compile`)."""

    dependencies = [
        ("feed", "0003_receipts_see_what_waits"),
    ]

    operations = [
        migrations.RemoveConstraint(model_name="interest", name="interest_once"),
        migrations.AlterField(model_name="entry", name="site", field=SITE),
        migrations.AlterField(model_name="interest", name="site", field=SITE),
        migrations.AlterField(model_name="revision", name="site", field=SITE),
        migrations.AlterField(
            model_name="interest",
            name="gateway",
            field=models.ForeignKey(
                db_constraint=False,
                db_index=False,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="interests",
                to="devices.gateway",
            ),
        ),
        migrations.AddConstraint(
            model_name="interest",
            constraint=models.UniqueConstraint(
                fields=["gateway", "key", "ended"], name="interest_once", nulls_distinct=False
            ),
        ),
        # Nothing links to an interest.
        migrations.RunSQL(
            "ALTER TABLE feed_interest DROP CONSTRAINT feed_interest_site_key",
            "ALTER TABLE feed_interest ADD CONSTRAINT feed_interest_site_key UNIQUE (site_id, id)",
        ),
    ]
