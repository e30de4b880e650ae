"""What the gateway makes of answers over HTTP: taken, refused, or to be asked again; never a crash, never endless."""

from __future__ import annotations

import gzip
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from gatehouse.gateway import https
from gatehouse.gateway.identity import Identity, NoIdentity
from gatehouse.wire.messages import encode
from tests.gateway.site import GATEWAY, SITE, page, standard

ME = Identity(GATEWAY, SITE, "a secret", "127.0.0.1", 1, False)


class Answering:
    """A server that says what it was told to say."""

    def __init__(self) -> None:
        self.status, self.body, self.packed = 200, b"", False

        class Handler(BaseHTTPRequestHandler):
            def do_GET(handler) -> None:
                handler.send_response(self.status)
                if self.packed:
                    handler.send_header("Content-Encoding", "gzip")
                handler.send_header("Content-Length", str(len(self.body)))
                handler.end_headers()
                handler.wfile.write(self.body)

            def log_message(handler, *_: object) -> None:
                """Quiet."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()


@pytest.fixture
def answering() -> Iterator[Answering]:
    answering = Answering()
    yield answering
    answering.server.shutdown()
    answering.server.server_close()


def test_a_page_is_read_packed_or_not(answering: Answering) -> None:
    answering.body = encode(page(standard()))
    assert https.feed_page(answering.url, ME, None, 0, None) == page(standard())
    answering.body, answering.packed = gzip.compress(answering.body), True
    assert https.feed_page(answering.url, ME, "epoch-1", 5, "c") == page(standard())


@pytest.mark.parametrize("body", [b"", b"{}", b"<html>", b"\xff" * 50, b"[" * 100_000], ids=str)
@pytest.mark.parametrize("packed", [False, True])
def test_what_is_no_page_is_to_be_asked_again(answering: Answering, body: bytes, packed: bool) -> None:
    answering.body, answering.packed = body, packed
    with pytest.raises(https.CloudUnreachable):
        https.feed_page(answering.url, ME, None, 0, None)


def test_a_page_that_unpacks_to_more_than_the_limit_is_not_unpacked_to_its_end(answering: Answering) -> None:
    answering.body, answering.packed = gzip.compress(b" " * (https.MAX_PAGE * 4)), True
    with pytest.raises(https.CloudUnreachable, match="at most"):
        https.feed_page(answering.url, ME, None, 0, None)


@pytest.mark.req("GH-GW-E4")
def test_entries_of_a_newer_schema_need_not_be_readable_to_know_that_they_are_newer(answering: Answering) -> None:
    newer = json.loads(encode(page(standard()))) | {
        "schema": 2,
        "entries": [{"key": "area:1", "payload": {"kind": "area"}}],
    }
    answering.body = json.dumps(newer).encode()
    assert https.feed_page(answering.url, ME, None, 0, None).schema == 2
    answering.body = json.dumps(newer | {"schema": 1}).encode()
    with pytest.raises(https.CloudUnreachable):
        https.feed_page(answering.url, ME, None, 0, None)


@pytest.mark.parametrize(("status", "error"), [(401, https.CloudRefused), (404, https.CloudRefused)])
def test_a_no_is_a_no(answering: Answering, status: int, error: type[Exception]) -> None:
    answering.status = status
    with pytest.raises(error, match=str(status)):
        https.feed_page(answering.url, ME, None, 0, None)


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_cloud_in_trouble_is_asked_again(answering: Answering, status: int) -> None:
    answering.status = status
    with pytest.raises(https.CloudUnreachable, match=str(status)):
        https.feed_page(answering.url, ME, None, 0, None)


@pytest.mark.parametrize("url", ["ftp://x", "nonsense", "http://"])
def test_an_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(https.CloudRefused):
        https.feed_page(url, ME, None, 0, None)


def test_nobody_there_is_to_be_asked_again() -> None:
    with pytest.raises(https.CloudUnreachable):
        https.feed_page("http://127.0.0.1:1", ME, None, 0, None)


def test_an_identity_shows_no_secret_and_a_damaged_one_is_none(tmp_path: Path) -> None:
    folder = tmp_path
    assert "a secret" not in repr(ME)
    with pytest.raises(NoIdentity):
        Identity.load(folder)
    ME.save(folder)
    assert Identity.load(folder) == ME
    (folder / "identity.json").write_text('{"gateway": "x"')
    with pytest.raises(NoIdentity, match="damaged"):
        Identity.load(folder)
