"""Messages of the cloud and their translations, without gettext's tools: a bare machine has none.

    python -m tests.catalogue update     bring new messages into the .po files, drop those that are gone
    python -m tests.catalogue compile    write the .mo files that stand beside them in the repository

The .mo files are committed: they are small, a checkout and a wheel work without a build step, and a test
compares them with what the .po files compile to.
"""

from __future__ import annotations

import ast
import re
import struct
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from django.utils.translation.template import templatize

CLOUD = Path(__file__).parents[1] / "src/gatehouse/cloud"
LOCALE = CLOUD / "locale"
PLURALS = {
    "fa": "nplurals=2; plural=(n > 1);",
    "he": "nplurals=2; plural=(n != 1);",
}
"""Hebrew's dual is left out: with figures people write the plural."""

_NAMES = {
    "_": "plain",
    "_later": "plain",
    "gettext": "plain",
    "gettext_lazy": "plain",
    "gettext_noop": "plain",
    "ngettext": "plural",
    "ngettext_lazy": "plural",
    "pgettext": "context",
    "pgettext_lazy": "context",
}
_STRING = r"u?('(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\")"
_CALL = re.compile(rf"\b(_|gettext|ngettext|pgettext)\(\s*{_STRING}(?:\s*,\s*{_STRING})?")


class Message(NamedTuple):
    """What is looked up: context (or none), singular, plural (or none)."""

    text: str
    context: str = ""
    plural: str = ""

    @property
    def key(self) -> str:
        """As gettext stores it."""
        return f"{self.context}\4{self.text}" if self.context else self.text


def _message(kind: str, first: str, second: str | None) -> Message:
    if kind == "context":
        return Message(second or "", context=first)
    return Message(first, plural=second or "") if kind == "plural" else Message(first)


def _in_python(path: Path) -> Iterator[Message]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name) or node.func.id not in _NAMES:
            continue
        texts = [arg.value for arg in node.args if isinstance(arg, ast.Constant) and isinstance(arg.value, str)]
        if texts:
            yield _message(_NAMES[node.func.id], texts[0], texts[1] if len(texts) > 1 else None)


def _in_template(path: Path) -> Iterator[Message]:
    for found in _CALL.finditer(templatize(path.read_text(encoding="utf-8"), origin=str(path))):
        name, first, second = found.groups()
        yield _message(_NAMES[name], ast.literal_eval(first), ast.literal_eval(second) if second else None)


def messages() -> dict[Message, list[str]]:
    """Every message of the cloud, with the files that say it, in the order of the files."""
    found: dict[Message, list[str]] = {}
    for path in sorted((*CLOUD.rglob("*.py"), *CLOUD.rglob("*.html"))):
        for message in _in_python(path) if path.suffix == ".py" else _in_template(path):
            where = found.setdefault(message, [])
            name = str(path.relative_to(CLOUD))
            if name not in where:
                where.append(name)
    return found


@dataclass
class Entry:
    """One message in one language; `texts` holds as many forms as the message has."""

    message: Message
    texts: list[str]
    where: list[str] = field(default_factory=list)


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def _plural(language: str) -> str:
    return PLURALS.get(language, "nplurals=2; plural=(n != 1);")


def po_path(language: str) -> Path:
    """The translations of a language."""
    return LOCALE / language / "LC_MESSAGES" / "django.po"


def write_po(language: str, entries: list[Entry]) -> None:
    """Replace a language's file."""
    lines = [
        'msgid ""',
        'msgstr ""',
        f'"Language: {language}\\n"',
        '"Content-Type: text/plain; charset=UTF-8\\n"',
        '"Content-Transfer-Encoding: 8bit\\n"',
        f'"Plural-Forms: {_plural(language)}\\n"',
        "",
    ]
    for entry in entries:
        lines.append(f"#: {' '.join(entry.where)}")
        if entry.message.context:
            lines.append(f"msgctxt {_quoted(entry.message.context)}")
        lines.append(f"msgid {_quoted(entry.message.text)}")
        if entry.message.plural:
            lines.append(f"msgid_plural {_quoted(entry.message.plural)}")
            lines += [f"msgstr[{number}] {_quoted(text)}" for number, text in enumerate(entry.texts)]
        else:
            lines.append(f"msgstr {_quoted(entry.texts[0])}")
        lines.append("")
    path = po_path(language)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines), encoding="utf-8")


def read_po(language: str) -> list[Entry]:
    """The file's entries, without its head. Raises ValueError for a line that is none."""
    entries: list[Entry] = []
    for block in po_path(language).read_text(encoding="utf-8").split("\n\n"):
        said: dict[str, str] = {}
        where: list[str] = []
        last = ""
        for line in block.splitlines():
            if line.startswith("#:"):
                where += line[2:].split()
            elif line.startswith('"'):
                said[last] += ast.literal_eval(line)
            elif line and not line.startswith("#"):
                last, _, rest = line.partition(" ")
                said[last] = ast.literal_eval(rest)
        if said.get("msgid"):
            message = Message(said["msgid"], said.get("msgctxt", ""), said.get("msgid_plural", ""))
            texts = [text for name, text in said.items() if name.startswith("msgstr")]
            entries.append(Entry(message, texts, where))
    return entries


def compiled(language: str, entries: list[Entry]) -> bytes:
    """The .mo file of these entries (GNU gettext's format, little-endian, untranslated ones left out)."""
    head = f"Language: {language}\nContent-Type: text/plain; charset=UTF-8\nPlural-Forms: {_plural(language)}\n"
    pairs = {"": head}
    for entry in entries:
        if all(entry.texts):
            key = entry.message.key + (f"\0{entry.message.plural}" if entry.message.plural else "")
            pairs[key] = "\0".join(entry.texts)
    rows = sorted((key.encode(), text.encode()) for key, text in pairs.items())
    count, start = len(rows), 28
    offset = start + 16 * count
    keys, texts, body = b"", b"", b""
    for table, column in ((0, 0), (1, 1)):
        for row in rows:
            place = struct.pack("<II", len(row[column]), offset + len(body))
            keys, texts = (keys + place, texts) if table == 0 else (keys, texts + place)
            body += row[column] + b"\0"
    return struct.pack("<7I", 0x950412DE, 0, count, start, start + 8 * count, 0, 0) + keys + texts + body


def update() -> None:
    """Bring the .po files up to the sources; translations are kept."""
    wanted = messages()
    for language in PLURALS:
        known = {entry.message: entry.texts for entry in read_po(language)} if po_path(language).exists() else {}
        entries = []
        for message, where in wanted.items():
            texts = known.get(message) or ([""] * 2 if message.plural else [""])
            entries.append(Entry(message, texts, where))
        write_po(language, entries)


def main(argv: list[str]) -> int:
    """See the module's text."""
    if argv == ["update"]:
        update()
    elif argv == ["compile"]:
        for language in PLURALS:
            po_path(language).with_suffix(".mo").write_bytes(compiled(language, read_po(language)))
    else:
        sys.stderr.write(f"{__doc__}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
