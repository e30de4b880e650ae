"""How the agent speaks to devices.

The agent decides and records; a driver moves relays and tells what happened at the door. The agent
knows devices and relays by their ids of the feed only; addresses are the driver's business.
A driver is anything with the methods of `Driver`; the lab's native controller is one, `virtual` another.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

from gatehouse.wire.messages import DeviceHealth

DoorState = Literal["open", "closed", "held", "forced"]
InputUse = Literal["exit", "fire", "tamper", "motion"]


class DeviceUnreachable(Exception):
    """The device could not be told; the relay must be taken as not moved."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one presentation at a door.

    Show people `allowed` and `wait_s` only: why somebody was refused stands in the log, not at the door.
    """

    allowed: bool
    reason: str
    """Reason code of the decision."""
    relays: tuple[str, ...] = ()
    """Relays that were released."""
    wait_s: int = 0
    """Seconds for which the keypad takes nothing more (too many wrong codes)."""


class Door(Protocol):
    """What a driver calls when something happens at a device: the agent's side."""

    async def present(self, device: str, method: str, text: str, relay: str | None = None) -> Outcome:
        """Somebody presented a credential.

        `method` is one of wire `Method`; `text` what was seen: keys typed; card number in any notation of
        `rules.credentials.normalise_card` (a reader that reports hexadecimal puts `0x` before it); content
        of the QR code; for homepage and talking the holder's id. `relay` narrows to one door. Returns
        after the passage is recorded and the relays were told.
        """
        ...

    async def input(self, device: str, use: InputUse, active: bool, relay: str | None = None) -> None:
        """An input changed. `exit` active releases `relay` (all of the device when None); `fire` opens everything."""
        ...

    async def door(self, device: str, relay: str, state: DoorState) -> None:
        """The door's own sensor."""
        ...

    def reachable(self, device: str) -> None:
        """`Driver.health` has changed for this device (it came, or went)."""
        ...


class Driver(Protocol):
    """One family's way to its devices: the family's side."""

    async def run(self, door: Door) -> None:
        """Serve the devices and report to `door` until cancelled."""
        ...

    async def energise(self, device: str, relay: str, hold_ms: int | None) -> None:
        """Hold the relay for so long from now, None = until `release`; replaces what was told before.

        Returns when the device has taken it. Raises DeviceUnreachable.
        """
        ...

    async def release(self, device: str, relay: str) -> None:
        """Let the relay fall now. Raises DeviceUnreachable."""
        ...

    def health(self) -> list[DeviceHealth]:
        """Each device that this driver serves and whether it can be reached at the moment."""
        ...
