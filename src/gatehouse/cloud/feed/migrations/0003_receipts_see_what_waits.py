from django.db import migrations


class Migration(migrations.Migration):
    """A receipt has to tell "on its way" from "no door affected", so the app role may see what is not compiled yet."""

    dependencies = [
        ("changes", "0001_initial"),
        ("feed", "0002_one_compiler"),
    ]

    operations = [
        migrations.RunSQL(
            "GRANT SELECT ON changes_touched TO gatehouse_app", "REVOKE SELECT ON changes_touched FROM gatehouse_app"
        ),
    ]
