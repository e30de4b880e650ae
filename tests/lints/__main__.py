# ruff: noqa: T201 - printing is what it is for
"""`python -m tests.lints`: every finding on a line of its own; 1 when there is one."""

import sys

from tests.lints import check_tree, prose, unscoped, writes

LINTS = [unscoped.LINT, writes.LINT, prose.LINT]

if __name__ == "__main__":
    findings = check_tree(LINTS)
    print("\n".join(findings) or "lints: nothing found")
    sys.exit(1 if findings else 0)
