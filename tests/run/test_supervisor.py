"""Processes are started in order, started again when they die, and all gone at the end, however the end comes."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from gatehouse.run import processes, supervisor
from gatehouse.run.child import Child, Spec, file_probe
from gatehouse.run.home import CannotStart
from gatehouse.run.supervisor import Supervisor

WAITS = "import time; time.sleep(60)"
IGNORES_REQUESTS = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf'); time.sleep(60)"


def python(name: str, code: str, **more: Any) -> Spec:
    return Spec(name, [sys.executable, "-c", textwrap.dedent(code)], dict(os.environ), **more)


def silent(name: str, text: str) -> None:
    """Nobody looks at the terminal."""


@pytest.fixture
def watched(folder: Path) -> Iterator[Supervisor]:
    with Supervisor(folder, show=silent) as running:
        yield running


def until(true: Callable[[], bool], running: Supervisor | None = None, *, seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        if running is None:
            time.sleep(0.02)
        else:
            running.turn()


def state(folder: Path) -> dict[str, Any]:
    read: dict[str, Any] = json.loads((folder / "run" / "state.json").read_text())
    return read


class TestStart:
    def test_the_next_waits_until_the_previous_is_ready(self, watched: Supervisor, folder: Path) -> None:
        mark = folder / "ready"
        slow = python("slow", f"import pathlib, time; time.sleep(0.5); pathlib.Path({str(mark)!r}).touch(); {WAITS}",
                      ready=file_probe(mark))  # fmt: skip
        watched.start([slow])
        assert mark.exists()
        assert watched.child("slow").state == "ready"
        assert state(folder)["processes"]["slow"]["pid"] == watched.child("slow").pid

    def test_a_one_shot_is_waited_for(self, watched: Supervisor, folder: Path) -> None:
        once = python("once", f"import pathlib; pathlib.Path({str(folder / 'done')!r}).touch()", once=True)
        watched.start([once])
        assert (folder / "done").exists()
        assert watched.child("once").state == "done"

    @pytest.mark.parametrize("once", [True, False])
    def test_a_failure_is_one_line_with_the_last_words_and_the_log(
        self, watched: Supervisor, folder: Path, once: bool
    ) -> None:
        with pytest.raises(CannotStart) as refusal:
            watched.start([python("broken", "print('so far so good'); raise ValueError('no such door')", once=once)])
        log = folder / "logs" / "broken.log"
        assert str(refusal.value) == f"broken did not start (code 1): ValueError: no such door (see {log})"
        assert "so far so good" in log.read_text()

    def test_one_that_never_becomes_ready_is_named(self, watched: Supervisor, folder: Path) -> None:
        never = python("never", WAITS, ready=file_probe(folder / "never"), patience=0.5)
        with pytest.raises(CannotStart, match="never was not ready within 0 s"):
            watched.start([never])

    @pytest.mark.req("GH-RUN-E1")
    def test_a_second_start_on_the_same_folder_is_refused_in_one_line(self, watched: Supervisor, folder: Path) -> None:
        watched.start([python("one", WAITS)])
        with pytest.raises(CannotStart) as refusal, Supervisor(folder, show=silent):
            raise AssertionError("started twice")
        assert str(refusal.value) == (
            f"Gatehouse is already running on {folder} (process {os.getpid()}): use that one or stop it first."
        )
        assert watched.child("one").pid is not None


class TestRestart:
    @pytest.mark.req("GH-RUN-02")
    def test_a_killed_process_comes_back_and_is_counted(self, watched: Supervisor, folder: Path) -> None:
        watched.start([python("one", WAITS)])
        one = watched.child("one")
        first = one.pid
        assert first is not None
        os.kill(first, signal.SIGKILL)
        until(lambda: one.state == "ready" and one.restarts == 1, watched)
        assert one.pid not in (None, first)
        recorded = state(folder)["processes"]["one"]
        assert (recorded["restarts"], recorded["last_exit"], recorded["state"]) == (1, "signal SIGKILL", "ready")

    @pytest.mark.req("GH-RUN-02")
    def test_the_delay_grows_while_it_keeps_dying(self, watched: Supervisor) -> None:
        dies = python("dies", "import time; time.sleep(0.6)")
        watched.start([dies])
        moments: list[float] = []
        one = watched.child("dies")
        for wanted in (1, 2, 3):
            until(lambda wanted=wanted: one.restarts == wanted, watched)  # type: ignore[misc]
            moments.append(time.monotonic())
        # 0.6 s of life each time, and a delay of 1 s, then of 2 s
        assert 1.5 < moments[1] - moments[0] < 2.5
        assert 2.5 < moments[2] - moments[1] < 4.0

    def test_what_it_started_itself_dies_with_it(self, watched: Supervisor, folder: Path) -> None:
        note = folder / "grandchild"
        watched.start([python("parent", f"""
            import pathlib, subprocess, time
            child = subprocess.Popen(["sleep", "60"])
            pathlib.Path({str(note)!r}).write_text(str(child.pid))
            time.sleep(60)
        """, ready=file_probe(note))])  # fmt: skip
        parent = watched.child("parent")
        grandchild = int(note.read_text())
        assert parent.pid is not None
        os.kill(parent.pid, signal.SIGKILL)
        until(lambda: parent.restarts == 1, watched)
        until(lambda: processes.started(grandchild) is None)

    def test_its_output_is_kept_line_by_line_and_warnings_are_shown(self, folder: Path) -> None:
        shown: list[tuple[str, str]] = []
        with Supervisor(folder, show=lambda name, text: shown.append((name, text))) as running:
            running.start([python("talks", """
                print("plain")
                print('{"level": "INFO", "message": "nothing to see"}')
                print('{"level": "WARNING", "message": "the disk is filling"}')
                print("ERROR: out of range")
            """, once=True)])  # fmt: skip
        assert shown == [("talks", "the disk is filling"), ("talks", "ERROR: out of range")]
        assert (folder / "logs" / "talks.log").read_text().count("\n") == 4


class TestStop:
    @pytest.mark.req("GH-RUN-02")
    def test_all_are_gone_in_reverse_order_and_the_deaf_are_killed_in_time(self, folder: Path) -> None:
        order = folder / "order"
        polite = """
            import pathlib, signal, sys, time
            def leave(*_):
                with open({order!r}, "a") as file: file.write({name!r})
                sys.exit(0)
            signal.signal(signal.SIGTERM, leave)
            pathlib.Path({order!r} + {name!r}).touch()
            time.sleep(60)
        """
        with Supervisor(folder, show=silent) as running:
            for name in "abc":
                code = polite.format(order=str(order), name=name)
                running.start([python(name, code, ready=file_probe(Path(f"{order}{name}")))])
            running.start([python("deaf", IGNORES_REQUESTS)])
            pids = [child.pid for child in running.children]
            began = time.monotonic()
        assert time.monotonic() - began < 10
        assert order.read_text() == "cba"
        assert [processes.started(pid) for pid in pids if pid] == [None] * 4

    def test_a_stop_while_starting_ends_the_start(self, folder: Path) -> None:
        with pytest.raises(supervisor.Stopped), Supervisor(folder, show=silent) as running:
            os.kill(os.getpid(), signal.SIGTERM)
            running.start([python("one", WAITS, ready=file_probe(folder / "never"))])


OUTER = """
    import sys
    from pathlib import Path
    from gatehouse.run.child import Spec
    from gatehouse.run.supervisor import Supervisor
    with Supervisor(Path(sys.argv[1]), show=print) as running:
        running.start([Spec("one", [sys.executable, "-c", {code!r}], {{}}), Spec("two", ["sleep", "60"], {{}})])
        print("ready", flush=True)
        running.watch()
"""


@contextlib.contextmanager
def outer(folder: Path, code: str = WAITS) -> Iterator["subprocess.Popen[str]"]:
    """A supervisor in a process of its own, with two children running."""
    command = [sys.executable, "-c", textwrap.dedent(OUTER).format(code=code), str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        try:
            yield process
        finally:
            process.kill()


def pids_of(folder: Path) -> list[int]:
    return [entry["pid"] for entry in state(folder)["processes"].values()]


class TestKilledSupervisor:
    @pytest.mark.req("GH-RUN-E2")
    def test_its_children_end_by_themselves(self, folder: Path) -> None:
        with outer(folder) as process:
            pids = pids_of(folder)
            assert all(processes.started(pid) for pid in pids)
            process.kill()
            process.wait(5)
            until(lambda: not any(processes.started(pid) for pid in pids))

    @pytest.mark.req("GH-RUN-E2")
    def test_children_that_will_not_end_are_ended_by_the_next_start(self, folder: Path) -> None:
        with outer(folder, IGNORES_REQUESTS) as process:
            deaf = pids_of(folder)[0]
            process.kill()
            process.wait(5)
            time.sleep(0.2)
            assert processes.started(deaf) is not None
            supervisor.clear_leftovers(folder, patience=0.5)
            assert processes.started(deaf) is None

    def test_a_stranger_with_a_recorded_number_is_left_alone(self, folder: Path) -> None:
        with outer(folder) as process:
            recorded = state(folder)
            process.kill()
            process.wait(5)
        with subprocess.Popen(["sleep", "60"], start_new_session=True) as stranger:
            recorded["processes"]["one"]["pid"] = stranger.pid
            (folder / "run" / "state.json").write_text(json.dumps(recorded))
            with Supervisor(folder, show=silent):
                assert stranger.poll() is None
            stranger.kill()

    def test_a_record_that_somebody_else_wrote_is_not_obeyed(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with outer(folder, IGNORES_REQUESTS) as process:
            deaf = pids_of(folder)[0]
            process.kill()
            process.wait(5)
            monkeypatch.setattr("os.geteuid", lambda: 12345)
            supervisor.clear_leftovers(folder, patience=0.2)
            assert processes.started(deaf) is not None
            os.kill(deaf, signal.SIGKILL)

    @pytest.mark.req("GH-RUN-02")
    @pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
    def test_an_asked_one_stops_all(self, folder: Path, how: signal.Signals) -> None:
        with outer(folder) as process:
            pids = pids_of(folder)
            process.send_signal(how)
            assert process.wait(10) == 0
            assert not any(processes.started(pid) for pid in pids)


def test_a_log_does_not_grow_for_ever(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gatehouse.run.child._LARGEST_LOG", 1000)
    (folder / "logs").mkdir()
    child = Child(python("talks", "print('x' * 99 + chr(10), end='', flush=True);" * 25), folder / "logs", silent,
                  verbose=False)  # fmt: skip
    child.start()
    until(lambda: child.pid is None)
    child.close()
    sizes = {path.name: path.stat().st_size for path in (folder / "logs").iterdir()}
    assert set(sizes) == {"talks.log", "talks.log.1"}
    assert max(sizes.values()) <= 1200
