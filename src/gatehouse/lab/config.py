"""What the lab is to play: written by the demo, read again when it changes."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import msgspec

FILE = "config.json"


class RelayConfig(msgspec.Struct, frozen=True):
    """One relay of a virtual device and the door behind it."""

    id: str
    position: int
    kind: Literal["door", "security", "monitor"]
    name: str


class DeviceConfig(msgspec.Struct, frozen=True):
    """One virtual device: a native controller (`native`), or a dumb one that the demo gateway drives."""

    id: str
    name: str
    site_name: str
    zone: str
    language: str
    mac: str
    type: str
    relays: list[RelayConfig]
    native: bool
    claim_code: str | None = None
    port_path: str | None = None
    """Path of a dumb device's own port on this server, e.g. `/device/<id>`."""


class CardConfig(msgspec.Struct, frozen=True):
    """A card that lies ready in the tester's tray."""

    label: str
    text: str
    notation: Literal["auto", "hex", "decimal"] = "auto"
    person: str = ""


class PinConfig(msgspec.Struct, frozen=True):
    """A code of the demo, to try."""

    label: str
    text: str
    note: str = ""


class LabConfig(msgspec.Struct, frozen=True):
    """The whole lab."""

    base_url: str
    sign_in_key: str
    """Key of the portal's tickets, hexadecimal."""
    devices: list[DeviceConfig]
    cards: list[CardConfig] = []
    pins: list[PinConfig] = []


class ConfigBroken(Exception):
    """The file is there and cannot be understood; the text names the place."""


def load(path: Path) -> LabConfig | None:
    """Read the file; None when there is none (yet). Raises ConfigBroken."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=LabConfig)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ConfigBroken(f"{path.name}: {error}") from error
