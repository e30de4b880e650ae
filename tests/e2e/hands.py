"""What people do in the browser: sign in, open the lab, use a panel, read the log."""

from __future__ import annotations

import re
from dataclasses import dataclass

from playwright.sync_api import BrowserContext, Locator, Page, expect

from tests.e2e.stack import Stack


def sign_in(context: BrowserContext, stack: Stack, login: str = "alice") -> Page:
    """A page of the portal, signed in, on the site's dashboard."""
    page = context.new_page()
    page.goto(f"{stack.portal}/sign-in/")
    page.fill("#id_login", login)
    page.fill("#id_password", stack.password(login))
    page.click("#sign-in button.btn-primary")
    page.wait_for_url(re.compile(r"/s/[0-9a-f-]{36}/"))
    return page


def site_address(stack: Stack) -> str:
    return f"{stack.portal}/s/{stack.demo['site']}"


@dataclass
class Panel:
    """A virtual door phone in a browser tab."""

    page: Page

    def type(self, code: str, confirm: bool = True) -> None:
        """Press keys as a finger would; `#` confirms."""
        pad = self.page.get_by_role("group", name="Keypad")
        for key in code + ("#" if confirm else ""):
            pad.locator("button").filter(has_text=re.compile(rf"^{re.escape(key)}")).first.click()

    def lamp(self, relay: str) -> Locator:
        """The row of a relay in the tester's tray."""
        return self.page.locator("li.gh-lamp").filter(has_text=relay)

    def expect_open(self, relay: str) -> None:
        expect(self.lamp(relay).locator(".gh-lamp-state")).to_contain_text("Released")

    def expect_shut(self, relay: str) -> None:
        expect(self.lamp(relay).locator(".gh-lamp-state")).to_contain_text("Resting", timeout=15_000)

    def hand(self, label: str) -> None:
        """Use one of the tester's hands, such as `Cut cable`."""
        self.page.locator("aside.gh-tray button").filter(has_text=label).first.click()


def open_panel(context: BrowserContext, stack: Stack, device: str) -> Panel:
    """Go through the portal into the lab and choose a device. The context must be signed in."""
    page = context.new_page()
    page.goto(f"{site_address(stack)}/lab/")
    page.wait_for_url(re.compile(re.escape(f":{stack.ports['LAB']}/")))
    page.locator("a").filter(has_text=device).first.click()
    expect(page.locator("h1")).to_have_text(device)
    panel = Panel(page)
    mend = page.locator("aside.gh-tray button").filter(has_text="Mend cable")
    if mend.count():  # an earlier story ended badly; this one must not fail for it
        mend.click()
    expect(page.locator(".gh-line")).to_contain_text("Online", timeout=30_000)
    return panel


def pin_of(stack: Stack, name: str) -> str:
    return next(str(pin["text"]) for pin in stack.demo["pins"] if pin["label"] == name)


def rows(page: Page) -> Locator:
    """Lines of the door log."""
    return page.locator("#rows tr")
