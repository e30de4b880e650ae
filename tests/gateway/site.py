"""A small site for gateway tests: entries as the cloud would send them, hands at its doors, and a clock to skew."""

from __future__ import annotations

import asyncio
import sqlite3
import time
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gatehouse.gateway.agent import Agent
from gatehouse.gateway.cable import Cable
from gatehouse.gateway.clock import Clock
from gatehouse.gateway.drivers import DeviceUnreachable, Door
from gatehouse.gateway.identity import Identity
from gatehouse.gateway.settings import AgentSettings
from gatehouse.gateway.store import Store
from gatehouse.rules.credentials import lookup
from gatehouse.wire.messages import (
    AccessGroupEntry,
    CredentialEntry,
    DeviceEntry,
    DeviceHealth,
    Emergency,
    FeedEntry,
    FeedPage,
    HolderEntry,
    Payload,
    RelayEntry,
    SiteEntry,
    Window,
    emergency_bytes,
)


def uid(number: int) -> str:
    """The same id for the same number."""
    return f"00000000-0000-4000-8000-{number:012x}"


SITE, GATEWAY = uid(1), uid(2)
PHONE, GARAGE = uid(10), uid(11)
FRONT, SIDE, RAMP = uid(20), uid(21), uid(22)
ALWAYS = uid(30)
LOOKUP_KEY = bytes(range(32))
SIGNING = Ed25519PrivateKey.from_private_bytes(bytes(range(1, 33)))


def pin(text: str) -> str:
    """The lookup of a PIN at this site."""
    return lookup(LOOKUP_KEY, "pin", text)


def holder(number: int, code: str | None, groups: list[str] | None = None, **more: Any) -> HolderEntry:
    """A holder with one PIN, in the group that may always in."""
    keys = [] if code is None else [CredentialEntry(id=uid(number + 0x1000), kind="pin", lookup=pin(code))]
    return HolderEntry(id=uid(number), access_groups=[ALWAYS] if groups is None else groups, credentials=keys, **more)


def relay(id_: str, position: int = 1, **more: Any) -> RelayEntry:
    """A door that PINs and cards open."""
    return RelayEntry(id=id_, kind="door", position=position, name=f"door {id_[-2:]}", methods=["pin", "card"], **more)


def device(id_: str, relays: list[RelayEntry], **more: Any) -> DeviceEntry:
    """A door phone."""
    return DeviceEntry(id=id_, type="multi_tenant_door_phone", name=f"phone {id_[-2:]}", relays=relays, **more)


def public_key() -> str:
    """What the site entry says of the emergency's key."""
    return SIGNING.public_key().public_bytes_raw().hex()


def standard() -> dict[str, Payload]:
    """One site: phone with two doors, garage with one, Alice's 1234 and Bob's 5678 open all of them always."""
    site = SiteEntry(zone="Europe/Berlin", language="en", lookup_key=LOOKUP_KEY.hex(), emergency_key=public_key())
    group = AccessGroupEntry(id=ALWAYS, windows=[Window(kind="daily")], relays=[FRONT, SIDE, RAMP])
    entries: list[tuple[str, Payload]] = [
        (f"site:{SITE}", site),
        (f"device:{PHONE}", device(PHONE, [relay(FRONT), relay(SIDE, 2)])),
        (f"device:{GARAGE}", device(GARAGE, [relay(RAMP)])),
        (f"access_group:{ALWAYS}", group),
        (f"holder:{uid(40)}", holder(40, "1234")),
        (f"holder:{uid(41)}", holder(41, "5678")),
    ]
    return dict(entries)


def page(entries: dict[str, Payload], revision: int = 1, epoch: str = "epoch-1") -> FeedPage:
    """The whole site on one page."""
    listed = [FeedEntry(key=key, revision=revision, payload=payload) for key, payload in entries.items()]
    return FeedPage(epoch=epoch, schema=1, revision=revision, reset=True, entries=listed)


def signed(
    state: str, counter: int, at_ms: int = 1_000, site: str = SITE, key: Ed25519PrivateKey = SIGNING
) -> Emergency:
    """An emergency state as the cloud signs it."""
    id_ = uid(0xE0)
    signature = key.sign(emergency_bytes(site, id_, state, counter, at_ms)).hex()
    return Emergency(site=site, id=id_, state=state, counter=counter, at_ms=at_ms, signature=signature)  # type: ignore[arg-type]


class Time:
    """Counter and wall clock that run as they should until somebody moves them."""

    def __init__(self) -> None:
        self.later_ms = 0
        """Added to both: time that has passed in a moment."""
        self.wall_wrong_ms = 0
        """Added to the wall clock alone."""

    def counter(self) -> int:
        return time.monotonic_ns() // 1_000_000 + self.later_ms

    def wall(self) -> int:
        return time.time_ns() // 1_000_000 + self.later_ms + self.wall_wrong_ms

    def clock(self, machine: str | None = None) -> Clock:
        return Clock(self.counter, self.wall, machine)

    def set(self, clock: Clock, true_ms: int | None = None) -> None:
        """As if the cloud had answered: true time is `true_ms`, by default what the wall clock should show."""
        assert clock.measure(clock.mono_ms(), self.wall() - self.wall_wrong_ms if true_ms is None else true_ms)


class Hands:
    """A driver whose relays are written down."""

    def __init__(self, *devices: str) -> None:
        self.online = dict.fromkeys(devices or (PHONE, GARAGE), True)
        self.told: list[tuple[str, int | None]] = []
        """(relay, hold in ms), None = held until released, 0 = released."""
        self.before: Callable[[str], None] = lambda relay: None
        """Called with the relay just before it moves."""
        self.door: Door | None = None

    async def run(self, door: Door) -> None:
        self.door = door
        for one in self.online:
            door.reachable(one)
        await asyncio.Event().wait()

    async def energise(self, device: str, relay: str, hold_ms: int | None) -> None:
        self._reach(device, relay)
        self.told.append((relay, hold_ms))

    async def release(self, device: str, relay: str) -> None:
        self._reach(device, relay)
        self.told.append((relay, 0))

    def _reach(self, device: str, relay: str) -> None:
        if not self.online.get(device):
            raise DeviceUnreachable(f"{device} is off")
        self.before(relay)

    def health(self) -> list[DeviceHealth]:
        return [DeviceHealth(device=one, online=online) for one, online in self.online.items()]

    def opened(self) -> list[str]:
        """Relays that were energised, in order."""
        return [relay for relay, ms in self.told if ms != 0]

    def now(self, relay: str) -> int | None:
        """What this relay was told last; 0 when nothing."""
        return next((ms for one, ms in reversed(self.told) if one == relay), 0)


def enrol(folder: Path, port: int = 1) -> Path:
    """Give a folder an identity whose broker is at `port`."""
    Identity(GATEWAY, SITE, "a secret of this test", "127.0.0.1", port, False).save(folder)
    return folder


@asynccontextmanager
async def deciding(
    folder: Path, hands: Hands | None = None, clock: Clock | None = None, **settings: Any
) -> AsyncIterator[Agent]:
    """An agent without any cloud, deciding from what the folder holds."""
    if not (folder / "identity.json").exists():
        enrol(folder)
    cable = Cable()
    cable.cut()
    agent = Agent(
        AgentSettings(folder, "http://127.0.0.1:1", **settings), hands or Hands(), clock or Time().clock(), cable
    )
    await agent.start()
    await asyncio.sleep(0)
    try:
        yield agent
    finally:
        await agent.stop()


class FullDisk:
    """A connection to the store whose disk takes nothing any more, until `room`."""

    def __init__(self, store: Store) -> None:
        self.full = True
        self._store, self._db = store, store.db
        store.db = self  # type: ignore[assignment]

    def execute(self, sql: str, *values: Any) -> sqlite3.Cursor:
        if self.full and sql.startswith("BEGIN"):
            error = sqlite3.OperationalError("database or disk is full")
            error.sqlite_errorcode = sqlite3.SQLITE_FULL
            raise error
        return self._db.execute(sql, *values)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._db, name)

    def room(self) -> None:
        self.full = False
        self._store.db = self._db


async def eventually(true: Callable[[], object], within_s: float = 10.0, what: str = "") -> None:
    """Wait until something is so; fails when it is not in time."""
    end = time.monotonic() + within_s
    while not true():
        if time.monotonic() > end:
            raise AssertionError(f"not within {within_s} s{': ' if what else ''}{what}")
        await asyncio.sleep(0.01)


def fresh() -> str:
    """A new id."""
    return str(uuid.uuid4())
