"""The whole of Gatehouse on one machine: started, killed piece by piece, stopped, started again with its data.

One start serves the first tests; the later ones stop it and go on with its data, so their order matters.
"""

import contextlib
import json
import os
import re
import signal
import ssl
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from gatehouse.run import home, processes, tls

PROCESSES = ("database", "broker", "web", "worker", "link", "gateway", "lab")


class Running:
    """A `gatehouse up` of its own: folder, ports, terminal."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ports = {name: home.free_port() for name in home.PORTS}
        self.process: subprocess.Popen[bytes] | None = None
        self.terminal = folder / "terminal"
        self.took = 0.0

    def start(self) -> None:
        """Returns when it is open for business."""
        unwanted = ("DATABASE_URL", "PUBLIC_URL", "GATEHOUSE_DEMO", "GATEHOUSE_MASTER_KEY", "GATEHOUSE_SECRET_KEY")
        variables = {name: value for name, value in os.environ.items() if name not in unwanted}
        variables |= {f"GATEHOUSE_PORT_{name}": str(port) for name, port in self.ports.items()}
        began = time.monotonic()
        with self.terminal.open("wb") as terminal:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "gatehouse.cli", "up"],
                env=variables | {"GATEHOUSE_HOME": str(self.folder)},
                stdout=terminal,
                stderr=subprocess.STDOUT,
            )
        while "Ctrl-C stops everything" not in self.said():
            assert self.process.poll() is None, self.said()
            assert time.monotonic() - began < 100, self.said()
            time.sleep(0.05)
        self.took = time.monotonic() - began

    def said(self) -> str:
        """All that stands on the terminal."""
        return self.terminal.read_text()

    def stop(self, how: signal.Signals = signal.SIGTERM) -> float:
        """Seconds until all of it was gone."""
        assert self.process is not None
        began = time.monotonic()
        self.process.send_signal(how)
        self.process.wait(20)
        return time.monotonic() - began

    def state(self) -> dict[str, dict[str, Any]]:
        """What the health page is told, by process."""
        read: dict[str, dict[str, Any]] = json.loads((self.folder / "run" / "state.json").read_text())["processes"]
        return read

    def pids(self) -> dict[str, int]:
        """The processes that run."""
        return {name: entry["pid"] for name, entry in self.state().items() if entry["pid"]}

    def ask(self, url: str) -> int:
        """The status of an answer, trusting the local authority only."""
        context = ssl.create_default_context(cafile=str(self.folder / "tls" / "authority.crt"))
        with urllib.request.urlopen(url, timeout=10, context=context) as answer:
            return int(answer.status)

    def sign_ins(self) -> list[dict[str, str]]:
        """The demo's sign-ins."""
        read: list[dict[str, str]] = json.loads((self.folder / "run" / "demo.json").read_text())["sign_ins"]
        return read

    def count(self, table: str) -> int:
        """Rows of a table, as the role that sees all sites."""
        password = (self.folder / "secrets" / "database").read_text().strip()
        url = f"postgresql://gatehouse:{password}@127.0.0.1:{self.ports['DATABASE']}/gatehouse"
        with psycopg.connect(url, options="-c role=gatehouse_system") as connection:
            row = connection.execute(f"SELECT count(*) FROM {table}").fetchone()
        assert row is not None
        return int(row[0])


@pytest.fixture(scope="module")
def running() -> Iterator[Running]:
    with tempfile.TemporaryDirectory(prefix="gatehouse-up-") as place:
        folder = Path(place)
        folder.chmod(0o711)
        started = Running(folder)
        started.start()
        try:
            yield started
        finally:
            if started.process is not None and started.process.poll() is None:
                started.stop()


@pytest.mark.req("GH-RUN-01")
def test_it_says_each_step_with_its_time_then_addresses_sign_ins_and_what_to_try(running: Running) -> None:
    said = running.said()
    for step in ("database", "broker", "web", "worker", "link", "demo loaded", "gateway", "lab"):
        assert re.search(rf"^  {step}.* \d+\.\d s$", said, re.MULTILINE), said
    assert f"http://localhost:{running.ports['WEB']}" in said
    assert f"http://localhost:{running.ports['LAB']}" in said
    for address in tls.lan_addresses():
        assert f"https://{address}:{running.ports['WEB_TLS']}" in said
    assert running.sign_ins()
    for entry in running.sign_ins():
        assert re.search(rf"{entry['role']} +{entry['login']} +{re.escape(entry['password'])}", said)
    assert "What to try first\n  1. " in said


@pytest.mark.req("GH-RUN-05")
def test_localhost_speaks_http_and_everything_else_https(running: Running) -> None:
    assert running.ask(f"http://127.0.0.1:{running.ports['WEB']}/health/live") == 200
    for address in ("localhost", *tls.lan_addresses()):
        assert running.ask(f"https://{address}:{running.ports['WEB_TLS']}/health/live") == 200
    for address in tls.lan_addresses():
        with pytest.raises(OSError, match="refused"):
            running.ask(f"http://{address}:{running.ports['WEB']}/health/live")


@pytest.mark.req("GH-RUN-07")
def test_only_what_was_printed_listens_beyond_loopback(running: Running) -> None:
    beyond = {port for pid in running.pids().values() for port in listening_beyond_loopback(pid)}
    assert beyond == {running.ports[name] for name in home.ON_ALL_INTERFACES}


def listening_beyond_loopback(pid: int) -> set[int]:
    inodes = set()
    with contextlib.suppress(OSError):
        inodes = {str(descriptor.readlink()) for descriptor in Path(f"/proc/{pid}/fd").iterdir()}
    found = set()
    for table, loopback in (("tcp", "0100007F"), ("tcp6", "0" * 24 + "01000000")):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            address, port = fields[1].rsplit(":", 1)
            if fields[3] == "0A" and address != loopback and f"socket:[{fields[9]}]" in inodes:
                found.add(int(port, 16))
    return found


@pytest.mark.req("GH-RUN-08")
def test_no_part_of_it_runs_as_root(running: Running) -> None:
    owners = {name: Path(f"/proc/{pid}").stat().st_uid for name, pid in running.pids().items()}
    assert set(owners) == set(PROCESSES)
    assert 0 not in owners.values()
    if os.geteuid() == 0:
        assert len({owners["database"], owners["broker"], owners["web"]}) == 3


@pytest.mark.req("GH-RUN-04")
def test_nobody_else_can_read_its_secrets(running: Running) -> None:
    private = [running.folder / "master.key", running.folder / "run" / "demo.json", *running.folder.glob("tls/*.key")]
    private += running.folder.glob("secrets/*")
    assert len(private) >= 8
    assert [path for path in private if path.stat().st_mode & 0o077] == []


@pytest.mark.req("GH-RUN-E1")
def test_a_second_start_beside_it_is_refused(running: Running) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "gatehouse.cli", "up"],
        env={**os.environ, "GATEHOUSE_HOME": str(running.folder)},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert running.process is not None
    assert (done.returncode, done.stdout) == (1, "")
    assert f"already running on {running.folder} (process {running.process.pid})" in done.stderr


@pytest.mark.req("GH-RUN-02", "GH-RUN-E2")
def test_every_part_that_is_killed_comes_back(running: Running) -> None:
    before = running.pids()
    for pid in before.values():
        os.kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + 40
    while True:
        state = running.state()
        if all(state[name]["state"] == "ready" and state[name]["restarts"] >= 1 for name in PROCESSES):
            break
        assert time.monotonic() < deadline, running.said()
        time.sleep(0.1)
    assert {state[name]["last_exit"] for name in ("database", "broker")} == {"signal SIGKILL"}
    assert not set(before.values()) & set(running.pids().values())
    assert running.ask(f"http://127.0.0.1:{running.ports['WEB']}/health/live") == 200
    assert "[web] ended unexpectedly (signal SIGKILL), starts again in" in running.said()


@pytest.mark.req("GH-RUN-02")
def test_it_stops_within_ten_seconds_and_starts_again_with_its_data_in_less_than_twenty(running: Running) -> None:
    sign_ins, people, pids = running.sign_ins(), running.count("people_person"), running.pids()
    assert people > 0
    assert running.stop(signal.SIGINT) < 10
    assert [name for name, pid in pids.items() if processes.started(pid)] == []
    running.start()
    assert running.took < 20
    assert running.sign_ins() == sign_ins
    assert running.count("people_person") == people


@pytest.mark.req("GH-RUN-E2")
def test_a_killed_supervisor_leaves_nothing_behind_and_the_next_start_works(running: Running) -> None:
    pids = running.pids()
    assert running.stop(signal.SIGKILL) < 5
    running.start()
    assert [name for name, pid in pids.items() if processes.started(pid)] == []
    assert running.stop() < 10
