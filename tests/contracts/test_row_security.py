"""The wall between sites at work, on rows of two sites in every table: real transactions, the real role.

Here every application check is missing on purpose: no `visible_to`, no filter, no actor but the one entered.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any
from uuid import UUID

import psycopg
import pytest
from django.db import IntegrityError, ProgrammingError, connection, models, transaction

from gatehouse.cloud.authz.actor import NoScope, enter, system_actor
from tests.contracts.test_walls import LINKS, WALLED
from tests.factories import Model, Place, one_of_everything, parent_of, site_column

AsRole = Callable[[str], AbstractContextManager[None]]

READABLE = [model for model in WALLED if model._meta.label != "changes.Touched"]
"""What role app may read at all."""


@pytest.fixture(scope="module")
def places(django_db_setup: None, django_db_blocker: Any, database_url: str) -> Iterator[tuple[Place, Place]]:
    """Two sites with a row in every table, committed; emptied when this file is done."""
    from tests.conftest import empty_tables

    with django_db_blocker.unblock():
        with connection.cursor() as cursor:
            cursor.execute("SET ROLE gatehouse_owner")
        with transaction.atomic():
            made = one_of_everything("here"), one_of_everything("there")
        connection.close()
        try:
            yield made
        finally:
            connection.close()
            empty_tables(f"{database_url}?options=-c%20role%3Dgatehouse_owner")


@pytest.fixture
def here(places: tuple[Place, Place], django_db_blocker: Any) -> Iterator[Place]:
    with django_db_blocker.unblock():
        yield places[0]
        connection.close()


@pytest.fixture
def there(places: tuple[Place, Place]) -> Place:
    return places[1]


@contextmanager
def inside(*places: Place) -> Iterator[None]:
    """A transaction that has entered these sites, undone at the end."""
    with transaction.atomic():
        enter(system_actor(*(place.site.pk for place in places)))
        yield
        transaction.set_rollback(True)


def sites_seen(model: Model) -> set[UUID | None]:
    """Whose rows an unfiltered query reads."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT DISTINCT {site_column(model)} FROM {model._meta.db_table}")
        return {site for (site,) in cursor.fetchall()}


@pytest.mark.req("GH-SEC-06")
@pytest.mark.parametrize("model", READABLE, ids=lambda model: model._meta.label)
def test_a_query_that_forgets_its_filter_reads_nothing_foreign(model: Model, here: Place, there: Place) -> None:
    with inside(here):
        assert sites_seen(model) - {None} == {here.site.pk}
    with inside(there):
        assert sites_seen(model) - {None} == {there.site.pk}
    with inside(here, there):
        assert sites_seen(model) - {None} == {here.site.pk, there.site.pk}
    with inside():
        assert sites_seen(model) - {None} == set()


@pytest.mark.req("GH-SEC-06")
@pytest.mark.parametrize("model", READABLE, ids=lambda model: model._meta.label)
def test_without_a_scope_a_query_raises(model: Model, here: Place) -> None:
    with pytest.raises(ProgrammingError, match="no site was entered"), transaction.atomic():
        sites_seen(model)


def test_a_scope_ends_with_its_transaction(here: Place) -> None:
    for _ in range(2):
        with inside(here):
            assert sites_seen(type(here.site)) == {here.site.pk}
        with pytest.raises(ProgrammingError, match="no site was entered"), transaction.atomic():
            sites_seen(type(here.site))


def test_a_scope_cannot_be_entered_outside_a_transaction(here: Place) -> None:
    with pytest.raises(NoScope):
        enter(system_actor(here.site.pk))


def may(right: str, model: Model) -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT has_table_privilege('gatehouse_app', %s, %s)", [model._meta.db_table, right])
        return bool(cursor.fetchone()[0])


@pytest.mark.req("GH-SEC-06")
@pytest.mark.parametrize("model", WALLED, ids=lambda model: model._meta.label)
def test_nothing_is_written_into_a_foreign_site(model: Model, here: Place, there: Place) -> None:
    table, column = model._meta.db_table, site_column(model)
    columns = ", ".join(f'"{field.column}"' for field in model._meta.concrete_fields)
    key = model._meta.pk.column
    with inside(here), connection.cursor() as cursor:
        if may("UPDATE", model):
            cursor.execute(f"UPDATE {table} SET {key} = {key} WHERE {column} = %s", [there.site.pk])
            assert cursor.rowcount == 0
        if may("DELETE", model):
            cursor.execute(f"DELETE FROM {table} WHERE {column} = %s", [there.site.pk])
            assert cursor.rowcount == 0
    if may("UPDATE", model):
        with pytest.raises(ProgrammingError, match="row-level security"), inside(here), connection.cursor() as cursor:
            cursor.execute(f"UPDATE {table} SET {column} = %s", [there.site.pk])
    if may("INSERT", model):
        # A row of the other site as it stands there, given by somebody who knows all its values.
        with inside(there), connection.cursor() as cursor:
            if model in READABLE:
                cursor.execute(f"SELECT {columns} FROM {table} WHERE {column} = %s", [there.site.pk])
                values = list(cursor.fetchone() or ())
            else:
                row = there.rows[model]
                values = [getattr(row, field.attname) for field in model._meta.concrete_fields]
        marks = ", ".join(
            "%s::jsonb" if isinstance(field, models.JSONField) else "%s" for field in model._meta.concrete_fields
        )
        with pytest.raises(ProgrammingError, match="row-level security"), inside(here), connection.cursor() as cursor:
            cursor.execute(f"INSERT INTO {table} ({columns}) VALUES ({marks})", values)


@pytest.mark.parametrize(("model", "field"), LINKS, ids=lambda part: getattr(part, "name", None) or part._meta.label)
def test_a_link_into_another_site_is_impossible_even_for_the_owner(
    model: Model, field: models.ForeignKey[Any, Any], here: Place, there: Place, as_role: AsRole
) -> None:
    parent = parent_of(field)
    assert parent is not None
    with as_role("owner"), transaction.atomic(), connection.cursor() as cursor:
        target = there.fresh(parent)
        # Other constraints of the table would answer first; the key is what is asked here.
        cursor.execute(
            "SELECT conname FROM pg_constraint WHERE contype = 'c' AND conrelid = %s::regclass",
            [model._meta.db_table],
        )
        for (name,) in cursor.fetchall():
            cursor.execute(f'ALTER TABLE {model._meta.db_table} DROP CONSTRAINT "{name}"')
        with pytest.raises(IntegrityError) as refused, transaction.atomic():
            cursor.execute(
                f"UPDATE {model._meta.db_table} SET {field.column} = %s WHERE {model._meta.pk.column} = %s",
                [target.pk, here.rows[model].pk],
            )
        assert isinstance(refused.value.__cause__, psycopg.errors.ForeignKeyViolation)
        assert f"{field.column}" in str(refused.value)
        transaction.set_rollback(True)


@pytest.mark.req("GH-SEC-06")
def test_the_system_role_reads_all_sites_and_writes_only_what_its_processes_need(
    here: Place, there: Place, as_role: AsRole
) -> None:
    with as_role("system"):
        for model in READABLE:
            with transaction.atomic():
                assert sites_seen(model) >= {here.site.pk, there.site.pk}
        for label in ("people.Person", "access.AccessGroup", "tenants.Membership", "tenants.Site"):
            table = next(model for model in WALLED if model._meta.label == label)._meta.db_table
            with (
                pytest.raises(ProgrammingError, match="permission denied"),
                transaction.atomic(),
                connection.cursor() as cursor,
            ):
                cursor.execute(f"DELETE FROM {table}")


@pytest.mark.parametrize("role", ["app", "system"])
def test_the_journal_is_only_ever_appended(role: str, here: Place, as_role: AsRole) -> None:
    for act in ("UPDATE journal_entry SET verb = 'x'", "DELETE FROM journal_entry", "TRUNCATE journal_entry"):
        with (
            as_role(role),
            pytest.raises(ProgrammingError, match="permission denied"),
            inside(here),
            connection.cursor() as cursor,
        ):
            cursor.execute(act)
