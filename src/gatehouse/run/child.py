"""One supervised process: what it is, how it is started, what it says, how it ends."""

import collections
import contextlib
import datetime as dt
import fcntl
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from gatehouse.run import processes
from gatehouse.run.home import Account, CannotStart

State = Literal["starting", "ready", "waiting", "stopped", "done"]
Probe = Callable[[], bool]
"""Answers within about a second whether a process does its work."""

_LONGEST_DELAY = 30.0
_FORGIVEN_AFTER = 60.0
_LARGEST_LOG = 10 * 1024 * 1024
_LOUD = re.compile(r"\b(WARNING|ERROR|CRITICAL|FATAL|PANIC)\b|^\S*(Error|Warning|Exception)\b|\bError:")


@dataclass(frozen=True)
class Spec:
    """A process to be run. `patience` in seconds bounds the wait for its first readiness."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    ready: Probe | None = None
    who: Account | None = None
    patience: float = 60.0
    once: bool = False
    """A one-shot: it is done when it ends with 0, and failed when it ends with anything else."""
    before: Callable[[], None] | None = None
    """Called before each start, the first and any later one."""
    on_stop: Sequence[signal.Signals] = (signal.SIGTERM, signal.SIGKILL)
    loud: re.Pattern[str] = _LOUD
    """Which plain lines of its output belong on the terminal (JSON lines say their level themselves)."""


def http_probe(port: int, path: str) -> Probe:
    """Ready when this address of this machine answers with 200."""

    def ask() -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
        try:
            connection.request("GET", path, headers={"Host": f"localhost:{port}"})
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    return ask


def tcp_probe(port: int) -> Probe:
    """Ready when this port of this machine accepts."""

    def ask() -> bool:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            return False
        return True

    return ask


def file_probe(path: Path) -> Probe:
    """Ready when this file exists."""
    return path.exists


class Child:
    """A process and its history. Nothing here waits; the supervisor calls `advance` again and again."""

    def __init__(self, spec: Spec, logs: Path, show: Callable[[str, str], None], *, verbose: bool) -> None:
        self.spec = spec
        self.state: State = "stopped"
        self.since = dt.datetime.now(dt.UTC)
        self.restarts = 0
        self.last_exit: str | None = None
        self.began: int | None = None
        self.was_ready = False
        self.next_start: float | None = None
        self._show = show
        self._verbose = verbose
        self._log_path = logs / f"{spec.name}.log"
        self._log = self._log_path.open("ab")
        self._log_size = self._log_path.stat().st_size
        self._recent: collections.deque[str] = collections.deque(maxlen=30)
        self._rest = b""
        self._pipe: int | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._started_at = 0.0
        self._asked_at = 0.0
        self._failures = 0

    @property
    def pid(self) -> int | None:
        """Its process number while it runs."""
        return self._process.pid if self._process is not None and self._process.poll() is None else None

    @property
    def output(self) -> int | None:
        """The descriptor to wait on for its output."""
        return self._pipe

    @property
    def log(self) -> Path:
        """Where its output is kept."""
        return self._log_path

    def start(self) -> None:
        """Starts it; what went wrong shows later as an exit."""
        if self.spec.before is not None:
            self.spec.before()
        self._close_pipe()
        self._pipe, theirs = os.pipe2(os.O_CLOEXEC)
        try:
            self._process = processes.spawn(
                self.spec.command,
                who=self.spec.who,
                output=theirs,
                environment=self.spec.environment,
                on_parent_death=self.spec.on_stop[0],
            )
        finally:
            os.close(theirs)
        fcntl.fcntl(self._pipe, fcntl.F_SETFL, os.O_NONBLOCK)
        self.began = processes.started(self._process.pid)
        self._started_at = time.monotonic()
        self.next_start = None
        self._enter("starting")

    def advance(self) -> None:
        """Takes its output, notices that it ended or became ready, and starts it again when its delay is over."""
        self.drain()
        now = time.monotonic()
        if self.state in ("starting", "ready"):
            code = self._process.poll() if self._process is not None else None
            if code is not None:
                self._ended(code, now)
            elif self.state == "starting":
                self._ask(now)
            elif self._failures and now - self._started_at > _FORGIVEN_AFTER:
                self._failures = 0
        elif self.state == "waiting" and self.next_start is not None and now >= self.next_start:
            self.restarts += 1
            try:
                self.start()
            except (CannotStart, OSError) as problem:  # such as a full disk: it may have room again later
                self._say(str(problem))
                self._wait_before_start(now)

    def _ask(self, now: float) -> None:
        if self.spec.once or now - self._asked_at < 0.1:
            return
        self._asked_at = now
        if self.spec.ready() if self.spec.ready is not None else now - self._started_at > 0.5:
            self.was_ready = True
            self._enter("ready")
        elif now - self._started_at > self.spec.patience and self.was_ready:
            self._say(f"does not become ready within {self.spec.patience:.0f} s, started again")
            self.signal(signal.SIGKILL)

    def _ended(self, code: int, now: float) -> None:
        self.drain()
        self.last_exit = f"signal {signal.Signals(-code).name}" if code < 0 else f"code {code}"
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)  # whatever it started itself
        if self.spec.once and code == 0:
            self._enter("done")
        elif self.spec.once or not self.was_ready:
            self._enter("stopped")
        else:
            delay = self._wait_before_start(now)
            self._say(f"ended unexpectedly ({self.last_exit}), starts again in {delay:.1f} s")

    def _wait_before_start(self, now: float) -> float:
        delay = min(_LONGEST_DELAY, 0.5 * 2.0 ** min(self._failures, 10))
        self._failures += 1
        self.next_start = now + delay
        self._enter("waiting")
        return delay

    def _enter(self, state: State) -> None:
        self.state = state
        self.since = dt.datetime.now(dt.UTC)

    def late(self) -> bool:
        """Whether its first readiness takes longer than its patience."""
        return self.state == "starting" and time.monotonic() - self._started_at > self.spec.patience

    def signal(self, number: signal.Signals) -> None:
        """Sends it a signal, if it runs; SIGKILL goes to all that it started as well."""
        if (pid := self.pid) is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(pid, number) if number == signal.SIGKILL else os.kill(pid, number)

    def restart(self) -> None:
        """Ends it politely; it comes back as after any other exit."""
        self.signal(self.spec.on_stop[0])

    def settle(self) -> None:
        """Marks it stopped for good once it is gone, so that it is not started again."""
        self.next_start = None
        if self.state != "done":
            self._enter("stopped")

    def close(self) -> None:
        """Gives back its files."""
        self.drain()
        self._close_pipe()
        self._log.close()

    def last_words(self) -> str:
        """The line of its output that best says why it ended."""
        for line in reversed(self._recent):
            level, text = self._read(line)
            if level or re.match(r"[\w.]+(Error|Exception)\b|gatehouse:", text):
                return text
        return self._read(self._recent[-1])[1] if self._recent else "it said nothing"

    def drain(self) -> None:
        """Takes what it has written so far."""
        while self._pipe is not None:
            try:
                data = os.read(self._pipe, 65536)
            except BlockingIOError:
                return
            if not data:
                self._close_pipe()
                return
            *lines, self._rest = (self._rest + data).split(b"\n")
            for line in lines:
                self._take(line)

    def _close_pipe(self) -> None:
        if self._rest:
            self._take(self._rest)
            self._rest = b""
        if self._pipe is not None:
            os.close(self._pipe)
            self._pipe = None

    def _take(self, raw: bytes) -> None:
        if self._log_size > _LARGEST_LOG:
            self._log.close()
            self._log_path.replace(self._log_path.with_name(f"{self._log_path.name}.1"))
            self._log = self._log_path.open("ab")
            self._log_size = 0
        with contextlib.suppress(OSError):  # a full disk must not end the supervisor
            self._log.write(raw + b"\n")
            self._log.flush()
        self._log_size += len(raw) + 1
        line = raw.decode(errors="replace").rstrip()
        if line:
            self._recent.append(line)
            loud, text = self._read(line)
            if loud or self._verbose:
                self._say(text)

    def _read(self, line: str) -> tuple[bool, str]:
        """Whether a line matters to somebody at the terminal, and its text."""
        if line.startswith("{"):
            with contextlib.suppress(ValueError):
                event = json.loads(line)
                text = " ".join(str(event.get("message") or event.get("event") or line).split())
                return str(event.get("level", "")).lower() in {"warning", "error", "critical"}, text
        return self.spec.loud.search(line) is not None, line

    def _say(self, text: str) -> None:
        self._show(self.spec.name, text)
