"""Keys for programs, the first answers to their calls, and the counts that bound them."""

import django.contrib.postgres.fields
import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

import gatehouse.cloud.kit.ids
from gatehouse.cloud.authz.walls import Grant, SiteWall

SIGN_IN = """
CREATE FUNCTION gatehouse_token_sign_in(given text, at timestamptz)
RETURNS TABLE (token_id uuid, user_id uuid, name text, scopes text[], sites uuid[], last_used_at timestamptz)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
  SELECT t.id, t.user_id, t.name::text, t.scopes::text[],
         ARRAY(SELECT r.site_id FROM tenants_apitokensite r WHERE r.token_id = t.id), t.last_used_at
  FROM tenants_apitoken t JOIN accounts_user u ON u.id = t.user_id
  WHERE t.digest = given AND t.revoked_at IS NULL AND t.expires_at > at AND u.disabled_at IS NULL
$$;
REVOKE ALL ON FUNCTION gatehouse_token_sign_in(text, timestamptz) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION gatehouse_token_sign_in(text, timestamptz) TO gatehouse_app;
COMMENT ON FUNCTION gatehouse_token_sign_in(text, timestamptz) IS
  'A live token by its digest, before any site is entered; nothing for one that is unknown, revoked, expired or its maker disabled.';
"""

CHEAP = "ALTER TABLE tenants_apicount SET UNLOGGED"


class Migration(migrations.Migration):
    dependencies = [
        ("tenants", "0002_reach"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="ApiCount",
            fields=[
                ("key", models.CharField(max_length=64, primary_key=True, serialize=False)),
                ("minute", models.BigIntegerField()),
                ("calls", models.PositiveIntegerField()),
            ],
        ),
        migrations.CreateModel(
            name="ApiToken",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=gatehouse.cloud.kit.ids.new_id, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("name", models.CharField(max_length=64)),
                ("digest", models.CharField(max_length=64, unique=True)),
                (
                    "scopes",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.CharField(max_length=32), default=list, size=None
                    ),
                ),
                ("made_at", models.DateTimeField()),
                ("expires_at", models.DateTimeField()),
                ("last_used_at", models.DateTimeField(null=True)),
                ("revoked_at", models.DateTimeField(null=True)),
                (
                    "user",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="api_tokens",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="ApiAnswer",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=gatehouse.cloud.kit.ids.new_id, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("key", models.CharField(max_length=200)),
                ("request_digest", models.CharField(max_length=64)),
                ("status", models.PositiveSmallIntegerField(null=True)),
                ("body", models.BinaryField(null=True)),
                ("headers", models.JSONField(default=dict)),
                ("made_at", models.DateTimeField()),
                ("site", models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, to="tenants.site")),
                ("token", models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, to="tenants.apitoken")),
            ],
            options={
                "indexes": [models.Index(fields=["site", "made_at"], name="api_answer_age")],
                "constraints": [models.UniqueConstraint(fields=("site", "token", "key"), name="api_answer_once")],
            },
        ),
        migrations.CreateModel(
            name="ApiTokenSite",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=gatehouse.cloud.kit.ids.new_id, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("site", models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, to="tenants.site")),
                (
                    "token",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="reach", to="tenants.apitoken"
                    ),
                ),
            ],
            options={
                "constraints": [models.UniqueConstraint(fields=("token", "site"), name="api_token_site")],
            },
        ),
        Grant("ApiToken", app="SELECT, INSERT, UPDATE, DELETE", system="SELECT"),
        SiteWall("ApiTokenSite", app="SELECT, INSERT, UPDATE, DELETE", system="SELECT"),
        SiteWall("ApiAnswer", app="SELECT, INSERT, UPDATE, DELETE", system="SELECT, DELETE"),
        Grant("ApiCount", app="SELECT, INSERT, UPDATE, DELETE", system="SELECT, DELETE"),
        migrations.RunSQL(SIGN_IN, migrations.RunSQL.noop),
        migrations.RunSQL(CHEAP, migrations.RunSQL.noop),
    ]
