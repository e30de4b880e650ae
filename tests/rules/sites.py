"""Random small sites and moments: few ids, so that everything meets everything, and moments near bounds.

Everything is made from a seed, which is what a failing test prints and what replays it.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any, TypeVar

from hypothesis import strategies as st

RELAYS = ["r1", "r2", "r3"]
GROUPS = ["g1", "g2", "g3"]
PEOPLE = ["p1", "p2"]
PARTIES = ["c1", "c2"]
HOLDERS = ["h1", "h2", "h3"]
LOOKUPS = ["l1", "l2", "l3", "l4"]
METHODS = ["pin", "card", "face", "qr", "bluetooth", "nfc", "homepage", "talking"]
ZONES = ["UTC", "Europe/Berlin", "America/St_Johns", "Australia/Lord_Howe", "Pacific/Apia", "Asia/Kathmandu"]
SITE = {"kind": "site", "language": "en", "lookup_key": "00" * 32}
CLOCK_CHANGES = [
    *(datetime(2026, 3, 29, 0, 59, 59), datetime(2026, 3, 29, 1), datetime(2026, 10, 25, 0, 30)),
    *(datetime(2026, 10, 25, 1, 30), datetime(2026, 4, 4, 14, 45), datetime(2026, 4, 4, 15, 15)),
]

Entry = dict[str, Any]
Entries = dict[str, Entry]
Change = tuple[str, Entry | None]
T = TypeVar("T")


def seeded(make: Callable[[Random], T]) -> st.SearchStrategy[T]:
    """What `make` makes from any seed."""
    return st.integers(0, 2**32).map(lambda seed: make(Random(seed)))


def some(random: Random, names: list[str], least: int = 0) -> list[str]:
    return random.sample(names, random.randint(least, len(names)))


def wall_clock(random: Random) -> datetime:
    minute = random.choice([0, 1, 540, 1020, 1439, random.randrange(1440)])
    return datetime(2026, 1, 1) + timedelta(days=random.randrange(365), minutes=minute)


def instant(random: Random) -> datetime:
    anywhere = datetime(2026, 1, 1) + timedelta(seconds=random.randrange(365 * 86_400))
    bound = wall_clock(random)
    moment = random.choice([anywhere, bound, bound - timedelta(seconds=1), random.choice(CLOCK_CHANGES)])
    return moment.replace(tzinfo=UTC)


def local(random: Random) -> str:
    wall = wall_clock(random)
    if random.random() < 0.2:
        return (wall + timedelta(seconds=random.randrange(60))).isoformat()
    return wall.isoformat(timespec="minutes")


def window(random: Random) -> Entry:
    kind = random.choice(["daily", "weekly", "once"])
    if kind == "once":
        return {"kind": kind, "from": local(random), "until": local(random)}
    return {
        "kind": kind,
        "start": random.choice([0, 1, 540, 1020, 1439, random.randrange(1440)]),
        "length": random.choice([1, 60, 480, 1440, random.randint(1, 1440)]),
        "days": random.randrange(128),
        "from": random.choice([None, None, local(random)]),
        "until": random.choice([None, None, local(random)]),
    }


def windows(random: Random) -> list[Entry]:
    return [window(random) for _ in range(random.randrange(4))]


def site_entry(random: Random) -> Entry:
    return {**SITE, "zone": random.choice(ZONES)}


def people_group(random: Random) -> Entry:
    return {"kind": "people_group", "access_groups": some(random, [*GROUPS, "g9"])}


def party(random: Random) -> Entry:
    return {"kind": "party", "relays": some(random, RELAYS, 1)}


def access_group(random: Random) -> Entry:
    return {"kind": "access_group", "windows": windows(random), "relays": some(random, RELAYS)}


def device(random: Random, names: list[str]) -> Entry:
    relays = [
        {
            "id": name,
            "kind": random.choice(["door", "security"]),
            "position": position + 1,
            "enabled": random.random() < 0.8,
            "methods": some(random, ["pin", "card"], 1),
        }
        for position, name in enumerate(names)
    ]
    return {"kind": "device", "relays": relays}


def holder(random: Random, lookups: list[str]) -> Entry:
    pairs = [(kind, text) for kind in ("pin", "card") for text in lookups if random.random() < 0.6]
    return {
        "kind": "holder",
        "party": random.choice([None, None, *PARTIES, "c9"]),
        "people_group": random.choice([None, *PEOPLE, "p9"]),
        "access_groups": some(random, [*GROUPS, "g9"]),
        "valid_from": random.choice([None, None, local(random)]),
        "valid_until": random.choice([None, None, local(random)]),
        "credentials": [{"id": f"{kind}-{text}", "kind": kind, "lookup": text} for kind, text in pairs],
    }


def site(random: Random) -> Entries:
    """A whole site in which no two holders share a credential and no two devices a relay."""
    entries: Entries = {"site:s": site_entry(random)}
    entries["device:d1"] = device(random, RELAYS[:2])
    entries["device:d2"] = device(random, RELAYS[2:])
    entries |= {f"access_group:{name}": access_group(random) for name in some(random, GROUPS, 1)}
    entries |= {f"people_group:{name}": people_group(random) for name in some(random, PEOPLE)}
    entries |= {f"party:{name}": party(random) for name in some(random, PARTIES)}
    entries |= {f"holder:{name}": holder(random, [LOOKUPS[n]]) for n, name in enumerate(HOLDERS)}
    return entries


def change(random: Random) -> Change:
    """Any one change of the feed, also such as make two owners claim one thing."""
    kind, names, make = random.choice(
        [
            ("site", ["s"], site_entry),
            ("holder", HOLDERS, lambda r: holder(r, LOOKUPS)),
            ("holder", HOLDERS, lambda r: holder(r, LOOKUPS)),
            ("people_group", PEOPLE, people_group),
            ("access_group", GROUPS, access_group),
            ("party", PARTIES, party),
            ("device", ["d1", "d2"], lambda r: device(r, some(r, RELAYS))),
        ]
    )
    return f"{kind}:{random.choice(names)}", None if random.random() < 0.3 else make(random)


def history(random: Random) -> list[Change]:
    """A run of changes as a gateway receives them."""
    return [change(random) for _ in range(random.randrange(25))]


sites = seeded(site)
histories = seeded(history)
instants = seeded(instant)
