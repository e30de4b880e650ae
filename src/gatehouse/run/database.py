"""The database inside the server: its roles, its sign-in, its extensions.

What has to be there is written once, in `postgres-roles.sql`. The private server gets it executed by `bootstrap`; an
external one is only looked at (`missing_in`), since making roles there is its administrator's business.
"""

import hashlib
import os
from pathlib import Path

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from gatehouse.run import home, postgres

NAME = "gatehouse"
LOGIN = "gatehouse"
ROLES = ("gatehouse_owner", "gatehouse_app", "gatehouse_system")
EXTENSIONS = ("pg_trgm", "btree_gist", "unaccent", "citext")
SCRIPT = Path(__file__).with_name("postgres-roles.sql")


def is_external() -> bool:
    """Whether the database is somebody else's: then it is never started, stopped or deleted from here."""
    return bool(os.environ.get("DATABASE_URL"))


def database_url(folder: Path) -> str:
    """The address that Gatehouse's processes use: DATABASE_URL, else that of the private server.

    Raises FileNotFoundError when the private server was never started in this data folder.
    """
    given = os.environ.get("DATABASE_URL")
    if given:
        return given
    return _url(home.port("DATABASE"), NAME, (folder / "secrets" / "database").read_text().strip())


def _url(port: int, name: str, password: str) -> str:
    return f"postgresql://{LOGIN}:{password}@127.0.0.1:{port}/{name}"


def bootstrap(superuser_dsn: str, name: str, password: str) -> None:
    """Makes roles, sign-in, database and extensions as the superuser, or brings them into the promised state.

    Running it again changes nothing; running it twice at once is safe.
    """
    with psycopg.connect(superuser_dsn, autocommit=True) as server:
        # Held to the end: roles belong to the whole cluster, and changing one twice at once is an error.
        server.execute("SELECT pg_advisory_lock(7130227)")
        if not server.execute("SELECT FROM pg_database WHERE datname = %s", (name,)).fetchall():
            server.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        with psycopg.connect(make_conninfo(superuser_dsn, dbname=name)) as connection:
            connection.execute("SET client_min_messages = warning")
            connection.execute(SCRIPT.read_text(encoding="utf-8").encode())
            connection.execute(
                sql.SQL("ALTER ROLE {} PASSWORD {}").format(sql.Identifier(LOGIN), sql.Literal(password))
            )


def create_database(superuser_dsn: str, name: str) -> str:
    """Makes one more database with everything in it that Gatehouse needs, and returns its address.

    For tests and benchmarks: the sign-in's password follows from the superuser's, so that any number of databases can
    be made on one server and all their addresses stay valid.
    """
    given = conninfo_to_dict(superuser_dsn)
    password = hashlib.sha256(f"{LOGIN}:{given['password']}".encode()).hexdigest()
    bootstrap(superuser_dsn, name, password)
    return _url(int(str(given["port"])), name, password)


def missing_in(url: str) -> list[str]:
    """What an external database lacks or has too much of, one sentence each; empty when it will do.

    Raises psycopg.OperationalError when it cannot be reached.
    """
    wrong: list[str] = []
    with psycopg.connect(url, connect_timeout=10) as connection:
        version = connection.info.server_version // 10000
        if version < postgres.OLDEST:
            wrong.append(f"PostgreSQL {version} is too old, {postgres.OLDEST} or newer is needed.")
        login = connection.execute("SELECT current_user").fetchone()
        memberships: dict[str, bool | None] = dict(
            connection.execute(
                "SELECT wanted, CASE WHEN to_regrole(wanted) IS NOT NULL THEN pg_has_role(wanted, 'MEMBER') END"
                " FROM unnest(%s::text[]) AS wanted",
                (list(ROLES),),
            ).fetchall()
        )
        for role, member in memberships.items():
            if member is None:
                wrong.append(f"The role {role} is missing.")
            elif not member:
                wrong.append(f"The sign-in {login[0] if login else '?'} may not take the role {role}.")
        mighty = connection.execute(
            "SELECT rolname FROM pg_roles WHERE (rolname = ANY(%s) OR rolname = current_user)"
            " AND (rolsuper OR rolbypassrls) ORDER BY 1",
            (list(ROLES),),
        ).fetchall()
        wrong += [f"The role {name} is a superuser or passes row security, which it must not." for (name,) in mighty]
        installed = {row[0] for row in connection.execute("SELECT extname FROM pg_extension").fetchall()}
        wrong += [f"The extension {name} is missing." for name in EXTENSIONS if name not in installed]
    return wrong
