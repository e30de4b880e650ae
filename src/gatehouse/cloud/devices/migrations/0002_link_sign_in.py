"""How a gateway signs in over HTTPS, and how a claim code finds its gateway: before any site is entered."""

from django.db import migrations

SIGN_IN = """
CREATE FUNCTION gatehouse_gateway_sign_in(who uuid, digest text)
RETURNS uuid LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
  SELECT site_id FROM devices_gateway
  WHERE id = who AND secret_digest = digest AND secret_digest <> '' AND revoked_at IS NULL
$$;
CREATE FUNCTION gatehouse_gateway_claiming(digest text, at timestamptz)
RETURNS TABLE (gateway_id uuid, site_id uuid) LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
  SELECT id, site_id FROM devices_gateway
  WHERE claim_digest = digest AND claim_until > at AND revoked_at IS NULL
$$;
REVOKE ALL ON FUNCTION gatehouse_gateway_sign_in(uuid, text) FROM PUBLIC;
REVOKE ALL ON FUNCTION gatehouse_gateway_claiming(text, timestamptz) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION gatehouse_gateway_sign_in(uuid, text) TO gatehouse_app;
GRANT EXECUTE ON FUNCTION gatehouse_gateway_claiming(text, timestamptz) TO gatehouse_app;
"""


class Migration(migrations.Migration):
    dependencies = [("devices", "0001_initial")]
    operations = [migrations.RunSQL(SIGN_IN, migrations.RunSQL.noop)]
