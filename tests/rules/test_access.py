from __future__ import annotations

from datetime import UTC, datetime
from itertools import product
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from tests.rules import sites, slow

from gatehouse.rules import reasons
from gatehouse.rules.access import Decision, Memory, Policy, Presented, decide, decide_device

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)
methods = st.sampled_from(["pin", "card"])
relays = st.sampled_from(sites.RELAYS)
lookups = st.sampled_from(sites.LOOKUPS[:3])


def small_site(**changes: Any) -> Policy:
    """One door with PIN and the app's home page, one holder; `changes` replace members of the entries by kind."""
    entries: dict[str, dict[str, Any]] = {
        "site:s": {**sites.SITE, "zone": "UTC"},
        "device:d": {
            "kind": "device",
            "relays": [{"id": "r", "kind": "door", "position": 1, "methods": ["pin", "homepage"]}],
        },
        "access_group:g": {"kind": "access_group", "windows": [{"kind": "daily"}], "relays": ["r"]},
        "party:c": {"kind": "party", "relays": ["r"]},
        "holder:h": {
            "kind": "holder",
            "party": "c",
            "access_groups": ["g"],
            "credentials": [{"id": "k", "kind": "pin", "lookup": "x"}],
        },
    }
    for key in entries:
        entries[key] |= changes.get(key.partition(":")[0], {})
    return Policy(entries.items())


PIN = Presented("pin", "x")


class TestAgainstTheSlowReading:
    @pytest.mark.req("OFF-AG-10", "OFF-AG-19", "OFF-AG-20", "OFF-CO-12", "OFF-PERS-17", "OFF-DEV-17")
    @settings(max_examples=300)
    @given(sites.sites, sites.seeded(lambda random: [sites.instant(random) for _ in range(3)]))
    def test_the_same_reason_for_anybody_anywhere_at_any_time(
        self, entries: sites.Entries, moments: list[datetime]
    ) -> None:
        policy = Policy(entries.items())
        for method, lookup, relay, now in product(["pin", "card"], sites.LOOKUPS, sites.RELAYS, moments):
            decision = decide(policy, Presented(method, lookup), relay, now)
            assert decision.reason == slow.reason(entries, method, lookup, relay, now)
            assert decision.allowed == (decision.reason == "granted")

    @pytest.mark.req("OFF-DVC-05", "COM-DEV-25")
    @settings(max_examples=300)
    @given(sites.sites, methods, lookups, st.sampled_from(["d1", "d2"]), sites.instants)
    def test_a_device_releases_exactly_the_relays_that_each_for_itself_allows(
        self, entries: sites.Entries, method: str, lookup: str, device: str, now: datetime
    ) -> None:
        outcome = decide_device(Policy(entries.items()), Presented(method, lookup), device, now)
        names = [relay["id"] for relay in entries[f"device:{device}"]["relays"]]
        expected = {name for name in names if slow.reason(entries, method, lookup, name, now) == "granted"}
        assert set(outcome.relays) == expected
        assert outcome.allowed == bool(expected)
        assert {one.relay for one in outcome.decisions} == set(names)
        assert outcome.decisive is not None
        assert outcome.decisive in outcome.decisions
        assert outcome.reason == outcome.decisive.reason


class TestProperties:
    @pytest.mark.req("OFF-AG-20", "OFF-AG-E04")
    @given(
        sites.sites,
        methods,
        lookups,
        relays,
        st.none() | sites.instants,
        sites.seeded(sites.access_group),
        st.booleans(),
    )
    def test_another_access_group_never_takes_a_right_away(
        self,
        entries: sites.Entries,
        method: str,
        lookup: str,
        relay: str,
        now: datetime | None,
        group: dict[str, Any],
        shared: bool,
    ) -> None:
        presented, policy = Presented(method, lookup), Policy(entries.items())
        before = decide(policy, presented, relay, now)
        policy.apply("access_group:new", group)
        for key, entry in entries.items():
            if entry["kind"] == ("people_group" if shared else "holder"):
                policy.apply(key, {**entry, "access_groups": ["new", *entry["access_groups"]]})
        assert before.allowed <= decide(policy, presented, relay, now).allowed

    @pytest.mark.req("OFF-PERS-15", "OFF-PERS-17")
    @given(sites.sites, methods, lookups, relays, sites.instants)
    def test_outside_the_valid_time_nothing_opens_and_inside_it_changes_nothing(
        self, entries: sites.Entries, method: str, lookup: str, relay: str, now: datetime
    ) -> None:
        presented, policy = Presented(method, lookup), Policy(entries.items())
        for key, entry in entries.items():
            if entry["kind"] == "holder":
                policy.apply(key, {**entry, "valid_from": None, "valid_until": None})
        without = decide(policy, presented, relay, now)
        bounded = decide(Policy(entries.items()), presented, relay, now)
        holder = entries.get(f"holder:{without.holder}", {})
        wall = now.astimezone(ZoneInfo(entries["site:s"]["zone"])).replace(tzinfo=None)
        since, until = (holder.get(name) for name in ("valid_from", "valid_until"))
        inside = (not since or datetime.fromisoformat(since) <= wall) and (
            not until or wall < datetime.fromisoformat(until)
        )
        if inside:
            assert bounded == without
        else:
            assert not bounded.allowed

    @given(sites.sites, methods, lookups, relays, st.none() | sites.instants)
    def test_the_reach_of_a_party_only_takes_away(
        self, entries: sites.Entries, method: str, lookup: str, relay: str, now: datetime | None
    ) -> None:
        presented, policy = Presented(method, lookup), Policy(entries.items())
        bounded = decide(policy, presented, relay, now)
        for key, payload in entries.items():
            if key.startswith("holder:"):
                policy.apply(key, {**payload, "party": None})
        assert bounded.allowed <= decide(policy, presented, relay, now).allowed

    @given(sites.sites, methods, lookups, relays, st.none() | sites.instants)
    def test_a_party_that_is_not_known_reaches_nothing(
        self, entries: sites.Entries, method: str, lookup: str, relay: str, now: datetime | None
    ) -> None:
        presented, policy = Presented(method, lookup), Policy(entries.items())
        for key, payload in entries.items():
            if key.startswith("holder:"):
                policy.apply(key, {**payload, "party": "nobody's"})
        assert not decide(policy, presented, relay, now).allowed

    @pytest.mark.req("GH-GW-06")
    @given(sites.sites, methods, lookups, relays, sites.instants)
    def test_without_a_clock_opens_only_what_opens_at_every_time(
        self, entries: sites.Entries, method: str, lookup: str, relay: str, now: datetime
    ) -> None:
        presented, policy = Presented(method, lookup), Policy(entries.items())
        blind = decide(policy, presented, relay, None)
        seeing = decide(policy, presented, relay, now)
        if blind.allowed:
            assert seeing.allowed
        elif blind.reason != "clock.unknown":
            assert seeing.reason == blind.reason or seeing.reason.startswith("validity.")

    @given(sites.sites, methods, lookups, relays, st.none() | sites.instants)
    def test_emergency_opens_every_relay_that_is_on_and_no_other(
        self, entries: sites.Entries, method: str, lookup: str, relay: str, now: datetime | None
    ) -> None:
        decision = decide(Policy(entries.items()), Presented(method, lookup), relay, now, Memory(emergency=True))
        doors = {r["id"]: r for entry in entries.values() for r in entry.get("relays", []) if isinstance(r, dict)}
        assert decision.allowed == doors[relay]["enabled"]
        assert decision.reason == ("emergency.open" if decision.allowed else "relay.off")

    @given(sites.sites, methods, lookups, relays, st.none() | sites.instants, st.booleans())
    def test_the_chain_runs_through_the_steps_in_order_to_the_reason(
        self, entries: sites.Entries, method: str, lookup: str, relay: str, now: datetime | None, emergency: bool
    ) -> None:
        decision = decide(Policy(entries.items()), Presented(method, lookup), relay, now, Memory(emergency))
        steps = [step for step, _, _ in decision.chain]
        assert decision.chain[-1][1] == decision.reason
        assert (steps[-1] == reasons.RELEASE) == decision.allowed
        if emergency:
            assert steps[0] == reasons.EMERGENCY
        else:
            assert steps == list(reasons.STEPS[: len(steps)])
        assert (decision.reason in reasons.REFUSALS) == (not decision.allowed)


class TestOrderOfJudgement:
    """Each refusal is given although all later steps would refuse too (OFF-DVC-04)."""

    BREAKS: list[tuple[str, dict[str, Any]]] = [
        (
            "method.not_allowed",
            {"device": {"relays": [{"id": "r", "kind": "door", "position": 1, "methods": [], "enabled": False}]}},
        ),
        (
            "relay.off",
            {"device": {"relays": [{"id": "r", "kind": "door", "position": 1, "methods": ["pin"], "enabled": False}]}},
        ),
        ("validity.over", {"holder": {"valid_until": "2020-01-01T00:00"}}),
        ("reach.company", {"party": {"relays": []}}),
        ("access.no_group", {"access_group": {"relays": []}}),
    ]

    @pytest.mark.parametrize("first", range(len(BREAKS)))
    def test_the_first_step_that_fails_gives_the_reason(self, first: int) -> None:
        broken: dict[str, Any] = {}
        for _, change in self.BREAKS[: first - 1 if first else None : -1]:
            for kind, members in change.items():
                broken[kind] = broken.get(kind, {}) | members
        assert decide(small_site(**broken), PIN, "r", NOON).reason == self.BREAKS[first][0]

    def test_an_unknown_credential_comes_before_all_of_them(self) -> None:
        everything = {kind: members for _, change in self.BREAKS for kind, members in change.items()}
        assert decide(small_site(**everything), Presented("pin", "y"), "r", NOON).reason == "credential.unknown"

    def test_with_nothing_broken_it_opens(self) -> None:
        assert decide(small_site(), PIN, "r", NOON).reason == "granted"


class TestChain:
    def test_of_a_grant_names_everything_it_rests_on(self) -> None:
        assert decide(small_site(), PIN, "r", NOON).chain == (
            ("emergency", "emergency.none", ()),
            ("credential", "credential.known", ("k", "h")),
            ("method", "method.allowed", ("pin", "r")),
            ("relay", "relay.on", ("r",)),
            ("validity", "validity.valid", ("h",)),
            ("reach", "reach.within", ("c",)),
            ("access", "access.open", ("g",)),
            ("release", "granted", ("r",)),
        )

    def test_of_a_refusal_ends_with_what_is_missing(self) -> None:
        policy = small_site(access_group={"windows": [{"kind": "daily", "length": 60}]}, holder={"party": None})
        assert decide(policy, PIN, "r", NOON).chain[-2:] == (
            ("reach", "reach.unlimited", ()),
            ("access", "access.outside_hours", ("g",)),
        )

    def test_names_an_access_group_once_that_he_has_twice(self) -> None:
        policy = small_site(access_group={"windows": [{"kind": "daily", "length": 60}]}, holder={"people_group": "p"})
        policy.apply("people_group:p", {"kind": "people_group", "access_groups": ["g"]})
        assert decide(policy, PIN, "r", NOON).groups == ("g",)

    def test_of_an_emergency_is_short(self) -> None:
        assert decide(small_site(), PIN, "r", NOON, Memory(emergency=True)).chain == (
            ("emergency", "emergency.open", ()),
            ("release", "emergency.open", ("r",)),
        )

    def test_of_an_unset_clock_tells_which_step_needed_it(self) -> None:
        limited = small_site(holder={"valid_until": "2030-01-01T00:00"})
        assert decide(limited, PIN, "r", None).chain[-1] == ("validity", "clock.unknown", ("h",))
        hours = small_site(access_group={"windows": [{"kind": "daily", "length": 60}]})
        assert decide(hours, PIN, "r", None).chain[-1] == ("access", "clock.unknown", ("g",))

    def test_is_of_the_moment_of_the_decision_whatever_changes_afterwards(self) -> None:
        policy = small_site()
        decision = decide(policy, PIN, "r", NOON)
        chain = decision.chain
        for key in ("holder:h", "access_group:g", "party:c", "device:d", "site:s"):
            policy.apply(key, None)
        assert decision.chain == chain


class TestWhatIsPresented:
    @pytest.mark.req("OFF-DEV-16")
    def test_the_app_presents_the_holder_himself(self) -> None:
        policy = small_site()
        assert decide(policy, Presented("homepage", holder="h"), "r", NOON).reason == "granted"
        assert decide(policy, Presented("talking", holder="h"), "r", NOON).reason == "method.not_allowed"
        assert decide(policy, Presented("homepage", holder="z"), "r", NOON).reason == "holder.unknown"

    @pytest.mark.parametrize("method", sites.METHODS)
    @pytest.mark.req("OFF-DEV-16", "OFF-DEV-17")
    def test_each_method_opens_where_it_is_ticked_and_only_there(self, method: str) -> None:
        relays = [{"id": name, "kind": "door", "position": n + 1} for n, name in enumerate("ab")]
        relays[0]["methods"], relays[1]["methods"] = [method], [m for m in sites.METHODS if m != method]
        kind = method if method not in ("homepage", "talking") else "face"
        policy = small_site(
            device={"relays": relays},
            access_group={"relays": ["a", "b"]},
            holder={"party": None, "credentials": [{"id": "k", "kind": kind, "lookup": "x"}]},
        )
        presented = Presented(method, "x") if kind == method else Presented(method, holder="h")
        assert decide_device(policy, presented, "d", NOON).relays == ("a",)

    def test_a_credential_of_one_kind_is_none_of_another(self) -> None:
        assert decide(small_site(), Presented("card", "x"), "r", NOON).reason == "credential.unknown"

    def test_nothing_at_all_is_nobody(self) -> None:
        assert decide(small_site(), Presented("pin"), "r", NOON).reason == "credential.unknown"
        assert decide(small_site(), Presented("homepage"), "r", NOON).reason == "credential.unknown"
        assert decide(small_site(), Presented("whistle", "x"), "r", NOON).reason == "method.unknown"

    @given(sites.sites, st.text(max_size=8), st.text(max_size=8), relays, st.none() | sites.instants)
    def test_rubbish_is_refused_without_an_error(
        self, entries: sites.Entries, method: str, text: str, relay: str, now: datetime | None
    ) -> None:
        assume(text not in sites.LOOKUPS)
        policy = Policy(entries.items())
        for presented in (Presented(method, text), policy.read(method, text), Presented(method, holder=text)):
            assert not decide(policy, presented, relay, now).allowed

    def test_reading_normalises_by_the_mode_of_the_site(self) -> None:
        for mode, text, fault in (
            ("pin", "００１２#", ""),
            ("pin", "1#0012", "pin.format"),
            ("apt_pin", "1#0012", ""),
            ("pin", "1", "pin.length"),
        ):
            presented = small_site(site={"pin_mode": mode}).read("pin", text)
            assert presented.fault == fault
            assert bool(presented.lookup) == (not fault)
        assert small_site().read("card", "04:A1:22:3B") == small_site().read("card", "04a1223b")
        assert small_site().read("card", "0").fault == "card.range"


class TestBeforeAnythingIsKnown:
    def test_an_empty_policy_opens_nothing(self) -> None:
        assert decide(Policy(), PIN, "r", NOON).reason == "relay.unknown"
        outcome = decide_device(Policy(), PIN, "d", NOON)
        assert (outcome.allowed, outcome.reason, outcome.relays, outcome.decisive) == (
            False,
            "device.unknown",
            (),
            None,
        )

    def test_without_the_sites_own_entry_nothing_opens_even_with_the_clock_unset(self) -> None:
        policy = small_site()
        policy.apply("site:s", None)
        for now in (NOON, None):
            decision = decide(policy, PIN, "r", now)
            assert (decision.reason, decision.chain) == ("site.unknown", (("emergency", "site.unknown", ()),))
        assert decide(policy, PIN, "r", NOON, Memory(emergency=True)).allowed

    def test_a_device_without_relays_says_so(self) -> None:
        assert decide_device(small_site(device={"relays": []}), PIN, "d", NOON).reason == "device.no_relay"

    def test_an_instant_without_zone_is_a_mistake_of_the_caller(self) -> None:
        with pytest.raises(TypeError, match="naive"):
            decide(small_site(), PIN, "r", datetime(2026, 5, 4, 12))


class TestAtADevice:
    def test_relays_come_by_kind_and_position(self) -> None:
        parts = [("x", "security", 1), ("b", "door", 2), ("a", "door", 1)]
        relays = [{"id": i, "kind": k, "position": p, "methods": ["pin"]} for i, k, p in parts]
        policy = small_site(device={"relays": relays}, access_group={"relays": ["x", "b", "a"]}, holder={"party": None})
        assert decide_device(policy, PIN, "d", NOON).relays == ("a", "b", "x")

    def test_the_refusal_that_came_furthest_tells_why(self) -> None:
        relays = [
            {"id": "a", "kind": "door", "position": 1, "methods": []},
            {"id": "b", "kind": "door", "position": 2, "methods": ["pin"]},
        ]
        policy = small_site(device={"relays": relays}, party={"relays": ["b"]}, access_group={"relays": []})
        outcome = decide_device(policy, PIN, "d", NOON)
        assert outcome.reason == "access.no_group"
        assert outcome.decisive == Decision(False, "access.no_group", "pin", "b", "h", "k", "c")
