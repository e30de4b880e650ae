"""Spreadsheets that we write: the template to fill in, the report of what is wrong."""

from __future__ import annotations

import csv
import io

import xlsxwriter
from django.utils.translation import override

from gatehouse.cloud.authz.actor import Actor
from gatehouse.cloud.imports.formats import Column, Format, format_named
from gatehouse.cloud.imports.models import Job, Row
from gatehouse.cloud.imports.services import subject_of
from gatehouse.cloud.imports.words import said


def template(format: str, language: str = "en") -> bytes:
    """An empty .xlsx with the headings of a format, each with a note; cells are text, so that zeros stay."""
    shape = format_named(format)
    kept = io.BytesIO()
    book = xlsxwriter.Workbook(kept, {"in_memory": True})
    # 49 is "Text" in every spreadsheet program
    text, heading = book.add_format({"num_format": 49}), book.add_format({"bold": True, "num_format": 49})
    sheet = book.add_worksheet()
    if language in ("fa", "he"):
        sheet.right_to_left()
    sheet.freeze_panes(1, 0)
    for position, column in enumerate(shape.columns):
        sheet.set_column(position, position, max(14, len(column.heading(language)) + 4), text)
        sheet.write_string(0, position, column.heading(language), heading)
        sheet.write_comment(0, position, f"{column.note(language)}\n{column.example}", {"x_scale": 2})
    book.close()
    return kept.getvalue()


def faulty_rows(*, actor: Actor, job: Job, language: str = "en") -> list[tuple[int, str, str, str]]:
    """(row number, column heading, cell, what is wrong) of every fault, by row. Codes are not repeated in it."""
    subject = subject_of(job)
    subject.permit(actor, job)
    shape: Format = format_named(job.format)
    columns: dict[str, Column] = {column.key: column for column in shape.columns}
    found = []
    for row in Row.objects.filter(site=job.site, job=job).exclude(faults=[]).order_by("number"):
        texts = row.cells.texts
        for fault in row.faults:
            key = fault["column"]
            cell = "" if key in subject.SECRETS else texts.get(key, "")
            with override(language):
                found.append((row.number, columns[key].heading(language), cell, said(fault)))
    return found


def error_report(*, actor: Actor, job: Job, language: str = "en") -> bytes:
    """`faulty_rows` as .csv with a byte order mark; no cell of it is a formula to a spreadsheet program."""
    kept = io.StringIO()
    writer = csv.writer(kept)
    for number, heading, cell, words in faulty_rows(actor=actor, job=job, language=language):
        writer.writerow([number, *(harmless(text) for text in (heading, cell, words))])
    return kept.getvalue().encode("utf-8-sig")


def harmless(text: str) -> str:
    """The text, with an apostrophe before what a spreadsheet program would compute."""
    return (
        f"'{text}"
        if text.lstrip().startswith(("=", "+", "-", "@", "|", "%")) or (text[:1] in "\t\r\n" and text)
        else text
    )
