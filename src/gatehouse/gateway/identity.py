"""Who this gateway is: its id, its site, its secret, and the file that holds them.

The file is the only place where the secret stands on the site; mode 0600, written whole or not at all.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path

import msgspec

from gatehouse.wire.messages import Claimed

FILE = "identity.json"


class NoIdentity(Exception):
    """There is no identity file, or it cannot be read; the text says which and names no secret."""


@dataclass(frozen=True, slots=True)
class Identity:
    """As issued by the cloud against a claim code; see `wire.messages.Claimed` for the fields."""

    gateway: str
    site: str
    secret: str
    mqtt_host: str
    mqtt_port: int
    mqtt_tls: bool
    ca_pem: str | None = None

    def __repr__(self) -> str:
        return f"Identity(gateway={self.gateway}, site={self.site})"

    @classmethod
    def of(cls, claimed: Claimed) -> Identity:
        """The identity that a claim was answered with."""
        return msgspec.convert(msgspec.structs.asdict(claimed), cls)

    @classmethod
    def load(cls, folder: Path) -> Identity:
        """Read from the agent's folder. Raises NoIdentity."""
        try:
            return msgspec.json.decode((folder / FILE).read_bytes(), type=cls)
        except FileNotFoundError:
            raise NoIdentity("not claimed yet") from None
        except OSError as error:
            raise NoIdentity(f"cannot read {FILE}: {error.strerror}") from error
        except msgspec.DecodeError as error:
            raise NoIdentity(f"{FILE} is damaged: {error}") from error

    def save(self, folder: Path) -> None:
        """Write into the agent's folder. Raises OSError."""
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_private(folder / FILE, msgspec.json.encode(self))


def write_private(path: Path, content: bytes) -> None:
    """Replace a file durably; readable by its owner only, never half written. Raises OSError."""
    fresh = path.with_name(path.name + ".new")
    with contextlib.suppress(FileNotFoundError):
        fresh.unlink()
    handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
