"""Coming in, staying in, going out."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.contrib.sessions.models import Session
from django.db import transaction
from django.test import Client
from django.urls import reverse

from gatehouse.cloud.accounts import sign_in as adapter
from gatehouse.cloud.accounts.models import Realm, Throttle, User
from gatehouse.cloud.accounts.services import create_user
from gatehouse.cloud.authz.actor import enter, system_actor
from gatehouse.cloud.authz.permissions import Role
from gatehouse.cloud.config.chores import clear_old_sign_ins
from gatehouse.cloud.journal.models import Entry
from gatehouse.cloud.kit import clock
from gatehouse.cloud.tenants.models import Site
from gatehouse.cloud.tenants.services import add_member, create_site
from tests.cast import NOW, PASSWORD, Cast
from tests.portal.conftest import HTMX, as_system

Browser = Callable[..., Client]
ELSEWHERE: dict[str, Any] = {"REMOTE_ADDR": "198.51.100.23"}


def attempt(client: Client, login: str = "alice", password: str = PASSWORD, **headers: Any) -> Any:
    return client.post("/sign-in/", {"login": login, "password": password, "next": headers.pop("next", "")}, **headers)


def said(response: Any) -> str:
    html: str = response.content.decode()
    return html.partition('id="sign-in-said"')[2].partition("</div>")[0].rpartition("<span>")[2].partition("<")[0]


def journal(verb: str) -> list[Entry]:
    with transaction.atomic():
        enter(system_actor())
        return list(Entry.objects.filter(verb=verb))


@pytest.fixture
def at(monkeypatch: pytest.MonkeyPatch) -> Callable[[datetime], None]:
    """Set the clock that the interface reads."""

    def set_to(moment: datetime) -> None:
        monkeypatch.setattr(clock, "now", lambda: moment)

    return set_to


class TestComingIn:
    @pytest.mark.req("OFF-NAV-02", "OFF-NAV-03")
    def test_the_form_asks_for_name_and_password_and_nobody_can_register(
        self, committed: None, browser: Browser
    ) -> None:
        html = browser().get("/sign-in/").content.decode()
        assert 'name="login"' in html
        assert 'type="password" name="password"' in html
        assert "Log in</button>" in html
        assert "register" not in html.replace("Nobody can register here", "")

    @pytest.mark.req("OFF-NAV-05")
    def test_one_site_leads_straight_to_its_dashboard(self, committed_cast: Cast, browser: Browser) -> None:
        client = browser()
        response = attempt(client, next="/")
        assert (response.status_code, response["Location"]) == (303, "/")
        home = client.get("/")
        assert home["Location"] == reverse("portal:dashboard", args=[committed_cast.here.site.id])
        assert "Dashboard" in client.get(home["Location"]).content.decode()

    def test_several_sites_are_shown_and_none_is_explained(self, committed_cast: Cast, browser: Browser) -> None:
        cast = committed_cast
        with transaction.atomic():
            second = create_site(
                actor=system_actor(),
                organisation=cast.installer,
                kind=Site.Kind.HOME,
                name="Villa",
                zone="UTC",
                now=NOW,
            )
            add_member(actor=system_actor(second.id), user=cast.alice, role=Role.MANAGER, site=second, now=NOW)
            lonely = create_user(
                actor=system_actor(), realm=Realm.STAFF, login="lone", name="Lone", password=PASSWORD, now=NOW
            )
        html = browser(cast.alice).get("/").content.decode()
        assert "Villa" in html
        assert "Kontorhaus Nordkai" in html
        assert "Elsewhere" not in html
        assert 'id="no-sites"' in browser(lonely).get("/").content.decode()

    @pytest.mark.req("OFF-NAV-E01", "COM-NAV-E1")
    def test_a_wrong_name_and_a_wrong_password_look_the_same(self, committed_cast: Cast, browser: Browser) -> None:
        answers = [
            attempt(browser(), "alice", "wrong-password"),
            attempt(browser(), "nobody-of-this-name", PASSWORD),
            attempt(browser(), "alice", PASSWORD + " "),
        ]
        assert {response.status_code for response in answers} == {422}
        assert {said(response) for response in answers} == {"Username or password is wrong."}

    def test_the_names_case_does_not_matter_and_the_passwords_does(
        self, committed_cast: Cast, browser: Browser
    ) -> None:
        assert attempt(browser(), " ALICE ").status_code == 303
        assert attempt(browser(), "alice", PASSWORD.upper()).status_code == 422

    def test_a_form_left_empty_says_what_is_missing_and_counts_for_nothing(
        self, committed_cast: Cast, browser: Browser
    ) -> None:
        response = attempt(browser(), "", "")
        assert response.status_code == 422
        assert "Type your username." in response.content.decode()
        assert not Throttle.objects.exists()

    @pytest.mark.req("GH-LINK-07")
    def test_a_residents_account_does_not_open_the_staffs_portal(self, committed_cast: Cast, browser: Browser) -> None:
        resident = create_user(
            actor=system_actor(), realm=Realm.APP, login="charlie", name="Charlie", password=PASSWORD, now=NOW
        )
        assert attempt(browser(), "charlie").status_code == 422
        assert browser(resident).get("/").status_code == 302

    @pytest.mark.parametrize(
        ("asked", "reached"),
        [
            ("/sites/", "/sites/"),
            ("/s/x/logs/doors/?result=refused", "/s/x/logs/doors/?result=refused"),
            ("https://evil.example/", "/"),
            ("//evil.example/", "/"),
            ("/\\evil.example", "/"),
            ("javascript:alert(1)", "/"),
            ("", "/"),
        ],
    )
    def test_it_leads_back_only_into_this_server(
        self, committed_cast: Cast, browser: Browser, asked: str, reached: str
    ) -> None:
        assert attempt(browser(), next=asked)["Location"] == reached

    def test_the_session_gets_a_new_key(self, committed_cast: Cast, browser: Browser) -> None:
        client = browser()
        session = client.session
        session["seen"] = 1
        session.save()
        planted = str(session.session_key)
        client.cookies["gatehouse"] = planted
        attempt(client)
        assert client.cookies["gatehouse"].value != planted
        assert not Session.objects.filter(pk=planted).exists()

    def test_signing_in_is_journalled_with_its_address(self, committed_cast: Cast, browser: Browser) -> None:
        attempt(browser(), **ELSEWHERE)
        attempt(browser(), password="wrong", **ELSEWHERE)
        (came,) = journal("account.signed_in")
        (refused,) = journal("account.sign_in_refused")
        assert (came.actor_id, came.data["address"]) == (committed_cast.alice.id, "198.51.100.23")
        assert (refused.object_id, refused.actor_label) == (committed_cast.alice.id, "198.51.100.23")
        assert refused.actor_id != committed_cast.alice.id


@pytest.mark.req("OFF-NAV-E02", "COM-NAV-E1", "GH-SEC-03")
class TestSlowingDown:
    def test_after_three_wrong_ones_each_further_one_waits_longer(
        self, committed_cast: Cast, browser: Browser, at: Callable[[datetime], None]
    ) -> None:
        moment, waits = NOW, []
        for _ in range(8):
            at(moment)
            assert attempt(browser(), password="wrong").status_code == 422
            row = Throttle.objects.get(key__startswith="account:")
            waits.append(round((row.until - moment).total_seconds()) if row.until else 0)
            moment = row.until or moment
        assert waits == [0, 0, 0, 1, 2, 4, 8, 16]

    def test_while_it_waits_even_the_right_password_is_not_looked_at(
        self, committed_cast: Cast, browser: Browser, at: Callable[[datetime], None]
    ) -> None:
        at(NOW)
        for _ in range(4):
            attempt(browser(), password="wrong")
        response = attempt(browser())
        assert (response.status_code, response["Retry-After"]) == (429, "1")
        assert said(response) == "Too many wrong tries. Wait 1 second, then try again."
        at(NOW + timedelta(seconds=1))
        assert attempt(browser()).status_code == 303

    def test_the_wait_has_an_end(self) -> None:
        assert adapter._delay(500, 3) == timedelta(minutes=15)

    def test_other_accounts_are_not_affected(
        self, committed_cast: Cast, browser: Browser, at: Callable[[datetime], None]
    ) -> None:
        at(NOW)
        for _ in range(6):
            attempt(browser(), password="wrong")
        assert attempt(browser(), "bob").status_code == 303

    def test_guesses_at_many_accounts_from_one_address_are_slowed_too(
        self, committed_cast: Cast, browser: Browser, at: Callable[[datetime], None]
    ) -> None:
        at(NOW)
        for number in range(adapter.FREE_ADDRESS + 1):
            attempt(browser(), f"somebody{number}", **ELSEWHERE)
        assert attempt(browser(), "bob", **ELSEWHERE).status_code == 429
        assert attempt(browser(), "bob").status_code == 303
        # a neighbour in the same /64 is the same customer, one in the next is not
        assert adapter._network("2001:db8::1") == adapter._network("2001:db8::ffff")
        assert adapter._network("2001:db8::1") != adapter._network("2001:db8:0:1::1")

    def test_a_right_password_ends_the_count(
        self, committed_cast: Cast, browser: Browser, at: Callable[[datetime], None]
    ) -> None:
        at(NOW)
        for _ in range(3):
            attempt(browser(), password="wrong")
        attempt(browser())
        assert not Throttle.objects.filter(key__startswith="account:").exists()
        assert attempt(browser(), password="wrong").status_code == 422

    def test_strangers_do_not_lock_the_owner_out_of_his_own_browser(
        self, committed_cast: Cast, browser: Browser, at: Callable[[datetime], None]
    ) -> None:
        at(NOW)
        owner = browser()
        attempt(owner)
        owner.post("/sign-out/")
        for _ in range(9):
            attempt(browser(), password="wrong", **ELSEWHERE)
        assert attempt(browser()).status_code == 429
        assert attempt(owner).status_code == 303
        # his own wrong tries are counted, too
        owner.post("/sign-out/")
        assert [attempt(owner, password="wrong").status_code for _ in range(6)].count(429) == 2

    def test_a_name_that_does_not_exist_is_slowed_like_one_that_does(
        self, committed_cast: Cast, browser: Browser, at: Callable[[datetime], None]
    ) -> None:
        at(NOW)
        for login in ("alice", "nobody"):
            answers = [attempt(browser(), login, "wrong").status_code for _ in range(5)]
            assert answers == [422, 422, 422, 422, 429]

    def test_neither_name_nor_address_stands_in_the_table(self, committed_cast: Cast, browser: Browser) -> None:
        attempt(browser(), password="wrong", **ELSEWHERE)
        keys = " ".join(Throttle.objects.values_list("key", flat=True))
        assert keys
        assert "alice" not in keys
        assert "198.51" not in keys


class TestStaying:
    @pytest.mark.req("OFF-NAV-E03", "COM-NAV-E2")
    def test_an_ended_session_leads_to_the_form_and_back(self, committed_cast: Cast, browser: Browser) -> None:
        address = reverse("portal:logs:door_log", args=[committed_cast.here.site.id])
        client = browser(committed_cast.alice)
        assert client.get(address).status_code == 200
        Session.objects.all().delete()
        assert client.get(address + "?result=refused")["Location"] == (
            "/sign-in/?next=" + address.replace("/", "%2F") + "%3Fresult%3Drefused"
        )
        piece = client.get(address, HTTP_HX_CURRENT_URL=f"http://testserver{address}", **HTMX)
        assert piece.status_code == 401
        assert piece["HX-Redirect"] == "/sign-in/?next=" + address.replace("/", "%2F")
        assert piece.content == b""

    @pytest.mark.req("OFF-NAV-E03")
    def test_a_form_sent_after_the_end_is_not_applied(self, committed_cast: Cast, browser: Browser) -> None:
        cast = committed_cast
        client = browser(cast.alice)
        Session.objects.all().delete()
        address = reverse("portal:people:change_pin", args=[cast.here.site.id, cast.charlie.pk])
        assert client.post(address, {"pin": "271828"})["Location"] == "/sign-in/"
        with transaction.atomic():
            enter(cast.alice_actor)
            assert not Entry.objects.filter(verb="credential.added").exists()

    @pytest.mark.req("OFF-NAV-E03")
    def test_pages_are_kept_by_no_browser(self, committed_cast: Cast, browser: Browser) -> None:
        client = browser(committed_cast.alice)
        for name in ("portal:dashboard", "portal:logs:door_log", "portal:people:person_list"):
            response = client.get(reverse(name, args=[committed_cast.here.site.id]))
            assert "no-store" in response["Cache-Control"]
            assert "HX-Request" in response["Vary"]

    @pytest.mark.req("OFF-NAV-E06", "GH-SEC-02")
    def test_a_disabled_account_is_refused_at_its_next_request(self, committed_cast: Cast, browser: Browser) -> None:
        client = browser(committed_cast.alice)
        address = reverse("portal:dashboard", args=[committed_cast.here.site.id])
        assert client.get(address).status_code == 200
        User.objects.filter(pk=committed_cast.alice.pk).update(disabled_at=NOW)
        assert client.get(address).status_code == 302
        assert attempt(browser()).status_code == 422

    @pytest.mark.req("GH-SEC-02")
    def test_a_changed_password_ends_the_sessions_of_the_old_one(self, committed_cast: Cast, browser: Browser) -> None:
        client = browser(committed_cast.alice)
        committed_cast.alice.set_password("another-horse-8")
        committed_cast.alice.save()
        assert client.get("/").status_code == 302

    @pytest.mark.req("GH-SEC-02")
    def test_a_live_part_alone_keeps_no_session_open(
        self, committed_cast: Cast, browser: Browser, at: Callable[[datetime], None]
    ) -> None:
        client = browser(committed_cast.alice)
        address = reverse("portal:dashboard", args=[committed_cast.here.site.id])
        at(NOW)
        client.get(address)
        seen = client.session["seen"]
        at(NOW + timedelta(minutes=20))
        client.get(address, HTTP_X_REQUESTED_WITH="fetch", **HTMX)
        assert client.session["seen"] == seen
        client.get(address)
        assert client.session["seen"] == seen + 20 * 60

    def test_the_worker_clears_what_has_ended(
        self, committed_cast: Cast, browser: Browser, at: Callable[[datetime], None]
    ) -> None:
        client = browser(committed_cast.alice)
        at(clock.now())
        attempt(browser(), password="wrong")
        Session.objects.update(expire_date=clock.now() - timedelta(seconds=1))
        lasting = browser(committed_cast.bob)
        Throttle.objects.create(key="account:old", updated_at=clock.now() - timedelta(days=2))
        with as_system():
            clear_old_sign_ins()
        assert client.get("/").status_code == 302
        assert [row.pk for row in Session.objects.all()] == [lasting.session.session_key]
        assert not Throttle.objects.filter(key="account:old").exists()
        assert Throttle.objects.filter(key__startswith="account:").exists()


class TestGoingOut:
    @pytest.mark.req("OFF-NAV-04")
    def test_every_page_has_the_way_out_and_it_ends_the_session_at_once(
        self, committed_cast: Cast, browser: Browser
    ) -> None:
        client = browser(committed_cast.alice)
        site = committed_cast.here.site.id
        for name in ("dashboard", "logs:door_log", "devices:device_list", "people:person_list", "journal:entry_list"):
            assert 'id="log-out"' in client.get(reverse(f"portal:{name}", args=[site])).content.decode()
        stolen = client.cookies["gatehouse"].value
        response = client.post("/sign-out/")
        assert (response.status_code, response["Location"]) == (303, "/sign-in/")
        assert response["Clear-Site-Data"] == '"cache"'
        thief = browser()
        thief.cookies["gatehouse"] = stolen
        assert thief.get(reverse("portal:dashboard", args=[site])).status_code == 302
        assert [entry.actor_id for entry in journal("account.signed_out")] == [committed_cast.alice.id]

    def test_going_out_twice_is_nothing(self, committed: None, browser: Browser) -> None:
        assert browser().post("/sign-out/").status_code == 303


class TestDemo:
    def test_demo_accounts_are_shown_on_the_machine_itself_and_nowhere_else(
        self, committed: None, browser: Browser, settings: Any, tmp_path: Any
    ) -> None:
        (tmp_path / "run").mkdir()
        (tmp_path / "run" / "demo.json").write_text(
            '{"sign_ins": [{"role": "manager", "login": "alice", "password": "amber-dune-fern"}]}'
        )
        settings.HOME, settings.DEMO = tmp_path, True
        assert "amber-dune-fern" in browser().get("/sign-in/").content.decode()
        assert "amber-dune-fern" not in browser().get("/sign-in/", **ELSEWHERE).content.decode()
        settings.DEMO = False
        assert "amber-dune-fern" not in browser().get("/sign-in/").content.decode()
