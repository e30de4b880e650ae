"""Column sets as data: what a file must and may hold, and how its headings are spelt."""

from __future__ import annotations

import re
import tomllib
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from django.utils.translation import gettext_lazy as _

from gatehouse.cloud.kit.errors import NotFound

FOLDER = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Column:
    """One column. `headings` and `notes` by language; `exact` where a spreadsheet's own number form is damage."""

    key: str
    headings: dict[str, str]
    notes: dict[str, str]
    spellings: tuple[str, ...]
    required: bool
    exact: bool
    example: str

    def heading(self, language: str) -> str:
        """The heading in this language, else in English."""
        return self.headings.get(language, self.headings["en"])

    def note(self, language: str) -> str:
        """What the column is for, in this language, else in English."""
        return self.notes.get(language, self.notes["en"])


@dataclass(frozen=True, slots=True)
class Format:
    """A kind of file: its columns in the order of the template, and what a faulty row does to the others."""

    name: str
    mode: str
    columns: tuple[Column, ...]

    def find(self, heading: str) -> Column | None:
        """The column that a heading means, in any language, case and spelling we know."""
        folded = fold(heading)
        return next((column for column in self.columns if folded in _spellings(column)), None)

    def place(self, headings: Sequence[str]) -> tuple[dict[int, Column], list[str], list[str]]:
        """(columns by position, required ones that are missing, headings that are unknown or there twice)."""
        placed: dict[int, Column] = {}
        odd = []
        for position, heading in enumerate(headings):
            if not heading.strip():
                continue
            column = self.find(heading)
            if column is None or column in placed.values():
                odd.append(heading.strip()[:64])
            else:
                placed[position] = column
        missing = [c.headings["en"] for c in self.columns if c.required and c not in placed.values()]
        return placed, missing, odd


def fold(heading: str) -> str:
    """A heading without what people vary: case, blanks, punctuation, a star for "required", invisible marks."""
    plain = unicodedata.normalize("NFKC", heading).casefold().replace("ي", "ی").replace("ك", "ک")
    return re.sub(r"[\W_]+", "", plain)


def _spellings(column: Column) -> set[str]:
    return {fold(text) for text in (*column.headings.values(), *column.spellings)}


@cache
def format_named(name: str) -> Format:
    """The format of this name. Raises NotFound."""
    path = FOLDER / f"{name}.toml"
    if not re.fullmatch(r"[a-z_]+", name) or not path.exists():
        raise NotFound("import.format", _("There is no such kind of import."))
    found: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
    columns = tuple(
        Column(
            key=column["key"],
            headings=column["heading"],
            notes=column["note"],
            spellings=tuple(column.get("spellings", ())),
            required=column.get("required", False),
            exact=column.get("exact", False),
            example=column.get("example", ""),
        )
        for column in found["column"]
    )
    return Format(name, found["mode"], columns)
