"""A device without a mind of its own: the virtual hardware, offered to a gateway over a WebSocket.

The other end is `gateway.drivers.virtual`, where the messages are written down. A gateway elsewhere on the
machine drives it as it would drive a real family; one at a time, a newer connection ends the older.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import Any

from starlette.websockets import WebSocket, WebSocketDisconnect

from gatehouse import __version__
from gatehouse.gateway.drivers import DeviceUnreachable, DoorState, InputUse, Outcome
from gatehouse.lab.hardware import ASKING_MS
from gatehouse.lab.native import MODEL
from gatehouse.lab.station import NoAnswer, Station


class DumbCore:
    """`station.Core` of a device that a gateway drives."""

    def __init__(self, station: Station) -> None:
        self._station = station
        self._powered = False
        self._socket: WebSocket | None = None
        self._number = 0
        self._awaited: dict[int, asyncio.Future[Outcome]] = {}
        self._closing: set[asyncio.Task[None]] = set()

    def power(self, on: bool) -> None:
        """See `Core.power`."""
        self._powered = on
        if not on:
            self._hang_up()

    def cable(self, cut: bool) -> None:
        """See `Core.cable`."""
        if cut:
            self._hang_up()

    async def close(self) -> None:
        """See `Core.close`."""
        self._hang_up()
        if self._closing:
            await asyncio.wait(self._closing, timeout=2)

    def line(self) -> dict[str, Any]:
        """See `Core.line`; the line is the one to the gateway."""
        up = self._socket is not None
        note = None if up else "no gateway is connected to this device"
        return {"up": up, "claimed": True, "rtt_ms": None, "off_ms": None, "note": note}

    def _hang_up(self) -> None:
        socket, self._socket = self._socket, None
        for waiting in self._awaited.values():
            if not waiting.done():
                waiting.set_exception(NoAnswer())
        if socket is not None:
            closing = asyncio.create_task(_close(socket))
            self._closing.add(closing)
            closing.add_done_callback(self._closing.discard)
        self._station.touch()

    # --- the gateway's end ----------------------------------------------------------------------

    async def serve(self, socket: WebSocket) -> None:
        """One connection of a gateway, until it ends."""
        if not self._powered or self._station.phone.cable_cut:
            await socket.close(1013)
            return
        await socket.accept()
        self._hang_up()
        await socket.send_json({"am": self._station.config.id, "model": MODEL, "firmware": __version__})
        self._socket = socket
        self._station.listened_to()
        try:
            while True:
                await self._obey(socket, await socket.receive_json())
        except (WebSocketDisconnect, RuntimeError, ValueError):
            pass  # Gone, hung up by us, or not our language.
        finally:
            if self._socket is socket:
                self._hang_up()

    async def _obey(self, socket: WebSocket, message: Any) -> None:
        with contextlib.suppress(DeviceUnreachable):
            match message:
                case {"do": "energise", "id": int(number), "relay": str(relay), "ms": (int() | None) as hold_ms}:
                    await self._station.energise(relay, hold_ms)
                    self._station.phone.alarm = hold_ms is None
                    await socket.send_json({"took": number})
                case {"do": "release", "id": int(number), "relay": str(relay)}:
                    await self._station.release(relay)
                    self._station.phone.alarm = False
                    await socket.send_json({"took": number})
                case {
                    "do": "answer",
                    "to": int(to),
                    "allowed": bool(allowed),
                    "relays": list(relays),
                    "wait_s": int(wait),
                }:
                    waiting = self._awaited.get(to)
                    if waiting is not None and not waiting.done():
                        waiting.set_result(Outcome(allowed, "", tuple(str(relay) for relay in relays), wait))

    # --- at the door ----------------------------------------------------------------------------

    async def present(self, method: str, text: str, who: str | None) -> Outcome:
        """See `Core.present`."""
        self._number += 1
        number = self._number
        answer: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._awaited[number] = answer
        try:
            await self._say({"saw": method, "text": text, "id": number})
            outcome = await asyncio.wait_for(answer, ASKING_MS / 1_000)
        except TimeoutError as error:
            raise NoAnswer from error
        finally:
            del self._awaited[number]
        relay = outcome.relays[0] if outcome.relays else None
        self._note({"kind": "passage", "method": method, "allowed": outcome.allowed, "who": who, "relay": relay})
        return outcome

    async def input(self, use: InputUse, active: bool, relay: str | None) -> None:
        """See `Core.input`."""
        await self._say({"input": use, "active": active} | ({} if relay is None else {"relay": relay}))
        self._note({"kind": "input", "use": use, "active": active, "relay": relay})

    async def door(self, relay: str, state: DoorState) -> None:
        """See `Core.door`."""
        await self._say({"door": relay, "state": state})
        self._note({"kind": "door", "relay": relay, "state": state})

    async def _say(self, message: dict[str, Any]) -> None:
        if self._socket is None:
            raise NoAnswer
        try:
            await self._socket.send_json(message)
        except (WebSocketDisconnect, RuntimeError) as error:
            raise NoAnswer from error

    def _note(self, entry: dict[str, Any]) -> None:
        self._station.heard.note(entry | {"at_ms": time.time_ns() // 1_000_000})
        self._station.touch()


async def _close(socket: WebSocket) -> None:
    with contextlib.suppress(WebSocketDisconnect, RuntimeError):
        await socket.close(1001)
