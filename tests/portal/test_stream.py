"""The event stream over a real server: who hears what, how soon, and what it holds while it waits."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from django.conf import settings
from django.test import Client

from gatehouse.cloud.authz.actor import system_actor
from gatehouse.cloud.authz.permissions import P
from gatehouse.cloud.portal.stream.hub import LIVE, TOPICS, Hub, Result, Screen
from gatehouse.run.home import free_port
from tests.cast import Cast
from tests.portal.conftest import bring_up, to

ROOT = Path(__file__).parents[2]
Browser = Callable[..., Client]


@pytest.fixture(autouse=True)
def prepare_from_within_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests themselves use the ORM while their loop runs; the server is another process and does not."""
    monkeypatch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "1")


@pytest.fixture
def server(database_url: str, tmp_path: Path) -> Iterator[int]:
    """A web process of its own, as `gatehouse web` runs it; its port."""
    port = free_port()
    environment = os.environ | {
        "DATABASE_URL": database_url,
        "GATEHOUSE_DB_ROLE": "app",
        "GATEHOUSE_DB_POOL": "4",
        "GATEHOUSE_HOME": str(tmp_path),
        "GATEHOUSE_MASTER_KEY": settings.MASTER_KEY,
        "GATEHOUSE_SECRET_KEY": settings.SECRET_KEY,
        "PYTHONPATH": str(ROOT / "src"),
    }
    command = [sys.executable, "-m", "uvicorn", "gatehouse.cloud.config.asgi:application", "--port", str(port)]
    command += ["--log-level", "warning", "--timeout-graceful-shutdown", "1"]
    with (tmp_path / "web.log").open("wb") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=subprocess.STDOUT)
    try:
        deadline = time.monotonic() + 20
        while True:
            with contextlib.suppress(OSError):
                line = HTTPConnection("127.0.0.1", port, timeout=2)
                line.request("GET", "/health/live")
                if line.getresponse().status == 200:
                    break
            assert time.monotonic() < deadline, (tmp_path / "web.log").read_text()
            assert process.poll() is None, (tmp_path / "web.log").read_text()
            time.sleep(0.1)
        yield port
    finally:
        process.terminate()
        process.wait(10)


class Stream:
    """One open stream, read event by event."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, status: int) -> None:
        self._reader, self._writer, self.status = reader, writer, status
        self.last_id = ""

    @classmethod
    async def open(cls, port: int, path: str, session: str, last_id: str = "") -> Stream:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        head = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nCookie: gatehouse={session}\r\n"
        head += f"Last-Event-ID: {last_id}\r\n" if last_id else ""
        writer.write(f"{head}\r\n".encode())
        status = int((await asyncio.wait_for(reader.readline(), 10)).split()[1])
        while (await asyncio.wait_for(reader.readline(), 10)).strip():
            pass
        stream = cls(reader, writer, status)
        if status == 200:
            await stream.until(lambda line: line.startswith(": hello"))
        return stream

    async def until(self, wanted: Callable[[str], bool], within: float = 5) -> str:
        async with asyncio.timeout(within):
            while True:
                raw = await self._reader.readline()
                line = raw.decode().strip()
                if not raw or line == "0":  # the last chunk of the answer
                    raise EOFError("the stream has ended")
                if line.startswith("id: "):
                    self.last_id = line[4:]
                if wanted(line):
                    return line

    async def event(self, within: float = 5) -> tuple[str, dict[str, Any]]:
        name = await self.until(lambda line: line.startswith("event: "), within)
        data = await self.until(lambda line: line.startswith("data: "), within)
        return name[7:], json.loads(data[6:])

    async def silent(self, seconds: float) -> bool:
        try:
            await self.event(seconds)
        except TimeoutError:
            return True
        return False

    async def close(self) -> None:
        self._writer.close()
        with contextlib.suppress(OSError):
            await self._writer.wait_closed()


@pytest.fixture
async def streams(server: int) -> AsyncIterator[Callable[..., Any]]:
    opened: list[Stream] = []

    async def open_stream(path: str, session: str, last_id: str = "") -> Stream:
        opened.append(await Stream.open(server, path, session, last_id))
        return opened[-1]

    yield open_stream
    for stream in opened:
        await stream.close()


def tell(dsn: str, site: UUID, **news: object) -> None:
    """As the link tells live screens."""
    with psycopg.connect(dsn, autocommit=True) as line:
        line.execute("SELECT pg_notify(%s, %s)", [LIVE, json.dumps({"site": str(site)} | news)])


def session_of(browser: Browser, user: Any) -> tuple[Client, str]:
    client = browser(user)
    return client, client.cookies["gatehouse"].value


class TestOverTheWire:
    @pytest.mark.req("GH-SEC-06")
    async def test_a_change_is_heard_within_a_second_by_that_site_only(
        self, committed_cast: Cast, browser: Browser, streams: Any, owner_dsn: str
    ) -> None:
        cast = committed_cast
        alice = await streams(to("stream", cast.here), session_of(browser, cast.alice)[1])
        mallory = await streams(to("stream", cast.elsewhere), session_of(browser, cast.mallory)[1])
        began = time.monotonic()
        tell(owner_dsn, cast.here.site.id, passages=[str(uuid4())], doors=[str(cast.here.front.id)])
        assert await alice.event() == ("changed", {"topics": ["doors", "passages"]})
        assert time.monotonic() - began < 1
        assert await mallory.silent(0.5)
        assert (await streams(to("stream", cast.here), session_of(browser, cast.mallory)[1])).status == 404
        assert (await streams(to("stream", cast.here), "nobody")).status == 401

    @pytest.mark.req("GH-SEC-06")
    async def test_nobody_hears_of_what_he_may_not_see(
        self, committed_cast: Cast, browser: Browser, streams: Any, owner_dsn: str
    ) -> None:
        cast = committed_cast
        bob = await streams(to("stream", cast.here), session_of(browser, cast.bob)[1])
        tell(owner_dsn, cast.here.site.id, passages=[str(uuid4())], devices=[str(cast.here.device.id)])
        assert await bob.silent(0.5)
        tell(owner_dsn, cast.here.site.id, passages=[str(uuid4())], doors=[str(cast.here.front.id)])
        assert await bob.event() == ("changed", {"topics": ["doors"]})

    async def test_the_result_of_an_opening_reaches_the_one_who_asked(
        self, committed_cast: Cast, browser: Browser, streams: Any, owner_dsn: str
    ) -> None:
        cast, here = committed_cast, committed_cast.here
        bring_up(here)
        client, session = session_of(browser, cast.bob)
        bob = await streams(to("stream", here), session)
        alice = await streams(to("stream", here), session_of(browser, cast.alice)[1])
        for state, reason, told in (
            ("done", "ok", {"state": "opened", "seconds": 5}),
            ("refused", "command.late", {"state": "refused", "text": "Came too late"}),
            ("expired", "", {"state": "failed", "text": "Came too late"}),
        ):
            client.post(to("open_relay", here, relay=here.front.id))
            with psycopg.connect(owner_dsn, autocommit=True) as line:
                row = line.execute(
                    "UPDATE devices_command SET state = %s, reason = %s, ended_at = now() WHERE ended_at IS NULL "
                    "RETURNING id::text",
                    [state, reason],
                ).fetchone()
            assert row
            tell(owner_dsn, here.site.id, commands=[row[0]])
            assert await bob.event() == ("hold", {"relay": str(here.front.id)} | told)
        assert await alice.silent(0.3)

    @pytest.mark.req("OFF-NAV-04", "OFF-NAV-E06", "GH-SEC-02")
    async def test_it_ends_when_the_session_ends(self, committed_cast: Cast, browser: Browser, streams: Any) -> None:
        client, session = session_of(browser, committed_cast.alice)
        stream = await streams(to("stream", committed_cast.here), session)
        other = await streams(to("stream", committed_cast.here), session_of(browser, committed_cast.bob)[1])
        began = time.monotonic()
        client.post("/sign-out/")
        assert await stream.event() == ("bye", {})
        assert time.monotonic() - began < 2
        with pytest.raises(EOFError):
            await stream.event()
        assert await other.silent(0.3)

    async def test_who_comes_back_hears_what_changed_meanwhile(
        self, committed_cast: Cast, browser: Browser, streams: Any, owner_dsn: str
    ) -> None:
        site = committed_cast.here.site.id
        session = session_of(browser, committed_cast.alice)[1]
        first = await streams(to("stream", committed_cast.here), session)
        tell(owner_dsn, site, devices=[str(uuid4())])
        await first.event()
        stopped = first.last_id
        await first.close()
        keeper = await streams(to("stream", committed_cast.here), session)
        tell(owner_dsn, site, passages=[str(uuid4())])
        await keeper.event()
        back = await streams(to("stream", committed_cast.here), session, stopped)
        assert await back.event() == ("changed", {"topics": ["passages"]})
        # after a restart of the server everything may be new
        lost = await streams(to("stream", committed_cast.here), session, "other-7")
        assert (await lost.event())[1]["topics"] == sorted(TOPICS)

    async def test_three_hundred_streams_hold_no_database_connection(
        self, committed_cast: Cast, browser: Browser, streams: Any, owner_dsn: str, server: int
    ) -> None:
        session = session_of(browser, committed_cast.alice)[1]
        path = to("stream", committed_cast.here)
        opened: list[Stream] = []
        for _ in range(10):
            opened += await asyncio.gather(*(streams(path, session) for _ in range(30)))
        assert {stream.status for stream in opened} == {200}
        with psycopg.connect(owner_dsn, autocommit=True) as line:
            held = line.execute(
                "SELECT count(*) FILTER (WHERE application_name = 'gatehouse live'), "
                "count(*) FILTER (WHERE state <> 'idle' AND application_name <> 'gatehouse live') "
                "FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
            ).fetchone()
        assert held == (1, 0)
        # pages are still answered, by a pool of four
        page = HTTPConnection("127.0.0.1", server, timeout=5)
        page.request("GET", to("dashboard", committed_cast.here), headers={"Cookie": f"gatehouse={session}"})
        assert page.getresponse().status == 200
        tell(owner_dsn, committed_cast.here.site.id, passages=[str(uuid4())])
        heard = await asyncio.gather(*(stream.event() for stream in opened))
        assert heard == [("changed", {"topics": ["passages"]})] * 300

    async def test_a_cut_line_to_the_database_is_mended_and_everything_asked_again(
        self, committed_cast: Cast, browser: Browser, streams: Any, owner_dsn: str
    ) -> None:
        stream = await streams(to("stream", committed_cast.here), session_of(browser, committed_cast.alice)[1])
        tell(owner_dsn, committed_cast.here.site.id, doors=[str(uuid4())])
        await stream.event()
        with psycopg.connect(owner_dsn.split("?")[0], autocommit=True) as line:
            line.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'gatehouse live' "
                "AND datname = current_database()"
            )
        assert await stream.event(10) == ("changed", {"topics": sorted(TOPICS)})
        tell(owner_dsn, committed_cast.here.site.id, doors=[str(uuid4())])
        assert await stream.event() == ("changed", {"topics": ["doors"]})


class TestScreen:
    """What a slow reader costs."""

    def screen(self) -> Screen:
        return Screen(system_actor(uuid4()), "session")

    def test_a_topic_is_kept_once_however_often_it_changed(self) -> None:
        screen = self.screen()
        for _ in range(1000):
            screen.hear(["passages"])
        assert screen.take() == (["passages"], [])
        assert screen.take() == ([], [])

    def test_results_are_bounded_the_oldest_go(self) -> None:
        screen = self.screen()
        for number in range(100):
            screen.hear([], [Result(screen.actor.id, {"number": number})])
        assert [result["number"] for result in screen.take()[1]] == list(range(80, 100))

    def test_it_is_woken_only_by_what_concerns_it(self) -> None:
        screen = self.screen()
        screen.hear([], [Result(uuid4(), {})])
        assert not screen.rung.is_set()
        screen.doubt()
        assert screen.rung.is_set()

    async def test_nonsense_on_the_channel_is_passed_over(self) -> None:
        hub = Hub(lambda site, ids: [])
        for channel, payload in ((LIVE, "{"), (LIVE, "{}"), (LIVE, '{"site": 7}'), ("gatehouse_rights", "x")):
            hub._note(channel, payload)
        assert hub.number == 0

    def test_every_topic_needs_a_right(self) -> None:
        assert set(TOPICS.values()) <= set(P)
