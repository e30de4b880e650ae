"""The panel in a real browser, with a fake controller behind the real hardware."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from gatehouse.lab import hardware
from tests.lab.fake import DEVICE, PIN, RELAYS
from tests.lab.served import Served, served

WITHIN_MS = 5_000


@dataclass
class Panel:
    """One open panel and the lab behind it, which lives in a thread of its own."""

    page: Page
    lab: Served
    errors: list[str]

    def press(self, keys: str) -> None:
        for key in keys:
            self.page.locator(".gh-pad button").nth("123456789*0#".index(key)).click()

    def hand(self, name: str) -> None:
        self.page.get_by_role("button", name=name, exact=True).click()

    def shows(self, screen: str) -> None:
        expect(self.page.locator(".gh-dev")).to_have_attribute("data-screen", screen, timeout=WITHIN_MS)

    def feed(self) -> Any:
        return self.page.locator(".gh-feed li")


@contextmanager
def lab(language: str = "en") -> Iterator[Served]:
    ready, done = threading.Event(), threading.Event()
    found: list[Served] = []

    async def live() -> None:
        async with served(language) as one:
            found.append(one)
            ready.set()
            await asyncio.to_thread(done.wait)

    thread = threading.Thread(target=lambda: asyncio.run(live()), daemon=True)
    thread.start()
    assert ready.wait(10)
    try:
        yield found[0]
    finally:
        done.set()
        thread.join(10)


@contextmanager
def opened(browser: Browser, one: Served, width: int = 1280, **more: Any) -> Iterator[Panel]:
    context = browser.new_context(viewport={"width": width, "height": 800}, **more)
    page = context.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda said: errors.append(said.text) if said.type == "error" else None)
    page.goto(f"{one.url}/panel/{DEVICE}?ticket={one.ticket()}")
    panel = Panel(page, one, errors)
    panel.shows("idle")
    yield panel
    assert errors == []
    context.close()


@pytest.fixture
def panel(browser: Browser) -> Iterator[Panel]:
    with lab() as one, opened(browser, one) as shown:
        yield shown


def test_a_code_typed_at_the_panel_opens_the_door_and_is_heard(panel: Panel) -> None:
    assert "ticket" not in panel.page.url
    panel.press(PIN)
    expect(panel.page.locator(".gh-dots i")).to_have_count(len(PIN))
    panel.press("#")
    panel.shows("granted")
    expect(panel.page.get_by_role("status").filter(has_text="Come in. Open: Main entrance")).to_have_count(1)
    expect(panel.page.locator(".gh-lamp").first).to_contain_text("Released")
    expect(panel.page.locator(".gh-lamp").last).to_contain_text("Resting")
    expect(panel.feed()).to_have_count(1)
    expect(panel.feed().first).to_contain_text("Main entrance released")
    expect(panel.feed().first).to_have_attribute("data-acked", "true")
    assert PIN not in panel.page.locator(".gh-feed").inner_text()
    panel.hand("Push")
    expect(panel.page.locator(".gh-draw")).to_have_attribute("data-leaf", "open")


def test_a_wrong_code_is_refused_aloud_and_the_reason_stands_in_the_tray(panel: Panel) -> None:
    panel.press("9911#")
    panel.shows("refused")
    expect(panel.page.get_by_role("alert").filter(has_text="No entry")).to_have_count(1)
    expect(panel.feed().first).to_contain_text("Nobody has this")
    assert "Nobody has this" not in panel.page.locator(".gh-dev").inner_text()


def test_everything_works_by_keyboard(panel: Panel) -> None:
    page = panel.page
    page.keyboard.press("1")
    panel.shows("granted")
    expect(panel.feed().first).to_contain_text("Amélie Rousseau, card")
    page.locator(".gh-pad button").first.focus()
    page.keyboard.type("99")
    expect(page.locator(".gh-dots i")).to_have_count(2)
    page.keyboard.press("Backspace")
    panel.shows("idle")
    for key in ("ArrowRight", "ArrowDown", "Enter"):
        page.keyboard.press(key)
    expect(page.locator(".gh-dots i")).to_have_count(1)
    page.keyboard.press("*")
    page.keyboard.type(PIN)
    page.keyboard.press("#")
    panel.shows("granted")
    page.get_by_label("Card number").fill("123456")
    page.keyboard.press("Enter")
    panel.shows("refused")
    assert page.get_by_label("Card number").input_value() == "123456"


def test_with_the_cable_cut_lines_wait_and_then_arrive(panel: Panel) -> None:
    panel.hand("Cut cable")
    expect(panel.page.locator(".gh-line")).to_have_text("Cable cut")
    expect(panel.page.locator(".gh-screen-head")).to_contain_text("No connection")
    panel.press(f"{PIN}#")
    panel.shows("granted")
    expect(panel.page.locator(".gh-waiting")).to_have_text("1 waiting for the line")
    expect(panel.feed().first).to_have_attribute("data-acked", "false")
    expect(panel.feed().first).to_contain_text("without the cloud")
    panel.hand("Mend cable")
    expect(panel.feed().first).to_have_attribute("data-acked", "true")
    expect(panel.page.locator(".gh-waiting")).to_be_hidden()
    expect(panel.feed()).to_have_count(1)


def test_fire_shows_the_way_out_and_every_lamp_is_lit(panel: Panel) -> None:
    panel.hand("Fire input")
    panel.shows("emergency")
    expect(panel.page.get_by_role("alert").filter(has_text="Fire alarm. Leave now.")).to_have_count(1)
    expect(panel.page.locator(".gh-lamp.gh-on")).to_have_count(2)
    expect(panel.page.locator(".gh-lab-band")).to_be_visible()
    panel.hand("Fire input")
    panel.shows("idle")
    expect(panel.page.locator(".gh-lab-band")).to_be_hidden()


def test_a_code_of_the_tray_is_typed_key_by_key(panel: Panel) -> None:
    panel.page.get_by_title("Type the code of Amélie Rousseau, Laboratory").click()
    panel.shows("typing")
    panel.shows("granted")
    assert ("present", "pin", PIN, None) in panel.lab.core.told


def test_the_door_that_is_chosen_is_the_one_that_moves(panel: Panel) -> None:
    panel.page.get_by_role("radio", name="Courtyard gate").click()
    panel.hand("Push")
    expect(panel.page.locator(".gh-says")).to_have_text("is locked")
    panel.hand("Exit button")
    expect(panel.page.locator(".gh-lamp").last).to_contain_text("Released")
    panel.hand("Hold open")
    expect(panel.page.locator(".gh-says")).to_have_text("stands open")
    assert ("door", RELAYS[1], "open") in panel.lab.core.told
    panel.hand("Let go")
    expect(panel.page.locator(".gh-says")).to_have_text("is unlocked")


def test_without_power_the_device_is_dark_and_comes_back(panel: Panel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hardware, "BOOT_MS", 1_500)
    panel.hand("Power off")
    panel.shows("off")
    assert panel.page.locator(".gh-screen").inner_text() == ""
    panel.hand("Power on")
    panel.shows("booting")
    panel.shows("idle")


def test_a_panel_that_lost_the_lab_says_so_and_finds_back(panel: Panel) -> None:
    stations = panel.lab.lab.stations
    station = stations.pop(DEVICE)
    expect(panel.page.locator(".gh-gone")).to_be_visible(timeout=WITHIN_MS)
    panel.errors.clear()
    stations[DEVICE] = station
    expect(panel.page.locator(".gh-gone")).to_be_hidden(timeout=10_000)
    panel.errors.clear()  # The attempts in between are named on the console by the browser itself.
    panel.press("47")
    panel.shows("typing")


@pytest.mark.parametrize("language", ["fa", "he", "de"])
def test_the_device_speaks_the_language_of_its_site(browser: Browser, language: str) -> None:
    with lab(language) as one, opened(browser, one) as shown:
        device = shown.page.locator(".gh-dev")
        assert device.get_attribute("lang") == language
        assert device.evaluate("e => getComputedStyle(e).direction") == ("ltr" if language == "de" else "rtl")
        assert shown.page.locator(".gh-pad").evaluate("e => getComputedStyle(e).direction") == "ltr"
        clock = shown.page.locator(".gh-clock").inner_text()
        assert any(digit in clock for digit in ("۰۱۲۳۴۵۶۷۸۹" if language == "fa" else "0123456789"))


NARROW: list[tuple[str, Callable[[Panel], None], str]] = [
    ("idle", lambda panel: None, "idle"),
    ("typing", lambda panel: panel.press("12345678"), "typing"),
    ("granted", lambda panel: panel.press(f"*{PIN}#"), "granted"),
    ("emergency", lambda panel: panel.hand("Fire input"), "emergency"),
]


@pytest.mark.parametrize(("width", "language"), [(320, "en"), (360, "de"), (360, "fa"), (768, "he"), (1280, "de")])
def test_nothing_runs_out_of_the_page(browser: Browser, width: int, language: str) -> None:
    with lab(language) as one, opened(browser, one, width=width) as shown:
        for _, do, screen in NARROW:
            do(shown)
            shown.shows(screen)
            page = shown.page
            assert page.evaluate("document.documentElement.scrollWidth") <= width
            spilled = page.evaluate(
                "[...document.querySelectorAll('.gh-screen *')].filter(e => e.getBoundingClientRect().width > 0 && "
                "e.getBoundingClientRect().bottom > document.querySelector('.gh-screen').getBoundingClientRect().bottom + 1)"
                ".map(e => e.className)"
            )
            assert spilled == []


def test_targets_are_large_enough_for_a_thumb(browser: Browser) -> None:
    with lab() as one, opened(browser, one, width=360) as shown:
        small = shown.page.evaluate(
            "[...document.querySelectorAll('.gh-pad button, .gh-act, .gh-card, .gh-pin')]"
            ".filter(e => e.getBoundingClientRect().height < 44).map(e => e.textContent)"
        )
        assert small == []


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_words_of_the_tray_are_legible_in_both_themes(browser: Browser, theme: Any) -> None:
    with lab() as one, opened(browser, one, color_scheme=theme, reduced_motion="reduce") as shown:
        assert shown.page.locator("html").get_attribute("data-bs-theme") == theme
        shown.press("9911#")
        shown.hand("Cut cable")
        expect(shown.page.locator(".gh-line")).to_have_text("Cable cut")
        poor = shown.page.evaluate(CONTRAST)
        assert poor == []


CONTRAST = """
() => {
  const parts = (color) => (color.match(/[\\d.]+/g) ?? []).map(Number);
  const light = ([r, g, b]) => [r, g, b].map((v) => (v /= 255) <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4)
    .reduce((sum, v, at) => sum + v * [.2126, .7152, .0722][at], 0);
  const ground = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const color = parts(getComputedStyle(at).backgroundColor);
      if (color.length === 3 || color[3] === 1) return color;
    }
    return [255, 255, 255];
  };
  const poor = [];
  for (const element of document.querySelectorAll('.gh-lab-bar *, .gh-tray *')) {
    const own = [...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());
    if (!own || !element.getClientRects().length || element.closest('.gh-card, .gh-vh')) continue;
    const style = getComputedStyle(element);
    if (!style.color.startsWith('rgb')) continue;
    const [a, b] = [light(parts(style.color)), light(ground(element))].sort((x, y) => y - x);
    const ratio = (a + .05) / (b + .05);
    if (ratio < 4.5) poor.push(`${ratio.toFixed(2)} ${element.className} ${element.textContent.slice(0, 30)}`);
  }
  return poor;
}
"""
