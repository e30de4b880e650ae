"""Slowing down guesses at the sign-in form."""

from django.db import migrations, models

from gatehouse.cloud.authz.walls import Grant


class Migration(migrations.Migration):
    dependencies = [("accounts", "0001_initial")]
    operations = [
        migrations.CreateModel(
            name="Throttle",
            fields=[
                ("key", models.CharField(max_length=64, primary_key=True, serialize=False)),
                ("failures", models.PositiveIntegerField(default=0)),
                ("until", models.DateTimeField(null=True)),
                ("updated_at", models.DateTimeField()),
            ],
        ),
        Grant("Throttle", app="SELECT, INSERT, UPDATE, DELETE", system="SELECT, DELETE"),
    ]
