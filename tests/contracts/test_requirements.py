"""The catalogue of requirements can be trusted: every id once, no claim without a passing test."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests import requirements
from tests.requirements import ROOT, Result, catalogue, count, kept, proven_by, reasoned

SUITE = """
import pytest

@pytest.mark.req("OFF-AG-20", "OFF-AG-21")
def test_that_passes(): pass

@pytest.mark.req("OFF-AG-21", "OFF-AG-22")
def test_that_fails(): assert 1 == 2

@pytest.mark.req("OFF-AG-19")
@pytest.mark.parametrize("reason", ["none today"])
def test_that_is_left_out(reason): getattr(pytest, "skip")(reason)

@pytest.mark.req("OFF-AG-18")
def test_whose_fixture_breaks_afterwards(broken): pass

@pytest.fixture
def broken():
    yield
    raise OSError("gone")
"""


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    (folder / "pytest.ini").write_text("[pytest]\nmarkers =\n    req\n")
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "tests.requirements", "-p", "no:django", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_every_requirement_is_defined_once_and_readings_do_not_count() -> None:
    ids = catalogue()
    assert {"OFF-AG-20", "COM-DEV-C5", "COM-DVC-E4", "GH-HA2-E1", "GH-RUN-01"} <= ids
    assert not [id_ for id_ in ids if id_.startswith("COM-Q")]
    # platform.md states its own sum
    assert len([id_ for id_ in ids if id_.startswith("GH-")]) == 172 + 48


def test_an_id_that_is_defined_twice_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("office", "community", "platform"):
        (tmp_path / f"{name}.md").write_text("- **OFF-AG-20** One line.\n")
    monkeypatch.setattr(requirements, "SPEC", tmp_path)
    with pytest.raises(ValueError, match="OFF-AG-20"):
        catalogue()


def test_what_cannot_be_proven_yet_exists_and_says_why_and_how() -> None:
    lines = (ROOT / "docs/spec/not-provable-yet.md").read_text().splitlines()
    rows = [line for line in lines if line.startswith("| ") and not line.startswith("| id ")]
    assert len(rows) == len(reasoned())
    assert set(reasoned()) <= catalogue()
    assert all(len(why) > 40 and len(how) > 20 for why, how in reasoned().values())


def test_only_a_passing_test_proves_and_a_failing_one_takes_it_back(tmp_path: Path) -> None:
    (tmp_path / "test_some.py").write_text(SUITE)
    assert run(tmp_path).returncode == 1
    assert proven_by(kept(tmp_path)) == {"OFF-AG-20"}


def test_a_run_of_one_test_leaves_the_others_and_a_removed_test_is_forgotten(tmp_path: Path) -> None:
    file = tmp_path / "test_some.py"
    file.write_text(SUITE)
    run(tmp_path)
    file.write_text(SUITE.replace("assert 1 == 2", "assert 1 == 1"))
    run(tmp_path, "test_some.py::test_that_fails")
    assert proven_by(kept(tmp_path)) == {"OFF-AG-20", "OFF-AG-21", "OFF-AG-22"}
    file.write_text("def test_without_claim(): pass\n")
    run(tmp_path)
    assert proven_by(kept(tmp_path)) == set()


def test_a_marker_with_an_unknown_id_stops_the_run(tmp_path: Path) -> None:
    (tmp_path / "test_some.py").write_text(SUITE.replace("OFF-AG-20", "OFF-AG-99"))
    done = run(tmp_path)
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert "test_that_passes names 'OFF-AG-99'" in done.stdout + done.stderr


def test_results_older_than_the_sources_do_not_count() -> None:
    results = {"tests/a.py::test_a": Result(100.0, "passed", ["OFF-AG-20"])}
    assert proven_by(results, since=99.0) == {"OFF-AG-20"}
    assert proven_by(results, since=101.0) == set()


def test_figures_count_an_id_once_and_a_proven_one_is_not_reasoned() -> None:
    all_ = frozenset({"OFF-AG-01", "OFF-AG-E01", "GH-HA2-E1"})
    figures = count(all_, {"OFF-AG-01"}, ["OFF-AG-01", "OFF-AG-E01"])
    assert figures == {"GH-HA2": (1, 0, 0), "OFF-AG": (2, 1, 1)}
