"""A second start keeps the data and is quick; Ctrl-C stops everything in time."""

from __future__ import annotations

import shutil
import socket
import tempfile
from pathlib import Path

import pytest

from tests.e2e.stack import start


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.mark.req("GH-RUN-02", "GH-RUN-04")
def test_a_second_start_keeps_the_data_and_a_stop_leaves_nothing_behind() -> None:
    home = Path(tempfile.mkdtemp(prefix="gatehouse-e2e-", dir="/var/tmp"))
    home.chmod(0o755)
    try:
        first = start(home)
        sign_ins, took = first.demo["sign_ins"], first.stop()
        assert took < 10
        assert not [name for name, port in first.ports.items() if _listens(port)]
        second = start(home, first.ports)
        assert second.demo["sign_ins"] == sign_ins
        assert second.stop() < 10
    finally:
        shutil.rmtree(home, ignore_errors=True)
