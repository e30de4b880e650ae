"""What import-linter cannot say: which parts of the standard library the rules may touch, and what codes look like."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from gatehouse import rules
from gatehouse.rules import reasons

FILES = sorted(Path(rules.__path__[0]).glob("*.py"))
ALLOWED = {
    *("__future__", "bisect", "collections", "dataclasses", "datetime", "functools", "hmac", "math", "re", "sys"),
    *("typing", "zoneinfo", "gatehouse"),
}
CLOCKS = {"now", "utcnow", "today", "time", "monotonic", "perf_counter"}


def faults(source: str) -> list[str]:
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found += [f"imports {a.name}" for a in node.names if a.name.partition(".")[0] not in ALLOWED]
        if isinstance(node, ast.ImportFrom):
            module = node.module or ""
            if module.partition(".")[0] not in ALLOWED or (
                module.startswith("gatehouse") and not module.startswith("gatehouse.rules")
            ):
                found.append(f"imports {module}")
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in CLOCKS:
            found.append(f"reads a clock: {node.func.attr}")
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Name)
            and node.func.id in ("open", "print", "input")
        ):
            found.append(f"does input or output: {node.func.id}")
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_rule_reads_no_clock_and_does_no_input_or_output(path: Path) -> None:
    assert faults(path.read_text()) == []


@pytest.mark.parametrize(
    "sample",
    [
        "import time",
        "import os.path",
        "from msgspec import Struct",
        "from gatehouse.wire import messages",
        "from datetime import datetime\ndatetime.now()",
        "open('x')",
    ],
)
def test_what_is_impure_is_found(sample: str) -> None:
    assert faults(sample)


def test_codes_are_dotted_lower_case_and_told_apart() -> None:
    codes = [value for name, value in vars(reasons).items() if name.isupper() and isinstance(value, str)]
    assert len(codes) == len(set(codes))
    assert all(re.fullmatch(r"[a-z]+(\.[a-z_]+)?", code) for code in codes)
