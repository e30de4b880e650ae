"""A gateway fits on a small box."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.req("GH-GW-12")
def test_10_000_people_and_50_doors_fit_into_80_mb_at_the_worst_moment(fast_folder: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.gateway.memory"],
        cwd=Path(__file__).parents[2],
        env={"PATH": "/usr/bin:/bin", "TMPDIR": str(fast_folder), "PYTHONPATH": "src"},
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.returncode == 0, done.stderr
    measured = json.loads(done.stdout)
    assert (measured["people"], measured["doors"]) == (10_000, 50)
    assert measured["peak_mb"] <= 80, measured
