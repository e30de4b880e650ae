from django.db import migrations, models


class Migration(migrations.Migration):
    """The key leads, so that a table whose statistics are not made yet is not read whole for one entry of it."""

    dependencies = [
        ("feed", "0004_lean"),
    ]

    operations = [
        migrations.RemoveConstraint(model_name="entry", name="entry_one_in_force"),
        migrations.AddConstraint(
            model_name="entry",
            constraint=models.UniqueConstraint(
                fields=["key", "kind", "site", "ended"], name="entry_one_in_force", nulls_distinct=False
            ),
        ),
    ]
