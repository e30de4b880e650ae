"""The permission table, walked: every address, as everybody."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any
from uuid import UUID

import pytest
from django.db import transaction
from django.test import Client
from django.urls import resolve, reverse

from gatehouse.cloud.accounts.models import Realm
from gatehouse.cloud.accounts.services import create_user
from gatehouse.cloud.authz.actor import enter, system_actor
from gatehouse.cloud.authz.permissions import P, Role
from gatehouse.cloud.devices.models import Command
from gatehouse.cloud.people.models import Credential
from gatehouse.cloud.tenants.services import add_member
from tests.cast import NOW, PASSWORD, Cast
from tests.permission_table import ROWS, Row, Things
from tests.portal.conftest import bring_up, happen

Browser = Callable[..., Client]


@pytest.fixture
def things(committed_cast: Cast) -> Things:
    bring_up(committed_cast.here)
    bring_up(committed_cast.elsewhere)
    (passage,) = happen(committed_cast.here, {"holder": str(committed_cast.charlie.pk)})
    return Things(committed_cast, committed_cast.here, committed_cast.charlie.pk, passage)


def answer(client: Client, row: Row, things: Things, changed: Mapping[str, Any] | None = None) -> int:
    address = reverse(row.name, kwargs=dict(row.parts(things)) | (dict(changed) if changed else {}))
    response = client.generic("GET", address) if row.method == "get" else client.post(address, dict(row.data))
    if hasattr(response, "streaming_content"):
        response.close()
    return response.status_code


def wrong(client: Client, things: Things, rows: Callable[[Row], int | None]) -> list[str]:
    """Rows whose answer is another one, told so that one look is enough."""
    found = []
    for row in ROWS:
        wanted = rows(row)
        if wanted is None:
            continue
        if row.name in ("portal:sign_out", "portal:language"):
            continue  # walked by themselves: they change the browser
        if (got := answer(client, row, things)) != wanted:
            found.append(f"{row.name}: {got}, not {wanted}")
    return found


@pytest.mark.req("GH-SEC-06", "OFF-NAV-36")
def test_nobody_is_sent_to_sign_in_everywhere(things: Things, browser: Browser) -> None:
    assert wrong(browser(), things, lambda row: row.nobody) == []


@pytest.mark.req("GH-SEC-06", "OFF-NAV-E04", "COM-NAV-E3")
def test_a_stranger_finds_nothing_at_all(things: Things, browser: Browser) -> None:
    assert wrong(browser(things.cast.mallory), things, lambda row: row.stranger) == []
    # and did nothing
    with transaction.atomic():
        enter(system_actor(things.place.site.id))
        assert not Command.objects.filter(site_id=things.place.site.id).exists()
        assert not Credential.objects.filter(site_id=things.place.site.id).exists()


@pytest.mark.req("GH-SEC-06", "OFF-NAV-E05")
def test_a_member_without_any_right_is_refused(things: Things, browser: Browser) -> None:
    """A standing that has nothing to do at the doors: a distributor's, which may read the journal only."""
    with transaction.atomic():
        enter(system_actor(things.place.site.id))
        lurker = create_user(
            actor=system_actor(), realm=Realm.STAFF, login="olga", name="Olga", password=PASSWORD, now=NOW
        )
        add_member(
            actor=system_actor(things.place.site.id),
            user=lurker,
            role=Role.DISTRIBUTOR,
            site=things.place.site,
            now=NOW,
        )
    assert wrong(browser(lurker), things, lambda row: 200 if row.right is P.JOURNAL_READ else row.without) == []


@pytest.mark.req("GH-SEC-06", "OFF-NAV-E05")
def test_a_guard_opens_doors_and_sees_nothing_else(things: Things, browser: Browser) -> None:
    guard = browser(things.cast.bob)
    rights = things.cast.actor(things.cast.bob).permissions
    refused = [row.name for row in ROWS if row.right and row.right not in rights and answer(guard, row, things) != 403]
    assert refused == []


@pytest.mark.req("GH-SEC-06")
def test_the_right_one_gets_it(things: Things, browser: Browser) -> None:
    for who in ("alice", "bob", "ivan"):
        client = browser(getattr(things.cast, who))
        assert wrong(client, things, lambda row, who=who: row.allowed if row.who == who else None) == []  # type: ignore[misc]


@pytest.mark.req("OFF-NAV-E04", "COM-NAV-C2")
def test_a_thing_of_another_site_is_not_found_at_ones_own_site(things: Things, browser: Browser) -> None:
    """Mallory asks her own site for Alice's things."""
    hers = things.cast.elsewhere.site.id
    for row in ROWS:
        if len(row.parts(things)) > 1:
            client = browser(things.cast.ivan if row.who == "ivan" else things.cast.mallory)
            assert answer(client, row, things, {"site": hers}) == 404, row.name


def test_the_table_names_the_right_that_the_screen_asks_for(things: Things) -> None:
    for row in ROWS:
        view = resolve(reverse(row.name, kwargs=dict(row.parts(things)))).func
        assert getattr(view, "permission", None) == row.right, row.name


@pytest.mark.parametrize("name", ["portal:sign_out", "portal:language"])
def test_what_changes_the_browser_wants_a_form_of_ours(things: Things, browser: Browser, name: str) -> None:
    address = reverse(name)
    assert browser(things.cast.alice).get(address).status_code == 405
    forged = browser(things.cast.alice, enforce_csrf_checks=True).post(address, {"language": "he"})
    assert forged.status_code == 403
    assert browser(things.cast.alice).post(address, {"language": "he"}).status_code == 303


def test_ids_that_are_none_are_not_found(things: Things, browser: Browser) -> None:
    client = browser(things.cast.alice)
    for path in ("/s/1/", "/s/none/", f"/s/{things.place.site.id}/devices/7/", f"/s/{UUID(int=0)}/"):
        assert client.get(path).status_code == 404, path
