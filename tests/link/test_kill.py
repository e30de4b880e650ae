"""Link, broker and PostgreSQL are killed again and again under a stream of events: nothing lost, nothing twice.

The ledger is what the gateways hold: every event that one of them ever numbered. At the end the log must have
each of them exactly once, and per spool in the order of its numbers.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path

import aiomqtt
import psycopg
import pytest

from gatehouse.run.database import create_database
from gatehouse.run.postgres import temporary_server
from gatehouse.wire.messages import Ack
from tests.link.conftest import Broker, LinkProcess, running_broker
from tests.link.gateways import FakeGateway
from tests.link.private import prepare

GATEWAYS = 6


def differences(ledger: Mapping[str, int], rows: Iterable[tuple[str, Sequence[int]]]) -> dict[str, int]:
    """What is wrong: `lost`, `double`, `foreign` (of no spool) and `disordered` rows. Empty when nothing is.

    `ledger`: how many events each spool numbered, from 1. `rows`: the stored numbers of each spool, in the
    order of their ids.
    """
    wrong: Counter[str] = Counter()
    stored = dict(rows)
    for spool, number in ledger.items():
        seqs = stored.pop(spool, [])
        once = set(seqs)
        wrong["lost"] += len(set(range(1, number + 1)) - once)
        wrong["foreign"] += len(once - set(range(1, number + 1)))
        wrong["double"] += len(seqs) - len(once)
        wrong["disordered"] += sum(1 for a, b in pairwise(seqs) if b <= a)
    wrong["foreign"] += sum(len(seqs) for seqs in stored.values())
    return {what: number for what, number in wrong.items() if number}


def test_the_ledger_sees_each_kind_of_mistake() -> None:
    ledger = {"a": 4, "b": 2}
    whole = [("a", [1, 2, 3, 4]), ("b", [1, 2])]
    assert differences(ledger, whole) == {}
    assert differences(ledger, [("a", [1, 2, 4]), ("b", [1, 2])]) == {"lost": 1}
    assert differences(ledger, [("a", [1, 2, 3, 4])]) == {"lost": 2}
    assert differences(ledger, [("a", [1, 2, 2, 3, 4]), ("b", [1, 2])]) == {"double": 1, "disordered": 1}
    assert differences(ledger, [("a", [2, 1, 3, 4]), ("b", [1, 2])]) == {"disordered": 1}
    assert differences(ledger, [*whole, ("c", [1])]) == {"foreign": 1}


class StubbornGateway(FakeGateway):
    """Numbers events, keeps them until they are acknowledged, and never gives up."""

    def __init__(self, port: int, made: Mapping[str, str], events: int, pace_s: float, seed: int) -> None:
        super().__init__(port, made["gateway"], made["secret"])
        self.events = events
        self.acked = 0
        self.pace_s = pace_s
        self.random = random.Random(seed)

    async def deliver(self) -> None:
        """Until everything is acknowledged."""
        while self.acked < self.events:
            with contextlib.suppress(aiomqtt.MqttError, OSError, TimeoutError, RuntimeError):
                async with self.connected(within=30):
                    self.inbox.clear()
                    self.acked = (await self.hello(next_seq=self.acked + 1, within=20)).acked_seq
                    await self._stream()

    async def _stream(self) -> None:
        unanswered = 0
        while self.acked < self.events:
            upto = min(self.acked + self.random.randint(1, 80), self.events)
            try:
                ack = await self.send(*(self.passage(seq) for seq in range(self.acked + 1, upto + 1)), within=2.0)
            except TimeoutError:
                unanswered += 1
                if unanswered > 2 or self.dropped.is_set():
                    self.dropped.clear()
                    return
                continue
            unanswered = 0
            assert ack.refused is None, ack
            if ack.resend or ack.seq > self.acked:
                self.acked = ack.seq
            self.inbox = [message for message in self.inbox if not isinstance(message, Ack)]
            await asyncio.sleep(self.random.uniform(0, 2 * self.pace_s))


class Chaos(threading.Thread):
    """Kills one after the other, and starts it again as the supervisor would."""

    def __init__(
        self, link: LinkProcess, broker: Broker, superuser_dsn: str, database: str, rounds: int, seed: int
    ) -> None:
        super().__init__(daemon=True)
        self.link, self.broker, self.dsn, self.database = link, broker, superuser_dsn, database
        self.rounds = rounds
        self.random = random.Random(seed)
        self.killed: Counter[str] = Counter()
        self.trouble: BaseException | None = None

    def run(self) -> None:
        try:
            for _ in range(self.rounds):
                for victim in self.random.sample(("link", "broker", "database"), 3):
                    time.sleep(self.random.uniform(0.3, 1.5))
                    getattr(self, f"_kill_{victim}")()
                    self.killed[victim] += 1
        except BaseException as error:
            self.trouble = error

    def supervise(self, over: threading.Event) -> None:
        """Start the link again whenever it has ended, by our hand or because its database was away at its start."""
        while not over.wait(0.1):
            if self.link.process is not None and self.link.process.poll() is not None:
                self.link.start(wait=False)

    def _kill_link(self) -> None:
        self.link.kill()

    def _kill_broker(self) -> None:
        self.broker.kill()
        time.sleep(self.random.uniform(0, 0.3))
        self.broker.start()

    def _kill_database(self) -> None:
        """One backend dies; PostgreSQL then throws everybody out and recovers from its log."""
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            with contextlib.suppress(psycopg.OperationalError), psycopg.connect(self.dsn, connect_timeout=2) as server:
                found = server.execute(
                    "SELECT pid FROM pg_stat_activity WHERE datname = %s AND backend_type = 'client backend'"
                    " ORDER BY xact_start IS NULL, random() LIMIT 1",
                    [self.database],
                ).fetchone()
                if found:
                    os.kill(found[0], signal.SIGKILL)
                    return
            time.sleep(0.05)
        raise AssertionError("the link never came back to the database")


@pytest.mark.parametrize(
    ("events", "rounds", "pace_s", "patience_s"),
    [
        pytest.param(20_000, 3, 0.06, 75.0, marks=pytest.mark.timeout(150)),
        pytest.param(200_000, 20, 0.02, 600.0, marks=[pytest.mark.slow, pytest.mark.timeout(900)]),
    ],
)
@pytest.mark.req("OFF-LOG-30", "OFF-LOG-E02", "COM-DVC-C2")
async def test_no_event_is_lost_or_stored_twice_whatever_is_killed(
    tmp_path: Path, events: int, rounds: int, pace_s: float, patience_s: float
) -> None:
    with temporary_server() as server, running_broker(tmp_path / "home") as broker:
        name = "gatehouse_kill"
        url = await asyncio.to_thread(create_database, server.dsn, name)
        made = await asyncio.to_thread(prepare, url, GATEWAYS)
        link = LinkProcess(broker.home, broker.port, url)
        chaos, over = Chaos(link, broker, server.dsn, name, rounds, seed=1), threading.Event()
        supervisor = threading.Thread(target=chaos.supervise, args=(over,), daemon=True)
        each = events // GATEWAYS
        gateways = [StubbornGateway(broker.port, one, each, pace_s, seed) for seed, one in enumerate(made)]
        supervisor.start()
        try:
            await asyncio.to_thread(link.start)
            chaos.start()
            deliveries = [asyncio.create_task(gateway.deliver()) for gateway in gateways]
            _, late = await asyncio.wait(deliveries, timeout=patience_s)
            acked = [gateway.acked for gateway in gateways]
            assert not late, f"{acked} of {each} each; {chaos.killed}; {link.log[-3000:]}"
            await asyncio.gather(*deliveries)
            await asyncio.to_thread(chaos.join, 60)
            assert chaos.trouble is None, chaos.trouble
            assert not chaos.is_alive()
            with psycopg.connect(f"{server.dsn.rsplit('/', 1)[0]}/{name}") as database:
                rows = database.execute(
                    "SELECT spool::text, array_agg(seq ORDER BY id) FROM events_passage GROUP BY spool"
                ).fetchall()
            assert differences({gateway.spool: each for gateway in gateways}, rows) == {}
            assert min(chaos.killed[victim] for victim in ("link", "broker", "database")) == rounds
        finally:
            over.set()
            await asyncio.to_thread(supervisor.join, 40)
            link.kill()
