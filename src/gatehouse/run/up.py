"""`gatehouse up`: everything on one machine, from nothing to "open for business"."""

import contextlib
import dataclasses
import datetime as dt
import json
import os
import re
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from urllib.parse import urlsplit

import psycopg

import gatehouse
from gatehouse.run import broker, child, database, home, postgres, program, secrets, tls
from gatehouse.run.child import Child, Spec
from gatehouse.run.home import CannotStart
from gatehouse.run.supervisor import Stopped, Supervisor

ROLES: Mapping[str, str] = {"web": "app", "worker": "system", "link": "system", "migrate": "owner", "demo": "app"}
"""The database role of each process that uses the database."""

_OWNED = ("gateway", "lab", "files", "run")
"""Folders in the data folder that the processes write to, beside those that have a maker of their own."""

# Its ERROR lines are told to the process that asked; the others left out belong to every start and stop.
_LOUD_DATABASE = re.compile(r"\b(WARNING|FATAL|PANIC):(?!\s+(the database system is|terminating connection))")
_LOUD_BROKER = re.compile(r"\b(Error|Warning)\b")


def up(*, verbose: bool = False) -> int:
    """Starts everything, says so, and keeps it running until Ctrl-C or SIGTERM. Returns the exit code."""
    terminal = Terminal()
    try:
        demo = is_demo()
        folder = home.home()
        home.open_home(folder)
        _require_right_clock()
        with Supervisor(folder, show=terminal.aside, verbose=verbose) as supervisor:
            _Start(folder, supervisor, terminal, demo=demo).run()
            supervisor.watch()
            terminal.line("\nStopping ...")
    except CannotStart as problem:
        terminal.problem(str(problem))
        return 1
    except Stopped:
        terminal.line("\nStopped.")
        return 130
    terminal.line("Stopped. The data is kept.")
    return 0


def is_demo() -> bool:
    """Whether this start is the demo: as GATEHOUSE_DEMO says, else unless a PUBLIC_URL is set.

    Raises CannotStart when it is not the demo and nobody says under which address it will be reached.
    """
    said = os.environ.get("GATEHOUSE_DEMO", "").strip().lower()
    public_url = os.environ.get("PUBLIC_URL", "")
    if said not in ("", "0", "1", "true", "false", "yes", "no", "on", "off"):
        raise CannotStart(f"GATEHOUSE_DEMO is {said!r}: set it to 1 or 0.")
    demo = said in ("1", "true", "yes", "on") if said else not public_url
    if not demo and not public_url:
        raise CannotStart(
            "PUBLIC_URL is not set: set it to the address people will use, such as https://doors.example.org"
        )
    if public_url and (urlsplit(public_url).scheme not in ("http", "https") or not urlsplit(public_url).hostname):
        raise CannotStart(f"PUBLIC_URL is {public_url!r}: it must look like https://doors.example.org")
    return demo


def _require_right_clock() -> None:
    """Certificates, expiries and schedules made under a wrong clock would outlive its correction."""
    made = Path(gatehouse.__file__).stat().st_mtime
    if time.time() < made - 86400:
        raise CannotStart(
            f"The clock of this machine says {dt.datetime.now():%Y-%m-%d %H:%M}, which is before Gatehouse was "  # noqa: DTZ005
            "installed: set the clock (timedatectl set-ntp true)."
        )


class Terminal:
    """What the person who started Gatehouse sees. A terminal that went away is no reason to stop."""

    def __init__(self) -> None:
        self._said: dict[str, tuple[str, float]] = {}

    def line(self, text: str = "") -> None:
        """One line."""
        with contextlib.suppress(OSError):
            print(text, flush=True)

    def problem(self, text: str) -> None:
        """The one line that names cause and cure."""
        with contextlib.suppress(OSError):
            print(f"gatehouse: {text}", file=sys.stderr, flush=True)

    def aside(self, name: str, text: str) -> None:
        """What a process said; the same over and over is said every ten seconds."""
        last, moment = self._said.get(name, ("", 0.0))
        if text != last or time.monotonic() - moment > 10:
            self._said[name] = (text, time.monotonic())
            self.line(f"  [{name}] {text}")

    @contextlib.contextmanager
    def step(self, what: str) -> Iterator[None]:
        """A step that says how long it took."""
        began = time.monotonic()
        yield
        self.done(what, time.monotonic() - began)

    def done(self, what: str, seconds: float) -> None:
        """A step that is over."""
        self.line(f"  {what:<58}{seconds:6.1f} s")


class _Start:
    """One start, from the data folder to the last process."""

    def __init__(self, folder: Path, supervisor: Supervisor, terminal: Terminal, *, demo: bool) -> None:
        self._folder = folder
        self._supervisor = supervisor
        self._terminal = terminal
        self._demo = demo
        self._public_url = os.environ.get("PUBLIC_URL") or None
        self._who = home.account("gatehouse")
        self._began = time.monotonic()

    def run(self) -> None:
        """All steps in order. Raises CannotStart with everything stopped again by the supervisor."""
        self._terminal.line(f"Gatehouse, data in {self._folder}" + (", demo" if self._demo else ""))
        self._remember_mode()
        self._require_ports()
        self._require_programs()
        with self._terminal.step("secrets, certificate, program"):
            self._prepare()
        self._start_database()
        self._supervisor.start([self._once("migrate"), self._broker()], self._ready)
        self._watch_broker()
        cloud = [
            self._process("web", ready=child.http_probe(home.port("WEB"), "/health/live")),
            self._marking("worker"),
            self._marking("link"),
        ]
        self._supervisor.start([*cloud, *([self._once("demo")] if self._demo else [])], self._ready)
        if self._demo:
            edge = [
                self._process("gateway", ready=child.tcp_probe(home.port("GATEWAY"))),
                self._process("lab", ready=child.tcp_probe(home.port("LAB"))),
            ]
            self._supervisor.start(edge, self._ready)
        self._supervisor.every(6 * 3600.0, self._renew_certificate)
        self._announce()

    def _remember_mode(self) -> None:
        path, mode = self._folder / "mode", "demo" if self._demo else "live"
        self._first = not path.exists()
        if self._first:
            home.write_private(path, mode + "\n", mode=0o644)
        elif (known := path.read_text().strip()) != mode:
            cure = (
                "unset PUBLIC_URL or set GATEHOUSE_DEMO=1 to go on with it, or choose another GATEHOUSE_HOME"
                if known == "demo"
                else "set PUBLIC_URL and GATEHOUSE_DEMO=0 to go on with it, or choose another GATEHOUSE_HOME for a demo"
            )
            raise CannotStart(f"The data in {self._folder} belongs to a {known} installation: {cure}.")

    def _prepare(self) -> None:
        secrets.make(self._folder, self._who)
        for name in _OWNED:
            (self._folder / name).mkdir(mode=0o700 if name != "run" else 0o755, exist_ok=True)
            if self._who is not None:
                os.chown(self._folder / name, self._who.uid, self._who.gid)
        if not home.reachable(self._folder, self._who):
            raise CannotStart(
                f"The account gatehouse cannot reach the data folder {self._folder}: "
                "set GATEHOUSE_HOME to a folder that is not below a closed one such as /root."
            )
        self._certificate = tls.ensure(
            self._folder, self._who, public_url=self._public_url, now=dt.datetime.now(dt.UTC)
        )
        self._program = program.for_account(self._folder, self._who)

    def _require_ports(self) -> None:
        needed = [name for name in home.PORTS if name != "DATABASE" or not database.is_external()]
        if not self._demo:
            needed = [name for name in needed if name not in ("LAB", "LAB_TLS", "GATEWAY")]
        numbers: dict[int, str] = {}
        for name in needed:
            number = home.port(name)
            if number in numbers:
                raise CannotStart(
                    f"GATEHOUSE_PORT_{name} and GATEHOUSE_PORT_{numbers[number]} are both {number}: change one."
                )
            numbers[number] = name
        if not database.is_external():
            postgres.clear_remains(self._folder / "postgres")
        for number, name in numbers.items():
            home.require_free_port(name, number, "0.0.0.0" if name in home.ON_ALL_INTERFACES else "127.0.0.1")

    def _require_programs(self) -> None:
        broker.find_binary()
        if not database.is_external():
            postgres.find_binaries(self._folder / "postgres")
            return
        with self._terminal.step("database: yours, from DATABASE_URL"):
            self._check_external_database()

    def _start_database(self) -> None:
        if database.is_external():
            return
        began = time.monotonic()
        data, who = self._folder / "postgres", postgres.system_account()
        binaries = postgres.find_binaries(data)
        password = secrets.read(self._folder, secrets.SUPERUSER)
        port = home.port("DATABASE")
        if not (data / "PG_VERSION").exists():
            with self._terminal.step("database: a new cluster"):
                postgres.make_cluster(data, password, who, binaries=binaries)
        dsn = postgres.superuser_dsn(port, password)
        spec = Spec(
            "database",
            postgres.server_command(binaries, data, port),
            {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"},
            ready=lambda: _answers(dsn),
            who=who,
            patience=300.0,  # it may have much to replay after a crash
            before=lambda: postgres.clear_remains(data),
            on_stop=(signal.SIGINT, signal.SIGQUIT, signal.SIGKILL),
            loud=_LOUD_DATABASE,
        )
        self._supervisor.start([spec])
        database.bootstrap(dsn, database.NAME, secrets.read(self._folder, "database"))
        self._terminal.done(f"database: PostgreSQL from {binaries}", time.monotonic() - began)

    def _check_external_database(self) -> None:
        try:
            wrong = database.missing_in(os.environ["DATABASE_URL"])
        except psycopg.Error as problem:
            reason = str(problem).strip().splitlines()[-1]
            raise CannotStart(
                f"The database of DATABASE_URL cannot be used ({reason}): check the address."
            ) from problem
        if wrong:
            raise CannotStart(
                f"The database of DATABASE_URL is not prepared: {' '.join(wrong)} "
                f"An administrator runs {database.SCRIPT} in it once."
            )

    def _broker(self) -> Spec:
        self._broker_account = broker.system_account()
        command = broker.prepare(self._folder, self._who, self._broker_account, self._certificate)
        return Spec(
            "broker",
            command,
            {"PATH": "/usr/bin:/bin"},
            ready=child.tcp_probe(home.port("MQTT")),
            who=self._broker_account,
            loud=_LOUD_BROKER,
        )

    def _watch_broker(self) -> None:
        hand_over = broker.HandOver(self._folder, self._broker_account)

        def look() -> None:
            try:
                if hand_over.bring():
                    self._supervisor.child("broker").signal(signal.SIGHUP)
            except ValueError as problem:
                self._terminal.aside("broker", str(problem))

        self._supervisor.every(0.2, look)

    def _process(self, name: str, ready: Callable[[], bool]) -> Spec:
        return Spec(name, self._program.command(name), self._environment(name), ready=ready, who=self._who, patience=90)

    def _marking(self, name: str) -> Spec:
        """A process that nobody can connect to: it says that it is ready by making a file."""
        mark = self._folder / "run" / f"{name}.ready"
        spec = self._process(name, ready=child.file_probe(mark))
        environment = {**spec.environment, "GATEHOUSE_READY_FILE": str(mark)}
        return dataclasses.replace(spec, environment=environment, before=lambda: mark.unlink(missing_ok=True))

    def _once(self, name: str) -> Spec:
        return Spec(name, self._program.command(name), self._environment(name), who=self._who, patience=600, once=True)

    def _environment(self, name: str) -> dict[str, str]:
        """What one process is told. The edge gets no way into the database, since a gateway elsewhere has none."""
        variables = {key: value for key, value in os.environ.items() if not key.startswith(("PG", "NOTIFY_SOCKET"))}
        variables.pop("DATABASE_URL", None)
        variables |= self._program.environment
        variables |= {f"GATEHOUSE_PORT_{port}": str(home.port(port)) for port in home.PORTS}
        variables |= {
            "GATEHOUSE_HOME": str(self._folder),
            "GATEHOUSE_DEMO": "1" if self._demo else "0",
            "GATEHOUSE_TLS_CERT": str(self._certificate.certificate),
            "GATEHOUSE_TLS_KEY": str(self._certificate.key),
            "PYTHONUNBUFFERED": "1",
        }
        if self._who is not None:
            variables |= {"HOME": str(self._folder), "USER": self._who.name, "LOGNAME": self._who.name}
        if name in ROLES:
            variables["DATABASE_URL"] = database.database_url(self._folder)
            variables["GATEHOUSE_DB_ROLE"] = ROLES[name]
        return variables

    def _ready(self, process: Child, seconds: float) -> None:
        said = {"migrate": "database brought to this version", "demo": "demo loaded"}
        self._terminal.done(said.get(process.spec.name, process.spec.name), seconds)

    def _renew_certificate(self) -> None:
        """Makes the certificate anew in time, and has those take it up who serve with it."""
        if self._certificate.ends_at - dt.datetime.now(dt.UTC) > tls.RENEW_BEFORE:
            return
        try:
            self._certificate = tls.ensure(
                self._folder, self._who, public_url=self._public_url, now=dt.datetime.now(dt.UTC)
            )
        except CannotStart as problem:
            self._terminal.aside("certificate", str(problem))
            return
        if self._certificate.renewed:
            broker.hand_certificate(self._folder, self._broker_account, self._certificate)
            self._supervisor.child("broker").signal(signal.SIGHUP)
            for process in self._supervisor.children:
                if process.spec.name in ("web", "lab"):
                    process.restart()

    def _announce(self) -> None:
        line = self._terminal.line
        line(f"\nOpen for business after {time.monotonic() - self._began:.1f} s.\n")
        for address in self._addresses():
            line(f"  {address}")
        if self._certificate.authority is not None:
            line(f"\n  The certificate is signed by this machine's own authority, {self._certificate.authority}")
            line(f"  SHA-256 {tls.fingerprint(self._certificate.authority)}")
        if self._demo:
            for text in read_demo(self._folder):
                line(text)
        elif self._first:
            line("\nNobody can sign in yet. The first account:")
            line('  gatehouse user create YOU --name "Your Name" --operator')
        line("\nCtrl-C stops everything and keeps the data.")

    def _addresses(self) -> Iterator[str]:
        yield f"Portal       http://localhost:{home.port('WEB')}"
        for address in [self._public_url] if self._public_url else tls.lan_addresses():
            yield (
                f"             {address}"
                if self._public_url
                else f"             https://{address}:{home.port('WEB_TLS')}"
            )
        if self._demo:
            yield f"Lab          http://localhost:{home.port('LAB')}"
            for address in tls.lan_addresses():
                yield f"             https://{address}:{home.port('LAB_TLS')}"
            yield f"Gateway      http://localhost:{home.port('GATEWAY')}"


def read_demo(folder: Path) -> list[str]:
    """What the demo left in run/demo.json, as lines for the terminal; none when there is nothing to be read."""
    try:
        told = json.loads((folder / "run" / "demo.json").read_text())
        lines = ["", "Sign in as"]
        lines += [f"  {entry['role']:<24}{entry['login']:<28}{entry['password']}" for entry in told["sign_ins"]]
        lines += ["", "What to try first"]
        lines += [f"  {number}. {text}" for number, text in enumerate(told["try"], 1)]
    except (OSError, ValueError, KeyError, TypeError):
        return []
    return lines


def _answers(dsn: str) -> bool:
    try:
        with psycopg.connect(dsn, connect_timeout=2) as connection:
            connection.execute("SELECT 1")
    except psycopg.OperationalError:
        return False
    return True
