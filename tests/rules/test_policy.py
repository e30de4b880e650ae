from __future__ import annotations

import sys
from datetime import UTC, datetime
from itertools import product
from random import Random
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from tests.rules import sites

from gatehouse.rules.access import Decision, EntryError, Policy, Presented, decide
from gatehouse.wire.messages import FeedEntry, HolderEntry


def decisions(policy: Policy) -> list[Decision]:
    """What everybody gets everywhere at one moment of 2026 that differs for most hours from the next."""
    now = datetime(2026, 7, 1, 9, 30, tzinfo=UTC)
    asked = product(["pin", "card"], sites.LOOKUPS, sites.RELAYS)
    return [decide(policy, Presented(method, lookup), relay, now) for method, lookup, relay in asked]


class TestApply:
    @settings(max_examples=500)
    @given(sites.seeded(lambda random: (sites.history(random), random)))
    def test_equals_a_full_rebuild_in_any_order(self, case: tuple[list[sites.Change], Random]) -> None:
        history, random = case
        policy, held = Policy(), dict[str, sites.Entry]()
        for key, payload in history:
            policy.apply(key, payload)
            held.pop(key, None)
            if payload is not None:
                held[key] = payload
            decisions(policy)  # what is remembered from asking must not outlive a change
        entries = list(held.items())
        random.shuffle(entries)
        rebuilt = Policy(entries)
        assert policy == rebuilt
        assert decisions(policy) == decisions(rebuilt)

    @given(sites.histories)
    def test_with_everything_removed_nothing_is_left_behind(self, history: list[sites.Change]) -> None:
        policy = Policy()
        for key, payload in history:
            policy.apply(key, payload)
        for key, _ in history:
            policy.apply(key, None)
        assert policy == Policy()

    @given(sites.sites)
    def test_twice_is_as_good_as_once(self, entries: sites.Entries) -> None:
        assert Policy([*entries.items(), *entries.items()]) == Policy(entries.items())

    @given(sites.sites)
    def test_the_comparison_sees_any_entry_that_is_missing(self, entries: sites.Entries) -> None:
        for missing in entries:
            if entries[missing].get("relays") != []:  # hours without a door say nothing
                assert Policy(entries.items()) != Policy((k, p) for k, p in entries.items() if k != missing)

    def test_remembers_only_so_much_of_what_was_asked(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("gatehouse.rules.policy._REMEMBERED", 3)
        entries = sites.site(Random(4)) | {f"people_group:{n}": sites.people_group(Random(n)) for n in range(9)}
        policy, expected = Policy(entries.items()), Policy(entries.items())
        sizes = set()
        for people, relay in product([str(n) for n in range(9)], sites.RELAYS * 2):
            hours = policy.hours(relay, people, ())
            assert hours == expected.hours(relay, people, ())
            assert hours is policy.hours(relay, people, ())
            sizes.add(sum(map(len, policy._known.values())))
        assert sizes == {1, 2, 3}

    def test_one_changed_holder_costs_the_same_among_three_and_among_three_thousand(self) -> None:
        def holder(n: int) -> sites.Entry:
            credential = {"id": f"k{n}", "kind": "pin", "lookup": f"{n:032x}"}
            return {"kind": "holder", "people_group": "p", "credentials": [credential]}

        def lines_run(people: int) -> int:
            policy = Policy((f"holder:h{n}", holder(n)) for n in range(people))
            count = 0

            def trace(frame: Any, event: str, argument: Any) -> Any:
                nonlocal count
                # Only our own: a collection of somebody else's garbage may run Python in between.
                count += event == "line" and "/gatehouse/rules/" in frame.f_code.co_filename
                return trace

            before = sys.gettrace()
            sys.settrace(trace)
            try:
                policy.apply("holder:h1", holder(1))
            finally:
                sys.settrace(before)
            return count

        assert 0 < lines_run(3) == lines_run(3_000) < 100

    def test_takes_what_the_wire_gives(self) -> None:
        wire = b'{"key":"holder:00000000-0000-4000-8000-000000000001","revision":1,"payload":{"kind":"holder","id":"00000000-0000-4000-8000-000000000001"}}'
        entry = msgspec.json.decode(wire, type=FeedEntry)
        assert isinstance(entry.payload, HolderEntry)
        policy = Policy([(entry.key, msgspec.to_builtins(entry.payload))])
        assert list(policy.holders) == ["00000000-0000-4000-8000-000000000001"]


class TestOneThingClaimedTwice:
    """Entries come one by one: a card that moves from one person to another may for a moment be with both."""

    def entry(self, *lookups: str) -> dict[str, Any]:
        return {"kind": "holder", "credentials": [{"id": f"k{x}", "kind": "card", "lookup": x} for x in lookups]}

    def owner(self, policy: Policy) -> str | None:
        key = policy.credentials["card"].by_key.get("x")
        return key.owner if key else None

    def test_it_is_with_the_new_owner_once_the_old_one_has_let_go(self) -> None:
        policy = Policy([("holder:a", self.entry("x"))])
        policy.apply("holder:b", self.entry("x"))
        policy.apply("holder:a", self.entry())
        assert self.owner(policy) == "b"

    def test_it_is_with_the_old_owner_again_when_the_new_one_is_gone(self) -> None:
        policy = Policy([("holder:b", self.entry("x")), ("holder:c", self.entry("x")), ("holder:a", self.entry("x"))])
        assert self.owner(policy) == "a"
        policy.apply("holder:a", None)
        assert self.owner(policy) == "b"
        policy.apply("holder:b", None)
        assert self.owner(policy) == "c"
        policy.apply("holder:c", None)
        assert self.owner(policy) is None

    def test_a_credential_named_twice_by_one_holder_is_one(self) -> None:
        policy = Policy([("holder:a", self.entry("x", "x")), ("holder:b", self.entry("x"))])
        policy.apply("holder:a", None)
        assert self.owner(policy) == "b"
        policy.apply("holder:b", None)
        assert self.owner(policy) is None

    def test_the_second_site_entry_to_go_leaves_the_first_ones_place_alone(self) -> None:
        policy = Policy([("site:s", {**sites.SITE, "zone": "UTC"}), ("site:t", {**sites.SITE, "zone": "Asia/Tokyo"})])
        policy.apply("site:s", None)
        assert policy.zone is not None and policy.zone.name == "Asia/Tokyo"


class TestWhatCannotBeRead:
    @pytest.mark.parametrize("key", ["", "holder", "holder:", "elephant:1", ":x", "_site:x", "Holder:x"])
    def test_a_key_of_no_known_kind(self, key: str) -> None:
        for payload in ({"kind": "holder"}, None):
            with pytest.raises(EntryError) as caught:
                Policy().apply(key, payload)
            assert caught.value.code == "entry.key"

    @pytest.mark.parametrize(
        ("key", "payload", "code"),
        [
            ("holder:h1", {"kind": "party", "relays": []}, "entry.shape"),
            ("holder:h1", {}, "entry.shape"),
            ("holder:h1", {"kind": "holder", "credentials": [{"kind": "pin"}]}, "entry.shape"),
            (
                "holder:h1",
                {"kind": "holder", "credentials": [{"kind": "elephant", "lookup": "x", "id": "y"}]},
                "entry.shape",
            ),
            ("holder:h1", {"kind": "holder", "access_groups": [7]}, "entry.shape"),
            ("holder:h1", {"kind": "holder", "valid_until": "some day"}, "local.format"),
            ("access_group:g1", {"kind": "access_group", "windows": [{"kind": "once"}]}, "window.once"),
            ("access_group:g1", {"kind": "access_group", "windows": [{}]}, "entry.shape"),
            ("access_group:g1", {"kind": "access_group", "windows": [{"kind": "daily", "start": "9"}]}, "entry.shape"),
            ("people_group:p1", {"kind": "people_group", "access_groups": None}, "entry.shape"),
            ("device:d1", {"kind": "device", "relays": [{"id": "r1"}]}, "entry.shape"),
            (
                "device:d1",
                {"kind": "device", "relays": [{"id": "r1", "kind": "door", "position": 1, "methods": 3}]},
                "entry.shape",
            ),
            ("site:s", {"kind": "site", "zone": "Nowhere/Land", "lookup_key": "00" * 32}, "zone.unknown"),
            ("site:s", {"kind": "site", "zone": "UTC", "lookup_key": "xyz"}, "entry.shape"),
            ("site:s", {"kind": "site", "zone": "UTC"}, "entry.shape"),
            ("site:s", {"kind": "site", "zone": "UTC", "lookup_key": "00" * 31}, "entry.shape"),
            ("site:s", {"kind": "site", "zone": "UTC", "lookup_key": "00" * 32, "pin_mode": "none"}, "entry.shape"),
        ],
    )
    def test_counts_as_removed(self, key: str, payload: dict[str, Any], code: str) -> None:
        entries = sites.site(Random(1)) | {"people_group:p1": sites.people_group(Random(1))}
        policy = Policy(entries.items())
        with pytest.raises(EntryError) as caught:
            policy.apply(key, payload)
        assert caught.value.code == code
        assert key in entries
        assert policy == Policy((k, p) for k, p in entries.items() if k != key)

    def test_a_party_that_cannot_be_read_reaches_nothing_instead_of_everything(self) -> None:
        policy = Policy(
            [
                ("site:s", {**sites.SITE, "zone": "UTC"}),
                (
                    "device:d",
                    {"kind": "device", "relays": [{"id": "r", "kind": "door", "position": 1, "methods": ["pin"]}]},
                ),
                ("access_group:g", {"kind": "access_group", "windows": [{"kind": "daily"}], "relays": ["r"]}),
                ("party:c", {"kind": "party", "relays": ["r"]}),
                (
                    "holder:h",
                    {
                        "kind": "holder",
                        "party": "c",
                        "access_groups": ["g"],
                        "credentials": [{"id": "k", "kind": "pin", "lookup": "x"}],
                    },
                ),
            ]
        )
        at_the_door = Presented("pin", "x")
        assert decide(policy, at_the_door, "r", None).allowed
        with pytest.raises(EntryError):
            policy.apply("party:c", {"kind": "party", "relays": 7})
        assert decide(policy, at_the_door, "r", None).reason == "reach.company"
