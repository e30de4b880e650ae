"""How long the door log is, about: only the tables' owner sees the statistics behind row security."""

from django.db import migrations

# VOLATILE, although it changes nothing: PostgreSQL allows EXPLAIN in no other function.
ABOUT = """
CREATE FUNCTION gatehouse_about_passages() RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE plan json;
BEGIN
  EXECUTE format('EXPLAIN (FORMAT JSON) SELECT FROM events_passage WHERE site_id = ANY (%L::uuid[])', gatehouse_sites())
  INTO plan;
  RETURN (plan->0->'Plan'->>'Plan Rows')::numeric::bigint;
END $$;
REVOKE ALL ON FUNCTION gatehouse_about_passages() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION gatehouse_about_passages() TO gatehouse_app;
"""


class Migration(migrations.Migration):
    dependencies = [("events", "0001_initial")]
    operations = [migrations.RunSQL(ABOUT, "DROP FUNCTION gatehouse_about_passages()")]
