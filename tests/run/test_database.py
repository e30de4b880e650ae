"""Roles, sign-in and extensions are what was promised."""

import concurrent.futures
from collections.abc import Iterator

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from gatehouse.run import database, postgres


@pytest.fixture(scope="module")
def server() -> Iterator[postgres.Server]:
    with postgres.temporary_server() as running:
        yield running


@pytest.fixture(scope="module")
def url(server: postgres.Server) -> str:
    return database.create_database(server.dsn, "promised")


@pytest.mark.req("GH-RUN-08")
def test_no_role_is_a_superuser_or_passes_row_security(url: str) -> None:
    with psycopg.connect(url) as connection:
        rows = connection.execute(
            "SELECT rolname, rolsuper, rolbypassrls, rolcreatedb, rolcreaterole, rolreplication, rolcanlogin, rolinherit"
            " FROM pg_roles WHERE rolname ~ '^gatehouse' AND rolname <> %s ORDER BY rolname",
            (postgres.SUPERUSER,),
        ).fetchall()
    assert rows == [
        ("gatehouse", False, False, False, False, False, True, False),
        ("gatehouse_app", False, False, False, False, False, False, False),
        ("gatehouse_owner", False, False, False, False, False, False, False),
        ("gatehouse_system", False, False, False, False, False, False, False),
    ]


@pytest.mark.req("GH-RUN-08")
def test_only_the_owner_makes_tables(url: str) -> None:
    with psycopg.connect(url, options="-c role=gatehouse_owner") as connection:
        connection.execute("CREATE TABLE owned (word citext)")
        connection.rollback()
    for role in ("gatehouse_app", "gatehouse_system"):
        connection = psycopg.connect(url, options=f"-c role={role}")
        with connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("CREATE TABLE taken (word text)")


def test_the_sign_in_alone_may_nothing(url: str) -> None:
    with psycopg.connect(url, options="-c role=gatehouse_owner", autocommit=True) as connection:
        connection.execute("CREATE TABLE closed (word text)")
    with psycopg.connect(url) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute("SELECT * FROM public.closed")


def test_a_wrong_password_is_refused(url: str) -> None:
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(make_conninfo(url, password="wrong"))


def test_other_sign_ins_do_not_get_into_the_database(server: postgres.Server, url: str) -> None:
    with psycopg.connect(server.dsn, autocommit=True) as connection:
        connection.execute("CREATE ROLE stranger LOGIN PASSWORD 'stranger'")
    with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
        psycopg.connect(make_conninfo(url, user="stranger", password="stranger"))


def test_preparing_again_keeps_everything(server: postgres.Server, url: str) -> None:
    with psycopg.connect(url, options="-c role=gatehouse_owner", autocommit=True) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 1 AS one")
    assert database.create_database(server.dsn, "promised") == url
    with psycopg.connect(url, options="-c role=gatehouse_owner") as connection:
        assert connection.execute("SELECT one FROM kept").fetchall() == [(1,)]


def test_many_at_once_do_not_disturb_each_other(server: postgres.Server) -> None:
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        urls = list(pool.map(lambda n: database.create_database(server.dsn, f"one_of_many_{n % 4}"), range(16)))
    assert [database.missing_in(url) for url in urls[:4]] == [[]] * 4


class TestExternalDatabase:
    def test_a_prepared_one_lacks_nothing(self, url: str) -> None:
        assert database.missing_in(url) == []

    def test_a_bare_one_is_told_what_it_lacks(self, server: postgres.Server) -> None:
        with psycopg.connect(server.dsn, autocommit=True) as connection:
            connection.execute("CREATE DATABASE bare")
        lacking = database.missing_in(make_conninfo(server.dsn, dbname="bare"))
        assert "The extension citext is missing." in lacking

    @pytest.mark.req("GH-RUN-08")
    def test_a_superuser_is_refused(self, server: postgres.Server, url: str) -> None:
        lacking = database.missing_in(make_conninfo(server.dsn, dbname="promised"))
        assert lacking == [f"The role {postgres.SUPERUSER} is a superuser or passes row security, which it must not."]
