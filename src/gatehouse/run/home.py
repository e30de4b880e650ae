"""Where Gatehouse keeps its things on one machine, which ports it uses, and which accounts its processes run as.

Everything that `gatehouse up` starts agrees on these through here, and everything that can be set from outside is an
environment variable that starts with `GATEHOUSE_` (the list stands in docs/running.md).
"""

import contextlib
import errno
import os
import pwd
import secrets
import shutil
import socket
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

PORTS: Mapping[str, int] = {
    "WEB": 8000,
    "WEB_TLS": 8443,
    "LAB": 8010,
    "LAB_TLS": 8453,
    "DATABASE": 54329,
    "MQTT": 18830,
    "MQTT_TLS": 8883,
    "GATEWAY": 8020,
}
"""Default port of each listener; `GATEHOUSE_PORT_<NAME>` changes it."""

ON_ALL_INTERFACES = frozenset({"WEB_TLS", "LAB_TLS", "MQTT_TLS"})
"""The listeners that are meant for the network; all others stay on loopback."""

LEAST_FREE_BYTES = 200 * 1024 * 1024
"""Below this a start is refused: a database that fills its disk half way through its first start is worse than none."""


class CannotStart(Exception):
    """Something outside the program is in the way. Its text is one line that names the cause and the cure."""


@dataclass(frozen=True)
class Account:
    """A system account that a child process is started as."""

    name: str
    uid: int
    gid: int


def home() -> Path:
    """The data folder: GATEHOUSE_HOME, else /var/lib/gatehouse for root and ~/.local/share/gatehouse for others."""
    given = os.environ.get("GATEHOUSE_HOME")
    if given:
        return Path(given).absolute()
    if os.geteuid() == 0:
        return Path("/var/lib/gatehouse")
    return Path.home() / ".local/share/gatehouse"


def port(name: str) -> int:
    """The port of a listener named in `PORTS`. Raises CannotStart when its setting is not a port number."""
    variable = f"GATEHOUSE_PORT_{name}"
    given = os.environ.get(variable)
    if not given:
        return PORTS[name]
    if not given.isascii() or not given.isdigit() or not 1 <= int(given) <= 65535:
        raise CannotStart(f"{variable} is {given!r}, which is no port number: set it to a number from 1 to 65535.")
    return int(given)


def open_home(folder: Path) -> None:
    """Makes the data folder usable: present, writable, with room. Raises CannotStart naming cause and cure."""
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o711)
        probe = folder / f".writable-{os.getpid()}"
        probe.write_bytes(b"\0" * 4096)
        probe.unlink()
    except OSError as problem:
        if problem.errno == errno.ENOSPC:
            raise full_disk(folder) from problem
        raise CannotStart(
            f"The data folder {folder} cannot be written ({problem.strerror}): "
            "set GATEHOUSE_HOME to a folder that this user may write."
        ) from problem
    if shutil.disk_usage(folder).free < LEAST_FREE_BYTES:
        raise full_disk(folder)


def full_disk(folder: Path) -> CannotStart:
    """The one line about a full disk."""
    free = shutil.disk_usage(folder).free // (1024 * 1024)
    return CannotStart(
        f"The disk that holds {folder} is full ({free} MB free, {LEAST_FREE_BYTES // (1024 * 1024)} MB needed): "
        "free some space or set GATEHOUSE_HOME to a folder on another disk."
    )


def write_private(path: Path, text: str, *, owner: Account | None = None, mode: int = 0o600) -> None:
    """Replaces a file in one step, so that a reader or a crash never meets half of it; nobody else can read it."""
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
            # By descriptor: the folder may belong to another account, which could put something else under the name.
            os.fchmod(file.fileno(), mode)
            if owner is not None:
                os.fchown(file.fileno(), owner.uid, owner.gid)
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def account(name: str, *, instead: str | None = None) -> Account | None:
    """The account to run a child as: None for an ordinary user, who keeps being that user.

    As root the account is made when it is missing (a system account that nobody can sign in to); where accounts cannot
    be made, `instead` is taken if it exists. Raises CannotStart when there is neither.
    """
    if os.geteuid() != 0:
        return None
    for attempt in range(2):
        for candidate in (name, instead) if attempt else (name,):
            with contextlib.suppress(KeyError):
                entry = pwd.getpwnam(candidate or "")
                return Account(entry.pw_name, entry.pw_uid, entry.pw_gid)
        if not attempt:
            _make_account(name)
    raise CannotStart(
        f"The system account {name} is missing and could not be made: run `useradd --system --user-group {name}` as "
        "root, or start Gatehouse as an ordinary user."
    )


def _make_account(name: str) -> None:
    useradd = shutil.which("useradd", path="/usr/sbin:/sbin:/usr/bin:/bin")
    if useradd is None:
        return
    subprocess.run(
        [useradd, "--system", "--user-group", "--home-dir", "/nonexistent", "--shell", "/usr/sbin/nologin", name],
        capture_output=True,
        check=False,
        timeout=30,
    )


def reachable(path: Path, who: Account | None) -> bool:
    """Whether an account may walk down to a path and read it (by the mode bits, which is what Debian uses)."""
    if who is None or who.uid == 0:
        return True
    path = path.absolute()
    for part in [*reversed(path.parents), path]:
        state = part.stat()
        shift = 6 if state.st_uid == who.uid else 3 if state.st_gid == who.gid else 0
        needed = 0o1 if part.is_dir() else 0o4
        if not (state.st_mode >> shift) & needed:
            return False
    return True


def free_port() -> int:
    """A loopback port that nothing uses at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        number: int = probe.getsockname()[1]
        return number


def require_free_port(name: str, number: int, host: str = "127.0.0.1") -> None:
    """Raises CannotStart, naming the program that holds it where that can be seen, when a port is taken."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, number))
        except PermissionError as problem:
            raise CannotStart(
                f"Port {number} ({name}) needs root: set GATEHOUSE_PORT_{name} to a number above 1023."
            ) from problem
        except OSError as problem:
            holder = _holder(number)
            by = f" by {holder}" if holder else ""
            raise CannotStart(
                f"Port {number} is already in use{by}: stop that program or set GATEHOUSE_PORT_{name} to a free port."
            ) from problem


def _holder(number: int) -> str | None:
    """Who listens on a port, as "name (process 123)", as far as this user may look."""
    inodes = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        with contextlib.suppress(OSError):
            for line in Path(table).read_text().splitlines()[1:]:
                fields = line.split()
                if fields[3] == "0A" and int(fields[1].rsplit(":", 1)[1], 16) == number:
                    inodes.add(f"socket:[{fields[9]}]")
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            for descriptor in (folder / "fd").iterdir():
                if str(descriptor.readlink()) in inodes:
                    return f"{(folder / 'comm').read_text().strip()} (process {folder.name})"
    return None
