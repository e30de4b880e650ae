"""What can be wrong with a file or a row, in words. Rows hold codes only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

FILE: Final[Mapping[str, Promise]] = {
    "file.empty": _("This file holds no rows."),
    "file.kind": _("This is no spreadsheet. Send .xlsx, .ods or .csv."),
    "file.damaged": _("This file is damaged. Save it again in your spreadsheet program."),
    "file.locked": _("This file is protected by a password. Save it without one."),
    "file.unsafe": _("This file cannot be opened safely. Fill in the template instead."),
    "file.large": _("This file is too large. At most 10 MB are taken."),
    "file.rows": _("This file has too many rows. At most 50,000 are taken."),
    "file.columns": _("This file has too many columns. Fill in the template instead."),
    "file.cell": _("A cell of this file holds more than 2,000 characters."),
    "file.merged": _("This file has merged cells. Split them, so that each row stands for itself."),
    "file.hidden": _("This file has a hidden sheet. Delete it, so that you see all that is imported."),
    "file.sheets": _("This file has several filled sheets. Leave one."),
    "file.encoding": _("The characters of this file cannot be read. Save it as UTF-8."),
    "file.headings": _("The headings do not fit. Compare them with the template."),
    "file.beside": _("There are cells beside the columns that have a heading."),
}

FAULTS: Final[Mapping[str, Promise]] = {
    "required": _("Fill this in."),
    "long": _("This is too long."),
    "format": _("This is not written as it must be."),
    "format.damaged": _("A spreadsheet program has changed this number. Write it as text."),
    "format.number": _("This was kept as a number: leading zeros may be missing."),
    "range": _("This value is not among those allowed."),
    "not_found": _("There is nothing of this name here."),
    "not_found.company": _("This import is for one company, and this is another one."),
    "not_found.door": _("This access group has no door of the company."),
    "not_found.mac": _("This MAC cannot be added here."),
    "duplicate.file": _("This stands more than once in the file."),
    "duplicate.taken": _("This is in use already."),
    "ignored": _("This has no effect while the intercom feature is off."),
}

UNDO: Final[Mapping[str, Promise]] = {
    "changed": _("Changed since the import"),
    "gone": _("Removed since the import"),
    "used": _("Used at a door since the import"),
    "bound": _("In use since the import"),
}


def said(fault: Mapping[str, Any]) -> str:
    """The words of one fault of a row."""
    return str(FAULTS[fault["code"]])
