"""The command as people meet it: what it refuses, what it names, what it deletes."""

import contextlib
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from gatehouse.run import home, secrets, supervisor


def gatehouse(*arguments: str, said: str = "", **variables: str) -> "subprocess.CompletedProcess[str]":
    """Runs the command to its end, as from a shell."""
    return subprocess.run(
        [sys.executable, "-m", "gatehouse.cli", *arguments],
        env={**os.environ, **variables},
        input=said,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def refused(done: "subprocess.CompletedProcess[str]") -> str:
    """The one line on standard error of a command that was refused."""
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    return line.removeprefix("gatehouse: ")


@pytest.mark.req("GH-RUN-E1")
class TestRefusedStart:
    def test_a_busy_port_is_named_and_nothing_is_left_running(self, folder: Path) -> None:
        with socket.create_server(("127.0.0.1", home.port("MQTT"))):
            line = refused(gatehouse("up"))
        assert line.startswith(f"Port {home.port('MQTT')} is already in use by ")
        assert line.endswith("stop that program or set GATEHOUSE_PORT_MQTT to a free port.")
        assert not (folder / "postgres").exists()

    def test_a_second_start_is_refused_while_the_first_goes_on(self, folder: Path) -> None:
        held = supervisor.lock(folder)
        try:
            assert "already starting on" in refused(gatehouse("up"))
        finally:
            os.close(held)

    def test_two_listeners_on_one_port_are_named(self, folder: Path) -> None:
        line = refused(gatehouse("up", GATEHOUSE_PORT_LAB=str(home.port("WEB"))))
        assert f"GATEHOUSE_PORT_LAB and GATEHOUSE_PORT_WEB are both {home.port('WEB')}" in line

    def test_nonsense_as_a_port_is_named(self, folder: Path) -> None:
        assert "GATEHOUSE_PORT_WEB is 'http'" in refused(gatehouse("up", GATEHOUSE_PORT_WEB="http"))

    def test_a_folder_that_cannot_be_made_is_named(self, folder: Path) -> None:
        (folder / "file").touch()
        line = refused(gatehouse("up", GATEHOUSE_HOME=str(folder / "file" / "below")))
        assert "set GATEHOUSE_HOME to a folder that this user may write" in line

    def test_a_missing_server_is_named_with_its_package(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (folder / "postgres").mkdir()
        (folder / "postgres" / "PG_VERSION").write_text("9\n")
        assert refused(gatehouse("up")).endswith("run `apt-get install postgresql-9` as root.")

    def test_a_clock_before_the_installation_is_refused(self, folder: Path) -> None:
        wrong = "import time; time.time = lambda: 86400.0\nfrom gatehouse.run import up; raise SystemExit(up.up())"
        done = subprocess.run([sys.executable, "-c", wrong], capture_output=True, text=True, timeout=60, check=False)
        assert "set the clock" in refused(done)

    def test_an_external_database_that_does_not_answer_is_named(self, folder: Path) -> None:
        url = f"postgresql://gatehouse:x@127.0.0.1:{home.free_port()}/gatehouse"
        line = refused(gatehouse("up", DATABASE_URL=url))
        assert line.startswith("The database of DATABASE_URL cannot be used (")


@pytest.mark.req("GH-RUN-05")
class TestAddress:
    def test_outside_the_demo_the_public_address_is_required(self, folder: Path) -> None:
        assert "PUBLIC_URL is not set" in refused(gatehouse("up", GATEHOUSE_DEMO="0"))

    def test_it_must_be_an_address(self, folder: Path) -> None:
        assert "PUBLIC_URL is 'doors'" in refused(gatehouse("up", PUBLIC_URL="doors"))

    def test_the_data_of_a_demo_does_not_become_the_real_thing(self, folder: Path) -> None:
        (folder / "mode").write_text("demo\n")
        line = refused(gatehouse("up", PUBLIC_URL="https://doors.example.org"))
        assert "belongs to a demo installation" in line


@pytest.mark.req("GH-RUN-03")
class TestReset:
    def fill(self, folder: Path) -> None:
        secrets.make(folder, None)
        (folder / "postgres").mkdir()
        (folder / "photo of the dog.jpg").touch()

    def test_it_names_what_it_deletes_and_asks(self, folder: Path) -> None:
        self.fill(folder)
        done = gatehouse("reset", said="no\n")
        assert done.returncode == 1
        for name in ("postgres", "master.key", "secrets"):
            assert f"\n  {name} " in done.stdout
        assert done.stdout.endswith("Nothing was deleted.\n")
        assert (folder / "master.key").exists()

    @pytest.mark.parametrize(("arguments", "said"), [(["--yes"], ""), ([], "yes\n")])
    def test_it_deletes_what_gatehouse_made_and_nothing_else(
        self, folder: Path, arguments: list[str], said: str
    ) -> None:
        self.fill(folder)
        assert gatehouse("reset", *arguments, said=said).returncode == 0
        assert [path.name for path in folder.iterdir()] == ["photo of the dog.jpg"]

    def test_it_is_refused_while_gatehouse_runs(self, folder: Path) -> None:
        self.fill(folder)
        held = supervisor.lock(folder)
        try:
            assert "stop it first" in refused(gatehouse("reset", "--yes"))
        finally:
            os.close(held)
        assert (folder / "master.key").exists()

    def test_an_external_database_is_named_and_stays(self, folder: Path) -> None:
        self.fill(folder)
        listener = socket.create_server(("127.0.0.1", 0))
        with contextlib.closing(listener):
            listener.settimeout(0.2)
            port = listener.getsockname()[1]
            done = gatehouse("reset", "--yes", DATABASE_URL=f"postgresql://gatehouse:x@127.0.0.1:{port}/doors")
            assert "The database doors on 127.0.0.1 is yours and stays as it is." in done.stdout
            with pytest.raises(TimeoutError):
                listener.accept()
        assert (folder / "master.key").exists()  # without it that database could not be read any more
        assert not (folder / "secrets").exists()


@pytest.mark.req("GH-RUN-07")
class TestPorts:
    def test_check_names_every_listener_with_its_setting(self, folder: Path) -> None:
        done = gatehouse("check")
        for name in home.PORTS:
            assert f"{home.port(name):<8}{name:<12}" in done.stdout
            assert f"GATEHOUSE_PORT_{name}" in done.stdout

    def test_the_documented_table_is_the_real_one(self) -> None:
        text = (Path(__file__).parents[2] / "docs" / "running.md").read_text(encoding="utf-8")
        for name, number in home.PORTS.items():
            where = "network" if name in home.ON_ALL_INTERFACES else "loopback"
            assert f"| {number} | `GATEHOUSE_PORT_{name}` | {where} |" in text
