"""Where an account can go: read before any site is entered, so by a function of its own."""

from django.db import migrations

REACH = """
CREATE FUNCTION gatehouse_reach(who uuid)
RETURNS TABLE (site_id uuid, organisation_id uuid, party_id uuid, role text, switches jsonb)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
  WITH RECURSIVE alive AS (
    SELECT o.id FROM tenants_organisation o WHERE o.parent_id IS NULL AND o.disabled_at IS NULL
    UNION ALL
    SELECT o.id FROM tenants_organisation o JOIN alive a ON o.parent_id = a.id WHERE o.disabled_at IS NULL
  ), mine AS (
    SELECT m.* FROM tenants_membership m JOIN accounts_user u ON u.id = m.user_id
    WHERE m.user_id = who AND u.disabled_at IS NULL
  )
  -- a standing at one site
  SELECT s.id, s.organisation_id, m.party_id, m.role::text, m.switches
  FROM mine m JOIN tenants_site s ON s.id = m.site_id WHERE s.deleted_at IS NULL
  UNION ALL
  -- installers: every site of their organisation
  SELECT s.id, s.organisation_id, NULL::uuid, m.role::text, m.switches
  FROM mine m JOIN alive a ON a.id = m.organisation_id JOIN tenants_site s ON s.organisation_id = m.organisation_id
  WHERE m.role IN ('installer', 'sub_installer') AND s.deleted_at IS NULL
  UNION ALL
  -- the standing in the organisation itself
  SELECT NULL::uuid, m.organisation_id, NULL::uuid, m.role::text, m.switches
  FROM mine m JOIN alive a ON a.id = m.organisation_id
$$;
REVOKE ALL ON FUNCTION gatehouse_reach(uuid) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION gatehouse_reach(uuid) TO gatehouse_app, gatehouse_system;
COMMENT ON FUNCTION gatehouse_reach(uuid) IS
  'Sites and organisations an account has a standing in; a row without site is the standing in the organisation.';
"""

PARENT = """
ALTER TABLE tenants_organisation ADD CONSTRAINT organisation_parent_kind
  FOREIGN KEY (parent_id, parent_kind) REFERENCES tenants_organisation (id, kind);
"""

SESSIONS = """
GRANT SELECT, INSERT, UPDATE, DELETE ON django_session TO gatehouse_app;
GRANT SELECT ON django_content_type, django_migrations TO gatehouse_app, gatehouse_system;
"""


class Migration(migrations.Migration):
    dependencies = [
        ("tenants", "0001_initial"),
        ("accounts", "0001_initial"),
        ("sessions", "0001_initial"),
        ("contenttypes", "0002_remove_content_type_name"),
    ]
    operations = [migrations.RunSQL(sql, migrations.RunSQL.noop) for sql in (REACH, PARENT, SESSIONS)]
