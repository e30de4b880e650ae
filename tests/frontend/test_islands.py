"""The portal's islands in a real browser, over a server of ten lines: holding to open, live lists, the lost line."""

from __future__ import annotations

import json
import queue
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Browser, Page, expect

import gatehouse

DIST = Path(gatehouse.__file__).parent / "cloud" / "static" / "dist"
RELAY = "relay-1"
TYPES = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml", ".woff2": "font/woff2"}
HOLD = (
    '<form method="post" action="/open" hx-post="/open" hx-swap="none"><button class="gh-hold" data-gh-hold="relay-1" '
    'aria-label="Hold to open, Main entrance"><span>Hold to open</span></button></form>'
)


class Site(ThreadingHTTPServer):
    """One page, its parts, and an event stream that tests write to."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.rows = ["first"]
        self.opened = 0
        self.outcome = "sent"
        self.part = "before"
        self.up = True
        self.streams: list[queue.Queue[tuple[str, Any] | None]] = []

    def say(self, name: str, **data: Any) -> None:
        for stream in self.streams:
            stream.put((name, data))

    def cut(self) -> None:
        self.up = False
        for stream in self.streams:
            stream.put(None)

    def row(self, name: str) -> str:
        return f'<tr data-gh-id="{name}"><td><a href="#{name}">{name}</a></td></tr>'

    def page(self) -> str:
        names = json.loads((DIST / "manifest.json").read_text())
        return f"""<!doctype html><html lang="en" dir="ltr" data-bs-theme="light" data-gh-icons="/{names["icons.svg"]}"><head>
<meta charset="utf-8"><link rel="icon" href="data:,"><script src="/{names["theme.js"]}"></script>
<link rel="stylesheet" href="/{names["portal.css"]}"><script type="module" src="/{names["portal.js"]}"></script></head>
<body data-gh-stream="/stream"><div class="gh-lost" data-gh-lost role="status" hidden><span data-gh-lost-text></span></div>
<div id="part" data-gh-live="doors" data-gh-part="/part">{HOLD}</div><p style="block-size: 20rem">Somewhere else</p>
<div class="gh-sheet"><div class="gh-live" data-gh-live-bar hidden><span data-gh-live-count></span>
<button type="button" data-gh-live-show>Show them</button></div>
<table class="gh-list"><tbody data-gh-live="passages" data-gh-rows="/rows">{"".join(map(self.row, self.rows))}</tbody></table></div>
</body></html>"""


class Answer(BaseHTTPRequestHandler):
    server: Site

    def log_message(self, *_: Any) -> None:
        """Nothing: the test's output is for the test."""

    def send(self, body: str | bytes, kind: str = "text/html; charset=utf-8", status: int = 200, **more: str) -> None:
        content = body.encode() if isinstance(body, str) else body
        self.send_response(status)
        for name, value in {"Content-Type": kind, "Content-Length": str(len(content)), **more}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def do_GET(self) -> None:
        site, url = self.server, urlsplit(self.path)
        if url.path == "/":
            self.send(site.page())
        elif url.path == "/part":
            self.send(f"{HOLD}<p id='said'>{site.part}</p>")
        elif url.path == "/rows":
            after = parse_qs(url.query)["after"][0]
            self.send("".join(map(site.row, site.rows[: site.rows.index(after)])))
        elif url.path == "/stream":
            self.stream()
        elif (file := DIST / url.path.strip("/")).is_file():
            self.send(file.read_bytes(), TYPES[file.suffix])
        else:
            self.send("", status=404)

    def stream(self) -> None:
        if not self.server.up:
            self.send("", status=503)
            return
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        self.wfile.write(b": hello\n\n")
        mine: queue.Queue[tuple[str, Any] | None] = queue.Queue()
        self.server.streams.append(mine)
        while (event := mine.get()) is not None:
            self.wfile.write(f"event: {event[0]}\ndata: {json.dumps(event[1])}\n\n".encode())
        self.server.streams.remove(mine)
        self.close_connection = True

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"] or 0))
        self.server.opened += 1
        told = {"gh-hold": {"relay": RELAY, "state": self.server.outcome}}
        self.send("", status=204, **{"HX-Trigger": json.dumps(told)})


@pytest.fixture
def site() -> Iterator[Site]:
    served = Site()
    threading.Thread(target=served.serve_forever, daemon=True).start()
    yield served
    served.cut()
    served.shutdown()


@pytest.fixture
def page(browser: Browser, site: Site) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 1000, "height": 800})
    opened = context.new_page()
    errors: list[str] = []
    opened.on("pageerror", lambda error: errors.append(str(error)))
    opened.goto(site.url)
    expect(opened.locator("html")).to_have_attribute("data-gh-line", "up")
    yield opened
    assert errors == []
    context.close()


def hold(page: Page) -> Any:
    return page.locator(".gh-hold")


def state(page: Page, name: str) -> None:
    expect(hold(page)).to_have_attribute("data-gh-state", name)


def press(page: Page, ms: float) -> None:
    hold(page).hover()
    page.mouse.down()
    page.wait_for_timeout(ms)
    page.mouse.up()


class TestHold:
    def test_a_short_press_opens_nothing_and_says_to_hold_longer(self, page: Page, site: Site) -> None:
        press(page, 400)
        state(page, "idle")
        expect(hold(page)).to_have_text("Hold a little longer")
        page.wait_for_timeout(700)
        assert site.opened == 0

    def test_holding_for_700_ms_opens_once(self, page: Page, site: Site) -> None:
        hold(page).hover()
        page.mouse.down()
        state(page, "holding")
        state(page, "sent")
        page.mouse.up()
        page.wait_for_timeout(300)
        assert site.opened == 1

    @pytest.mark.parametrize("key", ["Space", "Enter"])
    def test_a_key_held_opens_and_a_key_tapped_does_not(self, page: Page, site: Site, key: str) -> None:
        hold(page).focus()
        page.keyboard.down(key)
        page.wait_for_timeout(200)
        page.keyboard.up(key)
        page.wait_for_timeout(700)
        assert site.opened == 0
        page.keyboard.down(key)
        state(page, "sent")
        page.keyboard.up(key)
        page.wait_for_timeout(200)
        assert site.opened == 1

    def test_a_click_without_a_press_asks_first(self, page: Page, site: Site) -> None:
        hold(page).evaluate("button => button.click()")
        state(page, "confirm")
        expect(page.get_by_role("status").filter(has_text="Tap again to open")).to_have_count(1)
        assert site.opened == 0
        hold(page).evaluate("button => button.click()")
        state(page, "sent")
        page.wait_for_timeout(200)
        assert site.opened == 1

    def test_the_outcome_counts_down_and_ends(self, page: Page, site: Site) -> None:
        press(page, 800)
        site.say("hold", relay=RELAY, state="opened", seconds=2)
        expect(hold(page)).to_have_text("Open, 2 s")
        state(page, "idle")

    def test_a_refusal_says_why(self, page: Page, site: Site) -> None:
        press(page, 800)
        site.say("hold", relay=RELAY, state="refused", text="Too late, nothing was opened")
        state(page, "refused")
        expect(hold(page)).to_have_text("Too late, nothing was opened")

    def test_the_outcome_outlives_a_redrawn_board(self, page: Page, site: Site) -> None:
        press(page, 800)
        site.say("hold", relay=RELAY, state="opened", seconds=5)
        state(page, "opened")
        site.part = "after"
        site.say("changed", topic="doors")
        expect(page.locator("#said")).to_have_text("after")
        state(page, "opened")

    def test_a_board_is_not_redrawn_under_a_finger(self, page: Page, site: Site) -> None:
        hold(page).hover()
        page.mouse.down()
        site.part = "after"
        site.say("changed", topic="doors")
        state(page, "sent")
        page.mouse.up()
        expect(page.locator("#said")).to_have_text("after")
        assert site.opened == 1


class TestLive:
    def rows(self, page: Page) -> Any:
        return page.locator("tbody tr")

    def arrive(self, site: Site, *names: str) -> None:
        for name in names:
            site.rows.insert(0, name)
            site.say("changed", topic="passages")

    def test_a_new_row_slides_in_within_a_second(self, page: Page, site: Site) -> None:
        page.mouse.move(5, 5)
        began = time.monotonic()
        self.arrive(site, "second")
        expect(self.rows(page)).to_have_count(2)
        assert time.monotonic() - began < 1
        expect(self.rows(page).first).to_have_text("second")

    def test_while_somebody_reads_rows_wait_and_are_counted(self, page: Page, site: Site) -> None:
        self.rows(page).first.hover()
        self.arrive(site, "second", "third")
        expect(page.locator("[data-gh-live-count]")).to_have_text("2 new")
        expect(self.rows(page)).to_have_count(1)
        page.get_by_role("button", name="Show them").click()
        expect(self.rows(page)).to_have_text(["third", "second", "first"])
        expect(page.locator("[data-gh-live-bar]")).to_be_hidden()

    def test_who_stops_reading_gets_what_came_meanwhile(self, page: Page, site: Site) -> None:
        self.rows(page).first.hover()
        self.arrive(site, "second")
        expect(page.locator("[data-gh-live-bar]")).to_be_visible()
        page.mouse.move(5, 5)
        expect(self.rows(page)).to_have_count(2)

    def test_two_tabs_share_one_stream(self, page: Page, site: Site) -> None:
        other = page.context.new_page()
        other.goto(site.url)
        expect(other.locator("html")).to_have_attribute("data-gh-line", "up")
        assert len(site.streams) == 1
        page.mouse.move(5, 5)
        self.arrive(site, "second")
        expect(other.locator("tbody tr")).to_have_count(2)
        expect(self.rows(page)).to_have_count(2)

    def test_a_lost_line_is_shown_and_what_was_missed_is_asked_for(self, page: Page, site: Site) -> None:
        page.mouse.move(5, 5)
        site.cut()
        expect(page.locator("[data-gh-lost]")).to_contain_text("Connection lost", timeout=10_000)
        site.rows.insert(0, "missed")
        site.up = True
        expect(page.locator("[data-gh-lost]")).to_be_hidden(timeout=15_000)
        expect(self.rows(page)).to_have_count(2)
