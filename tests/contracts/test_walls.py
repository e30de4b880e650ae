"""The wall between sites as the database itself has it: every table, policy, right and key.

A new model needs no line here: a table whose rows belong to a site is found by its column.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from django.db import models

from gatehouse.cloud.authz.walls import site_links
from tests.factories import Model, ours, parent_of, site_column

NO_WALL = {
    "tenants.Delegation": "stands between two organisations and is read before a site is entered; holds nothing of one",
}
"""Tables that name a site and are read without entering one, with the reason."""

PLAIN_LINK = {
    ("devices.Binding", "hardware"): "a box moves from site to site while its history stays; the act checks the site",
}
"""Links between tables of sites without the site in the key, with the reason."""

INSIDE = "(site_id = ANY (( SELECT gatehouse_sites() AS gatehouse_sites)::uuid[]))"
SHARED = f"((site_id IS NULL) OR {INSIDE})"

WALLED = [model for model in ours() if site_column(model) and model._meta.label not in NO_WALL]


def links() -> Iterator[tuple[Model, models.ForeignKey[Any, Any]]]:
    """Every link from a table of a site to another table of a site (other than the site itself)."""
    for model in WALLED:
        for field in model._meta.concrete_fields:
            if isinstance(field, models.ForeignKey) and parent_of(field) in WALLED and field.name != "site":
                yield model, field


LINKS = [(m, f) for m, f in links() if (m._meta.label, f.name) not in PLAIN_LINK]


@pytest.fixture(scope="module")
def owner(django_db_setup: None, database_url: str) -> Iterator[psycopg.Connection[tuple[Any, ...]]]:
    with psycopg.connect(f"{database_url}?options=-c%20role%3Dgatehouse_owner", autocommit=True) as connection:
        yield connection


def rows(owner: psycopg.Connection[tuple[Any, ...]], query: str, *values: Any) -> list[tuple[Any, ...]]:
    return owner.execute(query, values).fetchall()


@pytest.mark.req("GH-SEC-06")
@pytest.mark.parametrize("model", WALLED, ids=lambda model: model._meta.label)
def test_a_table_of_a_site_has_its_wall(model: Model, owner: psycopg.Connection[tuple[Any, ...]]) -> None:
    table = model._meta.db_table
    assert rows(owner, "SELECT relrowsecurity FROM pg_class WHERE oid = %s::regclass", table) == [(True,)]
    policies = {
        name: (roles, permissive, command, using, check)
        for name, roles, permissive, command, using, check in rows(
            owner,
            "SELECT policyname, roles::text[], permissive, cmd, qual, with_check FROM pg_policies WHERE tablename = %s",
            table,
        )
    }
    assert set(policies) == {"site", "everything"}
    column = site_column(model)
    nullable = column == "site_id" and model._meta.get_field("site_id" if _plain(model) else "site").null
    wanted = (SHARED if nullable else INSIDE).replace("site_id", str(column))
    assert policies["site"] == (["gatehouse_app"], "PERMISSIVE", "ALL", wanted, wanted)
    assert policies["everything"] == (["gatehouse_system"], "PERMISSIVE", "ALL", "true", "true")


def _plain(model: Model) -> bool:
    return not any(field.name == "site" for field in model._meta.concrete_fields)


def test_a_table_that_nobody_declared_as_a_model_has_no_site(owner: psycopg.Connection[tuple[Any, ...]]) -> None:
    found = rows(
        owner,
        "SELECT c.relname FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid "
        "WHERE a.attname = 'site_id' AND c.relkind IN ('r', 'p', 'v', 'm') AND NOT c.relispartition "
        "AND c.relnamespace = 'public'::regnamespace",
    )
    known = {model._meta.db_table for model in ours() if site_column(model)}
    assert {name for (name,) in found} <= known


@pytest.mark.parametrize(("model", "field"), LINKS, ids=lambda part: getattr(part, "name", None) or part._meta.label)
def test_a_link_between_tables_of_a_site_carries_the_site(
    model: Model, field: models.ForeignKey[Any, Any], owner: psycopg.Connection[tuple[Any, ...]]
) -> None:
    parent = parent_of(field)
    assert parent is not None
    assert (field.column, parent._meta.db_table, parent._meta.pk.column) in site_links(model)
    keys = rows(
        owner,
        "SELECT pg_get_constraintdef(oid) FROM pg_constraint "
        "WHERE contype = 'f' AND conrelid = %s::regclass AND confrelid = %s::regclass",
        model._meta.db_table,
        parent._meta.db_table,
    )
    wanted = (
        f"FOREIGN KEY (site_id, {field.column}) "
        f"REFERENCES {parent._meta.db_table}(site_id, {parent._meta.pk.column}) DEFERRABLE"
    )
    assert wanted in {key for (key,) in keys}


def test_what_is_excused_from_the_wall_is_still_there() -> None:
    labels = {model._meta.label: model for model in ours()}
    assert all(site_column(labels[label]) for label in NO_WALL)
    assert all(any(f.name == name for f in labels[label]._meta.concrete_fields) for label, name in PLAIN_LINK)


@pytest.mark.req("GH-RUN-08")
def test_no_role_of_a_process_passes_the_wall_or_owns_anything(owner: psycopg.Connection[tuple[Any, ...]]) -> None:
    flags = rows(
        owner,
        "SELECT rolname, rolsuper, rolbypassrls, rolcreaterole, rolcreatedb, rolreplication, rolinherit FROM pg_roles "
        "WHERE rolname LIKE 'gatehouse%%' AND rolname <> 'gatehouse_admin'",
    )
    assert {name for name, *_ in flags} == {"gatehouse", "gatehouse_owner", "gatehouse_app", "gatehouse_system"}
    assert not [name for name, *powers in flags if any(powers)]
    owned = rows(
        owner,
        "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace "
        "AND pg_get_userbyid(relowner) <> 'gatehouse_owner' AND relkind <> 'i' AND NOT EXISTS "
        "(SELECT FROM pg_depend d WHERE d.objid = pg_class.oid AND d.deptype = 'e')",
    )
    assert owned == []
    above = rows(
        owner,
        "SELECT m.rolname FROM pg_auth_members a JOIN pg_roles m ON m.oid = a.member "
        "WHERE m.rolname IN ('gatehouse_app', 'gatehouse_system')",
    )
    assert above == []


@pytest.mark.parametrize("role", ["gatehouse_app", "gatehouse_system"])
def test_a_process_may_neither_truncate_nor_watch_nor_make_tables(
    role: str, owner: psycopg.Connection[tuple[Any, ...]]
) -> None:
    found = rows(
        owner,
        "SELECT c.relname, right_ FROM pg_class c, unnest(ARRAY['TRUNCATE', 'REFERENCES', 'TRIGGER']) right_ "
        "WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') "
        "AND has_table_privilege(%s, c.oid, right_)",
        role,
    )
    assert found == []
    assert rows(owner, "SELECT has_schema_privilege(%s, 'public', 'CREATE')", role) == [(False,)]
    assert rows(owner, "SELECT has_database_privilege(%s, current_database(), 'CREATE')", role) == [(False,)]


@pytest.mark.parametrize("role", ["gatehouse_app", "gatehouse_system"])
def test_nobody_reaches_a_partition_past_its_parents_wall(
    role: str, owner: psycopg.Connection[tuple[Any, ...]]
) -> None:
    partitions = rows(
        owner, "SELECT relname FROM pg_class WHERE relispartition AND relkind = 'r' AND relname LIKE 'events%%'"
    )
    assert len(partitions) >= 2 * 4
    found = rows(
        owner,
        "SELECT relname FROM pg_class WHERE relispartition AND relkind = 'r' "
        "AND has_table_privilege(%s, oid, 'SELECT, INSERT, UPDATE, DELETE')",
        role,
    )
    assert found == []


def test_a_function_with_the_owners_rights_is_closed_to_the_public_and_cannot_be_led_astray(
    owner: psycopg.Connection[tuple[Any, ...]],
) -> None:
    functions = rows(
        owner,
        "SELECT proname, proconfig, has_function_privilege('gatehouse', oid, 'EXECUTE') FROM pg_proc "
        "WHERE prosecdef AND pronamespace = 'public'::regnamespace",
    )
    assert {name for name, *_ in functions} >= {"gatehouse_reach", "gatehouse_make_partitions"}
    assert not [name for name, _, public in functions if public]
    # Temporary tables are looked up first unless the path names them last.
    assert not [name for name, config, _ in functions if config != ["search_path=public, pg_temp"]]
