"""Fixtures of all tests: a real PostgreSQL, its three roles, the cast.

`db` gives one transaction that is rolled back, as role app. `committed` gives real transactions, which row
security and concurrency need; the owner empties the tables afterwards. Both fill in the same settings, so a
test never knows where the server came from.
"""

from __future__ import annotations

import hashlib
import os
import zoneinfo
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import django
import psycopg
import pytest
from django.conf import settings
from django.contrib.auth import hashers

if TYPE_CHECKING:
    from pytest_django.plugin import DjangoDbBlocker

    from tests.cast import Cast

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "gatehouse.cloud.config.settings")
os.environ.setdefault("GATEHOUSE_MASTER_KEY", "11" * 32)
os.environ.setdefault("GATEHOUSE_SECRET_KEY", "22" * 32)

zoneinfo.reset_tzpath(to=())  # as the processes do
# Now, since the conftests below, and tests made for each model, need the models when they are read.
django.setup()
# The cast has four accounts, and a password that is slow to guess is slow to make.
settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher", *settings.PASSWORD_HASHERS]
hashers.get_hashers.cache_clear()
hashers.get_hashers_by_algorithm.cache_clear()

ROOT = Path(__file__).parents[1]
pytest_plugins = ["tests.requirements"]


def _migrations_digest() -> str:
    digest = hashlib.sha256()
    for path in sorted(ROOT.glob("src/gatehouse/cloud/*/migrations/*.py")):
        digest.update(path.read_bytes())
    digest.update((ROOT / "src/gatehouse/run/postgres-roles.sql").read_bytes())
    digest.update((ROOT / "src/gatehouse/cloud/authz/walls.py").read_bytes())
    return digest.hexdigest()[:16]


@pytest.fixture(scope="session")
def database_server() -> Iterator[str]:
    """Superuser address of a server for tests: GATEHOUSE_TEST_SERVER when given, else one of our own."""
    if given := os.environ.get("GATEHOUSE_TEST_SERVER"):
        yield given
        return
    from gatehouse.run.postgres import temporary_server

    with temporary_server() as server:
        yield server.dsn


@pytest.fixture(scope="session")
def database_url(database_server: str) -> Iterator[str]:
    """Address of a migrated database as login `gatehouse`, cloned from a template that all runs share."""
    from gatehouse.run.database import create_database

    template = f"gatehouse_template_{_migrations_digest()}"
    name = f"gatehouse_test_{os.getpid()}"
    with psycopg.connect(database_server, autocommit=True) as server:
        server.execute("SELECT pg_advisory_lock(7130228)")
        try:
            known = server.execute(
                "SELECT 1 FROM pg_database WHERE datname = %s AND datistemplate", [template]
            ).fetchone()
            if not known:
                server.execute(f"DROP DATABASE IF EXISTS {template} WITH (FORCE)")
                _migrate(create_database(database_server, template))
                server.execute(f"ALTER DATABASE {template} IS_TEMPLATE true")
            server.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
            server.execute(f"CREATE DATABASE {name} TEMPLATE {template} OWNER gatehouse_owner")
        finally:
            server.execute("SELECT pg_advisory_unlock(7130228)")
        server.execute(f"REVOKE ALL ON DATABASE {name} FROM PUBLIC")
        server.execute(f"GRANT CONNECT ON DATABASE {name} TO gatehouse")
    url = urlsplit(create_database(database_server, name))
    try:
        yield url.geturl()
    finally:
        with psycopg.connect(database_server, autocommit=True) as server:
            server.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


def _migrate(url: str) -> None:
    import subprocess
    import sys

    done = subprocess.run(
        [sys.executable, "-m", "django", "migrate", "--verbosity=0"],
        env={**os.environ, "DATABASE_URL": url, "GATEHOUSE_DB_ROLE": "owner", "PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]


@pytest.fixture(scope="session")
def django_db_setup(database_url: str, django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    """Point Django at the test database, as role app, without a pool (each test opens and closes its own)."""
    from django.db import connections

    parts = urlsplit(database_url)
    with django_db_blocker.unblock():
        connection = connections["default"]
        connection.close()
        connection.settings_dict.update(
            NAME=parts.path.lstrip("/"),
            USER=parts.username,
            PASSWORD=parts.password,
            HOST=parts.hostname,
            PORT=str(parts.port),
        )
        connection.settings_dict["OPTIONS"] = {"options": "-c role=gatehouse_app"}
        os.environ["DATABASE_URL"] = database_url
        yield
        connections.close_all()


@pytest.fixture
def owner_dsn(django_db_setup: None, database_url: str) -> str:
    """Address as the owner role, for what no process may do: empty tables, look behind the wall."""
    return f"{database_url}?options=-c%20role%3Dgatehouse_owner"


@pytest.fixture
def committed(django_db_setup: None, django_db_blocker: DjangoDbBlocker, owner_dsn: str) -> Iterator[None]:
    """Real transactions, as in production; every table is emptied afterwards."""
    from django.db import connections

    with django_db_blocker.unblock():
        try:
            yield
        finally:
            connections.close_all()
            empty_tables(owner_dsn)


def empty_tables(owner_dsn: str) -> None:
    """Empty every table but the migrations' own."""
    with psycopg.connect(owner_dsn, autocommit=True) as owner:
        rows = owner.execute(
            "SELECT format('%I', c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
            "WHERE n.nspname = 'public' AND c.relkind IN ('r', 'p') AND NOT c.relispartition "
            "AND c.relname NOT IN ('django_migrations', 'django_content_type')"
        ).fetchall()
        owner.execute(f"TRUNCATE {', '.join(name for (name,) in rows)} CASCADE")


@pytest.fixture
def as_role() -> Callable[[str], AbstractContextManager[None]]:
    """`with as_role("system"):` runs on the same connection as another of the three roles."""

    @contextmanager
    def role(name: str) -> Iterator[None]:
        from django.db import connection

        assert name in ("app", "system", "owner")
        with connection.cursor() as cursor:
            cursor.execute(f"SET ROLE gatehouse_{name}")
        try:
            yield
        finally:
            if not connection.needs_rollback:
                with connection.cursor() as cursor:
                    cursor.execute("SET ROLE gatehouse_app")

    return role


@pytest.fixture
def cast(db: None) -> Cast:
    """The cast, within this test's transaction; Alice's site is entered."""
    from tests.cast import make_cast

    return make_cast()


@pytest.fixture
def committed_cast(committed: None) -> Cast:
    """The cast, committed; nothing is entered."""
    from django.db import transaction

    from tests.cast import make_cast

    with transaction.atomic():
        return make_cast()
