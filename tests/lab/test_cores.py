"""The two ways a virtual device is governed: by an agent of its own, or by a gateway at the end of a line."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from gatehouse.gateway.clock import wall_ms
from gatehouse.gateway.drivers import DeviceUnreachable, DoorState, InputUse, Outcome
from gatehouse.gateway.drivers.virtual import VirtualDriver
from gatehouse.lab.config import DeviceConfig, RelayConfig
from gatehouse.lab.dumb import DumbCore
from gatehouse.lab.native import NativeCore
from gatehouse.lab.station import Station
from gatehouse.wire.messages import Method
from tests.gateway.site import FRONT, PHONE, SIDE, eventually, page, standard
from tests.gateway.site import enrol as enrolled
from tests.lab.served import served

CONFIG = DeviceConfig(
    id=PHONE,
    name="Main entrance",
    site_name="Kontorhaus Nordkai",
    zone="Europe/Berlin",
    language="en",
    mac="0C11052A7F31",
    type="multi_tenant_door_phone",
    relays=[RelayConfig(FRONT, 1, "door", "Front"), RelayConfig(SIDE, 2, "door", "Side")],
    native=True,
)


def keys(station: Station, text: str) -> None:
    for key in text:
        station.act({"act": "key", "key": key})


def passages(station: Station) -> list[dict[str, Any]]:
    """The passages that were heard, newest first."""
    return [line for line in station.heard.view() if line["kind"] == "passage"]


def screen(station: Station) -> str:
    return str(station.state()["device"]["screen"])


class TestNative:
    """The gateway's real agent over its real store; only the cloud is missing."""

    @staticmethod
    @contextlib.asynccontextmanager
    async def living(folder: Path, *, enrol: bool = True) -> AsyncIterator[tuple[Station, NativeCore]]:
        if enrol:
            enrolled(folder)
        station = Station(CONFIG, lambda station: NativeCore(station, folder, "http://127.0.0.1:1"))
        core = station._core
        assert isinstance(core, NativeCore)
        station.phone.cable_cut = True
        life = asyncio.create_task(station.run())
        try:
            yield station, core
        finally:
            life.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await life

    @staticmethod
    async def feed(core: NativeCore) -> None:
        """Give the agent its site and the time, as the cloud would."""
        await eventually(lambda: core._agent is not None, what="the agent runs")
        agent = core._agent
        assert agent is not None
        await agent.feed.page(page(standard()), True)
        agent.clock.measure(agent.clock.mono_ms(), wall_ms())

    async def test_a_code_opens_both_doors_of_the_agents_own_decision(self, tmp_path: Path) -> None:
        async with self.living(tmp_path / "phone") as (station, core):
            await self.feed(core)
            keys(station, "1234#")
            await eventually(lambda: screen(station) == "granted")
            assert {relay["id"] for relay in station.state()["device"]["relays"] if relay["released"]} == {FRONT, SIDE}
            await eventually(lambda: len(passages(station)) == 2)
            assert all(line["allowed"] and line["alone"] and not line["acked"] for line in passages(station))
            assert station.heard.waiting == 4, "with the two doors that were told to be shut"

    async def test_a_wrong_code_is_refused_and_says_why_in_the_tray_only(self, tmp_path: Path) -> None:
        async with self.living(tmp_path / "phone") as (station, core):
            await self.feed(core)
            keys(station, "9999#")
            await eventually(lambda: screen(station) == "refused")
            await eventually(lambda: bool(passages(station)))
            assert passages(station)[0]["reason"] == "credential.unknown"
            assert "9999" not in str(station.state())
            assert not any(relay["released"] for relay in station.state()["device"]["relays"])

    async def test_a_power_cut_loses_no_line_and_forgets_the_time(self, tmp_path: Path) -> None:
        async with self.living(tmp_path / "phone") as (station, core):
            await self.feed(core)
            keys(station, "1234#")
            await eventually(lambda: len(passages(station)) == 2)
            station.act({"act": "power", "on": False})
            await eventually(lambda: core._agent is None, what="the agent is gone")
            assert not any(relay["released"] for relay in station.state()["device"]["relays"])
            station.act({"act": "power", "on": True})
            await eventually(lambda: core._agent is not None, what="the agent is back")
            assert core._agent is not None and core._agent.clock.true_ms() is None
            keys(station, "9999#")
            await eventually(lambda: len(passages(station)) == 3)
            assert [line["seq"] for line in station.heard.view()] == [7, 6, 5, 4, 3, 2, 1]

    async def test_power_that_flickers_ends_with_one_agent(self, tmp_path: Path) -> None:
        async with self.living(tmp_path / "phone") as (_, core):
            await self.feed(core)
            first = core._agent
            for on in (False, True, False, True):
                core.power(on)
            await eventually(lambda: core._agent not in (None, first) and core._switch.empty())
            await asyncio.sleep(0.3)
            lives = [task for task in asyncio.all_tasks() if "_live" in repr(task.get_coro())]
            assert core._agent is not None and len(lives) == 1

    async def test_the_fire_input_opens_every_door_without_any_cloud(self, tmp_path: Path) -> None:
        async with self.living(tmp_path / "phone") as (station, core):
            await self.feed(core)
            station.act({"act": "fire", "on": True})
            await eventually(lambda: all(relay["released"] for relay in station.state()["device"]["relays"]))
            assert screen(station) == "emergency"
            station.act({"act": "fire", "on": False})
            await eventually(lambda: not station.phone.inputs["fire"])
            await asyncio.sleep(0.3)
            assert screen(station) == "emergency", "an emergency ends when the site says so, not with the input"

    async def test_the_own_clock_can_be_wrong_and_decides_nothing(self, tmp_path: Path) -> None:
        async with self.living(tmp_path / "phone") as (station, core):
            await self.feed(core)
            station.act({"act": "clock", "skew_s": 3_600})
            keys(station, "1234#")
            await eventually(lambda: bool(passages(station)))
            line = passages(station)[0]
            assert line["allowed"] and abs(line["at_ms"] - wall_ms()) < 60_000
            assert abs(station.state()["line"]["off_ms"] - 3_600_000) < 60_000

    async def test_without_an_identity_it_waits_to_be_claimed_and_opens_nothing(self, tmp_path: Path) -> None:
        async with self.living(tmp_path / "phone", enrol=False) as (station, _):
            await eventually(lambda: station.phone.running)
            keys(station, "1234#")
            await eventually(lambda: screen(station) == "failed")
            assert station.state()["line"] == {
                "up": False,
                "claimed": False,
                "rtt_ms": None,
                "off_ms": None,
                "note": "not claimed yet",
            }


class Gateway:
    """`drivers.Door`, as the agent of a gateway is one: writes down and decides by a table."""

    def __init__(self, driver: VirtualDriver) -> None:
        self.driver = driver
        self.told: list[tuple[Any, ...]] = []

    async def present(self, device: str, method: Method, text: str, relay: str | None = None) -> Outcome:
        self.told.append(("present", method, text))
        if text != "4711":
            return Outcome(False, "credential.unknown", wait_s=5)
        await self.driver.energise(device, FRONT, 5_000)
        return Outcome(True, "granted", (FRONT,))

    async def input(self, device: str, use: InputUse, active: bool, relay: str | None = None) -> None:
        self.told.append(("input", use, active, relay))

    async def door(self, device: str, relay: str, state: DoorState) -> None:
        self.told.append(("door", relay, state))

    def reachable(self, device: str) -> None:
        self.told.append(("reachable", self.driver.health()[0].online))


class TestDumb:
    """A device that the gateway's own driver drives over its line."""

    @staticmethod
    @contextlib.asynccontextmanager
    async def driven() -> AsyncIterator[tuple[Station, Gateway, Callable[[], bool]]]:
        async with served() as lab:
            station = Station(CONFIG, DumbCore)
            core = station._core
            assert isinstance(core, DumbCore)
            lab.lab.stations[PHONE], lab.lab.dumb[PHONE] = station, core
            driver = VirtualDriver({PHONE: f"{lab.url.replace('http', 'ws', 1)}/device/{PHONE}"})
            gateway = Gateway(driver)
            life = [asyncio.create_task(station.run()), asyncio.create_task(driver.run(gateway))]
            try:
                yield station, gateway, lambda: driver.health()[0].online
            finally:
                for task in life:
                    task.cancel()
                await asyncio.gather(*life, return_exceptions=True)

    async def test_the_gateway_decides_and_its_relay_moves(self) -> None:
        async with self.driven() as (station, gateway, online):
            await eventually(online)
            assert gateway.driver.health()[0].model == "Lab phone"
            keys(station, "4711#")
            await eventually(lambda: screen(station) == "granted")
            assert station.state()["device"]["relays"][0]["released"]
            station.act({"act": "door", "relay": FRONT, "do": "push"})
            await eventually(lambda: ("door", FRONT, "open") in gateway.told)
            assert [line["kind"] for line in station.heard.view()] == ["door", "passage", "door", "door"]

    async def test_a_gateway_that_comes_is_told_how_the_doors_stand(self) -> None:
        async with self.driven() as (station, gateway, online):
            await eventually(lambda: ("door", SIDE, "closed") in gateway.told)
            station.act({"act": "cable", "cut": True})
            await eventually(lambda: not online())
            station.act({"act": "door", "relay": SIDE, "do": "force"})
            station.act({"act": "cable", "cut": False})
            await eventually(lambda: ("door", SIDE, "forced") in gateway.told)

    async def test_a_refusal_brings_its_pause_with_it(self) -> None:
        async with self.driven() as (station, _, online):
            await eventually(online)
            keys(station, "1#")
            await eventually(lambda: screen(station) == "refused")
            keys(station, "4711#")
            assert screen(station) == "refused"

    async def test_a_cut_cable_makes_it_unreachable_and_mending_brings_it_back(self) -> None:
        async with self.driven() as (station, gateway, online):
            await eventually(online)
            station.act({"act": "cable", "cut": True})
            await eventually(lambda: not online())
            with pytest.raises(DeviceUnreachable):
                await gateway.driver.energise(PHONE, FRONT, 1_000)
            keys(station, "4711#")
            await eventually(lambda: screen(station) == "failed")
            station.act({"act": "cable", "cut": False})
            await eventually(online)

    async def test_without_power_it_is_gone(self) -> None:
        async with self.driven() as (station, _, online):
            await eventually(online)
            station.act({"act": "power", "on": False})
            await eventually(lambda: not online())

    async def test_relays_and_inputs_pass_both_ways(self) -> None:
        async with self.driven() as (station, gateway, online):
            await eventually(online)
            await gateway.driver.energise(PHONE, SIDE, None)
            assert station.state()["device"]["relays"][1]["released"]
            await gateway.driver.release(PHONE, SIDE)
            assert not station.state()["device"]["relays"][1]["released"]
            station.act({"act": "exit", "relay": SIDE})
            await eventually(lambda: ("input", "exit", True, SIDE) in gateway.told)
            station.act({"act": "fire", "on": True})
            await eventually(lambda: ("input", "fire", True, None) in gateway.told)
