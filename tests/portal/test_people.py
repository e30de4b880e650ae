"""People, their codes, and the receipt of a change."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.db import transaction
from django.test import Client, RequestFactory

from gatehouse.cloud.authz.actor import enter
from gatehouse.cloud.kit import web
from gatehouse.cloud.people.models import Credential, Person
from gatehouse.cloud.people.services import add_person, set_pin
from tests.cast import NOW, Cast
from tests.portal.conftest import HTMX, bring_up, compiled, confirm, piece, shown, to

Browser = Callable[..., Client]


class TestPeople:
    def person(self, cast: Cast, client: Client) -> Any:
        return client.get(to("people:person_detail", cast.here, holder=cast.charlie.pk))

    def test_the_list_says_who_has_codes(self, committed_cast: Cast, browser: Browser) -> None:
        cast = committed_cast
        client = browser(cast.alice)
        row = piece(client.get(to("people:person_list", cast.here)), f"person-{cast.charlie.pk}")
        assert "Charlie Novak 1001 Lumen Diagnostics Laboratory None yet" in row
        with transaction.atomic():
            enter(cast.alice_actor)
            set_pin(actor=cast.alice_actor, holder=cast.charlie.holder, pin="271828", now=NOW)
        row = piece(client.get(to("people:person_list", cast.here) + "?q=nOvA"), f"person-{cast.charlie.pk}")
        assert row.endswith("PIN")
        assert "Nobody of this name" in shown(client.get(to("people:person_list", cast.here) + "?q=xyz"))

    @pytest.mark.req("COM-NAV-E4")
    @pytest.mark.parametrize(
        ("asked", "got"), [("0", 1), ("-3", 1), ("x", 1), ("99", 3), ("2", 2), ("9" * 40, 1), ("²", 1)]
    )
    def test_a_page_that_is_not_there_becomes_one_that_is(self, committed_cast: Cast, asked: str, got: int) -> None:
        with transaction.atomic():
            enter(committed_cast.alice_actor)
            for number in range(4):
                add_person(
                    actor=committed_cast.alice_actor,
                    company=committed_cast.here.company,
                    people_group=committed_cast.here.people_group,
                    first_name="P",
                    last_name=str(number),
                    now=NOW,
                )
            rows = Person.objects.visible_to(committed_cast.alice_actor).order_by("pk")
            page = web.listing(RequestFactory().get("/", {"page": asked, "q": "a b"}), rows, size=2)
        assert (page.number, page.pages, page.count, page.query) == (got, 3, 5, "q=a+b")

    @pytest.mark.req("GH-FEED-01", "GH-FEED-02")
    def test_a_new_pin_leads_to_its_receipt(self, committed_cast: Cast, browser: Browser) -> None:
        cast = committed_cast
        bring_up(cast.here)
        client = browser(cast.alice)
        response = client.post(to("people:change_pin", cast.here, holder=cast.charlie.pk), {"pin": "271828"}, **HTMX)
        assert (response.status_code, response["HX-Redirect"]) == (
            204,
            to("people:person_detail", cast.here, holder=cast.charlie.pk),
        )
        assert "The doors are being told." in piece(self.person(cast, client), "receipt-said", "p")
        compiled(cast.here)
        page = self.person(cast, client)
        assert "0 of 1 device confirmed" in piece(page, "receipt-said", "p")
        confirm(cast.here)
        live = client.get(to("people:person_detail", cast.here, holder=cast.charlie.pk), **HTMX)
        assert "In force at 1 device" in piece(live, "receipt-said", "p")
        assert "<html" not in shown(live)

    @pytest.mark.req("GH-FEED-02", "GH-FEED-04")
    def test_a_changed_pin_stands_beside_the_old_one_until_the_doors_have_confirmed(
        self, committed_cast: Cast, browser: Browser
    ) -> None:
        cast = committed_cast
        client = browser(cast.alice)
        for pin in ("271828", "314159"):
            client.post(to("people:change_pin", cast.here, holder=cast.charlie.pk), {"pin": pin})
        compiled(cast.here)
        page = self.person(cast, client)
        said = piece(page, "credentials", "section")
        assert "Live" in said
        assert "Withdrawn, until every door has confirmed" in said
        assert "Main entrance is offline" in piece(page, "receipt-said", "p")
        assert "271828" not in shown(page)
        assert "314159" not in shown(page)
        confirm(cast.here)
        assert "Withdrawn" not in piece(self.person(cast, client), "credentials", "section")

    @pytest.mark.req("OFF-PERS-E05")
    @pytest.mark.parametrize(
        ("pin", "said"),
        [("", "Type the new PIN."), ("1", "A PIN has 2 to 8 digits."), ("12a4", "A PIN has digits only.")],
    )
    def test_a_fault_stands_at_its_field(self, committed_cast: Cast, browser: Browser, pin: str, said: str) -> None:
        cast = committed_cast
        address = to("people:change_pin", cast.here, holder=cast.charlie.pk)
        for headers in ({}, HTMX):
            response = browser(cast.alice).post(address, {"pin": pin}, **headers)
            assert response.status_code == 422
            assert said in piece(response, "pin-error", "span")
            assert ("<html" in shown(response)) is (not headers)
        with transaction.atomic():
            enter(cast.alice_actor)
            assert not Credential.objects.visible_to(cast.alice_actor).exists()

    @pytest.mark.req("OFF-PERS-E06")
    def test_a_pin_in_use_is_refused_at_its_field_without_a_name_and_the_old_one_stays(
        self, committed_cast: Cast, browser: Browser
    ) -> None:
        cast = committed_cast
        with transaction.atomic():
            enter(cast.alice_actor)
            other = add_person(
                actor=cast.alice_actor,
                company=cast.here.company,
                people_group=cast.here.people_group,
                first_name="Amélie",
                last_name="Rousseau",
                now=NOW,
            )
            set_pin(actor=cast.alice_actor, holder=other.holder, pin="271828", now=NOW)
            set_pin(actor=cast.alice_actor, holder=cast.charlie.holder, pin="314159", now=NOW)
        response = browser(cast.alice).post(
            to("people:change_pin", cast.here, holder=cast.charlie.pk), {"pin": "271828"}, **HTMX
        )
        assert response.status_code == 422
        assert "This code is in use here." in shown(response)
        assert "Amélie" not in shown(response)
        with transaction.atomic():
            enter(cast.alice_actor)
            mine = Credential.objects.visible_to(cast.alice_actor).filter(holder=cast.charlie.holder)
            assert [credential.state for credential in mine] == ["live"]
