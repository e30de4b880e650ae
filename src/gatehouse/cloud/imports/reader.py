"""Reads a stranger's spreadsheet. Run as a program of its own, by its path, in a process that may die of it.

stdin: the file. arguments: most rows, most columns, longest cell. stdout: JSON, either `{"error": code}` or
`{"rows": [[text, ...], ...], "numbers": [[row, column], ...]}`; rows count from 0, the heading is row 0, and
blank rows keep their place. Cells come as the text that was typed or is shown; formulas are never computed, what
a spreadsheet program computed before saving is taken as text. Nothing of Gatehouse is imported here.
"""

from __future__ import annotations

import csv
import datetime
import io
import json
import resource
import sys
import zipfile
from typing import Any

MEMORY = 768 * 1024 * 1024
SECONDS = 20
PARTS = 2000
"""Most files inside a workbook."""
UNPACKED = 200 * 1024 * 1024
"""Most bytes of a workbook when unpacked."""
ODS = b"application/vnd.oasis.opendocument.spreadsheet"


class Refused(Exception):
    """The file as a whole cannot be taken; the argument is the code."""


def kind_of(data: bytes) -> str:
    """`xlsx`, `ods` or `csv`, by content: names lie."""
    if not data.strip():
        raise Refused("file.empty")
    if not data.startswith(b"PK\x03\x04"):
        if data.startswith((b"\xd0\xcf\x11\xe0", b"%PDF", b"\x89PNG", b"\xff\xd8", b"GIF8", b"{\\rtf")):
            raise Refused("file.kind")
        return "csv"
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as parts:
            infos = parts.infolist()
            if len(infos) > PARTS or sum(info.file_size for info in infos) > UNPACKED:
                raise Refused("file.large")
            for info in infos:
                if info.flag_bits & 1:
                    raise Refused("file.locked")
                if info.filename.endswith((".xml", ".rels")):
                    with parts.open(info) as part:
                        if b"<!DOCTYPE" in part.read(4096):
                            raise Refused("file.unsafe")
            names = {info.filename for info in infos}
            if "xl/workbook.xml" in names:
                return "xlsx"
            if "mimetype" in names and parts.read("mimetype").strip() == ODS:
                return "ods"
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, OSError, EOFError) as error:
        raise Refused("file.damaged") from error
    raise Refused("file.kind")


def text_of(value: Any) -> tuple[str, bool]:
    """(the cell as text, whether the file held a number there)."""
    if isinstance(value, bool):
        return str(int(value)), False
    if isinstance(value, int | float):
        whole = isinstance(value, int) or value.is_integer()
        return (str(int(value)) if whole and abs(value) < 1e15 else f"{value:.15G}"), True
    if isinstance(value, datetime.datetime | datetime.date | datetime.time):
        return value.isoformat(), True
    return str(value), False


def from_workbook(data: bytes, most_rows: int, most_columns: int) -> tuple[list[list[str]], list[tuple[int, int]]]:
    """Rows of the only visible sheet that holds anything."""
    from python_calamine import CalamineError, PasswordError, SheetVisibleEnum, load_workbook

    try:
        book = load_workbook(io.BytesIO(data))
        if any(sheet.visible != SheetVisibleEnum.Visible for sheet in book.sheets_metadata):
            raise Refused("file.hidden")
        sheets = [book.get_sheet_by_index(index) for index in range(len(book.sheet_names))]
    except PasswordError as error:
        raise Refused("file.locked") from error
    except CalamineError as error:
        raise Refused("file.damaged") from error
    filled = [(sheet, sheet.end) for sheet in sheets if sheet.end is not None]
    if not filled:
        raise Refused("file.empty")
    if len(filled) > 1:
        raise Refused("file.sheets")
    ((sheet, (last_row, last_column)),) = filled
    if last_column >= most_columns:
        raise Refused("file.columns")
    if last_row > most_rows:
        raise Refused("file.rows")
    if sheet.merged_cell_ranges:
        raise Refused("file.merged")
    rows, numbers = [], []
    for number, values in enumerate(sheet.to_python(skip_empty_area=False)):
        row = []
        for position, value in enumerate(values):
            text, is_number = text_of(value)
            row.append(text)
            if is_number:
                numbers.append((number, position))
        rows.append(row)
    return rows, numbers


def decoded(data: bytes) -> str:
    """Text by its byte order mark, else UTF-8, else what Western spreadsheet programs write."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        tries: tuple[str, ...] = ("utf-16",)
    else:
        tries = ("utf-8-sig", "cp1252")
    for encoding in tries:
        try:
            text = data.decode(encoding)
        except UnicodeDecodeError:
            continue
        if any(char < " " and char not in "\t\r\n\f" for char in text):
            raise Refused("file.kind")
        return text
    raise Refused("file.encoding")


def delimiter_of(text: str) -> str:
    """The mark between cells that the heading line has most of."""
    first = next((line for line in text.splitlines() if line.strip()), "")
    bare = "".join(first.split('"')[::2])
    return max(",;\t|", key=bare.count)


def from_text(data: bytes, most_rows: int, most_columns: int) -> list[list[str]]:
    """Rows of comma-separated values; the mark and the encoding are guessed."""
    text = decoded(data)
    rows: list[list[str]] = []
    try:
        for row in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter_of(text)):
            if len(row) > most_columns and any(cell.strip() for cell in row[most_columns:]):
                raise Refused("file.columns")
            if len(rows) > most_rows:
                raise Refused("file.rows")
            rows.append(row)
    except csv.Error as error:
        raise Refused("file.damaged") from error
    return rows


def read(data: bytes, most_rows: int, most_columns: int, longest: int) -> dict[str, Any]:
    """The answer; see the module's text."""
    csv.field_size_limit(64 * 1024)
    numbers: list[tuple[int, int]] = []
    try:
        if kind_of(data) == "csv":
            rows = from_text(data, most_rows, most_columns)
        else:
            rows, numbers = from_workbook(data, most_rows, most_columns)
    except Refused as refused:
        return {"error": str(refused)}
    while rows and not any(cell.strip() for cell in rows[-1]):
        rows.pop()
    if not rows:
        return {"error": "file.empty"}
    if any(len(cell) > longest for row in rows for cell in row):
        return {"error": "file.cell"}
    return {"rows": rows, "numbers": numbers}


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    json.dump(read(sys.stdin.buffer.read(), *(int(argument) for argument in sys.argv[1:])), sys.stdout)
