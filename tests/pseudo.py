"""Two languages that nobody speaks, to see what a translation would break.

    python -m tests.pseudo                 check the translations; one line for each fault
    python -m tests.pseudo --write FOLDER  write the pseudo-languages as a locale folder, for looking

`xa` is long: every word grows by about 40 % and wears accents, so that a text that was forgotten stands out and a
box that is too narrow breaks. `xb` is mirrored: the same, read from right to left.
"""

from __future__ import annotations

import re
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Final

from tests.catalogue import PLURALS, Entry, compiled, messages, po_path, read_po

LANGUAGES: Final = ("xa", "xb")
SHOWN: Final = ("portal", "wording", "kit", "accounts")
"""Folders whose every message has to be translated; messages of other areas fall back to English until they are."""
BEGIN, END = "⟦", "⟧"
_PLACE = re.compile(r"(%\(\w+\)[sd]|\{\w+\}|%%)")
_ACCENTS = str.maketrans("aceiounsyACEINOSUY", "àçéîöüñšýÀÇÉÎÑÖŠÛÝ")


def stretched(text: str) -> str:
    """The text with accents and a tail of about 40 %; places to fill in stay as they are."""
    parts = [part if _PLACE.fullmatch(part) else part.translate(_ACCENTS) for part in _PLACE.split(text)]
    more = max(1, round(len(_PLACE.sub("", text)) * 0.4))
    tail = " ".join("~" * min(7, more - start) for start in range(0, more, 7))
    return f"{BEGIN}{''.join(parts)}{tail}{END}"


def write(folder: Path) -> None:
    """Both pseudo-languages as a locale folder."""
    for language in LANGUAGES:
        entries = [
            Entry(message, [stretched(text) for text in (message.text, message.plural) if text])
            for message in messages()
        ]
        place = folder / language / "LC_MESSAGES"
        place.mkdir(parents=True, exist_ok=True)
        (place / "django.mo").write_bytes(compiled(language, entries))


def problems() -> list[str]:
    """What is wrong with the translations, one line each."""
    found = []
    wanted = messages()
    for language in PLURALS:
        entries = read_po(language)
        known = {entry.message: entry for entry in entries}
        for message, where in wanted.items():
            if any(name.split("/")[0] in SHOWN for name in where):
                entry = known.get(message)
                if entry is None or not all(entry.texts):
                    found.append(f"{language}: not translated: {message.text!r} ({where[0]})")
        for entry in entries:
            found += [f"{language}: {fault}" for fault in _faults(entry)]
        path = po_path(language).with_suffix(".mo")
        if not path.exists() or path.read_bytes() != compiled(language, entries):
            found.append(f"{language}: {path.name} is not what the .po compiles to: python -m tests.catalogue compile")
    return found


def _faults(entry: Entry) -> list[str]:
    places = set(_PLACE.findall(entry.message.text)) | set(_PLACE.findall(entry.message.plural))
    return [
        f"other places to fill in: {text!r} for {entry.message.text!r}"
        for text in entry.texts
        if text and set(_PLACE.findall(text)) != places
    ]


class _Reader(HTMLParser):
    """Collects what a person would read on a page and nobody translated."""

    QUIET = frozenset({"script", "style", "title", "time", "bdi", "kbd", "option"})
    VOID = frozenset({"input", "meta", "link", "br", "hr", "col", "img", "use", "path", "rect"})
    SAID = frozenset({"aria-label", "placeholder", "alt"})
    DATA = frozenset({"gh-ltr", "gh-mono", "gh-ava", "gh-language"})

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.left: list[str] = []
        self._stack: list[tuple[str, bool]] = []

    @property
    def _quiet(self) -> bool:
        return any(quiet for _tag, quiet in self._stack)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        for name in self.SAID & given.keys():
            self._look(given[name] or "")
        if tag not in self.VOID:
            classes = set((given.get("class") or "").split())
            self._stack.append((tag, tag in self.QUIET or bool(classes & self.DATA)))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Holds nothing."""

    def handle_endtag(self, tag: str) -> None:
        while self._stack and self._stack.pop()[0] != tag:
            pass

    def handle_data(self, data: str) -> None:
        if not self._quiet:
            self._look(data)

    def _look(self, text: str) -> None:
        rest = re.sub(f"{BEGIN}[^{END}]*{END}", "", text).replace("Gatehouse", "").replace("DTMF", "")
        if re.search(r"[A-Za-z]{2,}", rest):
            self.left.append(" ".join(rest.split()))


def untranslated(html: str) -> list[str]:
    """Texts of a page rendered in a pseudo-language that are not: forgotten ones, and names outside <bdi>."""
    reader = _Reader()
    reader.feed(html)
    return reader.left


def main(argv: list[str]) -> int:
    """See the module's text."""
    if len(argv) == 2 and argv[0] == "--write":
        write(Path(argv[1]))
        return 0
    found = problems()
    sys.stderr.writelines(f"{line}\n" for line in found)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
