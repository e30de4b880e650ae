import django.db.models.functions.text
from django.db import migrations, models

import gatehouse.cloud.kit.ids
from gatehouse.cloud.authz.walls import Grant


class Migration(migrations.Migration):
    initial = True

    dependencies = [
        ("authz", "0001_walls"),
    ]

    operations = [
        migrations.CreateModel(
            name="User",
            fields=[
                ("password", models.CharField(max_length=128, verbose_name="password")),
                ("last_login", models.DateTimeField(blank=True, null=True, verbose_name="last login")),
                (
                    "id",
                    models.UUIDField(
                        default=gatehouse.cloud.kit.ids.new_id, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("username", models.CharField(max_length=200, unique=True)),
                ("realm", models.CharField(choices=[("staff", "Staff"), ("app", "App")], max_length=8)),
                ("login", models.CharField(max_length=180)),
                ("email", models.EmailField(blank=True, max_length=254)),
                ("name", models.CharField(max_length=130)),
                ("language", models.CharField(blank=True, max_length=12)),
                ("zone", models.CharField(blank=True, max_length=64)),
                ("must_change_password", models.BooleanField(default=False)),
                ("password_changed_at", models.DateTimeField(null=True)),
                ("remind_monthly", models.BooleanField(default=False)),
                ("disabled_at", models.DateTimeField(null=True)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(
                        models.F("realm"),
                        django.db.models.functions.text.Lower("email"),
                        condition=models.Q(("email", ""), _negated=True),
                        name="user_email_per_realm",
                    ),
                    models.CheckConstraint(condition=models.Q(("realm__in", ["staff", "app"])), name="user_realm"),
                ],
            },
        ),
        Grant("User", app="SELECT, INSERT, UPDATE, DELETE", system="SELECT"),
    ]
