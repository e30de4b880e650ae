"""Every text that a screen shows can be translated, and is, in the languages that are offered."""

from __future__ import annotations

import gettext
import io
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as configured
from django.db import transaction
from django.test import Client
from django.urls import reverse

from gatehouse.cloud.authz.actor import enter
from gatehouse.cloud.people.services import add_person, set_pin
from gatehouse.cloud.wording import times, words
from gatehouse.rules import reasons
from tests import pseudo
from tests.cast import NOW, Cast
from tests.catalogue import Message, compiled, messages, read_po
from tests.permission_table import ROWS, Things
from tests.portal.conftest import bring_up, happen

Browser = Callable[..., Client]


def test_the_translations_are_complete_and_compiled() -> None:
    assert pseudo.problems() == []


def test_a_compiled_catalogue_says_what_was_written() -> None:
    entries = read_po("he")
    catalogue = gettext.GNUTranslations(io.BytesIO(compiled("he", entries)))
    for entry in entries:
        message = entry.message
        if not all(entry.texts):
            continue
        if message.plural:
            said = [catalogue.ngettext(message.text, message.plural, number) for number in (1, 2)]
            assert said == entry.texts
        elif message.context:
            assert catalogue.pgettext(message.context, message.text) == entry.texts[0]
        else:
            assert catalogue.gettext(message.text) == entry.texts[0]


def test_messages_are_found_in_code_and_in_templates() -> None:
    found = messages()
    assert "portal/templates/portal/logs/door_log.html" in found[Message("Paused while you read")]
    assert "wording/words.py" in found[Message("Open", context="door")]
    assert (
        "portal/templates/portal/dashboard/dashboard.html"
        in found[Message("%(figure)s device offline", plural="%(figure)s devices offline")]
    )


@pytest.mark.req("OFF-LOG-16")
def test_every_reason_has_words_and_a_sentence() -> None:
    codes = {reasons.GRANTED, reasons.EMERGENCY_OPEN, *reasons.REFUSALS}
    assert codes - set(words.REASONS) == set()
    assert codes - set(words.WHY) == set()
    assert set(words.REASONS) == set(words.WHY)
    assert set(reasons.STEPS) == set(words.STEPS)


def test_a_code_without_words_is_shown_as_it_is() -> None:
    assert words.say("reason", "newer.than_us") == "newer.than_us"
    assert words.nobody("ring") == "ring"


def test_every_verb_of_the_journal_has_words() -> None:
    source = Path(words.__file__).parents[1]
    said = {
        verb
        for path in source.rglob("*.py")
        if "migrations" not in path.parts
        for verb in re.findall(r'verb="([a-z_.]+)"', path.read_text(encoding="utf-8"))
    }
    assert len(said) > 20
    assert said - set(words.VERBS) == set()


@pytest.mark.req("OFF-LOG-26", "COM-NAV-42")
@pytest.mark.parametrize(
    ("zone", "hours", "order", "said"),
    [
        ("Europe/Berlin", "24h", "ymd", "2026-11-21 10:00:00"),
        ("Asia/Shanghai", "24h", "mdy", "11-21-2026 17:00:00"),
        ("America/New_York", "12h", "dmy", "21-11-2026 04:00:00 AM"),
    ],
)
def test_times_are_the_sites(zone: str, hours: str, order: str, said: str) -> None:
    assert times.Local(zone, hours, order).stamp(NOW) == said


def test_figures_have_the_digits_of_the_language() -> None:
    assert times.grouped(1204, "en") == "1,204"
    assert times.grouped(1204, "fa") == "۱٬۲۰۴"
    assert times.in_digits("08:43", "he") == "08:43"


def test_the_detector_finds_what_was_forgotten() -> None:
    assert pseudo.untranslated("<p>⟦Dôôr~~⟧ <bdi>Alice</bdi></p>") == []
    assert pseudo.untranslated("<p>Forgotten</p><input placeholder='Me too'>") == ["Forgotten", "Me too"]
    assert pseudo.untranslated("<p>⟦Bý⟧ Alice</p>") == ["Alice"]


@pytest.fixture
def pseudo_languages(settings: Any, tmp_path: Path) -> None:
    pseudo.write(tmp_path)
    settings.LOCALE_PATHS = [tmp_path]
    settings.LANGUAGES = [("en", "English"), ("xa", "Long"), ("xb", "Mirrored")]
    settings.LANGUAGES_BIDI = ["xb"]


@pytest.fixture
def things(committed_cast: Cast) -> Things:
    cast = committed_cast
    bring_up(cast.here)
    with transaction.atomic():
        enter(cast.alice_actor)
        set_pin(actor=cast.alice_actor, holder=cast.charlie.holder, pin="271828", now=NOW)
    ids = happen(
        cast.here,
        {"holder": str(cast.charlie.pk)},
        *({"allowed": False, "reason": reason, "alone": True} for reason in reasons.REFUSALS),
        {"method": "remote"},
    )
    return Things(cast, cast.here, cast.charlie.pk, ids[1])


@pytest.mark.parametrize("language", pseudo.LANGUAGES)
def test_no_screen_shows_a_text_that_cannot_be_translated(
    things: Things, browser: Browser, pseudo_languages: None, language: str
) -> None:
    client = browser(things.cast.ivan)
    client.cookies[configured.LANGUAGE_COOKIE_NAME] = language
    left = {}
    for row in ROWS:
        if not row.name.startswith("portal:") or row.name in ("portal:stream", "portal:sign_out", "portal:language"):
            continue
        address = reverse(row.name, kwargs=dict(row.parts(things)))
        post = {"pin": "no pin"} if row.name.endswith("change_pin") else dict(row.data)
        response = client.get(address, follow=True) if row.method == "get" else client.post(address, post, follow=True)
        html = response.content.decode()
        assert pseudo.BEGIN in html or not html, row.name
        if "<html" in html:
            assert f'dir="{"rtl" if language == "xb" else "ltr"}"' in html, row.name
        if found := pseudo.untranslated(html):
            left[row.name] = found
    for path in ("/sign-in/", "/nowhere/"):
        nobody = browser()
        nobody.cookies[configured.LANGUAGE_COOKIE_NAME] = language
        if found := pseudo.untranslated(nobody.get(path).content.decode()):
            left[path] = found
    assert left == {}


@pytest.mark.req("COM-NAV-44", "COM-NAV-46")
@pytest.mark.parametrize(
    ("asked", "direction", "word"), [("fa", "rtl", "ورود"), ("he", "rtl", "כניסה"), ("de", "ltr", "Log in")]
)
def test_the_language_follows_the_browser(
    browser: Browser, committed: None, asked: str, direction: str, word: str
) -> None:
    html = browser().get("/sign-in/", HTTP_ACCEPT_LANGUAGE=asked).content.decode()
    assert f'dir="{direction}"' in html
    assert word in html
    assert ("portal.rtl" in html or "portal-rtl" in html) is (direction == "rtl")


@pytest.mark.req("COM-NAV-C3")
def test_a_chosen_language_stays_with_the_account_and_changes_nothing_else(things: Things, browser: Browser) -> None:
    client, alice = browser(things.cast.alice), things.cast.alice
    address = reverse("portal:dashboard", args=[things.place.site.id])
    answer = client.post("/language/", {"language": "he", "next": address})
    assert (answer.status_code, answer["Location"]) == (303, address)
    assert 'lang="he"' in client.get(address).content.decode()
    alice.refresh_from_db()
    with transaction.atomic():
        enter(things.cast.alice_actor)
        things.place.site.refresh_from_db()
    assert (alice.language, things.place.site.language) == ("he", "en")
    assert client.post("/language/", {"language": "xx"}).status_code == 303
    assert client.post("/language/", {"language": "en", "next": "https://evil.example/"})["Location"] == "/"


@pytest.mark.req("COM-NAV-E8", "OFF-LOG-E05")
def test_names_are_shown_literally(things: Things, browser: Browser) -> None:
    with transaction.atomic():
        enter(things.cast.alice_actor)
        add_person(
            actor=things.cast.alice_actor,
            company=things.place.company,
            people_group=things.place.people_group,
            first_name="<b>Robert</b>",
            last_name="=1+1 \u202eevil, ,",
            now=NOW,
        )
    html = (
        browser(things.cast.alice)
        .get(reverse("portal:people:person_list", args=[things.place.site.id]))
        .content.decode()
    )
    assert "<b>Robert" not in html
    assert "<bdi>&lt;b&gt;Robert&lt;/b&gt; =1+1 \u202eevil, ,</bdi>" in html
