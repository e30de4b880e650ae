"""What every answer has in common: errors, headers, cost."""

from __future__ import annotations

import json
import re
from collections.abc import Callable

import pytest
from django.db import connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext

from gatehouse.cloud.access.services import create_access_group, give_to_people_group
from gatehouse.cloud.authz.actor import enter, system_actor
from gatehouse.cloud.devices.models import Device
from gatehouse.cloud.devices.services import add_device, register_hardware
from gatehouse.cloud.kit.errors import Conflict, NotFound, Unavailable
from gatehouse.cloud.people.services import add_person, set_pin
from gatehouse.cloud.premises.services import create_people_group
from tests.cast import NOW, Cast
from tests.portal.conftest import HTMX, bring_up, happen, shown, to

Browser = Callable[..., Client]


class TestErrors:
    @pytest.mark.req("GH-RUN-10")
    def test_a_page_that_is_not_there_carries_the_requests_id(self, committed_cast: Cast, browser: Browser) -> None:
        response = browser(committed_cast.alice).get("/nowhere/", HTTP_X_REQUEST_ID="trace-1234-abcd")
        assert response.status_code == 404
        assert response["X-Request-ID"] == "trace-1234-abcd"
        assert 'id="request-id">trace-1234-abcd<' in shown(response)
        other = browser().get("/nowhere/", HTTP_X_REQUEST_ID="<script>")
        assert other["X-Request-ID"] != "<script>"
        assert "<script>" not in other["X-Request-ID"]

    def test_our_own_fault_says_so_and_shows_nothing_of_it(
        self, committed_cast: Cast, browser: Browser, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(*_: object, **__: object) -> None:
            raise RuntimeError("a secret detail")

        monkeypatch.setattr("gatehouse.cloud.portal.dashboard.views.board", fail)
        response = browser(committed_cast.alice).get(to("dashboard", committed_cast.here))
        assert response.status_code == 500
        assert "Something broke" in shown(response)
        assert "secret detail" not in shown(response)
        assert response["X-Request-ID"] in shown(response)

    @pytest.mark.parametrize(
        ("error", "status"),
        [(NotFound("x", "Gone."), 404), (Conflict("x", "Taken."), 409), (Unavailable("x", "Later."), 503)],
    )
    def test_a_services_refusal_is_a_page_or_a_toast_in_words(
        self, committed_cast: Cast, browser: Browser, monkeypatch: pytest.MonkeyPatch, error: Exception, status: int
    ) -> None:
        def refuse(*_: object, **__: object) -> None:
            raise error

        monkeypatch.setattr("gatehouse.cloud.portal.dashboard.views.board", refuse)
        client = browser(committed_cast.alice)
        page = client.get(to("dashboard", committed_cast.here))
        assert page.status_code == status
        assert error.message in shown(page)  # type: ignore[attr-defined]
        toast = client.get(to("dashboard", committed_cast.here), **HTMX)
        assert toast.status_code == status
        assert json.loads(toast["HX-Trigger"]) == {"gh-toast": {"text": error.message, "tone": "refused"}}  # type: ignore[attr-defined]

    @pytest.mark.req("GH-SEC-06")
    def test_every_answer_tells_the_browser_what_it_may_load(self, committed: None, browser: Browser) -> None:
        response = browser().get("/sign-in/")
        policy = response["Content-Security-Policy"]
        assert "default-src 'self'" in policy
        assert "unsafe" not in policy
        assert response["X-Frame-Options"] == "DENY"
        assert response["X-Content-Type-Options"] == "nosniff"
        html = response.content.decode()
        assert not re.search(r"<[^>]+\s(style|on\w+)=", html)
        assert "http://" not in html.replace("http://www.w3.org", "")

    def test_a_cookie_given_over_https_stays_there(self, committed: None, browser: Browser) -> None:
        assert not browser().get("/sign-in/").cookies["csrftoken"]["secure"]
        assert browser().get("/sign-in/", secure=True).cookies["csrftoken"]["secure"]


class TestCost:
    """How many questions a page asks of the database: as many with 40 rows as with one."""

    def asked(self, client: Client, address: str) -> int:
        client.get(address)
        with CaptureQueriesContext(connection) as found:
            assert client.get(address).status_code == 200
        return len(found)

    def grow(self, cast: Cast) -> None:
        here = cast.here
        with transaction.atomic():
            inside = system_actor(here.site.id)
            enter(inside)
            group = create_people_group(actor=inside, company=here.company, name="More", now=NOW)
            access = create_access_group(
                actor=inside, site=here.site, name="More", windows=[{"kind": "daily"}], relays=[here.back], now=NOW
            )
            give_to_people_group(actor=inside, access_group=access, people_group=group, now=NOW)
            for number in range(40):
                person = add_person(
                    actor=inside,
                    company=here.company,
                    people_group=group,
                    first_name="P",
                    last_name=str(number),
                    now=NOW,
                )
                set_pin(actor=inside, holder=person.holder, pin=str(500_000 + number), now=NOW)
                mac = f"0C11052B{number:02X}00"
                register_hardware(
                    actor=inside,
                    mac=mac,
                    distributor=cast.distributor,
                    installer=cast.installer,
                    site=here.site,
                    now=NOW,
                )
                add_device(
                    actor=inside,
                    site=here.site,
                    name=f"Door {number}",
                    type=Device.Type.ACCESS_TERMINAL,
                    mac=mac,
                    gateway=here.gateway,
                    now=NOW,
                )

    def test_lists_cost_the_same_at_any_length(self, committed_cast: Cast, browser: Browser) -> None:
        cast, here = committed_cast, committed_cast.here
        bring_up(here)
        happen(here, {"holder": str(cast.charlie.pk)})
        client = browser(cast.alice)
        names = (
            "dashboard", "logs:door_log", "devices:device_list", "people:person_list", "gateways:gateway_list",
            "journal:entry_list",
        )  # fmt: skip
        before = {name: self.asked(client, to(name, here)) for name in names}
        self.grow(cast)
        happen(here, *({"holder": str(cast.charlie.pk)} for _ in range(45)))
        after = {name: self.asked(client, to(name, here)) for name in names}
        assert after == before
        assert max(after.values()) <= 18, after
