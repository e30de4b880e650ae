"""`make docs`: the documents as pages in build/docs, with every link among them checked.

Markdown in the repository is the document; the pages are for reading without a code host. A link to a file or a
heading that is not there fails the run.
"""

import html
import itertools
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

from markdown_it import MarkdownIt
from markdown_it.token import Token

ROOT = Path(__file__).parents[1]
OUT = ROOT / "build" / "docs"
_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{title}</title><style>
body {{ max-inline-size: 52rem; margin: 2rem auto; padding-inline: 1rem; font: 1rem/1.6 system-ui, sans-serif }}
pre {{ overflow: auto; padding: 1rem; background: #f4f5f7 }} table {{ border-collapse: collapse }}
td, th {{ border: 1px solid #d0d4da; padding: .3rem .6rem; text-align: start; vertical-align: top }}
img {{ max-inline-size: 100% }}
</style></head><body>
{body}</body></html>
"""


def documents() -> list[Path]:
    """All documents: those at the root, and those in docs/."""
    return sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])


def parse(path: Path) -> list[Token]:
    """The document's parts, its headings with the names that links use."""
    tokens = MarkdownIt("commonmark", {"html": False}).enable("table").parse(path.read_text(encoding="utf-8"))
    seen: dict[str, int] = {}
    for opening, inline in itertools.pairwise(tokens):
        if opening.type == "heading_open":
            name = re.sub(r"[^\w\- ]", "", inline.content.lower()).replace(" ", "-")
            seen[name] = seen.get(name, -1) + 1
            opening.attrSet("id", f"{name}-{seen[name]}" if seen[name] else name)
    return tokens


def anchors(tokens: list[Token]) -> set[str]:
    """The names of its headings."""
    return {str(token.attrGet("id")) for token in tokens if token.type == "heading_open"}


def links(tokens: list[Token]) -> Iterator[Token]:
    """Its links and pictures."""
    for token in tokens:
        yield from (child for child in token.children or [] if child.type in ("link_open", "image"))


def wrong_links(path: Path, parsed: dict[Path, list[Token]]) -> Iterator[str]:
    """What its links name and is not there."""
    for token in links(parsed[path]):
        address = str(token.attrGet("href") or token.attrGet("src"))
        parts = urlsplit(address)
        if parts.scheme or parts.netloc:
            continue
        target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
        known = anchors(parsed[target]) if target in parsed else None
        if not target.exists() or (parts.fragment and known is not None and parts.fragment not in known):
            yield f"{path.relative_to(ROOT)}: {address} is not there"


def write(path: Path, parsed: dict[Path, list[Token]]) -> None:
    """Its page, beside the files that it shows."""
    target = OUT / path.relative_to(ROOT).with_suffix(".html")
    target.parent.mkdir(parents=True, exist_ok=True)
    for token in links(parsed[path]):
        name = "href" if token.type == "link_open" else "src"
        address = str(token.attrGet(name))
        source = (path.parent / unquote(urlsplit(address).path)).resolve()
        if source in parsed:
            token.attrSet(name, re.sub(r"\.md(?=#|$)", ".html", address))
        elif not urlsplit(address).scheme and source.is_file() and source.is_relative_to(ROOT):
            copy = OUT / source.relative_to(ROOT)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, copy)
    renderer = MarkdownIt("commonmark", {"html": False}).enable("table")
    body = renderer.renderer.render(parsed[path], renderer.options, {})
    target.write_text(_PAGE.format(title=html.escape(path.stem), body=body), encoding="utf-8")


def main() -> int:
    """Writes all pages; 1 when a link is wrong."""
    parsed = {path.resolve(): parse(path) for path in documents()}
    wrong = [line for path in parsed for line in wrong_links(path, parsed)]
    for path in parsed:
        write(path, parsed)
    for line in wrong:
        sys.stderr.write(f"{line}\n")
    sys.stdout.write(f"{len(parsed)} documents in {OUT.relative_to(ROOT)}\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
