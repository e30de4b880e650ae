"""What may not stand in the repository, and what must."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import pytest

from tests.requirements import ROOT

FORBIDDEN = re.compile(
    r"/wor[k]/|/far[m]/|https?://[A-Za-z0-9.-]*\b(py[p]i|pythonhoste[d]|npmj[s]|debia[n])\.(org|com|net)"
)
"""Paths of somebody's machine, and hosts of package registries: whoever installs has their own."""
NOTE_TO_SELF = re.compile(r"\b(TOD[O]|FIXM[E]|XX[X])\b|assert Tru[e]\b|pytest\.ski[p]\(|mark\.(ski[p]|xfai[l])")
NAMES = {"utils", "util", "helpers", "helper", "manager", "managers", "misc", "common", "base"}
LONGEST = 550


MADE = {"__pycache__", "node_modules", "dist", "build", "gatehouse.egg-info"}
"""Folders that are made, here or on any other machine; git is not asked, since a bare machine has none."""


@cache
def tracked() -> list[Path]:
    """Files of the repository."""
    found = [path for path in ROOT.iterdir() if path.is_file()]
    for folder in ROOT.iterdir():
        if folder.is_dir() and folder.name not in MADE and (not folder.name.startswith(".") or folder.name == ".ci"):
            found += [path for path in folder.rglob("*") if path.is_file() and not MADE.intersection(path.parts)]
    return [path for path in found if path.suffix not in (".pyc", ".json") or path.parent != ROOT]


def lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError:
        return []


def test_no_file_names_a_machine_or_a_registry() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()[:100]}"
        for path in tracked()
        for number, line in enumerate(lines(path), 1)
        if FORBIDDEN.search(line)
    ]
    assert found == []


def test_nothing_is_left_for_later_in_the_code() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()[:100]}"
        for path in tracked()
        if path.suffix in (".py", ".ts", ".html", ".css", ".sh", ".mjs", ".sql")
        for number, line in enumerate(lines(path), 1)
        if NOTE_TO_SELF.search(line)
    ]
    assert found == []


def test_modules_stay_short_and_have_names_that_say_something() -> None:
    modules = [path for path in tracked() if path.suffix == ".py" and "src" in path.relative_to(ROOT).parts]
    long = {str(path.relative_to(ROOT)): len(lines(path)) for path in modules if len(lines(path)) > LONGEST}
    assert long == {}, "cut them by act"
    vague = [str(path.relative_to(ROOT)) for path in modules if {path.stem, path.parent.name} & NAMES]
    assert vague == []


def test_no_file_is_large() -> None:
    assert [str(path) for path in tracked() if path.stat().st_size > 1_500_000] == []


@pytest.mark.parametrize("name", ["runtime", "test", "build", "bench"])
def test_a_lock_pins_every_package_by_hash_and_holds_no_address(name: str) -> None:
    text = (ROOT / f"requirements/{name}.txt").read_text()
    assert "://" not in text
    assert "--index" not in text
    packages = re.split(r"\n(?=[A-Za-z0-9])", "\n".join(row for row in text.splitlines() if not row.startswith("#")))
    unpinned = [package.split()[0] for package in packages if package.strip() and not _pinned(package)]
    assert unpinned == []


def _pinned(package: str) -> bool:
    return bool(re.match(r"\s*[A-Za-z0-9._-]+(\[[a-z,]+\])?==[^\s;]+", package)) and "--hash=sha256:" in package


@pytest.mark.parametrize("name", ["runtime", "test", "build", "bench"])
def test_everything_asked_for_is_in_the_lock(name: str) -> None:
    locked = {_normal(row) for row in (ROOT / f"requirements/{name}.txt").read_text().splitlines() if "==" in row}
    assert asked_for(name) <= locked


def asked_for(name: str) -> set[str]:
    """Packages that requirements/<name>.in names."""
    rows = (ROOT / f"requirements/{name}.in").read_text().splitlines()
    return {_normal(row) for row in rows if row.strip() and not row.startswith(("#", "-"))}


def _normal(row: str) -> str:
    return re.split(r"[\[<>=~;\s]", row.strip(), maxsplit=1)[0].lower().replace("_", "-")


def test_the_package_asks_for_what_the_lock_of_the_processes_has() -> None:
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert {_normal(row) for row in project["dependencies"]} == asked_for("runtime")
