"""The whole of Gatehouse as `gatehouse up` starts it, on ports and in a data folder of its own."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from gatehouse.run.home import PORTS, free_port

T = TypeVar("T")


def eventually(what: str, look: Callable[[], T | None], seconds: float = 15.0) -> T:
    """What `look` finally gives; fails with `what` when it gives nothing for so long."""
    end = time.monotonic() + seconds
    while True:
        found = look()
        if found:
            return found
        if time.monotonic() > end:
            raise AssertionError(f"not within {seconds} s: {what}")
        time.sleep(0.05)


@dataclass
class Stack:
    """A running installation."""

    home: Path
    ports: dict[str, int]
    process: subprocess.Popen[str]
    output: list[str] = field(default_factory=list)

    @property
    def portal(self) -> str:
        return f"http://localhost:{self.ports['WEB']}"

    @property
    def lab(self) -> str:
        return f"http://localhost:{self.ports['LAB']}"

    @property
    def demo(self) -> dict[str, Any]:
        return dict(json.loads((self.home / "run" / "demo.json").read_text()))

    @property
    def lab_config(self) -> dict[str, Any]:
        return dict(json.loads((self.home / "lab" / "config.json").read_text()))

    def password(self, login: str) -> str:
        return next(str(one["password"]) for one in self.demo["sign_ins"] if one["login"] == login)

    def pid(self, name: str) -> int:
        """Process id of one part, from the state that the supervisor keeps."""
        state = json.loads((self.home / "run" / "state.json").read_text())
        return int(state["processes"][name]["pid"] or 0)

    def kill(self, name: str) -> None:
        """`kill -9` one part and wait until the supervisor has it running again under another pid."""
        old = self.pid(name)
        os.kill(old, signal.SIGKILL)
        eventually(f"{name} is started again", lambda: self.pid(name) not in (0, old), 30)

    def stop(self) -> float:
        """Ctrl-C; gives how long it took."""
        began = time.monotonic()
        self.process.send_signal(signal.SIGINT)
        self.process.wait(timeout=30)
        return time.monotonic() - began


def distinct_ports() -> dict[str, int]:
    """A free port for each listener."""
    numbers: set[int] = set()
    while len(numbers) < len(PORTS):
        numbers.add(free_port())
    return dict(zip(PORTS, numbers, strict=True))


def start(home: Path, ports: dict[str, int] | None = None, seconds: float = 120.0) -> Stack:
    """Start an installation and wait until it is open for business; fails with what it said otherwise."""
    ports = ports or distinct_ports()
    environment = {
        key: value
        for key, value in os.environ.items()
        if not key.startswith(("GATEHOUSE_", "DJANGO_", "PG")) and key not in ("DATABASE_URL", "PUBLIC_URL")
    }
    environment |= {f"GATEHOUSE_PORT_{name}": str(number) for name, number in ports.items()}
    environment |= {"GATEHOUSE_HOME": str(home), "GATEHOUSE_DEMO": "1"}
    process = subprocess.Popen(
        [sys.executable, "-m", "gatehouse.cli", "up"],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    stack = Stack(home, ports, process)

    def read() -> None:
        assert process.stdout is not None
        for line in process.stdout:
            stack.output.append(line.rstrip("\n"))

    threading.Thread(target=read, daemon=True).start()
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if any("Open for business" in line for line in stack.output):
            return stack
        if process.poll() is not None:
            break
        time.sleep(0.1)
    process.kill()
    raise AssertionError("Gatehouse did not start:\n" + "\n".join(stack.output))


@contextmanager
def running() -> Iterator[Stack]:
    """An installation in a fresh folder that the service accounts can reach; stopped and deleted afterwards."""
    home = Path(tempfile.mkdtemp(prefix="gatehouse-e2e-", dir="/var/tmp"))
    home.chmod(0o755)
    stack = start(home)
    try:
        yield stack
    finally:
        if stack.process.poll() is None:
            stack.stop()
        shutil.rmtree(home, ignore_errors=True)
