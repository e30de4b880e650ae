# ruff: noqa: T201 - printing is what it is for
"""Which requirements have a passing test behind them.

`docs/spec/` holds the requirements, each with an id. A test names the ids that it proves with
`@pytest.mark.req("OFF-AG-20")`. As a pytest plugin, this module refuses ids that no specification knows and
keeps in `.requirements.json` how each test last ended. As a command (`python -m tests.requirements`) it prints
the count per area; the suite is run first unless every test file has run since the last change of a source.

An id is proven when at least one test that names it passed and none failed; a skipped test proves nothing.
`reasoned` are ids of `docs/spec/not-provable-yet.md` that are not proven.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[1]
SPEC = ROOT / "docs/spec"
KEPT = ".requirements.json"

OUTSIDE = ("COM-Q-",)
"""Open readings of the manuals: numbered like requirements, but nothing that could be proven."""
_ID = r"(?:OFF|COM|GH)-[A-Z0-9]+-[CE]?[0-9]+"
_DEFINED = re.compile(rf"^- \*\*({_ID})\*\*", re.MULTILINE)
_REASONED = re.compile(rf"^\| ({_ID}) \| (\S.*?) \| (\S.*?) \|$", re.MULTILINE)


class Count(NamedTuple):
    """One area's figures."""

    total: int
    proven: int
    reasoned: int


def catalogue() -> frozenset[str]:
    """Every requirement id. Raises ValueError when one is defined twice."""
    found = [
        id_
        for name in ("office", "community", "platform")
        for id_ in _DEFINED.findall((SPEC / f"{name}.md").read_text(encoding="utf-8"))
        if not id_.startswith(OUTSIDE)
    ]
    if twice := sorted({id_ for id_ in found if found.count(id_) > 1}):
        raise ValueError(f"defined twice: {', '.join(twice)}")
    return frozenset(found)


def reasoned() -> dict[str, tuple[str, str]]:
    """Ids that nothing here can prove yet: id -> (why not, what would prove it)."""
    table = (SPEC / "not-provable-yet.md").read_text(encoding="utf-8")
    return {id_: (why, how) for id_, why, how in _REASONED.findall(table)}


def area_of(id_: str) -> str:
    """`OFF-AG-E05` stands in `OFF-AG`."""
    return id_.rpartition("-")[0]


def in_order(ids: Iterable[str]) -> list[str]:
    """By area, features before chains before bad input, then by number."""

    def key(id_: str) -> tuple[str, str, int]:
        kind, number = re.fullmatch(r"([CE]?)([0-9]+)", id_.rpartition("-")[2]).groups()  # type: ignore[union-attr]
        return area_of(id_), kind, int(number)

    return sorted(ids, key=key)


def count(all_: frozenset[str], proven: set[str], why: Iterable[str]) -> dict[str, Count]:
    """Figures for each area, in the order of the alphabet."""
    areas: dict[str, list[str]] = defaultdict(list)
    for id_ in in_order(all_):
        areas[area_of(id_)].append(id_)
    open_ = set(why) - proven
    return {
        area: Count(len(ids), len(proven.intersection(ids)), len(open_.intersection(ids)))
        for area, ids in areas.items()
    }


# --- what is kept between runs --------------------------------------------------------------------


class Result(NamedTuple):
    """How one test last ended."""

    at: float
    """When its run began, seconds since 1970."""
    outcome: str
    ids: list[str]


def kept(root: Path = ROOT) -> dict[str, Result]:
    """By test (pytest's node id); empty when nothing readable was kept."""
    try:
        values = json.loads((root / KEPT).read_text(encoding="utf-8"))
        return {node: Result(*value) for node, value in values.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def keep(results: dict[str, Result], gone: Iterable[str], root: Path = ROOT) -> None:
    """Replace what was kept of these tests, and forget those that are gone."""
    old = {node: result for node, result in kept(root).items() if (root / file_of(node)).exists()}
    for node in gone:
        old.pop(node, None)
    beside = root / f"{KEPT}.{os.getpid()}"
    beside.write_text(json.dumps(old | results, indent=0, sort_keys=True) + "\n", encoding="utf-8")
    beside.replace(root / KEPT)


def proven_by(results: dict[str, Result], since: float = 0.0) -> set[str]:
    """Ids with a passing test and no failing one, by runs that began no earlier than `since`."""
    young = [result for result in results.values() if result.at >= since]
    passed = {id_ for result in young if result.outcome == "passed" for id_ in result.ids}
    return passed - {id_ for result in young if result.outcome == "failed" for id_ in result.ids}


def file_of(node: str) -> str:
    """`tests/rules/test_access.py::test_x` is in `tests/rules/test_access.py`."""
    return node.partition("::")[0]


def last_change() -> float:
    """When anything that a test could depend on was last written."""
    made = {"__pycache__", "node_modules", "dist", "gatehouse.egg-info"}
    return max(
        path.stat().st_mtime
        for place in ("src", "tests", "docs/spec", "frontend/src", "frontend/styles")
        for path in (ROOT / place).rglob("*")
        if path.is_file() and not made.intersection(path.parts)
    )


def complete(results: dict[str, Result], since: float) -> bool:
    """Whether every test file has run since then."""
    run = {file_of(node) for node, result in results.items() if result.at >= since}
    return all(path.relative_to(ROOT).as_posix() in run for path in (ROOT / "tests").rglob("test_*.py"))


# --- as a pytest plugin ---------------------------------------------------------------------------


class Recorder:
    """Notes, test by test, what a run proves."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.began = time.time()
        self.ids: dict[str, list[str]] = {}
        self.outcome: dict[str, str] = {}

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        known = catalogue()
        unknown = []
        for item in items:
            ids = [id_ for marker in item.iter_markers("req") for id_ in (marker.args or ("",))]
            unknown += [f"{item.nodeid} names {id_!r}" for id_ in ids if id_ not in known]
            self.ids[item.nodeid] = ids
        if unknown:
            raise pytest.UsageError("No file in docs/spec defines these requirements:\n  " + "\n  ".join(unknown))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed or hasattr(report, "wasxfail"):
            self.outcome[report.nodeid] = "failed"
        elif report.skipped:
            self.outcome.setdefault(report.nodeid, "skipped")
        elif report.when == "teardown":
            self.outcome.setdefault(report.nodeid, "passed")

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if session.config.option.collectonly:
            return
        # A file that was asked for by name of a test says nothing about its other tests.
        named = tuple(Path(file_of(argument)).name for argument in session.config.args if "::" in argument)
        whole = {file for file in map(file_of, self.ids) if not file.endswith(named)}
        gone = {node for node in kept(self.root) if file_of(node) in whole and node not in self.ids}
        ended = {n: Result(self.began, self.outcome[n], ids) for n, ids in self.ids.items() if n in self.outcome}
        keep(ended, gone, self.root)


def pytest_configure(config: pytest.Config) -> None:
    """Called by pytest, since tests/conftest.py lists this module as a plugin."""
    config.pluginmanager.register(Recorder(config.rootpath), "gatehouse-requirements")


# --- as a command ---------------------------------------------------------------------------------


def main(arguments: list[str] | None = None) -> int:
    """Print the figures; 1 when the suite could not even be collected."""
    parser = argparse.ArgumentParser(prog="python -m tests.requirements", description="Requirements and their proof.")
    parser.add_argument("--format", choices=["text", "json"], default=os.environ.get("FORMAT") or "text")
    parser.add_argument("--run", action="store_true", help="run the suite even when the kept results are up to date")
    parser.add_argument("--no-run", action="store_true", help="take the kept results as they are")
    chosen = parser.parse_args(arguments)

    results, since = kept(), 0.0 if chosen.no_run else last_change()
    if chosen.run or not (chosen.no_run or complete(results, since)):
        say("running the tests first")
        done = subprocess.run([sys.executable, "-m", "pytest"], cwd=ROOT, stdout=sys.stderr, check=False)
        if done.returncode not in (0, 1):
            say(f"the suite did not run (pytest ended with {done.returncode})")
            return 1
        if done.returncode:
            say("some tests fail; what they name counts as not proven")
        results = kept()

    all_, proven, why = catalogue(), proven_by(results, since), reasoned()
    figures = count(all_, proven, why)
    if chosen.format == "json":
        print(json.dumps({area: figure._asdict() for area, figure in figures.items()}))
    else:
        print(as_text(figures, all_ - proven - set(why)))
    for id_ in in_order(proven & set(why)):
        say(f"{id_} is proven: take it out of docs/spec/not-provable-yet.md")
    return 0


def as_text(figures: dict[str, Count], open_: frozenset[str]) -> str:
    """A table, and below it the ids that nothing stands behind."""
    lines = [f"{'area':<14}{'total':>6}{'proven':>8}{'reasoned':>10}"]
    lines += [f"{area:<14}{f.total:>6}{f.proven:>8}{f.reasoned:>10}" for area, f in figures.items()]
    total, proven, reasons = (sum(column) for column in zip(*figures.values(), strict=True))
    lines += [f"{'all':<14}{total:>6}{proven:>8}{reasons:>10}", "", "Without proof or reason:"]
    by_area: dict[str, list[str]] = defaultdict(list)
    for id_ in in_order(open_):
        by_area[area_of(id_)].append(id_.rpartition("-")[2])
    lines += [f"  {area}: {' '.join(numbers)}" for area, numbers in by_area.items()]
    return "\n".join(lines)


def say(text: str) -> None:
    """To the person, not into the figures."""
    print(text, file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
