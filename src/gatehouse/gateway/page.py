"""The gateway's own page, for whoever stands beside the box: how it is, with the line cut too.

It listens on loopback only, takes no input, and shows no person and no code.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from html import escape

import msgspec

from gatehouse.gateway.health import AgentStatus

MAX_REQUEST = 8 * 1024
WITHIN_S = 5.0
_LOCAL = {"127.0.0.1", "localhost", "[::1]"}

State = AgentStatus | str
"""How the agent is, or one line that says why there is none yet."""

_STYLE = """
:root{color-scheme:light dark}body{font:16px/1.5 system-ui,sans-serif;max-inline-size:44rem;margin:2rem auto;padding:0 1rem}
h1{font-size:1.4rem;margin:0 0 1rem}h2{font-size:1.05rem;margin:1.5rem 0 .25rem}table{border-collapse:collapse;inline-size:100%}
th,td{text-align:start;padding:.35rem .5rem;border-block-end:1px solid color-mix(in srgb,currentColor 18%,transparent);vertical-align:top}
th{font-weight:500;inline-size:14rem}.bad{color:#b3261e}.good{color:#1b7f3b}code{overflow-wrap:anywhere}
@media(prefers-color-scheme:dark){.bad{color:#ff8a80}.good{color:#7bd88f}}
"""
_LINKS = {
    "cut": "cable pulled",
    "connecting": "no connection to the broker",
    "connected": "connected, waiting for the cloud's answer",
    "open": "in session with the cloud",
}


async def serve(port: int, look: Callable[[], State]) -> asyncio.Server:
    """Answer on 127.0.0.1. Raises OSError when the port is taken."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), WITHIN_S)
            writer.write(_reply(head.decode("latin-1"), look))
            await asyncio.wait_for(writer.drain(), WITHIN_S)
        with contextlib.suppress(OSError):
            writer.close()
            await writer.wait_closed()

    return await asyncio.start_server(answer, "127.0.0.1", port, limit=MAX_REQUEST)


def _reply(head: str, look: Callable[[], State]) -> bytes:
    first, *lines = head.split("\r\n")
    method, _, rest = first.partition(" ")
    path = rest.partition(" ")[0].partition("?")[0]
    fields = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    # A page of another origin must not read this one through a name that it points here.
    if fields.get("host", "").rpartition(":")[0] not in _LOCAL and fields.get("host") not in _LOCAL:
        return _http("403 Forbidden", "text/plain", b"Ask for 127.0.0.1.\n")
    if method not in ("GET", "HEAD"):
        return _http("405 Method Not Allowed", "text/plain", b"Only to look at.\n")
    if path == "/":
        return _http("200 OK", "text/html", html(look()).encode(), method == "HEAD")
    if path == "/status.json":
        return _http("200 OK", "application/json", _json(look()), method == "HEAD")
    return _http("404 Not Found", "text/plain", b"Nothing here.\n")


def _http(status: str, kind: str, body: bytes, head_only: bool = False) -> bytes:
    head = (
        f"HTTP/1.1 {status}\r\nContent-Type: {kind}; charset=utf-8\r\nContent-Length: {len(body)}\r\n"
        "Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\nX-Frame-Options: DENY\r\n"
        "Content-Security-Policy: default-src 'none'; style-src 'unsafe-inline'\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + (b"" if head_only else body)


def _json(state: State) -> bytes:
    if isinstance(state, str):
        return json.dumps({"waiting": state}).encode()
    plain = asdict(state)
    plain["devices"] = msgspec.to_builtins(state.devices)
    return json.dumps(plain).encode()


def html(state: State) -> str:
    """The page."""
    if isinstance(state, str):
        body = f"<p>{escape(state)}</p>"
    else:
        body = _rows(_facts(state)) + _devices(state) + _faults(state)
    return (
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>"
        f"<meta http-equiv=refresh content=5><title>Gateway</title><style>{_STYLE}</style>"
        f"<h1>Gatehouse gateway</h1>{body}</html>"
    )


def _facts(state: AgentStatus) -> list[tuple[str, str, str]]:
    alone = "" if state.alone_since_ms is None else f", deciding alone since {_moment(state.alone_since_ms)}"
    offset = state.clock_offset_ms
    clock = "never set since the machine started"
    if state.true_ms is not None and offset is not None:
        clock = f"{_moment(state.true_ms)}; own clock {'right' if abs(offset) < 1000 else f'wrong by {-offset / 1000:.1f} s'}"
    lost = sum(state.dropped.values())
    waiting = f"{state.spool_depth} waiting for the cloud"
    if state.unwritten:
        waiting += f", {state.unwritten} of them in memory only"
    if lost:
        waiting += f", {lost} lost"
    return [
        ("Gateway", state.gateway, ""),
        ("Line", _LINKS[state.link] + alone, "bad" if state.alone else "good"),
        ("Clock (UTC)", clock, "" if state.true_ms is not None else "bad"),
        ("Feed", "nothing received yet" if state.epoch is None else f"revision {state.revision}", ""),
        ("Events", waiting, "bad" if state.unwritten or lost else ""),
        ("Emergency", "doors are held open" if state.emergency else "none", "bad" if state.emergency else ""),
        ("Running for", f"{state.uptime_s // 3600} h {state.uptime_s % 3600 // 60} min", ""),
        ("Last error", state.last_error or "none", ""),
    ]


def _devices(state: AgentStatus) -> str:
    rows = [
        (
            state.device_names.get(health.device, health.device),
            ("reachable" if health.online else "not reachable") + (f", {health.model}" if health.model else ""),
            "good" if health.online else "bad",
        )
        for health in state.devices
    ]
    return f"<h2>Devices</h2>{_rows(rows)}" if rows else "<h2>Devices</h2><p>None.</p>"


def _faults(state: AgentStatus) -> str:
    return "".join(f"<p class=bad>Fault: <code>{escape(code)}</code></p>" for code in state.faults)


def _rows(rows: list[tuple[str, str, str]]) -> str:
    lines = (
        f"<tr><th scope=row>{escape(name)}<td{f' class={mark}' if mark else ''}>{escape(text)}"
        for name, text, mark in rows
    )
    return f"<table>{''.join(lines)}</table>"


def _moment(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")
