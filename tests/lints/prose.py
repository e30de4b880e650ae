"""Words for people in `rules` or `wire`: they speak in codes, since a door, a portal in Hebrew and a log say the same
thing in different words."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from tests.lints import Finding, Lint

SENTENCE = re.compile(r"[^\W\d_]{2,}[,;:]? [^\W\d_]{2,}|^[A-Z][a-z]+ ?[.!?]$")
"""Two words with a blank between them, or one word that ends like a sentence."""

SAY = (
    "{text!r} reads like words for people. Use a dotted code (`rules/reasons.py`, `wire/codes.py`) and give it its "
    "words in `cloud/wording`. If it must be so: `# prose: <reason>`."
)


def applies(path: Path) -> bool:
    return path.parts[0] in ("rules", "wire")


def find(module: ast.Module) -> Iterator[Finding]:
    excused = {part for node in _for_developers(module) for part in ast.walk(node)}
    for node in ast.walk(module):
        if not isinstance(node, ast.Constant) or node in excused:
            continue
        if isinstance(node.value, str) and SENTENCE.search(node.value):
            yield Finding(node.lineno, SAY.format(text=node.value[:60]))


def _for_developers(module: ast.Module) -> Iterator[ast.AST]:
    """Docstrings, what is raised or asserted, annotations, and the schema's own descriptions."""
    for node in ast.walk(module):
        match node:
            case ast.Expr(value=ast.Constant() as text):
                yield text
            case ast.Raise(exc=ast.AST() as raised):
                yield raised
            case ast.Assert(msg=ast.AST() as message):
                yield message
            case ast.AnnAssign(annotation=annotation):
                yield annotation
            case ast.arg(annotation=ast.AST() as annotation):
                yield annotation
            case ast.keyword(arg="description" | "title", value=value):
                yield value
            case ast.Dict():  # a schema written by hand
                for key, value in zip(node.keys, node.values, strict=True):
                    if isinstance(key, ast.Constant) and key.value in ("description", "title"):
                        yield value


LINT = Lint("text-in-rules", "prose", applies, find)
