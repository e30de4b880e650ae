"""The lab over HTTP: the list of devices, a panel for each, its socket, and the port of dumb devices.

A panel's socket gets the whole state after each change, never more often than 30 times a second and never
faster than the browser takes it; what comes in are acts. Entry is by the portal's ticket, then by cookie.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import time
from collections.abc import Mapping
from urllib.parse import urlsplit

from starlette.applications import Starlette
from starlette.requests import HTTPConnection, Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from gatehouse.lab import pages, tickets
from gatehouse.lab.config import LabConfig
from gatehouse.lab.dumb import DumbCore
from gatehouse.lab.station import BadAct, Station

log = logging.getLogger(__name__)

MOST_PUSHES_PER_S = 30
SLOWEST_TAB_S = 10.0
LONGEST_ACT = 2_000
"""Characters of one message from a panel."""

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; font-src 'self'; "
    "img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


class Lab:
    """What is being played at the moment, and where the portal is. `process` keeps it up to date."""

    def __init__(self, portal_ports: Mapping[str, int]) -> None:
        """`portal_ports`: on which port the portal answers `http` and `https`."""
        self.config: LabConfig | None = None
        self.stations: dict[str, Station] = {}
        self.dumb: dict[str, DumbCore] = {}
        """Devices that wait for a gateway, by their id."""
        self.closing = asyncio.Event()
        """The process ends; sockets must let go."""
        self.portal_ports = portal_ports

    def close(self) -> None:
        """Let every tab go."""
        self.closing.set()
        for station in self.stations.values():
            station.touch()

    @property
    def key(self) -> bytes | None:
        """The key of the portal's tickets, None while there is no configuration."""
        return None if self.config is None else bytes.fromhex(self.config.sign_in_key)

    def visitor(self, connection: HTTPConnection) -> tickets.Visitor | None:
        """Who this is, by the cookie."""
        kept = connection.cookies.get(tickets.COOKIE)
        if self.key is None or kept is None:
            return None
        try:
            return tickets.read_cookie(self.key, kept, time.time())
        except tickets.NotAdmitted:
            return None

    def portal(self, connection: HTTPConnection) -> str:
        """The portal's address as this browser reaches it."""
        scheme = "https" if connection.url.scheme in ("https", "wss") else "http"
        host = connection.url.hostname or "localhost"
        return f"{scheme}://{f'[{host}]' if ':' in host else host}:{self.portal_ports[scheme]}/"


def application(lab: Lab) -> Starlette:
    """The lab's own web application."""
    app = Starlette(
        routes=[
            Route("/", _devices),
            Route("/health/live", _live),
            Route("/panel/{device}", _panel),
            WebSocketRoute("/panel/{device}/socket", _socket),
            WebSocketRoute("/device/{device}", _device),
            Mount("/static", StaticFiles(directory=pages.STATIC, check_dir=False)),
        ]
    )
    app.state.lab = lab
    return app


def _lab(connection: HTTPConnection) -> Lab:
    lab = connection.app.state.lab
    assert isinstance(lab, Lab)
    return lab


async def _live(request: Request) -> Response:
    return PlainTextResponse("ok\n")


def _page(text: str, status: int = 200) -> HTMLResponse:
    return HTMLResponse(text, status, HEADERS)


def _admit(request: Request) -> Response | tickets.Visitor:
    """The visitor; or the answer that takes a ticket in, or sends away."""
    lab, text = _lab(request), request.query_params.get("ticket")
    if text is not None and lab.key is not None:
        try:
            visitor = tickets.read(lab.key, text, time.time())
        except tickets.NotAdmitted as error:
            log.info("not admitted: %s", error)
        else:
            # The ticket leaves the address bar, and with it the browser's history.
            answer = RedirectResponse(request.url.path, 303, HEADERS)
            answer.set_cookie(
                tickets.COOKIE,
                tickets.cookie(lab.key, visitor, time.time()),
                max_age=tickets.VISIT_S,
                httponly=True,
                samesite="lax",
                secure=request.url.scheme == "https",
            )
            return answer
    visitor_now = lab.visitor(request)
    if visitor_now is None:
        return _page(pages.stranger(lab.portal(request), too_late=text is not None), 403)
    return visitor_now


async def _devices(request: Request) -> Response:
    lab, visitor = _lab(request), _admit(request)
    if isinstance(visitor, Response):
        return visitor
    mine = [station.config for device, station in lab.stations.items() if visitor.may(device)]
    return _page(pages.devices(mine, lab.portal(request)))


async def _panel(request: Request) -> Response:
    lab, visitor = _lab(request), _admit(request)
    if isinstance(visitor, Response):
        return visitor
    station = lab.stations.get(request.path_params["device"])
    if station is None or lab.config is None or not visitor.may(station.config.id):
        return _page(pages.unknown(), 404)
    return _page(pages.panel(station.config, lab.config, station.state()))


async def _socket(socket: WebSocket) -> None:
    lab = _lab(socket)
    visitor, station = lab.visitor(socket), lab.stations.get(socket.path_params["device"])
    if visitor is None or station is None or not visitor.may(station.config.id) or not _same_origin(socket):
        await socket.close(4403)
        return
    await socket.accept()
    show = asyncio.create_task(_show(socket, lab, station, visitor))
    try:
        while True:
            await _take(socket, station, await socket.receive_text())
    except (WebSocketDisconnect, RuntimeError):
        pass  # RuntimeError: the tab was too slow and `_show` has closed the socket.
    finally:
        show.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await show


async def _device(socket: WebSocket) -> None:
    """The port of a dumb device, for a gateway on this machine; no page of any browser may be one."""
    core = _lab(socket).dumb.get(socket.path_params["device"])
    local = socket.client is not None and socket.client.host in ("127.0.0.1", "::1")
    if core is None or not local or "origin" in socket.headers:
        await socket.close(4403)
        return
    await core.serve(socket)


def _same_origin(socket: WebSocket) -> bool:
    """A page of somebody else's must not press keys with our visitor's cookie."""
    return urlsplit(socket.headers.get("origin", "")).netloc == socket.headers.get("host", "-")


async def _take(socket: WebSocket, station: Station, text: str) -> None:
    try:
        if len(text) > LONGEST_ACT:
            raise BadAct("act.too_long")
        message = json.loads(text)
        if not isinstance(message, dict):
            raise BadAct("act.unknown")
        station.act(message)
    except BadAct as error:
        await socket.send_json({"type": "no", "code": str(error)})
    except ValueError:
        await socket.send_json({"type": "no", "code": "act.unknown"})


async def _show(socket: WebSocket, lab: Lab, station: Station, visitor: tickets.Visitor) -> None:
    """Send the state after each change, until the tab is gone, the visit over, or the device no more."""
    seen = -1
    while socket.application_state == WebSocketState.CONNECTED:
        if time.time() >= visitor.until:
            await socket.close(4401)
            return
        if lab.stations.get(station.config.id) is not station or lab.closing.is_set():
            await socket.close(1012)  # It comes back, or the page says that it does not.
            return
        if station.version == seen:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(station.wake.wait(), 1)
            continue
        seen = station.version
        try:
            await asyncio.wait_for(socket.send_json({"type": "state"} | station.state()), SLOWEST_TAB_S)
        except TimeoutError:
            await socket.close(4408)
            return
        except (WebSocketDisconnect, RuntimeError):
            return
        await asyncio.sleep(1 / MOST_PUSHES_PER_S)
