-- What Gatehouse needs from a PostgreSQL server (15 or newer) beyond an empty database.
--
-- `gatehouse up` runs this by itself on its own private server. On a server of yours, an administrator runs it once:
--
--   createdb gatehouse
--   psql --dbname=gatehouse --file=postgres-roles.sql
--   psql --dbname=gatehouse --command='\password gatehouse'
--
-- and DATABASE_URL=postgresql://gatehouse:<password>@<host>/gatehouse does the rest. It may be run again at any time.
--
-- Three roles that nobody can sign in to, and one sign-in that must choose among them (NOINHERIT: it has no rights of
-- its own). None is a superuser and none passes row security: that is the wall between sites.

DO $$
DECLARE
    wanted text;
BEGIN
    FOREACH wanted IN ARRAY ARRAY['gatehouse_owner', 'gatehouse_app', 'gatehouse_system', 'gatehouse'] LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = wanted) THEN
            EXECUTE format('CREATE ROLE %I', wanted);
        END IF;
    END LOOP;

    ALTER ROLE gatehouse_owner  NOLOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS NOINHERIT;
    ALTER ROLE gatehouse_app    NOLOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS NOINHERIT;
    ALTER ROLE gatehouse_system NOLOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS NOINHERIT;
    ALTER ROLE gatehouse        LOGIN   NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS NOINHERIT;
    GRANT gatehouse_owner, gatehouse_app, gatehouse_system TO gatehouse;

    EXECUTE format('ALTER DATABASE %I OWNER TO gatehouse_owner', current_database());
    EXECUTE format('REVOKE ALL ON DATABASE %I FROM PUBLIC', current_database());
    EXECUTE format('GRANT CONNECT ON DATABASE %I TO gatehouse', current_database());
    EXECUTE format('GRANT TEMPORARY ON DATABASE %I TO gatehouse_app, gatehouse_system', current_database());
END
$$;

REVOKE ALL ON SCHEMA public FROM PUBLIC;
ALTER SCHEMA public OWNER TO gatehouse_owner;
GRANT USAGE ON SCHEMA public TO gatehouse_app, gatehouse_system;

CREATE EXTENSION IF NOT EXISTS pg_trgm;
CREATE EXTENSION IF NOT EXISTS btree_gist;
CREATE EXTENSION IF NOT EXISTS unaccent;
CREATE EXTENSION IF NOT EXISTS citext;
