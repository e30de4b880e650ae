"""The gateway's own code, fed with what the compiler makes: pages that break off, deltas that are lost, power that goes."""

from __future__ import annotations

import asyncio
import random
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from gatehouse.cloud.devices.models import Gateway
from gatehouse.cloud.feed.pages import deltas, page_for, standing
from gatehouse.cloud.feed.services import compile_site, new_epoch, record_published
from gatehouse.gateway.feed import Feed, PullBroken
from gatehouse.gateway.recorder import Recorder
from gatehouse.gateway.spool import Spool
from gatehouse.gateway.store import open_store
from gatehouse.wire.messages import FeedDelta, FeedPage, decode, encode
from tests.cast import NOW
from tests.cloud.feed.acts import do_something
from tests.cloud.feed.test_random_acts import settle
from tests.cloud.feed.town import Held, Town, expected
from tests.gateway.site import Time

AsRole = Callable[[str], AbstractContextManager[None]]


class Box:
    """A gateway's feed on a disk of its own. Its loop runs only while something is asked of it."""

    def __init__(self, gateway: Gateway, folder: Path) -> None:
        self.id, self.folder = gateway.pk, folder
        self.loop = asyncio.new_event_loop()
        self.count: Counter[str] = Counter()
        self.do(self._open())

    def do(self, what: Coroutine[Any, Any, Any]) -> Any:
        return self.loop.run_until_complete(what)

    async def _open(self) -> None:
        store, aside = open_store(self.folder)
        assert aside is None
        self.recorder = Recorder(store, Spool(store, Time().clock(), 1_000, 1))
        self.feed = Feed(self.recorder)
        await self.feed.load()

    def restart(self) -> None:
        """Off and on again; what was laid aside is lost."""
        self.do(self.recorder.close())
        self.do(self._open())
        self.count["restarted"] += 1

    def close(self) -> None:
        self.do(self.recorder.close())
        self.loop.close()

    def pull(self, rng: random.Random, breaks: float) -> bool:
        """Ask for pages like the uplink does; False when the line broke or the feed moved between two pages."""
        asked, cursor, first = self.feed.asks(), None, True
        while True:
            page = page_for(self.id, asked.epoch, asked.revision, cursor, limit=rng.choice([2, 5, 50]))
            try:
                if self.do(self.feed.page(decode(FeedPage, encode(page)), first)):
                    self.count["pulled"] += 1
                    return True
            except PullBroken:
                self.count["moved"] += 1
                self.feed.give_up_pull()
                return False
            if rng.random() < breaks:
                self.count["broken"] += 1
                self.feed.give_up_pull()
                return False
            cursor, first = page.cursor, False

    def delta(self, delta: FeedDelta) -> None:
        before = self.feed.state
        self.do(self.feed.delta(decode(FeedDelta, encode(delta))))
        self.count["deltas"] += self.feed.state != before

    def held(self) -> Held:
        return {key: payload for key, _revision, payload in self.recorder.store.entries()}


@pytest.fixture
def folder() -> Iterator[Path]:
    """In memory where there is such a place: each step is synced."""
    made = Path(tempfile.mkdtemp(dir="/dev/shm" if Path("/dev/shm").is_dir() else None))
    yield made
    shutil.rmtree(made, ignore_errors=True)


@pytest.mark.req("GH-FEED-02")
def test_a_real_gateway_on_a_bad_line_holds_in_the_end_what_its_doors_need(
    town: Town, as_role: AsRole, folder: Path
) -> None:
    rng = random.Random(11)
    settle(town)
    boxes: list[Box] = []
    try:
        for step in range(100):
            for _ in range(rng.randrange(3)):
                do_something(rng, town)
            with as_role("system"):
                compile_site(town.site.pk, NOW)
                if not boxes:
                    rows = Gateway.objects.filter(site_id=town.site.pk).order_by("pk")[:4]
                    boxes = [Box(row, folder / str(number)) for number, row in enumerate(rows)]
                if step == 60:
                    new_epoch(town.site.pk, NOW)
                made = deltas(town.site.pk)
                record_published(town.site.pk, made)
                by_gateway = dict(made)
                for box in boxes:
                    if (delta := by_gateway.get(box.id)) and rng.random() < 0.8:
                        box.delta(delta)
                    if rng.random() < 0.3:
                        box.pull(rng, breaks=0.3)
                    if rng.random() < 0.05:
                        box.restart()
        with as_role("system"):
            wanted = expected(town.site.pk)
            for box in boxes:
                while not box.pull(rng, breaks=0.1):
                    pass
                stand = standing(box.id)
                assert box.feed.state == (stand.epoch, stand.revision)
                assert box.held() == wanted.get(box.id, {})
                assert box.feed.compiled.refused == {}
                box.restart()
                assert box.held() == wanted.get(box.id, {})
        total = sum((box.count for box in boxes), start=Counter[str]())
        assert all(total[what] > 3 for what in ("pulled", "broken", "deltas", "restarted")), total
    finally:
        for box in boxes:
            box.close()
