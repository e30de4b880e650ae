"""Fixtures of the gateway's tests."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.gateway.cloud import Broker, Cloud
from tests.gateway.line import connected

__all__ = ["connected"]


@pytest.fixture
def fast_folder(tmp_path: Path) -> Iterator[Path]:
    """In memory where there is such a place: simulations write a great deal."""
    base = Path("/dev/shm")
    folder = Path(tempfile.mkdtemp(dir=base)) if base.is_dir() else tmp_path / "fast"
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    """A real mosquitto with a password file and the access rules of the wire."""
    broker = Broker(tmp_path / "broker")
    broker.start()
    yield broker
    broker.stop()


@pytest.fixture
async def cloud(broker: Broker) -> AsyncIterator[Cloud]:
    """The other end of the wire: a link over that broker and feed pages over HTTP."""
    cloud = Cloud(broker)
    await cloud.start()
    yield cloud
    await cloud.stop()
