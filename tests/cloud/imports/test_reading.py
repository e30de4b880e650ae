"""Files as they come: what is read, what is refused, and how soon."""

from __future__ import annotations

import io
import time
import zipfile
from typing import Any

import pytest

from gatehouse.cloud.imports.formats import format_named
from gatehouse.cloud.imports.models import Cells
from gatehouse.cloud.imports.reading import MOST_BYTES, MOST_ROWS, read_file
from gatehouse.cloud.imports.sheets import harmless, template
from gatehouse.cloud.kit.errors import Invalid, NotFound
from tests.cloud.imports.files import MACS, PEOPLE, ROW, ods, person, repacked, text, xlsx

FORMAT = format_named("office_people")
TEXTS = [str(cell) for cell in person()]


def read(data: bytes) -> list[tuple[int, Cells]]:
    return read_file(data, FORMAT)


def refused(data: bytes, format: str = "office_people") -> Invalid:
    began = time.monotonic()
    with pytest.raises(Invalid) as error:
        read_file(data, format_named(format))
    assert time.monotonic() - began < 15
    return error.value


@pytest.mark.req("OFF-IMP-23")
@pytest.mark.parametrize(
    "data",
    [
        xlsx([person()]),
        ods([TEXTS]),
        text([TEXTS]).encode(),
        text([TEXTS], delimiter=";").encode("utf-8-sig"),
        text([TEXTS], delimiter="\t").encode("utf-16"),
    ],
    ids=["xlsx", "ods", "csv", "csv of Excel", "text of Excel"],
)
def test_every_kind_of_file_gives_the_same_cells_with_their_leading_zeros(data: bytes) -> None:
    ((number, cells),) = read(data)
    assert number == 2
    assert cells.texts["pin"] == "0815"
    assert cells.texts["staff_no"] == "0042"
    assert cells.texts["cards"] == "04A46F19; 04A46F20;"
    assert cells.numbers == ()


def test_a_western_encoding_is_read_too() -> None:
    row = [*TEXTS]
    row[3] = "Müller"
    assert read(text([row]).encode("cp1252"))[0][1].texts["last_name"] == "Müller"


@pytest.mark.req("OFF-IMP-04", "OFF-IMP-05", "OFF-IMP-12", "OFF-IMP-25")
def test_the_thirteen_columns_are_those_of_the_manual_in_its_order() -> None:
    assert PEOPLE == [
        "Company", "Group", "First Name", "Last Name", "ID", "Email", "Mobile Number", "Telephone Calling Code",
        "SmartPlus Intercom Feature", "Call Type", "RF Card", "PIN", "Access Group ID",
    ]  # fmt: skip


def test_headings_are_found_in_any_order_case_spelling_and_language() -> None:
    headings = ["pin ", "NAME", "E-Mail Address*", *[""] * 10]
    assert FORMAT.find("  first-NAME *") == FORMAT.find("نام") == FORMAT.find("שם פרטי") == FORMAT.columns[2]
    backwards = xlsx([list(reversed(person()))], headings=[heading.upper() for heading in reversed(PEOPLE)])
    assert read(backwards)[0][1].texts == read(xlsx([person()]))[0][1].texts
    assert FORMAT.place(headings)[2] == ["NAME"]


@pytest.mark.req("OFF-IMP-E01")
@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "file.empty"),
        (b"\x89PNG\r\n\x1a\n\x00\x00", "file.kind"),
        (b"MZ\x00\x01\x02program", "file.kind"),
        (b"PK\x03\x04 but no more", "file.damaged"),
        (xlsx([]), "file.empty"),
        (xlsx([person()[1:]], headings=PEOPLE[1:]), "file.headings"),
        (xlsx([person()], headings=["Firm", *PEOPLE[1:]]), "file.headings"),
        (xlsx([person()], headings=["Group", *PEOPLE[1:]]), "file.headings"),
        (xlsx([[*person(), "stray"]]), "file.beside"),
    ],
    ids=["nothing", "picture", "program", "torn", "no rows", "missing", "renamed", "twice", "beside"],
)
def test_a_file_that_is_not_what_was_asked_for_is_refused_whole(data: bytes, code: str) -> None:
    assert refused(data).code == code


def test_a_refusal_names_the_headings() -> None:
    error = refused(xlsx([person()], headings=["Firm", *PEOPLE[1:]]))
    assert error.data == {"missing": ["Company"], "unknown": ["Firm"]}


def test_a_document_of_another_office_program_is_refused() -> None:
    kept = io.BytesIO()
    with zipfile.ZipFile(kept, "w") as parts:
        parts.writestr("word/document.xml", "<w/>")
    assert refused(kept.getvalue()).code == "file.kind"


@pytest.mark.req("OFF-IMP-E07")
def test_the_limits_hold() -> None:
    assert refused(b"x" * (MOST_BYTES + 1)).code == "file.large"
    many = b"MAC\n" + b"0C11050893CA\n" * MOST_ROWS
    assert len(read_file(many, format_named("macs"))) == MOST_ROWS
    assert refused(many + b"0C11050893CB\n", "macs").code == "file.rows"
    assert "50,000" in str(refused(many + b"0C11050893CB\n", "macs").message)
    assert refused(xlsx([["x" * 2001]], headings=MACS), "macs").code == "file.cell"


@pytest.mark.req("OFF-IMP-E07")
def test_a_formula_is_text() -> None:
    def formula(book: Any, sheet: Any) -> None:
        sheet.write_formula(1, 2, '=HYPERLINK("http://example.com")', None, "shown")

    assert read(xlsx([person()], more=formula))[0][1].texts["first_name"] == "shown"
    row = [*TEXTS]
    row[2] = "=1+1"
    assert read(text([row]).encode())[0][1].texts["first_name"] == "=1+1"


def test_number_cells_are_known_as_such() -> None:
    cells = read(xlsx([person(PIN=815, ID=42, Mobile_Number=1.2e15)]))[0][1]
    assert (cells.texts["pin"], cells.texts["staff_no"], cells.texts["mobile"]) == ("815", "42", "1.2E+15")
    assert set(cells.numbers) == {"pin", "staff_no", "mobile"}


def _merge(book: Any, sheet: Any) -> None:
    sheet.merge_range(3, 0, 4, 0, "both")


def _hide(book: Any, sheet: Any) -> None:
    book.add_worksheet("Secret").hide()


def _second(book: Any, sheet: Any) -> None:
    book.add_worksheet("More").write_string(0, 0, "Company")


def _far_column(book: Any, sheet: Any) -> None:
    sheet.write_string(0, 16_000, "far")


def _far_corner(book: Any, sheet: Any) -> None:
    sheet.write_string(1_048_575, 16_383, "far")


@pytest.mark.parametrize(
    ("spoil", "codes"),
    [
        (_merge, {"file.merged"}),
        (_hide, {"file.hidden"}),
        (_second, {"file.sheets"}),
        (_far_column, {"file.columns"}),
        (_far_corner, {"file.columns", "file.unsafe"}),
    ],
)
def test_what_a_spreadsheet_can_hide_is_refused_soon(spoil: Any, codes: set[str]) -> None:
    assert refused(xlsx([person()], more=spoil)).code in codes


def test_a_file_that_unpacks_to_a_mountain_is_refused() -> None:
    def blow(name: str, part: bytes) -> bytes:
        return part + b" " * 210_000_000 if name == "xl/styles.xml" else part

    assert refused(repacked(xlsx([person()]), blow)).code == "file.large"


def test_entities_are_refused() -> None:
    def laugh(name: str, part: bytes) -> bytes:
        if name != "xl/sharedStrings.xml":
            return part
        return part.replace(b"<sst", b'<!DOCTYPE lolz [<!ENTITY lol "lol"><!ENTITY l2 "&lol;&lol;">]><sst', 1)

    assert refused(repacked(xlsx([person()]), laugh)).code == "file.unsafe"


@pytest.mark.req("OFF-IMP-03", "OFF-IMP-04")
@pytest.mark.parametrize("language", ["en", "fa", "he"])
def test_the_template_is_read_back_and_explains_each_heading(language: str) -> None:
    made = template("office_people", language)
    assert refused(made).code == "file.empty"  # the headings fit; only rows are missing
    with zipfile.ZipFile(io.BytesIO(made)) as parts:
        comments = parts.read("xl/comments1.xml").decode()
        styles = parts.read("xl/styles.xml").decode()
    assert all(column.note(language) in comments for column in FORMAT.columns)
    assert comments.count("<comment ") == 13
    assert 'numFmtId="49"' in styles  # the text format: zeros stay where they are typed


def test_an_unknown_format_is_not_found() -> None:
    with pytest.raises(NotFound):
        format_named("../formats/macs")


@pytest.mark.parametrize("cell", ["=1+1", "+1", "-1", "@x", " =1", "\t=1", "|cmd"])
def test_a_report_holds_no_formula(cell: str) -> None:
    assert harmless(cell) == "'" + cell
    assert harmless(str(ROW["Email"])) == "ada@example.com"
