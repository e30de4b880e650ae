"""From the finger at the panel to the line in the log and back, in a real browser on the real stack."""

from __future__ import annotations

import os
import re
import signal
import time
from datetime import UTC, datetime

import pytest
from playwright.sync_api import BrowserContext, Page, expect
from playwright.sync_api import Error as PlaywrightError

from tests.e2e.hands import open_panel, pin_of, rows, sign_in, site_address
from tests.e2e.stack import Stack, eventually

AMELIE = "Amélie Rousseau"
FRONT = "Main entrance"


def _log(context: BrowserContext, stack: Stack) -> Page:
    page = context.new_page()
    page.goto(f"{site_address(stack)}/logs/doors/")
    expect(page.locator("html")).to_have_attribute("data-gh-line", "up")
    return page


def _newest(page: Page) -> str:
    return rows(page).first.get_attribute("data-gh-id") or "" if rows(page).count() else ""


@pytest.mark.req("GH-LAB-10", "OFF-DVC-03", "OFF-DVC-07")
def test_a_pin_at_the_panel_opens_the_door_and_the_line_is_in_the_live_log(
    context: BrowserContext, stack: Stack
) -> None:
    sign_in(context, stack)
    panel, log = open_panel(context, stack, FRONT), _log(context, stack)
    before = _newest(log)
    panel.type(pin_of(stack, AMELIE), confirm=False)
    pressed = time.monotonic()
    panel.type("")
    panel.expect_open(FRONT)
    log.wait_for_function(
        "before => { const row = document.querySelector('#rows tr'); return row && row.dataset.ghId !== before }",
        arg=before,
        timeout=10_000,
        polling=20,
    )
    took = time.monotonic() - pressed
    print(f"from the last key to the line in the live log: {took * 1000:.0f} ms")  # noqa: T201  # a figure for the reader
    expect(rows(log).first).to_contain_text(AMELIE)
    expect(rows(log).first).to_contain_text("Granted")
    expect(rows(log).first).to_contain_text(FRONT)


@pytest.mark.req("GH-GW-04", "GH-GW-05", "OFF-DVC-23", "COM-DVC-18", "OFF-LOG-E02")
def test_with_the_cable_cut_the_door_decides_alone_and_both_lines_arrive_once_with_their_own_times(
    context: BrowserContext, stack: Stack
) -> None:
    sign_in(context, stack)
    panel, log = open_panel(context, stack, FRONT), _log(context, stack)
    before = {row.get_attribute("data-gh-id") for row in rows(log).all()}
    panel.hand("Cut cable")
    expect(panel.page.locator(".gh-line")).to_contain_text("Cable cut")
    panel.type(pin_of(stack, AMELIE))
    opened_at = datetime.now(tz=UTC)
    panel.expect_open(FRONT)
    panel.expect_shut(FRONT)
    panel.type("00000000")
    refused_at = datetime.now(tz=UTC)
    expect(panel.page.locator(".gh-feed, [class*=feed]").first).to_contain_text(re.compile("waiting", re.I))
    time.sleep(2)
    assert {row.get_attribute("data-gh-id") for row in rows(log).all()} == before
    panel.hand("Mend cable")

    def fresh() -> list[tuple[str, datetime]] | None:
        found = [
            (row.inner_text(), datetime.fromisoformat(row.get_attribute("data-gh-at") or ""))
            for row in rows(log).all()
            if row.get_attribute("data-gh-id") not in before
        ]
        return found if len(found) >= 2 else None

    lines = eventually("both lines", fresh, 20)
    time.sleep(2)
    lines = fresh() or []
    assert len(lines) == 2, lines
    (refused, refused_line), (granted, granted_line) = lines
    assert AMELIE in granted and "Granted" in granted
    assert "Refused" in refused
    assert abs((granted_line - opened_at).total_seconds()) < 2
    assert abs((refused_line - refused_at).total_seconds()) < 2


@pytest.mark.req("GH-FEED-01", "GH-FEED-02", "GH-FEED-04", "OFF-LIB-08")
def test_a_changed_pin_works_at_once_the_old_one_not_and_stays_quarantined_until_every_door_confirmed(
    context: BrowserContext, stack: Stack
) -> None:
    page = sign_in(context, stack)
    panel = open_panel(context, stack, FRONT)
    name, old, new = "Mara Lindqvist", pin_of(stack, "Mara Lindqvist"), "7020331"
    page.goto(f"{site_address(stack)}/people/")
    page.get_by_text(name).first.click()
    expect(page.locator("h1")).to_have_text(name)
    panel.hand("Cut cable")
    expect(panel.page.locator(".gh-line")).to_contain_text("Cable cut")
    eventually("the portal knows that the door is offline", lambda: "offline" in _dashboard(context, stack).lower(), 30)
    page.fill("#id_pin", new)
    page.click("#pin button.btn-primary")
    receipt = page.locator("#receipt-said")
    expect(receipt).to_contain_text(f"{FRONT} is offline", timeout=15_000)
    expect(page.locator("#credentials li[data-state=quarantined]")).to_have_count(1)
    # The cut door cannot know yet: it still takes the old one, which is why nobody else gets it.
    panel.type(old)
    panel.expect_open(FRONT)
    panel.expect_shut(FRONT)
    panel.hand("Mend cable")
    expect(receipt).to_contain_text("In force", timeout=20_000)
    expect(page.locator("#credentials li[data-state=quarantined]")).to_have_count(0, timeout=15_000)
    panel.type(old)
    expect(panel.page.locator("[data-led=refused], .gh-dev").first).to_be_visible()
    panel.expect_shut(FRONT)
    panel.type(new)
    panel.expect_open(FRONT)


def _dashboard(context: BrowserContext, stack: Stack) -> str:
    answer = context.request.get(f"{site_address(stack)}/")
    assert answer.ok
    return answer.text()


def _answers(context: BrowserContext, address: str) -> bool:
    try:
        return context.request.get(address).ok
    except PlaywrightError:
        return False  # nobody listens at the moment


def _hold(page: Page, relay: str) -> None:
    """Press and hold a door's button for as long as it wants."""
    button = page.get_by_role("button", name=f"Hold to open, {relay}").first
    button.scroll_into_view_if_needed()
    box = button.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.wait_for_timeout(900)
    page.mouse.up()


@pytest.mark.req("OFF-DVC-07")
def test_the_open_button_opens_the_door_and_says_so(context: BrowserContext, stack: Stack) -> None:
    page = sign_in(context, stack)
    panel = open_panel(context, stack, FRONT)
    panel.expect_shut("Courtyard gate")
    page.bring_to_front()
    _hold(page, "Courtyard gate")
    panel.expect_open("Courtyard gate")
    expect(page.locator(".gh-hold").filter(has_text=re.compile("Open", re.I)).first).to_be_visible()


@pytest.mark.req("OFF-APP-E02")
def test_a_command_that_is_late_opens_nothing(context: BrowserContext, stack: Stack) -> None:
    page = sign_in(context, stack)
    panel = open_panel(context, stack, FRONT)
    panel.expect_shut("Courtyard gate")
    lab = stack.pid("lab")
    page.bring_to_front()
    os.kill(lab, signal.SIGSTOP)
    try:
        _hold(page, "Courtyard gate")
        time.sleep(11)  # the finger has left the button ten seconds ago
    finally:
        os.kill(lab, signal.SIGCONT)
    panel.page.bring_to_front()
    end = time.monotonic() + 6
    while time.monotonic() < end:
        assert "Released" not in panel.lamp("Courtyard gate").inner_text()
        time.sleep(0.1)
    expect(panel.page.locator(".gh-line")).to_contain_text("Online", timeout=30_000)
    panel.type(pin_of(stack, AMELIE))
    panel.expect_open(FRONT)


@pytest.mark.req("OFF-LOG-E03", "COM-DVC-E1")
def test_with_a_clock_an_hour_fast_the_line_still_has_the_right_time(context: BrowserContext, stack: Stack) -> None:
    sign_in(context, stack)
    panel, log = open_panel(context, stack, FRONT), _log(context, stack)
    before = _newest(log)
    panel.hand("Clock +1 h")
    try:
        panel.type(pin_of(stack, AMELIE))
        opened_at = datetime.now(tz=UTC)
        panel.expect_open(FRONT)
        eventually("the line", lambda: _newest(log) != before, 15)
        line = rows(log).first
        assert abs((datetime.fromisoformat(line.get_attribute("data-gh-at") or "") - opened_at).total_seconds()) < 2
        line.locator("a").first.click()
        showed, happened = (
            log.locator("#panel dl div").filter(has_text=label).locator("dd").inner_text()
            for label in ("The device's clock showed", "It happened")
        )
        assert showed > happened
    finally:
        panel.page.locator("aside.gh-tray button").filter(has_text="Clock").first.click()


def test_the_garage_behind_the_gateway_opens_too(context: BrowserContext, stack: Stack) -> None:
    sign_in(context, stack)
    panel, log = open_panel(context, stack, "Garage"), _log(context, stack)
    panel.type(pin_of(stack, AMELIE))
    panel.expect_open("Garage level −1")
    expect(rows(log).first).to_contain_text("Garage", timeout=10_000)


def test_every_part_can_be_killed_and_the_door_still_opens(context: BrowserContext, stack: Stack) -> None:
    sign_in(context, stack)
    for part in ("link", "worker", "web", "broker", "database", "gateway", "lab"):
        stack.kill(part)
    eventually("the portal answers again", lambda: _answers(context, f"{stack.portal}/health/ready"), 60)
    panel, log = open_panel(context, stack, FRONT), _log(context, stack)
    before = _newest(log)
    panel.type(pin_of(stack, AMELIE))
    panel.expect_open(FRONT)
    log.wait_for_function(
        "before => { const row = document.querySelector('#rows tr'); return row && row.dataset.ghId !== before }",
        arg=before,
        timeout=20_000,
    )
