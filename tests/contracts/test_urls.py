"""Every address is walked as nobody, a stranger, a member without the right, and the right one.

The table is `tests/permission_table.py`, the walk is beside the interfaces' own tests; here only that nothing
was forgotten: an address without a row is one whose rights nobody has looked at.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.urls import URLPattern, URLResolver, get_resolver

from tests.permission_table import CALLS, ROWS


def addresses(resolver: URLResolver | None = None, space: str = "", path: str = "") -> Iterator[tuple[str, str]]:
    """(name with its namespaces, path) of everything that answers."""
    resolver = resolver or get_resolver()
    for entry in resolver.url_patterns:
        below = path + str(entry.pattern)
        if isinstance(entry, URLResolver):
            yield from addresses(entry, f"{space}{entry.namespace}:" if entry.namespace else space, below)
        elif isinstance(entry, URLPattern):
            yield f"{space}{entry.name or ''}", below


ADDRESSES = dict(addresses())


def test_every_address_has_a_name_of_its_own() -> None:
    found = list(addresses())
    assert [path for name, path in found if not name or name.endswith(":")] == []
    assert len({name for name, _ in found}) == len(found) > 20


@pytest.mark.req("GH-SEC-06")
@pytest.mark.parametrize("name", ADDRESSES)
def test_every_address_has_its_row_in_the_permission_table(name: str) -> None:
    assert name in {row.name for row in (*ROWS, *CALLS)}, f"{ADDRESSES[name]} is not in tests/permission_table.py"


def test_every_row_of_the_permission_table_is_an_address() -> None:
    assert sorted({row.name for row in (*ROWS, *CALLS)} - set(ADDRESSES)) == []
