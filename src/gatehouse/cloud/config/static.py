"""Built files (styles, scripts, fonts), answered before Django is asked.

Their names carry a hash of their content, so a browser may keep them for ever and nothing has to be compared.
They are few and small: each is read and compressed once and then answered from memory.
"""

from __future__ import annotations

import gzip
import mimetypes
import re
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

FOLDER = Path(__file__).parents[1] / "static" / "dist"
PREFIX = "/static/dist/"
_NAME = re.compile(r"[A-Za-z0-9._-]+-[0-9A-Z]{8}\.[a-z0-9]+")
_SMALLER = ("text/", "application/json", "image/svg+xml")
"""Kinds that compressing makes smaller; fonts are compressed already."""
_FOR_EVER = "public, max-age=31536000, immutable"


class _File(NamedTuple):
    kind: str
    plain: bytes
    packed: bytes | None


@lru_cache(maxsize=64)
def _file(path: Path) -> _File:
    content = path.read_bytes()
    kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    packed = gzip.compress(content, 6, mtime=0) if kind.startswith(_SMALLER) else None
    return _File(kind, content, packed)


def _answer(scope: Scope) -> Response:
    name = scope["path"].removeprefix(PREFIX)
    try:
        # The pattern also keeps paths out of the folder's neighbourhood.
        file = _file(FOLDER / name) if _NAME.fullmatch(name) else None
    except OSError:
        file = None
    if file is None or scope["method"] not in ("GET", "HEAD"):
        return PlainTextResponse("not found\n", 404)
    headers = {"Cache-Control": _FOR_EVER, "X-Content-Type-Options": "nosniff", "Vary": "Accept-Encoding"}
    content = file.plain
    if file.packed is not None and "gzip" in Headers(scope=scope).get("accept-encoding", ""):
        content, headers["Content-Encoding"] = file.packed, "gzip"
    return Response(content, headers=headers, media_type=file.kind)


class BuiltFiles:
    """The application, with the built files in front of it."""

    def __init__(self, application: ASGIApp) -> None:
        self._application = application

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] == "http" and scope["path"].startswith(PREFIX):
            await _answer(scope)(scope, receive, send)
        else:
            await self._application(scope, receive, send)
