"""Measures a gateway with 10,000 people and 50 doors; prints one JSON line. `python -m tests.gateway.memory`.

Runs everything that the real program runs in one process: agent, driver, broker client, HTTP client, local
page. The feed comes in pages, then once more as a whole (a restored cloud), which is the most a gateway
ever holds: the old policy and the new one side by side.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from gatehouse.gateway import process  # the whole program, page and drivers included
from gatehouse.gateway.agent import Agent
from gatehouse.gateway.drivers.virtual import VirtualDriver
from gatehouse.gateway.health import memory_bytes
from gatehouse.gateway.identity import Identity
from gatehouse.gateway.settings import AgentSettings
from gatehouse.rules.credentials import lookup
from gatehouse.wire import messages as wire

PEOPLE, DOORS, GROUPS, PAGE = 10_000, 50, 200, 500
KEY = bytes(range(32))


def uid(kind: int, number: int) -> str:
    return f"{kind:08x}-0000-4000-8000-{number:012x}"


def entries(revision: int) -> Iterator[wire.FeedEntry]:
    """A large site: everybody has a PIN and a card, two access groups and a people group."""

    def entry(payload: wire.Payload, kind: str, id_: str) -> wire.FeedEntry:
        return wire.FeedEntry(key=f"{kind}:{id_}", revision=revision, payload=payload)

    site = wire.SiteEntry(zone="Europe/Berlin", language="en", lookup_key=KEY.hex())
    yield entry(site, "site", uid(1, 1))
    for door in range(DOORS):
        relay = wire.RelayEntry(id=uid(3, door), kind="door", position=1, name=f"Door {door}", methods=["pin", "card"])
        phone = wire.DeviceEntry(id=uid(2, door), type="access_terminal", name=f"Door {door}", relays=[relay])
        yield entry(phone, "device", phone.id)
    for number in range(GROUPS):
        relays = [uid(3, (number + step) % DOORS) for step in range(10)]
        windows = [wire.Window(kind="weekly", start=420 + number % 60, length=720, days=31)]
        group = wire.AccessGroupEntry(id=uid(4, number), windows=windows, relays=relays)
        yield entry(group, "access_group", group.id)
    for number in range(PEOPLE):
        kinds = (("pin", f"{10_000_000 + number}"), ("card", f"0x{0x04A1_0000 + number:X}"))
        keys = [
            wire.CredentialEntry(id=uid(5 + place, number), kind=kind, lookup=lookup(KEY, kind, text))  # type: ignore[arg-type]
            for place, (kind, text) in enumerate(kinds)
        ]
        person = wire.HolderEntry(
            id=uid(7, number),
            people_group=uid(8, number % 100),
            access_groups=[uid(4, number % GROUPS), uid(4, (number * 7) % GROUPS)],
            valid_until="2030-01-01T00:00" if number % 3 == 0 else None,
            credentials=keys,
        )
        yield entry(person, "holder", person.id)


def pages(revision: int, epoch: str) -> Iterator[wire.FeedPage]:
    page: list[wire.FeedEntry] = []
    for entry in entries(revision):
        page.append(entry)
        if len(page) == PAGE:
            yield wire.FeedPage(epoch=epoch, schema=1, revision=revision, reset=True, entries=page, cursor="more")
            page = []
    yield wire.FeedPage(epoch=epoch, schema=1, revision=revision, reset=True, entries=page)


async def run(folder: Path) -> dict[str, float]:
    assert process.PORT
    bare = memory_bytes()
    Identity(uid(9, 9), uid(1, 1), "secret", "127.0.0.1", 1, False).save(folder)
    devices = {uid(2, door): "ws://127.0.0.1:1/device" for door in range(DOORS)}
    agent = Agent(AgentSettings(folder, "http://127.0.0.1:1"), VirtualDriver(devices))
    await agent.start()
    began = time.perf_counter()
    for number, page in enumerate(pages(1, "one")):
        await agent.feed.page(wire.decode(wire.FeedPage, wire.encode(page), 1 << 24), number == 0)
    pulled = time.perf_counter() - began
    after_pull = memory_bytes()
    began, times = time.perf_counter(), []
    for number in range(1_000):
        start = time.perf_counter()
        await agent.present(uid(2, number % DOORS), "pin", f"{10_000_000 + number}")
        times.append(time.perf_counter() - start)
    after_use = memory_bytes()
    for number, page in enumerate(pages(1, "two")):
        await agent.feed.page(wire.decode(wire.FeedPage, wire.encode(page), 1 << 24), number == 0)
    await agent.stop()
    again = Agent(AgentSettings(folder, "http://127.0.0.1:1"), VirtualDriver(devices))
    began = time.perf_counter()
    await again.start()
    started = time.perf_counter() - began
    assert again.feed.state == ("two", 1) and len(again.feed.compiled.devices) == DOORS
    await again.stop()
    peak = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    mb = 1024 * 1024
    return {
        "people": PEOPLE,
        "doors": DOORS,
        "imports_mb": round(bare / mb, 1),
        "after_pull_mb": round(after_pull / mb, 1),
        "after_1000_passages_mb": round(after_use / mb, 1),
        "peak_mb": round(int(peak.split()[1]) / 1024, 1),
        "pull_s": round(pulled, 2),
        "start_from_disk_s": round(started, 2),
        "passage_median_ms": round(sorted(times)[500] * 1000, 2),
        "passage_p99_ms": round(sorted(times)[990] * 1000, 2),
    }


if __name__ == "__main__":
    place = tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR"))
    with place as folder:
        sys.stdout.write(json.dumps(asyncio.run(run(Path(folder)))) + "\n")
