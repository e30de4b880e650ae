"""The permission table's calls, walked: every operation of the API, as everybody."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest
from django.urls import reverse

from gatehouse.cloud.api import document
from gatehouse.cloud.api.application import api
from gatehouse.cloud.api.manners import WRITING
from tests.api.conftest import Program
from tests.cast import Cast
from tests.permission_table import CALLS, Call, Things
from tests.portal.conftest import bring_up, compiled

Programs = Callable[..., Program]


@pytest.fixture
def things(committed_cast: Cast, settings: Any) -> Things:
    settings.API_LIMITS = dict.fromkeys(("read", "write", "open"), 100_000)
    for place in (committed_cast.here, committed_cast.elsewhere):
        bring_up(place)
    compiled(committed_cast.here)
    return Things(committed_cast, committed_cast.here, committed_cast.charlie.pk, committed_cast.charlie.pk)


def answer(program: Program, call: Call, things: Things, changed: Mapping[str, Any] | None = None) -> int:
    parts = dict(call.parts(things)) | (dict(changed) if changed else {})
    path = "/none" if call.name == "api:unknown" else reverse(call.name, kwargs=parts).removeprefix("/api/v1")
    response = program.call(call.method, path, call.body(things), If_Match="*")
    return int(response.status_code)


def wrong(program: Program, things: Things, wanted: Callable[[Call], int | None]) -> list[str]:
    found = []
    for call in CALLS:
        right = wanted(call)
        if right is not None and (got := answer(program, call, things)) != right:
            found.append(f"{call.method} {call.name}: {got}, not {right}")
    return found


@pytest.mark.req("GH-SEC-06")
def test_nobody_is_told_to_bring_a_token(things: Things, program: Programs) -> None:
    assert wrong(program(None), things, lambda call: 401 if call.right else call.allowed) == []


@pytest.mark.req("GH-SEC-06", "GH-API-E2")
def test_a_stranger_finds_nothing_at_all(things: Things, program: Programs) -> None:
    mallory = program(things.cast.mallory, site=things.cast.elsewhere.site.id)
    assert wrong(mallory, things, lambda call: 404 if call.right and call.name != "api:sites" else None) == []
    assert [site["id"] for site in mallory.call("GET", "/sites").json()["items"]] == [str(mallory.site)]


@pytest.mark.req("GH-SEC-06", "GH-API-03")
def test_a_token_without_the_scope_is_refused(things: Things, program: Programs) -> None:
    for scope, user in (("emergency.configure", things.cast.alice), ("relay.open", things.cast.bob)):
        narrow = program(user, scopes=[scope])
        assert wrong(narrow, things, lambda call, s=scope: 403 if call.right and call.right != s else None) == []  # type: ignore[misc]


@pytest.mark.req("GH-SEC-06")
def test_the_right_one_gets_it_with_just_that_scope(things: Things, program: Programs) -> None:
    for call in CALLS:
        if call.right:
            narrow = program(getattr(things.cast, call.who), scopes=[call.right.value])
            assert answer(narrow, call, things) == call.allowed, f"{call.method} {call.name}"


@pytest.mark.req("GH-API-E2")
def test_a_thing_of_another_site_is_not_found_at_ones_own_site(things: Things, program: Programs) -> None:
    """Mallory asks her own site for Alice's things."""
    hers = things.cast.elsewhere.site.id
    mallory = program(things.cast.mallory, site=hers)
    refused = (403, 404)  # she may issue no claim code anywhere
    for call in CALLS:
        if len(call.parts(things)) > 1:
            assert answer(mallory, call, things, {"site": hers}) in (
                refused if call.name == "api:claim_code" else (404,)
            ), call.name


def test_every_operation_of_the_document_stands_in_the_table() -> None:
    paths = document.built(api)["paths"]
    there = {
        (method.upper(), operation["operationId"]) for path in paths.values() for method, operation in path.items()
    }
    assert len(there) == sum(call.right is not None for call in CALLS)
    assert {method for method, _ in there} <= WRITING | {"GET"}
