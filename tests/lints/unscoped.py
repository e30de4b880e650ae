"""A query in an interface that does not say for whom: the one mistake that shows a stranger's rows.

Row-level security stands behind the web's role, but not behind the link's, and never between two
companies of one site.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from tests.lints import Finding, Lint

INTERFACES = ("portal", "resident", "api", "link", "sip")
SCOPES = {"visible_to", "get_visible"}
MANAGERS = {"objects", "_default_manager", "_base_manager"}
SHORTCUTS = {"get_object_or_404", "get_list_or_404", "aget_object_or_404", "aget_list_or_404"}

SAY = (
    "{name} asks for rows of everybody. Write `{model}.objects.visible_to(actor)` or "
    "`{model}.objects.get_visible(actor, id)`, or ask a query function of the domain app. "
    "If it must be so: `# unscoped: <reason>`."
)


def applies(path: Path) -> bool:
    return len(path.parts) > 2 and path.parts[0] == "cloud" and path.parts[1] in INTERFACES


def find(module: ast.Module) -> Iterator[Finding]:
    scoped: set[ast.AST] = set()
    for node in ast.walk(module):  # outer expressions come before what they hold
        if isinstance(node, ast.Attribute) and (node.attr in SCOPES or node in scoped):
            scoped.add(node.value)
        elif isinstance(node, ast.Call) and node in scoped:
            scoped.add(node.func)
        if isinstance(node, ast.Attribute) and node.attr in MANAGERS and node not in scoped:
            model = ast.unparse(node.value)
            yield Finding(node.lineno, SAY.format(name=f"`{model}.{node.attr}`", model=model))
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in SHORTCUTS:
            model = ast.unparse(node.args[0]).partition(".")[0] if node.args else "Model"
            if not (node.args and _is_scoped(node.args[0])):
                yield Finding(node.lineno, SAY.format(name=f"`{node.func.id}({model}, ...)`", model=model))


def _is_scoped(node: ast.AST) -> bool:
    return any(isinstance(part, ast.Attribute) and part.attr in SCOPES for part in ast.walk(node))


LINT = Lint("unscoped-query", "unscoped", applies, find)
