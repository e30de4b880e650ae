"""Three lints for the mistakes that would cost most here and that no general tool knows.

Each says what is wrong and what to write instead. A line that is right all the same says so in a comment,
on its own line or the one above, with the reason:

    rows = Relay.objects.all()  # unscoped: the operator's health page counts over all sites
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src/gatehouse"


class Finding(NamedTuple):
    """One place that breaks a lint."""

    line: int
    message: str


class Lint(NamedTuple):
    """`escape` is the word of the comment that excuses a line; `applies` looks at the path below src/gatehouse."""

    name: str
    escape: str
    applies: Callable[[Path], bool]
    find: Callable[[ast.Module], Iterator[Finding]]

    def check(self, text: str) -> list[Finding]:
        """What the lint finds in a source text, less what is excused with a reason."""
        findings = {*self.find(ast.parse(text))}
        if not findings:
            return []
        lines = text.splitlines()
        return sorted(finding for finding in findings if not self._excused(lines, finding.line))

    def _excused(self, lines: list[str], number: int) -> bool:
        excuse = re.compile(rf"# {self.escape}: \S.{{9,}}")
        above = lines[number - 2].strip() if number > 1 else ""
        return bool(excuse.search(lines[number - 1]) or (above.startswith("#") and excuse.search(above)))


def check_tree(lints: list[Lint], source: Path = SOURCE) -> list[str]:
    """One line for each finding: `path:line: lint: what is wrong and what to do`."""
    found = []
    for path in sorted(source.rglob("*.py")):
        below = path.relative_to(source)
        for lint in lints:
            if lint.applies(below):
                for line, message in lint.check(path.read_text(encoding="utf-8")):
                    found.append(
                        f"{path.relative_to(ROOT) if source == SOURCE else below}:{line}: {lint.name}: {message}"
                    )
    return found
