"""The process: devices come and go with the file, and what is in the way is said in one line."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gatehouse.lab import process
from gatehouse.lab.panels import Lab
from gatehouse.lab.process import Players
from tests.lab.fake import lab_config


def write(folder: Path, config: Any, at_ns: int) -> None:
    path = folder / "config.json"
    path.write_bytes(msgspec.json.encode(config) if not isinstance(config, bytes) else config)
    os.utime(path, ns=(at_ns, at_ns))


class TestPlayers:
    async def test_devices_come_change_and_go_with_the_file(self, tmp_path: Path) -> None:
        lab = Lab({"http": 1, "https": 2})
        players = Players(tmp_path, lab)
        await players.look()
        assert lab.stations == {}
        first, other = lab_config(), lab_config(device="019ab000-0000-7000-8000-000000000002")
        write(tmp_path, first, 10)
        await players.look()
        station = lab.stations[first.devices[0].id]
        assert lab.config == first

        recoded = msgspec.structs.replace(first.devices[0], claim_code="a-fresh-claim-code")
        write(tmp_path, msgspec.structs.replace(first, devices=[recoded, other.devices[0]]), 20)
        await players.look()
        assert lab.stations[recoded.id] is station, "a new claim code is no reason to begin anew"
        assert getattr(station._core, "claim_code") == "a-fresh-claim-code"
        assert len(lab.stations) == 2

        renamed = msgspec.structs.replace(recoded, name="Side entrance")
        write(tmp_path, msgspec.structs.replace(first, devices=[renamed]), 30)
        await players.look()
        assert list(lab.stations) == [renamed.id]
        assert lab.stations[renamed.id].config.name == "Side entrance"
        await asyncio.gather(*(players._end(device) for device in list(lab.stations)))

    async def test_a_broken_file_changes_nothing_and_is_named(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        lab = Lab({"http": 1, "https": 2})
        players = Players(tmp_path, lab)
        write(tmp_path, lab_config(), 10)
        await players.look()
        with caplog.at_level("INFO"):
            write(tmp_path, b'{"base_url": 7}', 20)
            await players.look()
        assert "config.json" in caplog.text and len(lab.stations) == 1
        await asyncio.gather(*(players._end(device) for device in list(lab.stations)))

    async def test_a_dumb_device_waits_at_its_own_port(self, tmp_path: Path) -> None:
        lab = Lab({"http": 1, "https": 2})
        players = Players(tmp_path, lab)
        config = lab_config()
        dumb = msgspec.structs.replace(config.devices[0], native=False, port_path=f"/device/{config.devices[0].id}")
        write(tmp_path, msgspec.structs.replace(config, devices=[dumb]), 10)
        await players.look()
        assert list(lab.dumb) == [dumb.id]
        await players._end(dumb.id)
        assert lab.dumb == {}


def environment(home: Path, port: int, **more: str) -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("GATEHOUSE_", "PUBLIC_URL"))}
    return kept | {"GATEHOUSE_HOME": str(home), "GATEHOUSE_PORT_LAB": str(port)} | more


def lab_command() -> list[str]:
    return [sys.executable, "-c", "import sys; from gatehouse.lab.process import main; sys.exit(main([]))"]


def test_a_busy_port_is_one_line_with_the_way_out(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        number = taken.getsockname()[1]
        ended = subprocess.run(
            lab_command(), env=environment(tmp_path, number), capture_output=True, text=True, timeout=30
        )
    assert ended.returncode == 1
    assert ended.stderr.count("\n") == 1 and f"port {number}" in ended.stderr and "GATEHOUSE_PORT_LAB" in ended.stderr


@pytest.mark.req("GH-LAB-E2")
def test_a_server_with_a_public_name_runs_no_lab_unless_told(tmp_path: Path) -> None:
    public = environment(tmp_path, 1, PUBLIC_URL="https://gate.example")
    ended = subprocess.run(lab_command(), env=public, capture_output=True, text=True, timeout=30)
    assert ended.returncode == 1 and "GATEHOUSE_LAB=1" in ended.stderr


def test_arguments_and_ports_that_are_none_are_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert process.main(["--help"]) == 2
    monkeypatch.setenv("GATEHOUSE_PORT_LAB", "eighty")
    assert process.main([]) == 1
    assert "GATEHOUSE_PORT_LAB" in capsys.readouterr().err


def test_it_answers_waits_for_its_file_and_ends_at_sigterm(tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        number = probe.getsockname()[1]
    running = subprocess.Popen(
        lab_command(), env=environment(tmp_path, number), stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        end = time.monotonic() + 20
        while True:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{number}/health/live", timeout=1) as answer:
                    assert answer.read() == b"ok\n"
                break
            except OSError:
                assert time.monotonic() < end and running.poll() is None
                time.sleep(0.05)
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(f"http://127.0.0.1:{number}/", timeout=5)
        assert refused.value.code == 403
        (tmp_path / "lab").mkdir(exist_ok=True)
        (tmp_path / "lab" / "config.json").write_text(json.dumps(msgspec.to_builtins(lab_config())))
        time.sleep(1.5)
        began = time.monotonic()
        running.send_signal(signal.SIGTERM)
        assert running.wait(timeout=10) == 0
        assert time.monotonic() - began < 8
    finally:
        if running.poll() is None:
            running.kill()
        _, said = running.communicate(timeout=5)
    assert "1 virtual device" in said and "Traceback" not in said
