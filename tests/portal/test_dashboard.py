"""The first page, its doors, and opening one."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from django.db import transaction
from django.test import Client

from gatehouse.cloud.authz.actor import enter, system_actor
from gatehouse.cloud.authz.permissions import Role
from gatehouse.cloud.devices.models import Command
from gatehouse.cloud.premises.services import create_company
from gatehouse.cloud.tenants.services import add_member
from tests.cast import NOW, Cast, Place
from tests.portal.conftest import HTMX, bring_up, compiled, confirm, happen, piece, shown, to

Browser = Callable[..., Client]


class TestDashboard:
    @pytest.mark.req("OFF-NAV-07")
    def test_it_opens_on_what_needs_somebody(self, committed_cast: Cast, browser: Browser) -> None:
        here = committed_cast.here
        client = browser(committed_cast.alice)
        assert "1 device offline" in piece(client.get(to("dashboard", here)), "attention", "div")
        bring_up(here)
        compiled(here)
        confirm(here)
        assert 'id="attention"' not in shown(client.get(to("dashboard", here)))

    def test_a_door_shows_its_state_its_last_passage_and_its_button(
        self, committed_cast: Cast, browser: Browser
    ) -> None:
        here = committed_cast.here
        bring_up(here)
        happen(here, {"holder": str(committed_cast.charlie.pk)})
        response = browser(committed_cast.alice).get(to("dashboard", here))
        tile = piece(response, f"door-{here.front.id}", "article")
        assert "Front door" in tile
        assert "No sensor" in tile
        assert "Charlie Novak Granted · 10:01:00 · PIN" in tile
        assert "Hold to open" in tile
        assert "Nobody yet" in piece(response, f"door-{here.back.id}", "article")

    def test_a_door_that_cannot_be_reached_has_no_button_to_press(self, committed_cast: Cast, browser: Browser) -> None:
        response = browser(committed_cast.alice).get(to("dashboard", committed_cast.here))
        tile = piece(response, f"door-{committed_cast.here.front.id}", "article")
        assert "Offline" in tile
        assert "Cannot be reached" in tile
        assert f'id="hold-{committed_cast.here.front.id}"' in shown(response)
        assert re.search(rf'id="hold-{committed_cast.here.front.id}"[^>]* disabled', shown(response))

    def test_a_guard_sees_doors_but_not_who_passed(self, committed_cast: Cast, browser: Browser) -> None:
        bring_up(committed_cast.here)
        happen(committed_cast.here, {"holder": str(committed_cast.charlie.pk)})
        html = shown(browser(committed_cast.bob).get(to("dashboard", committed_cast.here)))
        assert "Front door" in html
        assert "Charlie" not in html
        assert "Personnel" not in html

    def test_a_companys_administrator_sees_the_doors_of_his_company_only(
        self, committed_cast: Cast, browser: Browser
    ) -> None:
        cast, here = committed_cast, committed_cast.here
        with transaction.atomic():
            inside = system_actor(here.site.id)
            enter(inside)
            other = create_company(actor=inside, site=here.site, name="Other", now=NOW)
            add_member(
                actor=inside, user=cast.mallory, role=Role.COMPANY_ADMIN, site=here.site, party=other.party, now=NOW
            )
        bring_up(here)
        client = browser(cast.mallory)
        assert "Front door" not in shown(client.get(to("dashboard", here)))
        assert 'id="no-doors"' in shown(client.get(to("dashboard", here)))
        assert client.post(to("open_relay", here, relay=here.front.id)).status_code == 404
        assert "Charlie" not in shown(client.get(to("people:person_list", here)))
        assert client.get(to("people:person_detail", here, holder=cast.charlie.pk)).status_code == 404

    def test_the_live_part_is_the_same_piece_without_the_frame(self, committed_cast: Cast, browser: Browser) -> None:
        html = shown(browser(committed_cast.alice).get(to("dashboard", committed_cast.here), **HTMX))
        assert 'id="board"' in html
        assert "<html" not in html
        boosted = browser(committed_cast.alice).get(
            to("dashboard", committed_cast.here), HTTP_HX_BOOSTED="true", **HTMX
        )
        assert "<html" in shown(boosted)


class TestOpening:
    def ask(self, client: Client, place: Place, **headers: Any) -> Any:
        return client.post(to("open_relay", place, relay=place.front.id), **headers)

    def test_the_button_leaves_an_order_and_says_that_it_was_sent(self, committed_cast: Cast, browser: Browser) -> None:
        here = committed_cast.here
        bring_up(here)
        response = self.ask(browser(committed_cast.bob), here, **HTMX)
        assert (response.status_code, response.content) == (204, b"")
        assert json.loads(response["HX-Trigger"]) == {"gh-hold": {"relay": str(here.front.id), "state": "sent"}}
        with transaction.atomic():
            enter(committed_cast.alice_actor)
            (order,) = Command.objects.visible_to(committed_cast.alice_actor)
        assert (order.verb, order.relay_id, order.actor_id) == ("relay.open", here.front.id, committed_cast.bob.id)

    def test_without_script_it_is_a_form_like_any_other(self, committed_cast: Cast, browser: Browser) -> None:
        bring_up(committed_cast.here)
        client = browser(committed_cast.bob)
        response = self.ask(client, committed_cast.here)
        assert (response.status_code, response["Location"]) == (303, to("dashboard", committed_cast.here))
        assert "The door was asked to open." in shown(client.get(response["Location"]))

    def test_a_door_that_is_away_says_so_at_the_button_and_nothing_is_queued(
        self, committed_cast: Cast, browser: Browser
    ) -> None:
        response = self.ask(browser(committed_cast.bob), committed_cast.here, **HTMX)
        told = json.loads(response["HX-Trigger"])["gh-hold"]
        assert (told["state"], told["text"]) == (
            "failed",
            "The door cannot be reached at the moment. It was not opened.",
        )
        plain = self.ask(browser(committed_cast.bob), committed_cast.here)
        assert plain.status_code == 503
        assert "It was not opened." in shown(plain)
        with transaction.atomic():
            enter(committed_cast.alice_actor)
            assert not Command.objects.visible_to(committed_cast.alice_actor).exists()

    def test_a_request_forged_by_another_site_opens_nothing(self, committed_cast: Cast, browser: Browser) -> None:
        bring_up(committed_cast.here)
        response = self.ask(browser(committed_cast.bob, enforce_csrf_checks=True), committed_cast.here)
        assert response.status_code == 403
        assert "This page is too old" in shown(response)
        assert browser(committed_cast.bob).get(
            to("open_relay", committed_cast.here, relay=committed_cast.here.front.id)
        ).status_code == 405  # fmt: skip
