"""Virtual devices of the lab: hardware without a mind of its own, reached over a WebSocket.

The driver connects to the device's address and keeps trying. Every message is one JSON object.

Down (gateway to device; `id` counts upward, the device answers the first two with `took`):
    {"do": "energise", "id": 7, "relay": <relay>, "ms": 5000}     for so long from now; null = until released
    {"do": "release", "id": 8, "relay": <relay>}
    {"do": "answer", "to": 3, "allowed": true, "relays": [...], "wait_s": 0}
                                              what became of the presentation 3; shown to whoever stands there
Up (device to gateway):
    {"am": <device>, "model": "...", "firmware": "..."}           first; another device's id ends the connection
    {"took": 7}
    {"saw": "pin", "text": "1234", "id": 3, "relay": <relay>}     `relay` only when one door was chosen
    {"input": "fire", "active": true, "relay": <relay>}           `relay` only when the input belongs to one door
    {"door": <relay>, "state": "open"}
What cannot be understood is counted and ignored.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import Counter

import msgspec
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException

from gatehouse.gateway.drivers import DeviceUnreachable, Door, DoorState, InputUse
from gatehouse.gateway.ending import end
from gatehouse.wire.messages import DeviceHealth, Method

log = logging.getLogger(__name__)

TAKES_WITHIN_S = 3.0
FIRST_PAUSE_S, LAST_PAUSE_S = 0.5, 5.0
MAX_MESSAGE = 64 * 1024


class _Up(msgspec.Struct, frozen=True):
    """Anything a device says; which fields are set tells what it is."""

    am: str | None = None
    model: str | None = None
    firmware: str | None = None
    took: int | None = None
    saw: Method | None = None
    text: str = ""
    id: int = 0
    relay: str | None = None
    input: InputUse | None = None
    active: bool = False
    door: str | None = None
    state: DoorState | None = None


_decoder = msgspec.json.Decoder(_Up)


class _Line:
    """The connection to one device."""

    def __init__(self, device: str, address: str, counts: Counter[str]) -> None:
        self.device = device
        self.online = False
        self.model: str | None = None
        self.firmware: str | None = None
        self._address = address
        self._counts = counts
        self._socket: ClientConnection | None = None
        self._number = 0
        self._awaited: dict[int, asyncio.Future[None]] = {}
        self._fires: set[asyncio.Task[None]] = set()

    async def run(self, door: Door) -> None:
        pause = FIRST_PAUSE_S
        while True:
            try:
                async with connect(
                    self._address,
                    compression=None,
                    proxy=None,
                    open_timeout=5,
                    close_timeout=1,
                    ping_interval=5,
                    ping_timeout=5,
                    max_size=MAX_MESSAGE,
                ) as socket:
                    pause = FIRST_PAUSE_S
                    await self._serve(socket, door)
            except (OSError, WebSocketException, TimeoutError) as error:
                log.debug("device %s: %s", self.device, error)
            finally:
                self._leave(door)
            await asyncio.sleep(pause)
            pause = min(2 * pause, LAST_PAUSE_S)

    async def _serve(self, socket: ClientConnection, door: Door) -> None:
        queue: asyncio.Queue[_Up] = asyncio.Queue()
        worker = asyncio.create_task(self._work(queue, door))
        try:
            async for raw in socket:
                try:
                    said = _decoder.decode(raw)
                except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                    self._counts["device.unreadable"] += 1
                    continue
                if said.am is not None:
                    if said.am != self.device:
                        self._counts["device.other"] += 1
                        return
                    self._socket, self.online = socket, True
                    self.model, self.firmware = said.model, said.firmware
                    door.reachable(self.device)
                elif self._socket is None:
                    self._counts["device.nameless"] += 1
                elif said.took is not None:
                    if (waiting := self._awaited.get(said.took)) is not None and not waiting.done():
                        waiting.set_result(None)
                elif said.input == "fire":
                    # Never behind a presentation that waits for a relay.
                    fire = asyncio.create_task(door.input(self.device, "fire", said.active, said.relay))
                    self._fires.add(fire)
                    fire.add_done_callback(self._fires.discard)
                else:
                    queue.put_nowait(said)
                if worker.done():
                    worker.result()
        finally:
            await end([worker])

    async def _work(self, queue: asyncio.Queue[_Up], door: Door) -> None:
        """What happened at the device, in its order."""
        while True:
            said = await queue.get()
            if said.saw is not None:
                outcome = await door.present(self.device, said.saw, said.text, said.relay)
                with contextlib.suppress(DeviceUnreachable):
                    await self._send(
                        {
                            "do": "answer",
                            "to": said.id,
                            "allowed": outcome.allowed,
                            "relays": outcome.relays,
                            "wait_s": outcome.wait_s,
                        }
                    )
            elif said.input is not None:
                await door.input(self.device, said.input, said.active, said.relay)
            elif said.door is not None and said.state is not None:
                await door.door(self.device, said.door, said.state)
            else:
                self._counts["device.unreadable"] += 1

    async def ask(self, do: str, relay: str, **more: int | None) -> None:
        """Tell the device and wait until it has taken it. Raises DeviceUnreachable."""
        self._number += 1
        number = self._number
        taken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._awaited[number] = taken
        try:
            await self._send({"do": do, "id": number, "relay": relay, **more})
            await asyncio.wait_for(taken, TAKES_WITHIN_S)
        except TimeoutError:
            raise DeviceUnreachable(f"device {self.device} does not answer") from None
        finally:
            del self._awaited[number]

    async def _send(self, message: dict[str, object]) -> None:
        if self._socket is None:
            raise DeviceUnreachable(f"device {self.device} is not connected")
        try:
            await self._socket.send(msgspec.json.encode(message).decode())
        except (OSError, WebSocketException) as error:
            raise DeviceUnreachable(f"device {self.device}: {error}") from error

    def _leave(self, door: Door) -> None:
        for waiting in self._awaited.values():
            if not waiting.done():
                waiting.set_exception(DeviceUnreachable(f"device {self.device} is gone"))
        self._socket = None
        if self.online:
            self.online = False
            door.reachable(self.device)


class VirtualDriver:
    """All virtual devices of one gateway."""

    def __init__(self, addresses: dict[str, str]) -> None:
        """`addresses`: device id to ws:// or wss:// address."""
        self.counts: Counter[str] = Counter()
        """What devices said that was ignored, by dotted word."""
        self._lines = {device: _Line(device, address, self.counts) for device, address in addresses.items()}

    async def run(self, door: Door) -> None:
        """See `drivers.Driver.run`."""
        async with asyncio.TaskGroup() as group:
            for line in self._lines.values():
                group.create_task(line.run(door))

    async def energise(self, device: str, relay: str, hold_ms: int | None) -> None:
        """See `drivers.Driver.energise`."""
        await self._line(device).ask("energise", relay, ms=hold_ms)

    async def release(self, device: str, relay: str) -> None:
        """See `drivers.Driver.release`."""
        await self._line(device).ask("release", relay)

    def health(self) -> list[DeviceHealth]:
        """See `drivers.Driver.health`."""
        return [
            DeviceHealth(device=line.device, online=line.online, model=line.model, firmware=line.firmware)
            for line in self._lines.values()
        ]

    def _line(self, device: str) -> _Line:
        line = self._lines.get(device)
        if line is None:
            raise DeviceUnreachable(f"no driver for device {device}")
        return line
