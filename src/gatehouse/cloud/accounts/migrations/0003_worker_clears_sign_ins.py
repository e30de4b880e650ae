"""The worker clears sessions that have ended and tries that are forgotten."""

from django.db import migrations

GRANT = "GRANT SELECT, DELETE ON django_session TO gatehouse_system"


class Migration(migrations.Migration):
    dependencies = [("accounts", "0002_throttle"), ("sessions", "0001_initial")]
    operations = [migrations.RunSQL(GRANT, migrations.RunSQL.noop)]
