"""Real files, made here as people's spreadsheet programs make them."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import xlsxwriter

from gatehouse.cloud.imports.formats import format_named

PEOPLE = [column.headings["en"] for column in format_named("office_people").columns]
MACS = ["MAC"]

ROW: dict[str, Any] = {
    "Company": "Lumen Diagnostics",
    "Group": "Laboratory",
    "First Name": "Ada",
    "Last Name": "Lovelace",
    "ID": "0042",
    "Email": "ada@example.com",
    "Mobile Number": "1701234567",
    "Telephone Calling Code": "49",
    "SmartPlus Intercom Feature": "1",
    "Call Type": "2",
    "RF Card": "04A46F19; 04A46F20;",
    "PIN": "0815",
    "Access Group ID": "",
}


def person(**cells: Any) -> list[Any]:
    """A row of the people's file; `First_Name="Eva"` fills the column First Name."""
    row = {**ROW, **{key.replace("_", " "): value for key, value in cells.items()}}
    return [row[heading] for heading in PEOPLE]


def nobody_else(number: int, **cells: Any) -> list[Any]:
    """A person who shares nothing with those of other numbers."""
    own = {
        "First_Name": f"Person {number}",
        "ID": f"{number:06}",
        "Email": f"p{number}@example.com",
        "RF_Card": f"0x{number + 0x10000:X}",
        "PIN": f"{number + 100000}",
    }
    return person(**{**own, **cells})


def xlsx(
    rows: Iterable[Sequence[Any]],
    headings: Sequence[str] = PEOPLE,
    more: Callable[[xlsxwriter.Workbook, Any], None] | None = None,
) -> bytes:
    """A workbook: texts as text cells, numbers as number cells; `more(book, sheet)` spoils it."""
    kept = io.BytesIO()
    book = xlsxwriter.Workbook(kept, {"in_memory": True, "strings_to_numbers": False})
    sheet = book.add_worksheet()
    for number, row in enumerate([headings, *rows]):
        for position, value in enumerate(row):
            if isinstance(value, str):
                sheet.write_string(number, position, value)
            else:
                sheet.write(number, position, value)
    if more:
        more(book, sheet)
    book.close()
    return kept.getvalue()


def ods(rows: Iterable[Sequence[str]], headings: Sequence[str] = PEOPLE) -> bytes:
    """An OpenDocument spreadsheet of text cells."""
    lines = "".join(
        "<table:table-row>"
        + "".join(
            f'<table:table-cell office:value-type="string"><text:p>{cell}</text:p></table:table-cell>' for cell in row
        )
        + "</table:table-row>"
        for row in [headings, *rows]
    )
    names = "urn:oasis:names:tc:opendocument:xmlns"
    content = (
        f'<?xml version="1.0" encoding="UTF-8"?><office:document-content xmlns:office="{names}:office:1.0" '
        f'xmlns:table="{names}:table:1.0" xmlns:text="{names}:text:1.0" office:version="1.2"><office:body>'
        f'<office:spreadsheet><table:table table:name="Sheet1">{lines}</table:table></office:spreadsheet>'
        "</office:body></office:document-content>"
    )
    kind = "application/vnd.oasis.opendocument.spreadsheet"
    manifest = (
        f'<?xml version="1.0"?><manifest:manifest xmlns:manifest="{names}:manifest:1.0" manifest:version="1.2">'
        f'<manifest:file-entry manifest:full-path="/" manifest:media-type="{kind}"/></manifest:manifest>'
    )
    kept = io.BytesIO()
    with zipfile.ZipFile(kept, "w", zipfile.ZIP_DEFLATED) as parts:
        parts.writestr("mimetype", kind, zipfile.ZIP_STORED)
        parts.writestr("META-INF/manifest.xml", manifest)
        parts.writestr("content.xml", content)
    return kept.getvalue()


def text(rows: Iterable[Sequence[str]], headings: Sequence[str] = PEOPLE, delimiter: str = ",") -> str:
    """Comma-separated values; cells with the delimiter in them are quoted."""
    return "\r\n".join(
        delimiter.join(f'"{cell}"' if delimiter in cell else cell for cell in row) for row in [headings, *rows]
    )


def repacked(data: bytes, change: Callable[[str, bytes], bytes]) -> bytes:
    """The workbook with its parts changed."""
    kept = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(kept, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            new.writestr(name, change(name, old.read(name)))
    return kept.getvalue()
