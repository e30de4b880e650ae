"""Starts processes in order, watches them, starts again what dies, and stops all of them in reverse.

One thread, no cleverness: a loop that waits on the children's output and signals, and otherwise looks around ten
times a second. What it knows stands in GATEHOUSE_HOME/run/state.json, for the health page and for the next start, which
cleans up after a supervisor that was killed. Children ask the kernel to be stopped when the supervisor dies.
"""

import contextlib
import datetime as dt
import fcntl
import json
import os
import select
import signal
import socket
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from types import FrameType, TracebackType
from typing import Self

from gatehouse.run import home, processes
from gatehouse.run.child import Child, Spec
from gatehouse.run.home import CannotStart

STOP_WITHIN = 9.0
"""Seconds after which the last process is killed; the promise is ten."""

_TICK = 0.1


class Stopped(Exception):
    """Somebody asked to stop while things were still starting."""


class Supervisor:
    """The processes of one data folder. Use as a context manager: leaving it stops everything."""

    def __init__(self, folder: Path, *, show: Callable[[str, str], None], verbose: bool = False) -> None:
        self._folder = folder
        self._show = show
        self._verbose = verbose
        self._waves: list[list[Child]] = []
        self._hooks: list[tuple[float, Callable[[], None]]] = []
        self._due: dict[int, float] = {}
        self._stopping = False
        self._lock: int | None = None
        self._written = ""
        self._since = dt.datetime.now(dt.UTC)
        self._previous_handlers: dict[signal.Signals, signal._HANDLER] = {}

    def __enter__(self) -> Self:
        for name in ("run", "logs"):
            (self._folder / name).mkdir(mode=0o755, exist_ok=True)
        self._lock = lock(self._folder)
        self._wake, theirs = socket.socketpair()
        for end in (self._wake, theirs):
            end.setblocking(False)
        self._waker = theirs
        signal.set_wakeup_fd(theirs.fileno(), warn_on_full_buffer=False)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            self._previous_handlers[number] = signal.signal(number, self._asked_to_stop)
        clear_leftovers(self._folder)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.stop()
        finally:
            signal.set_wakeup_fd(-1)
            for number, handler in self._previous_handlers.items():
                signal.signal(number, handler)
            self._wake.close()
            self._waker.close()
            if self._lock is not None:
                os.close(self._lock)

    def _asked_to_stop(self, number: int, frame: FrameType | None) -> None:
        self._stopping = True

    @property
    def children(self) -> list[Child]:
        """All processes, in the order in which they were started."""
        return [child for wave in self._waves for child in wave]

    def child(self, name: str) -> Child:
        """One process by its name."""
        return next(child for child in self.children if child.spec.name == name)

    def every(self, seconds: float, hook: Callable[[], None]) -> None:
        """Calls `hook` again and again while watching."""
        self._hooks.append((seconds, hook))

    def start(self, specs: Iterable[Spec], ready: Callable[[Child, float], None] = lambda child, seconds: None) -> None:
        """Starts some processes at once and returns when each is ready (or, for one-shots, done).

        `ready` is called for each with the seconds that it took. Raises CannotStart when one ends or takes too long,
        Stopped when a stop is asked for meanwhile.
        """
        wave = [Child(spec, self._folder / "logs", self._show, verbose=self._verbose) for spec in specs]
        self._waves.append(wave)
        began = time.monotonic()
        for child in wave:
            try:
                child.start()
            except OSError as problem:
                raise CannotStart(f"{child.spec.name} could not be started ({problem})") from problem
            self._write_state()
        waiting = list(wave)
        while waiting:
            self.turn()
            if self._stopping:
                raise Stopped
            for child in list(waiting):
                if child.state in ("ready", "done"):
                    waiting.remove(child)
                    ready(child, time.monotonic() - began)
                elif child.state == "stopped":
                    raise CannotStart(
                        f"{child.spec.name} did not start ({child.last_exit}): {child.last_words()} (see {child.log})"
                    )
                elif child.late():
                    raise CannotStart(
                        f"{child.spec.name} was not ready within {child.spec.patience:.0f} s: see {child.log}"
                    )

    def watch(self) -> None:
        """Keeps everything running until somebody asks to stop."""
        while not self._stopping:
            self.turn()
            now = time.monotonic()
            for index, (seconds, hook) in enumerate(self._hooks):
                if now >= self._due.get(index, 0.0):
                    self._due[index] = now + seconds
                    hook()

    def stop(self) -> None:
        """Stops all processes in reverse order, within `STOP_WITHIN` seconds, whole process groups."""
        end = time.monotonic() + STOP_WITHIN
        while self._waves:
            wave = self._waves[-1]
            share = (end - time.monotonic()) / len(self._waves)
            self._stop_wave(wave, max(share, 0.5))
            for child in wave:
                child.settle()
            self._write_state()
            for child in wave:
                child.close()
            self._waves.pop()

    def _stop_wave(self, wave: Sequence[Child], seconds: float) -> None:
        for child in wave:
            child.settle()
        steps = max(len(child.spec.on_stop) for child in wave)
        for step in range(steps):
            for child in wave:
                child.signal(child.spec.on_stop[min(step, len(child.spec.on_stop) - 1)])
            # Most of the time belongs to the polite request.
            deadline = time.monotonic() + (seconds * 0.8 if step == 0 else seconds * 0.2 / max(steps - 1, 1))
            while any(child.pid is not None for child in wave):
                self._wait(0.02)
                for child in wave:
                    child.drain()
                if time.monotonic() > deadline:
                    break
            else:
                return

    def turn(self) -> None:
        """Looks around once: takes output, notices what ended or became ready, starts what is due."""
        self._wait(_TICK)
        for child in self.children:
            child.advance()
        self._write_state()

    def _wait(self, seconds: float) -> None:
        outputs = [child.output for child in self.children if child.output is not None]
        readable, _, _ = select.select([self._wake.fileno(), *outputs], [], [], seconds)
        if self._wake.fileno() in readable:
            with contextlib.suppress(BlockingIOError):
                self._wake.recv(1024)

    def _write_state(self) -> None:
        state = {
            "boot": _boot(),
            "supervisor": {
                "pid": os.getpid(),
                "began": processes.started(os.getpid()),
                "since": self._since.isoformat(timespec="seconds"),
            },
            "processes": {child.spec.name: _state_of(child) for child in self.children},
        }
        text = json.dumps(state, indent=1) + "\n"
        if text != self._written:
            with contextlib.suppress(OSError):  # a full disk must not end the supervisor
                home.write_private(self._folder / "run" / "state.json", text, mode=0o644)
                self._written = text


def _state_of(child: Child) -> Mapping[str, object]:
    return {
        "state": child.state,
        "pid": child.pid,
        "began": child.began,
        "since": child.since.isoformat(timespec="seconds"),
        "restarts": child.restarts,
        "last_exit": child.last_exit,
        "stops_on": int(child.spec.on_stop[0]),
    }


def lock(folder: Path) -> int:
    """Takes the data folder for this process, for as long as it lives or the descriptor stays open.

    Raises CannotStart when another process has it.
    """
    path = folder / "run" / "lock"
    path.parent.mkdir(exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as problem:
        os.close(descriptor)
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            pid = json.loads((folder / "run" / "state.json").read_text())["supervisor"]["pid"]
            raise CannotStart(
                f"Gatehouse is already running on {folder} (process {pid}): use that one or stop it first."
            ) from problem
        raise CannotStart(f"Gatehouse is already starting on {folder}: use that one or stop it first.") from problem
    return descriptor


def clear_leftovers(folder: Path, *, patience: float = 5.0) -> None:
    """Ends processes that an earlier supervisor of this folder left running; call it with the lock held.

    A recorded process number counts only together with its moment of birth: numbers are given out again. They are
    asked first, and killed after `patience` seconds.
    """
    try:
        with (folder / "run" / "state.json").open() as file:
            if os.fstat(file.fileno()).st_uid != os.geteuid():
                return  # not written by a supervisor: run/ belongs to the processes, whom root must not obey
            recorded = json.load(file)
        known = {int(entry["pid"]): entry for entry in recorded["processes"].values() if entry["pid"]}
        if recorded["boot"] != _boot():
            return
        ours = {pid: entry["began"] for pid, entry in known.items() if processes.started(pid) == entry["began"]}
        polite = {pid: signal.Signals(known[pid]["stops_on"]) for pid in ours}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return
    for step in (polite, dict.fromkeys(ours, signal.SIGKILL)):
        for pid in ours:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(pid, step[pid])
        deadline = time.monotonic() + patience
        while ours and time.monotonic() < deadline:
            time.sleep(0.02)
            ours = {pid: began for pid, began in ours.items() if processes.started(pid) == began}


def _boot() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""
