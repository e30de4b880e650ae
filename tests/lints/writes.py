"""A write outside a service: it would skip the permission, the journal and the feed's Touched row."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from tests.lints import Finding, Lint

ALWAYS = {"bulk_create", "bulk_update", "get_or_create", "update_or_create"}
WITHOUT_POSITIONAL = {"save", "create", "update", "delete"}
"""Of a row or a queryset these take keywords only; of a dict, a file or a hash they take a value."""
SQL = re.compile(
    r"\b(INSERT\s+INTO\s|UPDATE\s+(ONLY\s+)?\S+\s+(AS\s+\w+\s+)?SET\s|DELETE\s+FROM\s|TRUNCATE\s|MERGE\s+INTO\s)", re.I
)

SAY = (
    "{what} writes outside a service. Write an act `verb_noun(*, actor, ..., now)` in the services of the lowest app "
    "that may import every app it writes to (it checks the right, journals, leaves Touched rows) and call it here. "
    "If it must be so: `# writes: <reason>`."
)


def applies(path: Path) -> bool:
    if path.parts[0] != "cloud" or len(path.parts) < 3:
        return False
    return path.name != "services.py" and not {"services", "migrations"}.intersection(path.parts)


def find(module: ast.Module) -> Iterator[Finding]:
    prose = _docstrings(module)
    for node in ast.walk(module):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            name = node.func.attr
            plain = name[1:] if name.startswith("a") and name[1:] in ALWAYS | WITHOUT_POSITIONAL else name
            named = any(keyword.arg for keyword in node.keywords) or plain in ("save", "delete")
            if plain in ALWAYS or (plain in WITHOUT_POSITIONAL and not node.args and named):
                yield Finding(node.lineno, SAY.format(what=f"`{ast.unparse(node.func)}(...)`"))
        elif isinstance(node, ast.Constant) and node not in prose:
            found = SQL.search(node.value) if isinstance(node.value, str) else None
            if found:
                yield Finding(node.lineno, SAY.format(what=f"`{' '.join(found[0].split())}`"))


def _docstrings(module: ast.Module) -> set[ast.AST]:
    return {node.value for node in ast.walk(module) if isinstance(node, ast.Expr)}


LINT = Lint("write-outside-service", "writes", applies, find)
