"""What a process says before it starts to work, when it had better not."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.parametrize("process", ["web", "worker", "link"])
def test_without_the_master_key_nothing_starts(process: str, tmp_path: Path, database_url: str) -> None:
    environment = {key: value for key, value in os.environ.items() if not key.startswith("GATEHOUSE_")}
    environment |= {"GATEHOUSE_HOME": str(tmp_path), "DATABASE_URL": database_url}
    said = subprocess.run(
        [sys.executable, "-m", "gatehouse.cli", process],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert said.returncode == 1
    assert said.stderr.startswith("gatehouse: there is no master key in")
    assert len(said.stderr.strip().splitlines()) == 1
