"""The built front end, for whoever asks for a page, and a browser."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

from gatehouse.lab import hardware, pages

ROOT = Path(__file__).parents[2]
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="session", autouse=True)
def built() -> None:
    """Pages name built files: without them there is no page."""
    if not (pages.STATIC / "manifest.json").exists():
        environment = os.environ | {"PYTHON": sys.executable}
        subprocess.run([ROOT / "frontend" / "build.sh"], check=True, timeout=300, env=environment)


@pytest.fixture(autouse=True)
def boots_quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody learns anything from waiting for a phone to start; tests of the start itself set their own time."""
    monkeypatch.setattr(hardware, "BOOT_MS", 20)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One for a module: as long as it is there, its event loop runs in this thread and no other can."""
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(
            executable_path=os.environ.get("GATEHOUSE_CHROMIUM", "/usr/bin/chromium"), args=ARGUMENTS
        )
        yield started
        started.close()
