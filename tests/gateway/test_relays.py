"""Relays: what their causes sum up to, however slow a device is."""

from __future__ import annotations

import asyncio
from math import inf
from pathlib import Path

from gatehouse.gateway.holds import EMERGENCY, PASSAGE, Holds
from tests.gateway.site import GARAGE, RAMP, Hands, Time, deciding, device, eventually, page, relay, signed, standard


def test_a_relay_is_held_as_long_as_any_cause_holds_it() -> None:
    holds = Holds()
    assert holds.until("r", 0) is None
    holds.hold("r", PASSAGE, 5_000)
    holds.hold("r", EMERGENCY)
    assert holds.until("r", 1_000) == inf
    holds.let_go("r", EMERGENCY)
    assert holds.until("r", 1_000) == 5_000
    assert holds.until("r", 5_000) is None
    assert holds.held_by(EMERGENCY) == set()
    holds.let_go("unknown", EMERGENCY)


async def test_a_short_passage_does_not_cut_a_longer_one_short(tmp_path: Path) -> None:
    time, hands = Time(), Hands()
    entries = standard()
    async with deciding(tmp_path, hands, time.clock()) as agent:
        entries[f"device:{GARAGE}"] = device(GARAGE, [relay(RAMP, hold_ms=60_000)])
        await agent.feed.page(page(entries), True)
        await agent.present(GARAGE, "pin", "1234")
        entries[f"device:{GARAGE}"] = device(GARAGE, [relay(RAMP, hold_ms=1_000)])
        await agent.feed.page(page(entries, 2), True)
        time.later_ms += 10_000
        await agent.present(GARAGE, "pin", "1234")
        assert 45_000 < (hands.now(RAMP) or 0) <= 50_000


async def test_what_was_wanted_last_is_what_a_slow_device_ends_with(tmp_path: Path) -> None:
    class Slow(Hands):
        """Opening takes long, closing does not: the close would overtake."""

        async def energise(self, device: str, relay: str, hold_ms: int | None) -> None:
            await asyncio.sleep(0.2)
            await super().energise(device, relay, hold_ms)

    hands = Slow()
    async with deciding(tmp_path, hands) as agent:
        await agent.feed.page(page(standard()), True)
        await agent.on_emergency(signed("open", 1))
        await asyncio.sleep(0.05)
        await agent.on_emergency(signed("closed", 2))
        await eventually(lambda: len([told for told in hands.told if told[0] == RAMP and told[1] is None]) == 1)
        await eventually(lambda: hands.now(RAMP) == 0)
        await asyncio.sleep(0.3)
        assert hands.now(RAMP) == 0


async def test_a_passage_told_slowly_does_not_end_the_emergency_that_began_meanwhile(tmp_path: Path) -> None:
    class Slow(Hands):
        """A passage takes long on its way to the device, an emergency would overtake it."""

        async def energise(self, device: str, relay: str, hold_ms: int | None) -> None:
            await asyncio.sleep(0 if hold_ms is None else 0.2)
            await super().energise(device, relay, hold_ms)

    hands = Slow()
    async with deciding(tmp_path, hands) as agent:
        await agent.feed.page(page(standard()), True)
        passage = asyncio.create_task(agent.present(GARAGE, "pin", "1234"))
        await asyncio.sleep(0.1)
        await agent.on_emergency(signed("open", 1))
        await passage
        await eventually(lambda: hands.now(RAMP) is None)
        await asyncio.sleep(0.3)
        assert hands.now(RAMP) is None
