"""Functions on which the wall between sites and the time-ordered ids stand."""

from django.db import migrations

SITES = """
CREATE FUNCTION gatehouse_sites() RETURNS uuid[] LANGUAGE plpgsql STABLE PARALLEL SAFE AS $$
DECLARE entered text := current_setting('gatehouse.sites', true);
BEGIN
  IF entered IS NULL OR entered = '' THEN
    RAISE EXCEPTION 'no site was entered' USING ERRCODE = 'insufficient_privilege',
      HINT = 'call authz.enter(actor) inside the transaction';
  END IF;
  RETURN entered::uuid[];
END $$;
COMMENT ON FUNCTION gatehouse_sites() IS 'Sites that this transaction has entered; raises when it has entered none.';
"""

UUID7 = """
CREATE FUNCTION gatehouse_uuid7(at timestamptz DEFAULT clock_timestamp()) RETURNS uuid LANGUAGE sql VOLATILE PARALLEL SAFE AS $$
  SELECT encode(
    set_byte(
      set_byte(
        overlay(decode(replace(gen_random_uuid()::text, '-', ''), 'hex')
                PLACING substring(int8send((extract(epoch FROM at) * 1000)::bigint) FROM 3) FROM 1 FOR 6),
        6, (get_byte(uuid_send(gen_random_uuid()), 6) & 15) | 112),
      8, (get_byte(uuid_send(gen_random_uuid()), 8) & 63) | 128),
    'hex')::uuid
$$;
CREATE FUNCTION gatehouse_first_uuid7(at timestamptz) RETURNS uuid LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
  SELECT (lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0') || '70008000000000000000')::uuid
$$;
"""

SCHEMA = """
REVOKE CREATE ON SCHEMA public FROM PUBLIC;
GRANT USAGE ON SCHEMA public TO gatehouse_app, gatehouse_system;
"""

PARTITIONS = """
CREATE FUNCTION gatehouse_make_partitions(parent regclass, months int) RETURNS int
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
  month timestamptz;
  name text;
  made int := 0;
BEGIN
  FOR i IN -1..months LOOP
    month := date_trunc('month', (now() AT TIME ZONE 'UTC') + make_interval(months => i)) AT TIME ZONE 'UTC';
    name := parent::text || '_' || to_char(month AT TIME ZONE 'UTC', 'YYYYMM');
    IF to_regclass(name) IS NULL THEN
      EXECUTE format('CREATE TABLE %I PARTITION OF %s FOR VALUES FROM (%L) TO (%L)', name, parent,
        gatehouse_first_uuid7(month),
        gatehouse_first_uuid7(date_trunc('month', (month AT TIME ZONE 'UTC') + interval '1 month') AT TIME ZONE 'UTC'));
      EXECUTE format('REVOKE ALL ON %I FROM gatehouse_app, gatehouse_system', name);
      made := made + 1;
    END IF;
  END LOOP;
  RETURN made;
END $$;
REVOKE ALL ON FUNCTION gatehouse_make_partitions(regclass, int) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION gatehouse_make_partitions(regclass, int) TO gatehouse_system;
"""


class Migration(migrations.Migration):
    initial = True
    dependencies: list[tuple[str, str]] = []
    operations = [migrations.RunSQL(sql, migrations.RunSQL.noop) for sql in (SCHEMA, SITES, UUID7, PARTITIONS)]
