"""A real broker, a real PostgreSQL, the link as its own process, and gateways that speak wire over MQTT."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID

import pytest
from django.db import connection, transaction

from gatehouse.cloud.authz.actor import Actor, enter, system_actor
from gatehouse.cloud.devices.models import Gateway
from gatehouse.cloud.devices.services import claim_gateway, issue_claim_code
from gatehouse.cloud.events.models import Passage
from gatehouse.cloud.feed.services import compile_site
from gatehouse.cloud.kit import clock
from gatehouse.run import broker as run_broker
from gatehouse.run.home import free_port
from tests.cast import Cast

T = TypeVar("T")

ROOT = Path(__file__).parents[2]


def until(true: Callable[[], bool], within: float, what: str) -> None:
    """Wait for something that another process does; fails with `what` when it takes longer than `within` seconds."""
    deadline = time.monotonic() + within
    while not true():
        assert time.monotonic() < deadline, f"within {within} s: {what}"
        time.sleep(0.02)


@dataclass
class Broker:
    """mosquitto as `gatehouse up` would run it, reloaded when the link has written its accounts."""

    home: Path
    port: int
    queue: int = 100_000
    process: subprocess.Popen[bytes] | None = None
    reloads: int = 0
    _over: threading.Event = field(default_factory=threading.Event)

    def prepare(self) -> None:
        folder = self.home / "broker"
        folder.mkdir(parents=True, exist_ok=True)
        (self.home / "secrets").mkdir(exist_ok=True)
        (self.home / "secrets" / "broker-link").write_text("the link's password\n")
        (folder / "passwords").write_text(run_broker.password_line("link", "the link's password") + "\n")
        (folder / "acl").write_text(run_broker.first_rules())
        for name in ("passwords", "acl"):
            (folder / name).chmod(0o600)
        (folder / "mosquitto.conf").write_text(
            f"user root\nallow_anonymous false\nper_listener_settings false\nlistener {self.port} 127.0.0.1\n"
            f"password_file {folder / 'passwords'}\nacl_file {folder / 'acl'}\n"
            f"persistence true\npersistence_location {folder}/\nautosave_interval 1\n"
            f"max_queued_messages {self.queue}\nmax_queued_bytes 0\nmax_inflight_messages 100\n"
            "message_size_limit 4194304\nsys_interval 1\nlog_type error\nconnection_messages false\n"
        )

    def start(self) -> None:
        with (self.home / "broker.log").open("ab") as log:
            self.process = subprocess.Popen(
                ["/usr/sbin/mosquitto", "-c", str(self.home / "broker" / "mosquitto.conf")],
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        until(self._accepts, 10, "the broker accepts")

    def _accepts(self) -> bool:
        import socket

        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=1):
            return True
        return False

    def watch(self) -> None:
        """What the supervisor does: a signal when a file was replaced."""
        seen = self._look()
        while not self._over.wait(0.1):
            if (now := self._look()) != seen and self.process is not None and self.process.poll() is None:
                self.process.send_signal(signal.SIGHUP)
                self.reloads += 1
            seen = now

    def _look(self) -> list[tuple[int, int]]:
        states = [(self.home / "broker" / name).stat() for name in ("passwords", "acl")]
        return [(state.st_mtime_ns, state.st_ino) for state in states]

    def kill(self) -> None:
        """As a power cut does."""
        if self.process is not None:
            self.process.kill()
            self.process.wait(10)

    def close(self) -> None:
        self._over.set()
        self.kill()


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    """A running broker with a home of its own."""
    with running_broker(tmp_path / "home") as one:
        yield one


@contextlib.contextmanager
def running_broker(home: Path) -> Iterator[Broker]:
    """A broker that ends with the block."""
    home.mkdir(parents=True, exist_ok=True)
    one = Broker(home, free_port())
    one.prepare()
    watcher = threading.Thread(target=one.watch, daemon=True)
    try:
        one.start()
        watcher.start()
        yield one
    finally:
        one.close()


@dataclass
class LinkProcess:
    """`gatehouse link` as a process of its own."""

    home: Path
    mqtt_port: int
    database_url: str
    process: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> str:
        """All it has said so far."""
        path = self.home / "link.log"
        return path.read_text() if path.exists() else ""

    def start(self, wait: bool = True) -> None:
        connected = self.log.count("connected to the broker")
        with (self.home / "link.log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "gatehouse.cli", "link"],
                env={
                    **os.environ,
                    "PYTHONPATH": str(ROOT / "src"),
                    "DATABASE_URL": self.database_url,
                    "GATEHOUSE_HOME": str(self.home),
                    "GATEHOUSE_PORT_MQTT": str(self.mqtt_port),
                    "GATEHOUSE_DB_POOL": "4",
                },
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        if wait:
            until(
                lambda: self.log.count("connected to the broker") > connected,
                30,
                f"the link connects: {self.log[-2000:]}",
            )

    def kill(self) -> None:
        """As a power cut does."""
        if self.process is not None:
            self.process.kill()
            self.process.wait(10)

    def stop(self) -> int:
        """In order; returns the exit code."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(15)


@pytest.fixture
def link(broker: Broker, committed_cast: Cast, database_url: str) -> Iterator[LinkProcess]:
    """A running link over the cast's database."""
    one = LinkProcess(broker.home, broker.port, database_url)
    try:
        one.start()
        yield one
    finally:
        one.kill()


async def off(act: Callable[..., T], *arguments: Any) -> T:
    """Database work of a test, away from its event loop."""

    def job() -> T:
        try:
            return act(*arguments)
        finally:
            connection.close()

    return await asyncio.to_thread(job)


@contextlib.contextmanager
def inside(site: UUID) -> Iterator[Actor]:
    """A committed transaction that has entered a site."""
    with transaction.atomic():
        actor = system_actor(site)
        enter(actor)
        yield actor


def stored(site: UUID, spool: str) -> list[int]:
    """Sequence numbers of a spool's rows, in the order of their ids."""
    with inside(site):
        return list(Passage.objects.filter(spool=spool).order_by("id").values_list("seq", flat=True))


def claimed(gateway: Gateway) -> str:
    """Claim a gateway as its installer would; returns the secret."""
    with transaction.atomic():
        actor = system_actor(gateway.site_id)
        enter(actor)
        code = issue_claim_code(actor=actor, gateway=gateway, now=clock.now())
        return claim_gateway(actor=actor, gateway=gateway, code=code, version="0.1.0", now=clock.now()).secret


def compiled(site: UUID) -> None:
    """What the worker does for a touched site, in its role."""
    with connection.cursor() as cursor:
        cursor.execute("SET ROLE gatehouse_system")
    try:
        compile_site(site, clock.now())
    finally:
        with connection.cursor() as cursor:
            cursor.execute("SET ROLE gatehouse_app")
