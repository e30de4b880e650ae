"""The private PostgreSQL server lives through every way of dying."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from gatehouse.run import home, postgres, processes
from gatehouse.run.home import CannotStart

PASSWORD = "only-for-this-test"


class Cluster:
    """A cluster on disk whose server is started and killed by the tests."""

    def __init__(self, folder: Path) -> None:
        self.data = folder / "postgres"
        self.log = folder / "log"
        self.port = home.free_port()
        self.dsn = postgres.superuser_dsn(self.port, PASSWORD)
        self.who = postgres.system_account()
        self.binaries = postgres.find_binaries()
        self.started: list[subprocess.Popen[bytes]] = []
        postgres.make_cluster(self.data, PASSWORD, self.who, binaries=self.binaries, durable=False)

    def start(self) -> "subprocess.Popen[bytes]":
        with self.log.open("ab") as log:
            process = postgres.start(self.data, self.port, self.who, binaries=self.binaries, log=log)
        self.started.append(process)
        postgres.wait_until_ready(self.dsn, process, self.log, patience=20)
        return process

    def rows(self) -> int:
        with psycopg.connect(self.dsn) as connection:
            row = connection.execute("SELECT count(*) FROM kept").fetchone()
        assert row is not None
        return int(row[0])


@pytest.fixture
def cluster(folder: Path) -> Iterator[Cluster]:
    made = Cluster(folder)
    process = made.start()
    with psycopg.connect(made.dsn) as connection:
        connection.execute("CREATE TABLE kept AS SELECT generate_series(1, 1000)")
    assert process.poll() is None
    yield made
    for process in made.started:
        postgres.stop(process)
    postgres.clear_remains(made.data)


class TestAfterKill:
    @pytest.mark.req("GH-RUN-E2")
    def test_a_killed_server_starts_again_with_its_data(self, cluster: Cluster) -> None:
        cluster.started[-1].kill()
        cluster.started[-1].wait(5)
        cluster.start()
        assert cluster.rows() == 1000

    def test_a_killed_server_that_nobody_reaped_counts_as_dead(self, cluster: Cluster) -> None:
        os.kill(cluster.started[-1].pid, signal.SIGKILL)
        deadline = time.monotonic() + 5
        while processes.started(cluster.started[-1].pid) is not None:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        assert (cluster.data / "postmaster.pid").exists()
        cluster.start()
        assert cluster.rows() == 1000

    def test_orphaned_backends_are_ended_before_the_next_start(self, cluster: Cluster) -> None:
        with psycopg.connect(cluster.dsn) as connection:
            backend = connection.info.backend_pid
            os.kill(backend, signal.SIGSTOP)  # so that it cannot notice that its server is gone
            cluster.started[-1].kill()
            cluster.started[-1].wait(5)
            assert processes.started(backend) is not None
            cluster.start()
            assert processes.started(backend) is None
        assert cluster.rows() == 1000

    def test_a_server_left_by_a_killed_parent_is_stopped_first(self, cluster: Cluster) -> None:
        first = cluster.started[-1]
        second = cluster.start()
        assert first.wait(5) is not None
        assert second.poll() is None
        assert cluster.rows() == 1000

    def test_a_stranger_that_got_the_number_in_the_lock_file_is_left_alone(self, cluster: Cluster) -> None:
        cluster.started[-1].kill()
        cluster.started[-1].wait(5)
        with subprocess.Popen(["sleep", "60"]) as stranger:
            lock = cluster.data / "postmaster.pid"
            lines = lock.read_text().split("\n")
            lock.write_text("\n".join([str(stranger.pid), *lines[1:]]))
            cluster.start()
            assert stranger.poll() is None
            stranger.kill()
        assert cluster.rows() == 1000


class TestTrouble:
    def test_an_interrupted_first_start_leaves_nothing_that_looks_like_a_cluster(self, folder: Path) -> None:
        data = folder / "postgres"
        (folder / "postgres.new").mkdir()
        (folder / "postgres.new" / "PG_VERSION").write_text("15\n")
        binaries, who = postgres.find_binaries(), postgres.system_account()
        postgres.make_cluster(data, PASSWORD, who, binaries=binaries, durable=False)
        assert (data / "global" / "pg_control").exists()
        assert not (folder / "postgres.new").exists()

    def test_data_of_another_version_names_the_package_to_install(self, folder: Path) -> None:
        (folder / "PG_VERSION").write_text("9\n")
        with pytest.raises(CannotStart, match="apt-get install postgresql-9"):
            postgres.find_binaries(folder)

    @pytest.mark.req("GH-RUN-E1")
    def test_a_port_in_use_is_named_with_who_has_it(self, cluster: Cluster) -> None:
        with pytest.raises(CannotStart) as refusal:
            home.require_free_port("DATABASE", cluster.port)
        assert f"Port {cluster.port} is already in use by postgres" in str(refusal.value)
        assert "GATEHOUSE_PORT_DATABASE" in str(refusal.value)
        assert "\n" not in str(refusal.value)

    @pytest.mark.req("GH-RUN-E1")
    def test_a_full_disk_is_named_before_anything_is_made(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(home, "LEAST_FREE_BYTES", 2**62)
        with pytest.raises(CannotStart, match=r"The disk that holds .* is full .* free some space"):
            home.open_home(folder)
        assert list(folder.iterdir()) == []


@pytest.mark.req("GH-RUN-08")
def test_the_server_does_not_run_as_root_and_listens_on_loopback_only(cluster: Cluster) -> None:
    assert Path(f"/proc/{cluster.started[-1].pid}").stat().st_uid != 0
    with psycopg.connect(cluster.dsn) as connection:
        shown = connection.execute(
            "SELECT current_setting('listen_addresses'), current_setting('unix_socket_directories'),"
            " current_setting('fsync'), current_setting('password_encryption')"
        ).fetchone()
        rules = connection.execute("SELECT DISTINCT auth_method FROM pg_hba_file_rules").fetchall()
    assert shown == ("127.0.0.1", "", "on", "scram-sha-256")
    assert rules == [("scram-sha-256",)]
