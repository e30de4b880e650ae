"""The documents tell the truth about what is there: links, headings, paths, names in code, dependencies."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from deploy import docs

from tests.contracts.test_tree import asked_for
from tests.requirements import ROOT

PACKAGE = ROOT / "src/gatehouse"
OURS = [path for path in docs.documents() if (ROOT / "docs/spec") not in path.parents]

SPAN = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
NAMED = re.compile(r"(?P<path>[\w.*-]+(?:/[\w.*-]+)*/?)(?:: (?P<names>[A-Za-z_]\w*(?:, [A-Za-z_]\w*)*))?")
PLACES = {"src", "tests", "docs", "deploy", "frontend", "benchmarks", "requirements"}
PACKAGES = {"rules", "wire", "gateway", "lab", "run", "cloud"}
ENDINGS = (".py", ".md", ".ts", ".css", ".mjs", ".sql", ".sh", ".toml", ".txt", ".in", ".html", ".svg")

BESIDE = {"PostgreSQL", "mosquitto", "Chromium"}
"""Programs that no lock names."""


def mentions(path: Path) -> Iterator[tuple[str, list[str]]]:
    """(path as written, names in it) of everything in back-ticks that reads like a place in the repository."""
    text = re.sub(r"^```.*?^```", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    for span in SPAN.findall(text):
        found = NAMED.fullmatch(span)
        if found is None:
            continue
        first, slash, _ = found["path"].partition("/")
        known = (first in PLACES and slash) or (first in PACKAGES and slash and found["path"].endswith((*ENDINGS, "/")))
        if known or (found["names"] and slash):
            yield found["path"], (found["names"] or "").split(", ") if found["names"] else []


def places(written: str) -> list[Path]:
    """Where it may be: from the root, in the package, or in the cloud."""
    return [found for base in (ROOT, PACKAGE, PACKAGE / "cloud") for found in base.glob(written.rstrip("/"))]


@cache
def names_in(path: Path) -> set[str]:
    """What a module defines at its top level."""
    found: set[str] = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.add(node.name)
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        found |= {target.id for target in targets if isinstance(target, ast.Name)}
    return found


@pytest.mark.parametrize("path", OURS, ids=lambda path: str(path.relative_to(ROOT)))
def test_what_a_document_names_in_the_code_is_there(path: Path) -> None:
    wrong = []
    for written, names in mentions(path):
        found = places(written)
        if not found:
            wrong.append(f"{written} is not there")
        wrong += [f"{written} has no {n}" for n in names if not any(n in names_in(file) for file in found)]
    assert wrong == []


def test_every_link_and_heading_is_there() -> None:
    parsed = {path.resolve(): docs.parse(path) for path in docs.documents()}
    assert [line for path in parsed for line in docs.wrong_links(path, parsed)] == []


def test_a_wrong_path_name_or_link_is_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("`cloud/people/services.py: set_pin, set_moon`, `rules/moon.py`, `tests/*.moon`, `secrets/`\n")
    assert list(mentions(page)) == [
        ("cloud/people/services.py", ["set_pin", "set_moon"]),
        ("rules/moon.py", []),
        ("tests/*.moon", []),
    ]
    assert places("cloud/people/services.py")
    assert "set_moon" not in names_in(places("cloud/people/services.py")[0])
    assert places("rules/moon.py") == places("tests/*.moon") == []


def test_every_dependency_has_its_paragraph_and_no_paragraph_outlives_its_dependency() -> None:
    text = (ROOT / "docs/decisions/dependencies.md").read_text(encoding="utf-8")
    told = {heading.lower() for heading in re.findall(r"^### (\S+)$", text, re.MULTILINE)}
    python = set().union(*(asked_for(name) for name in ("runtime", "test", "build", "bench", "bench-loose")))
    front = json.loads((ROOT / "frontend/package.json").read_text())
    wanted = python | set(front.get("dependencies", {})) | set(front["devDependencies"]) | {b.lower() for b in BESIDE}
    assert told == wanted
    paragraphs = re.split(r"^#+ .*$", text, flags=re.MULTILINE)
    assert all(len(paragraph.split()) >= 8 for paragraph in paragraphs if paragraph.strip())
