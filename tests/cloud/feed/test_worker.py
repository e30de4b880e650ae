"""The worker as a process: woken by acts, killed at any moment, several at once; and nothing is lost."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pytest
from django.conf import settings
from django.db import connection

from gatehouse.cloud.changes.models import Touched
from gatehouse.cloud.changes.services import touch
from gatehouse.cloud.devices.models import Device, Gateway
from gatehouse.cloud.feed.models import DeviceFeed, Entry, Revision, SiteFeed, Wanted
from gatehouse.cloud.feed.pages import deltas
from gatehouse.cloud.feed.services import compile_site, new_epoch, record_applied, record_published, release_quarantine
from gatehouse.cloud.people.models import Credential
from gatehouse.wire.messages import FeedDelta
from tests.cast import NOW
from tests.cloud.feed.acts import do_something
from tests.cloud.feed.gateways import Doors, Far
from tests.cloud.feed.test_random_acts import settle
from tests.cloud.feed.town import Town, expected

AsRole = Callable[[str], AbstractContextManager[None]]
NAME = f"feed-worker-{os.getpid()}"


class Workers:
    """Worker processes under the test's own name."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.running: list[subprocess.Popen[bytes]] = []

    def start(self) -> subprocess.Popen[bytes]:
        environment = {
            **os.environ,
            "GATEHOUSE_DB_ROLE": "system",
            "GATEHOUSE_HOME": str(self.folder),
            "GATEHOUSE_MASTER_KEY": settings.MASTER_KEY,
            "PGAPPNAME": NAME,
        }
        with (self.folder / "log").open("ab") as log:
            worker = subprocess.Popen(
                [sys.executable, "-c", "import sys; from gatehouse.cli import main; sys.exit(main())", "worker"],
                env=environment,
                stdout=log,
                stderr=log,
            )
        self.running.append(worker)
        return worker

    def kill(self, worker: subprocess.Popen[bytes]) -> None:
        worker.kill()
        worker.wait(10)
        self.running.remove(worker)

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text()


@pytest.fixture
def workers(tmp_path: Path) -> Iterator[Workers]:
    made = Workers(tmp_path)
    try:
        yield made
    finally:
        for worker in list(made.running):
            made.kill(worker)


@pytest.fixture
def server(database_server: str, database_url: str) -> Iterator[psycopg.Connection[Any]]:
    """The superuser, in the test's database: ends other sessions."""
    with psycopg.connect(database_server, dbname=database_url.rpartition("/")[2], autocommit=True) as made:
        yield made


def until(condition: Callable[[], object], seconds: float = 20.0) -> None:
    limit = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < limit, "it did not come to this in time"
        time.sleep(0.05)


def revision(town: Town) -> int:
    with town.act():
        return SiteFeed.objects.get(pk=town.site.pk).revision if SiteFeed.objects.exists() else 0


def test_an_act_wakes_the_worker_and_a_stop_ends_it_quietly(town: Town, workers: Workers) -> None:
    worker = workers.start()
    until(lambda: revision(town) == 1)
    times = []
    for number in range(5):
        begun = time.monotonic()
        with town.act():
            town.gateway()
        until(lambda: revision(town) == 2 + number)
        times.append(time.monotonic() - begun)
    assert min(times) < 1.0, "a notification wakes it; its own look comes every two seconds"
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(10) == 0
    assert "Traceback" not in workers.log and '"error"' not in workers.log


def test_a_site_that_cannot_be_compiled_holds_up_no_other(town: Town, workers: Workers, as_role: AsRole) -> None:
    with as_role("system"):
        Touched.objects.create(site_id=UUID(int=1), kind="site", key=UUID(int=1))
    workers.start()
    until(lambda: revision(town) == 1)
    with town.act():
        town.gateway()
    until(lambda: revision(town) == 2)
    assert "feed.compile_failed" in workers.log
    with as_role("system"):
        assert Touched.objects.filter(site_id=UUID(int=1)).count() == 1


def test_a_worker_takes_up_what_was_touched_while_none_was_there(town: Town, workers: Workers) -> None:
    workers.kill(workers.start())
    with town.act():
        town.gateway()
    workers.start()
    until(lambda: revision(town) == 1)


def test_when_the_database_ends_every_session_the_worker_comes_back(
    town: Town, workers: Workers, server: psycopg.Connection[Any]
) -> None:
    workers.start()
    until(lambda: revision(town) == 1)
    for number in range(3):
        ended = server.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = %s", [NAME]
        ).fetchall()
        assert ended
        with town.act():
            town.gateway()
        until(lambda: revision(town) == 2 + number)
    assert "feed.compile_failed" not in workers.log


def test_a_note_that_names_no_site_is_nothing_to_it(town: Town, workers: Workers) -> None:
    workers.start()
    until(lambda: revision(town) == 1)
    with town.act(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_notify('gatehouse_touched', 'nonsense')")
    with town.act():
        touch(town.site.pk, "site", town.site.pk)
        town.gateway()
    until(lambda: revision(town) == 2)


@pytest.mark.timeout(240)
@pytest.mark.req("GH-FEED-02", "GH-FEED-04", "GH-FEED-E1")
def test_nothing_is_lost_while_many_act_and_compilers_die_and_gateways_are_far(
    town: Town, workers: Workers, server: psycopg.Connection[Any], as_role: AsRole
) -> None:
    """Eight threads act, two workers compile and are ended in mid-transaction, gateways pull over a bad line.

    Meanwhile: a code that was freed is known at no door. In the end: the feed equals one made from nothing, each
    gateway holds exactly what a slow reading of the tables says, revisions have no gap, every code is free.
    """
    settle(town)
    stop, count = threading.Event(), Counter[str]()
    faults: list[BaseException] = []

    def guarded(act: Callable[[], None]) -> Callable[[], None]:
        def run() -> None:
            try:
                act()
            except BaseException as error:
                faults.append(error)
                stop.set()
                raise
            finally:
                connection.close()

        return run

    def acting(seed: int) -> Callable[[], None]:
        def act() -> None:
            rng = random.Random(seed)
            while not stop.is_set():
                count["acts" if do_something(rng, town) else "refused"] += 1
                stop.wait(rng.random() * 0.5)

        return act

    def killing() -> None:
        rng, busy = (
            random.Random(99),
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = %s ",
        )
        busy += "AND datname = current_database() AND xact_start IS NOT NULL AND backend_xid IS NOT NULL"
        while not stop.is_set():
            ended = len(server.execute(busy, [NAME]).fetchall())
            count["ended"] += ended
            stop.wait(rng.random() if ended else 0.005)

    def restarting() -> None:
        while not stop.wait(4.0):
            workers.kill(workers.running[0])
            workers.start()
            count["killed"] += 1

    for _ in range(2):
        workers.start()
    until(lambda: revision(town) >= 1)
    threads = [threading.Thread(target=guarded(acting(seed))) for seed in range(8)]
    threads += [threading.Thread(target=guarded(killing)), threading.Thread(target=guarded(restarting))]
    for thread in threads:
        thread.start()
    rng, doors = random.Random(7), Doors()
    far: dict[UUID, Far] = {}
    late: list[tuple[UUID, FeedDelta]] = []
    with ExitStack() as stack:
        for thread in threads:
            stack.callback(thread.join, 30)
        stack.callback(stop.set)
        stack.enter_context(as_role("system"))
        limit, restored = time.monotonic() + 18, False
        while time.monotonic() < limit and not stop.is_set():
            late = _link(town, far, doors, rng, late)
            _no_freed_code_is_known_anywhere(town, doors)
            if not restored and limit - time.monotonic() < 9:
                new_epoch(town.site.pk, NOW)
                restored = True
    assert faults == []
    with as_role("system"):
        until(lambda: not Touched.objects.filter(site_id=town.site.pk).exists())
        again = compile_site(town.site.pk, NOW, everything=True)
        assert (again.changed, again.concerned) == (0, 0)
        wanted = expected(town.site.pk)
        gateways = Gateway.objects.filter(site_id=town.site.pk)
        for gateway in [far.setdefault(row.pk, Far(row.pk, doors, rng)) for row in gateways]:
            while not gateway.pull(breaks=0.05):
                pass
            assert gateway.entries == wanted.get(gateway.id, {})
            for device in gateway.devices:
                gateway.configure(device)
            if report := gateway.report():
                record_applied(gateway.id, report, NOW)
        release_quarantine(town.site.pk, NOW)
        _no_freed_code_is_known_anywhere(town, doors)
        _everything_is_told(town)
        numbers = list(Revision.objects.filter(site_id=town.site.pk).order_by("id").values_list("number", flat=True))
        assert numbers == list(range(1, len(numbers) + 1))
        assert not Entry.objects.filter(site_id=town.site.pk, revision__gt=numbers[-1]).exists()
    total = sum((gateway.count for gateway in far.values()), start=count)
    enough = {"acts": 150, "ended": 8, "killed": 2, "deltas": 3, "broken": 10, "early": 5, "stale": 1}
    assert all(total[what] >= least for what, least in enough.items()), total


def _link(
    town: Town, far: dict[UUID, Far], doors: Doors, rng: random.Random, late: list[tuple[UUID, FeedDelta]]
) -> list[tuple[UUID, FeedDelta]]:
    """A round of a link whose messages are lost, doubled, swapped; returns those still on their way."""
    for row in Gateway.objects.filter(site_id=town.site.pk):
        far.setdefault(row.pk, Far(row.pk, doors, rng))
    made = deltas(town.site.pk)
    record_published(town.site.pk, made)
    late = late + [pair for pair in made if rng.random() < 0.8] + [pair for pair in made if rng.random() < 0.1]
    rng.shuffle(late)
    for _ in range(rng.randrange(len(late) + 1)):
        name, delta = late.pop()
        far[name].take(delta)
    for gateway in far.values():
        if rng.random() < 0.2:
            gateway.pull(breaks=0.2)
        for device in gateway.devices:
            if rng.random() < 0.3:
                gateway.configure(device)
        if rng.random() < 0.4 and (report := gateway.report()):
            record_applied(gateway.id, report, NOW)
    return late


def _no_freed_code_is_known_anywhere(town: Town, doors: Doors) -> None:
    freed = {
        str(key) for key in Credential.objects.filter(site_id=town.site.pk, state="freed").values_list("pk", flat=True)
    }
    standing = Device.objects.filter(site_id=town.site.pk, deleted_at=None, gateway__revoked_at=None)
    for device in standing.values_list("pk", flat=True):
        assert not freed & doors.known.get(str(device), (0, frozenset()))[1]


def _everything_is_told(town: Town) -> None:
    """Nothing is in quarantine any more but what a door without a gateway may still know."""
    feed = SiteFeed.objects.get(pk=town.site.pk)
    wanted = dict(Wanted.objects.filter(site_id=town.site.pk).values_list("gateway_id", "revision"))
    held = {row.pk: row.applied for row in DeviceFeed.objects.filter(site_id=town.site.pk, epoch=feed.epoch)}
    devices = Device.objects.filter(site_id=town.site.pk, deleted_at=None).select_related("gateway")
    lost = [device for device in devices if device.gateway is None]
    for device in devices:
        if device.gateway and not device.gateway.revoked_at:
            assert held[device.pk] >= wanted[device.gateway.pk]
    left = Credential.objects.filter(site_id=town.site.pk, state="quarantined")
    assert lost or not left.exists()
    assert Credential.objects.filter(site_id=town.site.pk, state="freed").exists()
    assert not left.filter(withdrawn_revision=None).exists()
