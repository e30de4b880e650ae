"""How fast is "may this card open this door now?", beside rule engines and beside a plain dictionary.

Work: 20,000 requests against a site of 10,000 people, 200 doors and 3,000 access groups, with valid times,
companies' doors, methods per relay, windows over midnight, and requests around the changes of the clock.
Holidays and anti-passback are not in it yet: the rules do not have them yet.

Every evaluator is built by the same person from the same entries, in the way its documentation recommends,
with everything parsed beforehand; all must give the same answers before anything is timed. Rule engines
are timed on a sample of the same requests (a thousandth of a second and more for each would take hours).
"""

from __future__ import annotations

import gc
import json
import os
import statistics
import sys
import time
import tracemalloc
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from random import Random
from typing import Any
from uuid import UUID

from benchmarks.peers import access

from gatehouse.rules.access import Decision, Policy, Presented, decide
from gatehouse.rules.credentials import lookup

NEW_YEAR = datetime(2026, 1, 1)  # noqa: DTZ001 (local time)
QUICK = os.environ.get("QUICK") == "1"
KEY = bytes(range(32))
PEOPLE, DOORS, RULES, REQUESTS = 10_000, 200, 3_000, 20_000
ROUNDS = 5 if QUICK else 15
TARGET_ENGINE, TARGET_DICT, TARGET_SCALE = 150.0, 1.0, 1.25

Request = tuple[Presented, str, datetime]
"""What was presented, at which relay, when."""


# --- The site and the requests ------------------------------------------------------------------


def ident(kind: int, n: int) -> str:
    return str(UUID(int=kind << 64 | n))


def window(random: Random) -> dict[str, Any]:
    kind = random.choices(["daily", "weekly", "once"], [5, 4, 1])[0]
    if kind == "once":
        first = NEW_YEAR + timedelta(hours=random.randrange(8_000))
        last = first + timedelta(days=random.randint(1, 60))
        return {"kind": kind, "from": first.isoformat(), "until": last.isoformat()}
    start, length = random.randrange(0, 1440, 15), random.choice([480, 600, 720, 720, 1440])
    days = random.choice([31, 31, 96, 127, 21]) if kind == "weekly" else 127
    return {"kind": kind, "start": start, "length": length, "days": days}


def site(rules: int, people: int = PEOPLE) -> access.Entries:
    """A site with so many access groups; everything else, also how many of them a person has, is the same."""
    random = Random(2026)
    relays = [ident(1, n) for n in range(DOORS)]
    entries: access.Entries = {
        f"site:{ident(0, 0)}": {"kind": "site", "zone": access.ZONE.key, "language": "en", "lookup_key": KEY.hex()}
    }
    for n in range(DOORS // 2):
        entries[f"device:{ident(2, n)}"] = {
            "kind": "device",
            "relays": [
                {
                    "id": relays[2 * n + p],
                    "kind": "door",
                    "position": p + 1,
                    "enabled": random.random() > 0.02,
                    "methods": random.choice([["pin", "card"]] * 8 + [["pin"], ["card"]]),
                }
                for p in (0, 1)
            ],
        }
    companies = [random.sample(relays, 60) for _ in range(40)]
    for n, reach in enumerate(companies):
        entries[f"party:{ident(3, n)}"] = {"kind": "party", "relays": reach}
    of_company: list[list[str]] = [[] for _ in companies]
    for n in range(rules):
        company = n % len(companies)
        of_company[company].append(ident(4, n))
        # Some hold a door outside the company: the outer limit must bite.
        doors = random.sample(companies[company], 10) + random.sample(relays, 1)
        windows = [window(random) for _ in range(random.choice([1, 1, 2]))]
        entries[f"access_group:{ident(4, n)}"] = {
            "kind": "access_group",
            "windows": windows,
            "relays": list(dict.fromkeys(doors)),
        }
    for n in range(400):
        mine = of_company[n % len(companies)]
        entries[f"people_group:{ident(5, n)}"] = {"kind": "people_group", "access_groups": random.sample(mine, 3)}
    for n in range(people):
        group = random.randrange(400)
        company = group % len(companies)
        holder: dict[str, Any] = {"kind": "holder", "party": ident(3, company), "people_group": ident(5, group)}
        if random.random() < 0.5:
            holder["access_groups"] = random.sample(of_company[company], random.randint(1, 2))
        if random.random() < 0.3:
            first = NEW_YEAR - timedelta(days=200) + timedelta(days=random.randrange(400))
            holder["valid_from"] = first.isoformat()
            holder["valid_until"] = (first + timedelta(days=random.randint(200, 600))).isoformat()
        holder["credentials"] = [
            {"id": ident(7, 2 * n), "kind": "pin", "lookup": lookup(KEY, "pin", f"{n:08d}")},
            {"id": ident(7, 2 * n + 1), "kind": "card", "lookup": lookup(KEY, "card", f"0x{n + 1:08X}")},
        ]
        entries[f"holder:{ident(6, n)}"] = holder
    return entries


def requests(entries: access.Entries, count: int = REQUESTS) -> list[Request]:
    """Mostly people at doors that some access group of theirs holds, at all hours of the year."""
    random = Random(7)
    holders = [entry for entry in entries.values() if entry["kind"] == "holder"]
    relays = [relay["id"] for e in entries.values() if e["kind"] == "device" for relay in e["relays"]]
    changes = [datetime(2026, 3, 29, tzinfo=UTC), datetime(2026, 10, 25, tzinfo=UTC)]
    made = []
    for _ in range(count):
        holder = random.choice(holders)
        credential = random.choice(holder["credentials"])
        groups = entries[f"people_group:{holder['people_group']}"]["access_groups"] + holder.get("access_groups", [])
        relay = random.choice(relays)
        if random.random() < 0.85:
            relay = random.choice(entries[f"access_group:{random.choice(groups)}"]["relays"])
        now = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=random.randrange(365 * 86_400))
        if random.random() < 0.02:  # four times as often as in a year
            now = random.choice(changes) + timedelta(seconds=random.randrange(4 * 3600))
        text = "0" * 32 if random.random() < 0.03 else credential["lookup"]
        made.append((Presented(credential["kind"], text), relay, now))
    return made


Ask = Callable[[Presented, str, datetime], Any]


def ours(entries: access.Entries) -> Ask:
    return partial(decide, Policy(entries.items()))


# --- Measuring --------------------------------------------------------------------------------------


def seconds_for(evaluate: Ask, asked: Sequence[Request]) -> float:
    """Seconds of processor time for one request, all of them in a row; other work on the machine does not count."""
    gc.collect()
    start = time.process_time()
    for presented, relay, now in asked:
        evaluate(presented, relay, now)
    return (time.process_time() - start) / len(asked)


def ratios(
    a: Ask, b: Ask, asked_a: Sequence[Request], asked_b: Sequence[Request], rounds: int
) -> tuple[float, float, list[float]]:
    """A B B A: seconds for one request of each (median), and how many times as fast A is, round by round."""
    times_a, times_b = [], []
    for _ in range(rounds):
        first = seconds_for(a, asked_a)
        between = (seconds_for(b, asked_b) + seconds_for(b, asked_b)) / 2
        times_a.append((first + seconds_for(a, asked_a)) / 2)
        times_b.append(between)
    return (
        statistics.median(times_a),
        statistics.median(times_b),
        [slow / fast for fast, slow in zip(times_a, times_b, strict=True)],
    )


def p50(evaluate: Ask, asked: Sequence[Request]) -> float:
    """Median of single requests, nanoseconds."""
    clock = time.perf_counter_ns
    taken = []
    gc.collect()
    for presented, relay, now in asked:
        start = clock()
        evaluate(presented, relay, now)
        taken.append(clock() - start)
    return statistics.median(taken)


def spread(values: Sequence[float]) -> str:
    return f"{statistics.median(values):.4g} ({min(values):.4g} to {max(values):.4g})"


def memory(entries: access.Entries) -> float:
    """MB that a policy keeps, built from decoded JSON as a gateway does it."""
    lines = [(key, json.dumps(entry)) for key, entry in entries.items()]
    gc.collect()
    tracemalloc.start()
    policy = Policy((key, json.loads(line)) for key, line in lines)
    gc.collect()
    kept = tracemalloc.get_traced_memory()[0] / 1e6
    tracemalloc.stop()
    del policy
    return kept


def one_change(people: int) -> tuple[float, float]:
    """Seconds for a full build of so many people, and for one changed holder among them."""
    entries = site(RULES, people)
    start = time.process_time()
    policy = Policy(entries.items())
    full = time.process_time() - start
    changed = [item for item in entries.items() if item[0].startswith("holder:")][:2_000]
    start = time.process_time()
    for key, payload in changed:
        policy.apply(key, payload)
    return full, (time.process_time() - start) / len(changed)


def allowed(answer: bool | Decision) -> bool:
    """Ours answers with the whole decision, its reason and its chain; the others with yes or no."""
    return answer.allowed if isinstance(answer, Decision) else answer


def main() -> int:
    say = print
    entries = site(RULES)
    asked = requests(entries)
    us, by_dict = ours(entries), access.plain_dict(entries)
    answers = [allowed(us(*request)) for request in asked]
    say(f"{PEOPLE:,} people, {DOORS} doors, {RULES:,} access groups; {len(asked):,} requests, {sum(answers):,} allowed")
    say("not in it yet: holidays, anti-passback (the rules do not have them yet)")
    wrong = sum(by_dict(*request) != answer for request, answer in zip(asked, answers, strict=True))
    say(f"plain dict: {len(asked):,} answers compared, {wrong} differ")

    engines: dict[str, tuple[Callable[[access.Entries], access.Evaluator], int]] = {
        "oso": (access.oso, 100 if QUICK else 400),
        "cedarpy": (access.cedar, 100 if QUICK else 400),
        "casbin": (access.casbin, 30 if QUICK else 100),
    }
    extra: dict[str, Any] = {}
    rates: dict[str, float] = {}
    engine_ratios: dict[str, list[float]] = {}
    for name, (build, size) in engines.items():
        try:
            evaluate = build(entries)
        except ImportError as error:
            say(f"{name}: not installed ({error})")
            extra[name] = "not installed"
            continue
        step = len(asked) // size  # evenly through the requests, so with the same share of refusals
        some, expected = asked[::step], answers[::step]
        differ = sum(evaluate(*request) != answer for request, answer in zip(some, expected, strict=True))
        wrong += differ
        say(f"{name}: {len(some)} answers compared, {differ} differ")
        if differ:
            continue
        fast, slow, each = ratios(us, evaluate, asked, some, 3 if QUICK else 7)
        rates[name], engine_ratios[name] = 1 / slow, each
        extra[name] = round(1 / slow, 1)
        say(f"{name}: {slow * 1e6:,.0f} us a request, ours {fast * 1e6:.2f} us; ours is faster by {spread(each)}")
    if wrong or not rates:
        say("answers differ, or no rule engine is installed: nothing to compare")
        return 1

    cold = seconds_for(ours(entries), asked)
    fast, slow, dict_ratios = ratios(us, by_dict, asked, asked, ROUNDS)
    say(f"plain dict: {slow * 1e6:.2f} us a request, ours {fast * 1e6:.2f} us; ours is faster by {spread(dict_ratios)}")

    say(f"the very first pass, before anything is remembered: {cold * 1e6:.2f} us a request")
    small, large = site(300), site(30_000)
    asked_small, asked_large = requests(small), requests(large)
    us_small, us_large = ours(small), ours(large)
    scale = []
    for _ in range(ROUNDS):
        first = p50(us_small, asked_small)
        between = (p50(us_large, asked_large) + p50(us_large, asked_large)) / 2
        scale.append(between / ((first + p50(us_small, asked_small)) / 2))
    say(f"p50 with 30,000 access groups against 300: {spread(scale)}")

    kept = memory(entries)
    crowd = 20_000 if QUICK else 100_000
    full, one = one_change(crowd)
    say(f"memory of the policy: {kept:.1f} MB for {PEOPLE:,} people and {RULES:,} access groups")
    say(f"one changed holder among {crowd:,}: {one * 1e6:.1f} us, a full build {full:.2f} s: 1/{full / one:,.0f}")

    best = max(rates, key=rates.__getitem__)
    ratio, dict_ratio, scale_ratio = (statistics.median(r) for r in (engine_ratios[best], dict_ratios, scale))
    held = ratio >= TARGET_ENGINE and dict_ratio >= TARGET_DICT and scale_ratio <= TARGET_SCALE
    result = {
        "bench": "decide",
        "ours": round(1 / fast),
        "peer": round(rates[best]),
        "peer_name": best,
        "ratio": round(ratio, 1),
        "target": TARGET_ENGINE,
        "unit": "decisions/s",
        "better": "higher",
        "held": held,
        "spread": [round(min(engine_ratios[best]), 1), round(max(engine_ratios[best]), 1)],
        "plain_dict": {"peer": round(1 / slow), "ratio": round(dict_ratio, 2), "target": TARGET_DICT},
        "p50_30000_to_300": {"ratio": round(scale_ratio, 3), "target": TARGET_SCALE},
        "first_pass_us": round(cold * 1e6, 2),
        "engines": extra,
        "memory_mb": round(kept, 1),
        "one_change_of_full": round(one / full, 7),
        "not_yet": ["holidays", "anti-passback"],
    }
    say(json.dumps(result))
    return 0


if __name__ == "__main__":
    sys.exit(main())
