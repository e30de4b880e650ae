"""Data folders for tests of what runs on one machine: reachable for the accounts that root drops to."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from gatehouse.run import home


@pytest.fixture
def folder(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty data folder with free ports, as GATEHOUSE_HOME."""
    place = Path(tempfile.mkdtemp(prefix="gatehouse-run-"))
    place.chmod(0o711)
    for name in ("DATABASE_URL", "PUBLIC_URL", "GATEHOUSE_DEMO", "GATEHOUSE_TLS_CERT", "GATEHOUSE_TLS_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("GATEHOUSE_HOME", str(place))
    for name in home.PORTS:
        monkeypatch.setenv(f"GATEHOUSE_PORT_{name}", str(home.free_port()))
    yield place
    shutil.rmtree(place, ignore_errors=True)
