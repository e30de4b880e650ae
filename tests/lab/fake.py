"""A controller for tests of the panel: decides by a table, and remembers what it was told."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from gatehouse.gateway.drivers import DoorState, InputUse, Outcome
from gatehouse.lab.config import CardConfig, DeviceConfig, LabConfig, PinConfig, RelayConfig
from gatehouse.lab.station import NoAnswer, Station
from gatehouse.wire.messages import AnyEvent, DoorMoved, InputMoved, Passage

KEY = "ab" * 32
DEVICE = "019ab000-0000-7000-8000-000000000001"
RELAYS = ("019ab000-0000-7000-8000-0000000000a1", "019ab000-0000-7000-8000-0000000000a2")
BOOT = "019ab000-0000-7000-8000-0000000000ff"
PIN, CARD = "483920", "04A46F19"


def lab_config(language: str = "en", device: str = DEVICE, **more: Any) -> LabConfig:
    """One native door phone with two doors."""
    names = ("Main entrance", "Courtyard gate") if language != "fa" else ("ورودی اصلی", "دروازه حیاط")
    place = DeviceConfig(
        id=device,
        name=names[0],
        site_name="Kontorhaus Nordkai" if language != "fa" else "برج اداری آفتاب",
        zone="Europe/Berlin",
        language=language,
        mac="0C11052A7F31",
        type="multi_tenant_door_phone",
        relays=[
            RelayConfig(id_, at, "door", name) for at, (id_, name) in enumerate(zip(RELAYS, names, strict=True), 1)
        ],
        native=True,
        **more,
    )
    cards = [
        CardConfig("Amélie Rousseau", f"0x{CARD}", "hex", "Amélie Rousseau"),
        CardConfig("Minh Khai Nguyễn Thị", "0x11223344", "hex", "Minh Khai Nguyễn Thị"),
        CardConfig("Owen Griffiths (over)", "0x0A0B0C0D", "hex", "Owen Griffiths"),
        CardConfig("Blank", "0x00BADA55", "hex"),
    ]
    pins = [
        PinConfig("Amélie Rousseau", PIN, "Laboratory"),
        PinConfig("Нина Александровна Воскресенская", "190274", "Team"),
        PinConfig("فرهاد رستمی", "651120", "Team"),
        PinConfig("Krzysztof Wawrzyniak-Lewandowski", "772301", "Night shift"),
        PinConfig("Owen Griffiths", "807993", "Laboratory"),
        PinConfig("Mara Lindqvist", "725774", "Office"),
        PinConfig("Minh Khai Nguyễn Thị", "942032", "Laboratory"),
        PinConfig("Γεώργιος Παπακωνσταντίνου", "192011", "Night shift"),
    ]
    return LabConfig("http://127.0.0.1:9", KEY, [place], cards, pins)


class FakeCore:
    """`lab.station.Core`. A cut cable lets events wait; mending it confirms them."""

    def __init__(self, station: Station) -> None:
        self.station = station
        self.told: list[tuple[Any, ...]] = []
        self.running = False
        self.claimed = True
        self.wait_s = 0
        self.hold_ms = 5_000
        self._seq = 0

    def power(self, on: bool) -> None:
        self.running = on
        self.told.append(("power", on))
        self.station.touch()

    def cable(self, cut: bool) -> None:
        self.told.append(("cable", cut))
        self._confirm()

    async def present(self, method: str, text: str, who: str | None) -> Outcome:
        self._ready()
        self.told.append(("present", method, text, who))
        allowed = text in (PIN, CARD)
        self._record(
            Passage(
                **self._common(RELAYS[0] if allowed else None),
                method=method,
                allowed=allowed,
                reason="granted" if allowed else "credential.unknown",
                alone=self.station.phone.cable_cut,
                decide_us=420,
            ),
            who,
        )
        if not allowed:
            return Outcome(False, "credential.unknown", wait_s=self.wait_s)
        await self.station.energise(RELAYS[0], self.hold_ms)
        return Outcome(True, "granted", (RELAYS[0],))

    async def input(self, use: InputUse, active: bool, relay: str | None) -> None:
        self._ready()
        self.told.append(("input", use, active, relay))
        self._record(InputMoved(**self._common(relay), use=use, active=active), None)
        if use == "exit" and active:
            await self.station.energise(relay or RELAYS[0], self.hold_ms)
        if use == "fire":
            for one in RELAYS:
                if active:
                    await self.station.energise(one, None)
                else:
                    await self.station.release(one)

    async def door(self, relay: str, state: DoorState) -> None:
        self._ready()
        self.told.append(("door", relay, state))
        self._record(DoorMoved(**self._common(relay), state=state), None)

    def line(self) -> dict[str, Any]:
        up = self.running and not self.station.phone.cable_cut
        return {"up": up, "claimed": self.claimed, "rtt_ms": 38, "off_ms": self.station.phone.skew_ms, "note": None}

    async def close(self) -> None:
        await asyncio.sleep(0)
        self.told.append(("close",))

    def _ready(self) -> None:
        if not self.running:
            raise NoAnswer

    def _common(self, relay: str | None) -> dict[str, Any]:
        self._seq += 1
        now = time.time_ns() // 1_000_000
        return {"seq": self._seq, "boot": BOOT, "mono_ms": 1, "wall_ms": now, "true_ms": now, "relay": relay}

    def _record(self, event: AnyEvent, who: str | None) -> None:
        self.station.heard.add([event], lambda seq: who)
        self._confirm()

    def _confirm(self) -> None:
        heard = self.station.heard
        if not self.station.phone.cable_cut:
            heard.acked = self._seq
        heard.waiting = self._seq - heard.acked
        self.station.touch()
