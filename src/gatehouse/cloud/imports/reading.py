"""From an uploaded file to rows by column, with the file kept at arm's length: another process opens it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

from gatehouse.cloud.imports.formats import Format
from gatehouse.cloud.imports.models import Cells
from gatehouse.cloud.imports.words import FILE
from gatehouse.cloud.kit.errors import Invalid

MOST_BYTES: Final = 10 * 1024 * 1024
MOST_ROWS: Final = 50_000
MOST_COLUMNS: Final = 64
LONGEST_CELL: Final = 2000
SECONDS: Final = 30
LIMITS: Final = {"bytes": MOST_BYTES, "rows": MOST_ROWS, "columns": MOST_COLUMNS}
"""What a file may have at most; screens state it."""

_READER = Path(__file__).with_name("reader.py")


def refuse(code: str, **data: object) -> Invalid:
    """The whole file is refused: the error with its words."""
    return Invalid(code, FILE[code], fields={"file": FILE[code]}, **data)


def read_file(data: bytes, format: Format) -> list[tuple[int, Cells]]:
    """(row number as a spreadsheet program shows it, cells) of every row that is not blank.

    Raises Invalid for a file that cannot be read, is beyond the limits, or lacks a heading of the format.
    """
    if len(data) > MOST_BYTES:
        raise refuse("file.large")
    found = _read(data)
    rows: list[list[str]] = found["rows"]
    numbers = {(row, position) for row, position in found["numbers"]}
    first = next(number for number, row in enumerate(rows) if any(cell.strip() for cell in row))
    placed, missing, odd = format.place(rows[first])
    if missing or odd:
        raise refuse("file.headings", missing=missing, unknown=odd)
    table = []
    for number, row in enumerate(rows[first + 1 :], first + 1):
        if not any(cell.strip() for cell in row):
            continue
        texts = {column.key: _at(row, position).strip() for position, column in placed.items()}
        if any(_at(row, position).strip() for position in range(len(row)) if position not in placed):
            raise refuse("file.beside", row=number + 1)
        held = tuple(column.key for position, column in placed.items() if (number, position) in numbers)
        table.append((number + 1, Cells(texts, held)))
    if not table:
        raise refuse("file.empty")
    return table


def _at(row: list[str], position: int) -> str:
    return row[position] if position < len(row) else ""


def _read(data: bytes) -> dict[str, Any]:
    try:
        done = subprocess.run(
            [sys.executable, "-I", str(_READER), str(MOST_ROWS), str(MOST_COLUMNS), str(LONGEST_CELL)],
            input=data,
            capture_output=True,
            timeout=SECONDS,
            env={"LC_ALL": "C.UTF-8", "PYTHONUTF8": "1"},
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise refuse("file.unsafe") from error
    if done.returncode:  # out of memory or time, or the library gave up: whoever sends such a file gets one answer
        raise refuse("file.unsafe")
    found: dict[str, Any] = json.loads(done.stdout)
    if "error" in found:
        raise refuse(str(found["error"]))
    return found
