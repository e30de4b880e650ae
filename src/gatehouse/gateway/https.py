"""What a gateway asks the cloud over HTTP: an identity, and pages of the feed.

The standard library's client in a thread: a gateway asks rarely, and another client would take more
memory than all its feed.
"""

from __future__ import annotations

import base64
import gzip
import http.client
import io
import ssl
import zlib
from urllib.parse import urlencode, urlsplit

from gatehouse.gateway.identity import Identity
from gatehouse.wire import FEED_SCHEMA
from gatehouse.wire.messages import Claim, Claimed, FeedPage, Message, Unreadable, decode, encode

CLAIM_PATH = "/link/v1/claim"
FEED_PATH = "/link/v1/feed"
MAX_PAGE = 16 * 1024 * 1024
"""Largest feed page taken, bytes after unpacking."""


class CloudUnreachable(ConnectionError):
    """No answer, or none that can be understood; it may be better later."""


class CloudRefused(Exception):
    """The cloud answered no; `status` is the HTTP status. Asking the same again will not help."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


def claim(base_url: str, code: str, version: str, macs: list[str] | None = None, ca_pem: str | None = None) -> Identity:
    """Exchange a claim code for an identity. Blocks. Raises CloudUnreachable, CloudRefused."""
    body = encode(Claim(code=code, version=version, macs=macs or []))
    headers = {"Content-Type": "application/json"}
    answer = _ask(base_url, "POST", CLAIM_PATH, headers, ca_pem, body, limit=64 * 1024)
    try:
        return Identity.of(decode(Claimed, answer))
    except Unreadable as error:
        raise CloudUnreachable(str(error)) from error


def feed_page(base_url: str, identity: Identity, epoch: str | None, since: int, cursor: str | None) -> FeedPage:
    """One page of the feed. Blocks. Raises CloudUnreachable, CloudRefused."""
    query = {"epoch": epoch or "", "since": str(since)}
    if cursor is not None:
        query["cursor"] = cursor
    password = base64.b64encode(f"{identity.gateway}:{identity.secret}".encode()).decode()
    headers = {"Authorization": f"Basic {password}", "Accept-Encoding": "gzip"}
    answer = _ask(base_url, "GET", f"{FEED_PATH}?{urlencode(query)}", headers, identity.ca_pem, None, MAX_PAGE)
    return _page(answer)


class _Schema(Message, frozen=True, kw_only=True):
    """What can be read of a page whatever its entries are."""

    epoch: str
    schema: int
    revision: int
    reset: bool


def _page(answer: bytes) -> FeedPage:
    try:
        return decode(FeedPage, answer, MAX_PAGE)
    except Unreadable as error:
        # Entries of a newer schema need not be readable; that the schema is newer must be.
        try:
            page = decode(_Schema, answer, MAX_PAGE)
        except Unreadable:
            raise CloudUnreachable(str(error)) from error
        if page.schema <= FEED_SCHEMA:
            raise CloudUnreachable(str(error)) from error
        return FeedPage(epoch=page.epoch, schema=page.schema, revision=page.revision, reset=page.reset, entries=[])


def _ask(
    base_url: str, method: str, path: str, headers: dict[str, str], ca_pem: str | None, body: bytes | None, limit: int
) -> bytes:
    url = urlsplit(base_url)
    if url.scheme not in ("http", "https") or url.hostname is None:
        raise CloudRefused(0, f"{base_url} is no address of a cloud")
    line: http.client.HTTPConnection
    if url.scheme == "https":
        trust = ssl.create_default_context(cadata=ca_pem)
        line = http.client.HTTPSConnection(url.hostname, url.port, timeout=20, context=trust)
    else:
        line = http.client.HTTPConnection(url.hostname, url.port, timeout=20)
    try:
        line.request(method, url.path.rstrip("/") + path, body, headers)
        answer = line.getresponse()
        content = answer.read(limit + 1)
        if answer.getheader("Content-Encoding") == "gzip":
            content = gzip.GzipFile(fileobj=io.BytesIO(content)).read(limit + 1)
    except (OSError, http.client.HTTPException, EOFError, zlib.error) as error:
        raise CloudUnreachable(f"{url.netloc}: {str(error) or type(error).__name__}") from error
    finally:
        line.close()
    if answer.status >= 500 or answer.status == 429:
        raise CloudUnreachable(f"{url.netloc} answered {answer.status}")
    if answer.status != 200:
        raise CloudRefused(answer.status, f"{url.netloc} answered {answer.status}")
    return content
