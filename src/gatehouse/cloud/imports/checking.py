"""What every format's check shares: faults, what a spreadsheet did to a number, doubles within the file."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from typing import Final, Generic, TypeVar

from gatehouse.cloud.imports.formats import Column
from gatehouse.cloud.imports.models import Cells, Row

Parsed = TypeVar("Parsed")

WARNINGS: Final = {"format.number", "not_found.door", "ignored"}
"""Faults that do not stop their row."""
LEADING_ZEROS: Final = {"pin", "cards", "staff_no"}
"""Columns in which a number cell may have lost leading zeros that count."""
_DAMAGED: Final = re.compile(r"[+-]?[0-9]+[.,][0-9]+[eE][+-]?[0-9]+|[+-]?[0-9]+[eE]\+[0-9]+|[0-9]+[.,]0+")


@dataclass(slots=True)
class Checked(Generic[Parsed]):
    """The faults of each row, and what the rows without stopping faults come to."""

    faults: dict[int, list[dict[str, str]]] = field(default_factory=lambda: defaultdict(list))
    parsed: dict[int, Parsed] = field(default_factory=dict)

    def fault(self, number: int, column: str, code: str) -> None:
        """Note a fault once."""
        found = {"column": column, "code": code}
        if found not in self.faults[number]:
            self.faults[number].append(found)

    def good(self, number: int) -> bool:
        """Whether nothing stops this row."""
        return all(fault["code"] in WARNINGS for fault in self.faults.get(number, ()))

    def verdict(self, number: int) -> str:
        """What becomes, or became, of the row."""
        if not self.good(number):
            return Row.Verdict.REFUSED
        return Row.Verdict.WARNED if self.faults.get(number) else Row.Verdict.ADDED


def check_exact(checked: Checked[Parsed], number: int, cells: Cells, columns: tuple[Column, ...]) -> None:
    """Find numbers that a spreadsheet program has rewritten: `1.2E3`, `12.0`, `1.1E+12`, dates."""
    for column in columns:
        text = cells.texts.get(column.key, "")
        if not column.exact or not text:
            continue
        if (column.key in cells.numbers and not text.isdigit()) or _DAMAGED.fullmatch(text):
            checked.fault(number, column.key, "format.damaged")
        elif column.key in cells.numbers and column.key in LEADING_ZEROS:
            checked.fault(number, column.key, "format.number")


@dataclass(slots=True)
class Once:
    """Values of one column that may stand in one row only, here and in the database."""

    column: str
    rows: dict[Hashable, list[int]] = field(default_factory=lambda: defaultdict(list))

    def seen(self, value: Hashable, number: int) -> None:
        """Note that a row has this value."""
        self.rows[value].append(number)

    def report(self, checked: Checked[Parsed], taken: Mapping[Hashable, str] | set[str]) -> None:
        """Fault every row of a value that stands twice, or that is taken (by a code of its own, if it says one)."""
        for value, numbers in self.rows.items():
            if len(numbers) > 1:
                for number in numbers:
                    checked.fault(number, self.column, "duplicate.file")
            if value in taken:
                code = taken[value] if isinstance(taken, Mapping) else "duplicate.taken"
                for number in numbers:
                    checked.fault(number, self.column, code)
