"""The feed: whatever the line does with messages, the end is the cloud's state and the way there opens nothing extra."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from gatehouse.gateway.feed import Feed, NewerSchema, PullBroken
from gatehouse.gateway.store import FeedState
from gatehouse.rules.access import decide_device
from gatehouse.wire.messages import (
    FeedDelta,
    FeedPage,
)
from tests.gateway.feeds import Gate, delta, entry
from tests.gateway.site import (
    GARAGE,
    holder,
    page,
    standard,
    uid,
)


@pytest.fixture
async def gate(tmp_path: Path) -> AsyncIterator[Gate]:
    gate = Gate(tmp_path)
    await gate.open()
    await gate.feed.page(page(standard()), True)
    yield gate
    await gate.close()


ALICE = f"holder:{uid(40)}"
BOB = f"holder:{uid(41)}"


def opens(feed: Feed, code: str, at: str = GARAGE) -> bool:
    policy = feed.compiled.policy
    return decide_device(policy, policy.read("pin", code), at, None).allowed


class TestDeltas:
    async def test_one_that_continues_what_is_held_is_in_force_and_on_disk(self, gate: Gate) -> None:
        await gate.feed.delta(delta(1, entry(BOB, 2, None), entry(f"holder:{uid(42)}", 2, holder(42, "2222"))))
        assert gate.feed.state == ("epoch-1", 2)
        assert (opens(gate.feed, "5678"), opens(gate.feed, "2222")) == (False, True)
        assert BOB not in gate.held()
        await gate.close()
        await gate.open()
        assert gate.feed.state == ("epoch-1", 2)
        assert (opens(gate.feed, "5678"), opens(gate.feed, "2222")) == (False, True)

    async def test_one_that_begins_before_what_is_held_is_taken_too(self, gate: Gate) -> None:
        await gate.feed.delta(delta(1, entry(BOB, 2, None)))
        both = [entry(BOB, 2, None), entry(f"holder:{uid(42)}", 3, holder(42, "2222"))]
        await gate.feed.delta(delta(1, *both, revision=3))
        assert gate.feed.state == ("epoch-1", 3)
        assert (opens(gate.feed, "5678"), opens(gate.feed, "2222")) == (False, True)

    async def test_one_that_leaves_a_gap_is_not_taken_and_leads_to_a_pull(self, gate: Gate) -> None:
        await gate.feed.delta(delta(2, entry(f"holder:{uid(42)}", 3, holder(42, "2222"))))
        assert gate.feed.state == ("epoch-1", 1)
        assert gate.feed.behind.is_set()
        assert not opens(gate.feed, "2222")

    async def test_one_without_entries_leads_to_a_pull(self, gate: Gate) -> None:
        await gate.feed.delta(FeedDelta(epoch="epoch-1", since=1, revision=2))
        assert gate.feed.behind.is_set()

    async def test_one_that_comes_twice_or_late_changes_nothing(self, gate: Gate) -> None:
        first, second = delta(1, entry(BOB, 2, None)), delta(2, entry(BOB, 3, holder(41, "3333")))
        await gate.feed.delta(first)
        await gate.feed.delta(second)
        await gate.feed.delta(first)
        await gate.feed.delta(second)
        assert gate.feed.state == ("epoch-1", 3)
        assert opens(gate.feed, "3333")
        assert not gate.feed.behind.is_set()

    async def test_a_removal_acts_at_once_even_when_what_came_before_it_is_missing(self, gate: Gate) -> None:
        await gate.feed.delta(delta(7, entry(BOB, 8, None)))
        assert not opens(gate.feed, "5678")
        assert gate.feed.state == ("epoch-1", 1), "the rest is still to come"
        await gate.close()
        await gate.open()
        assert not opens(gate.feed, "5678"), "nor does a restart bring it back"

    @pytest.mark.parametrize("restarted", [False, True])
    async def test_a_page_older_than_an_early_removal_does_not_bring_the_credential_back(
        self, gate: Gate, restarted: bool
    ) -> None:
        await gate.feed.delta(delta(7, entry(BOB, 8, None)))
        if restarted:
            await gate.close()
            await gate.open()
        older = FeedPage(
            epoch="epoch-1", schema=1, revision=5, reset=False, entries=[entry(BOB, 4, holder(41, "5678"))]
        )
        assert await gate.feed.page(older, True)
        assert gate.feed.state == ("epoch-1", 5)
        assert not opens(gate.feed, "5678")
        assert restarted or gate.feed.behind.is_set(), "revision 8 is still to come"
        newer = FeedPage(
            epoch="epoch-1", schema=1, revision=9, reset=False, entries=[entry(BOB, 9, holder(41, "5678"))]
        )
        assert await gate.feed.page(newer, True)
        assert opens(gate.feed, "5678"), "given again later"

    async def test_a_changed_pin_ends_at_once_and_the_new_one_waits_for_its_turn(self, gate: Gate) -> None:
        await gate.feed.delta(delta(7, entry(BOB, 8, holder(41, "3333"), priority=0)))
        assert (opens(gate.feed, "5678"), opens(gate.feed, "3333")) == (False, False)
        older = FeedPage(
            epoch="epoch-1", schema=1, revision=5, reset=False, entries=[entry(BOB, 4, holder(41, "5678"))]
        )
        await gate.feed.page(older, True)
        assert not opens(gate.feed, "5678"), "an older state does not widen what was narrowed"
        newer = FeedPage(
            epoch="epoch-1", schema=1, revision=8, reset=False, entries=[entry(BOB, 8, holder(41, "3333"))]
        )
        await gate.feed.page(newer, True)
        assert (opens(gate.feed, "5678"), opens(gate.feed, "3333")) == (False, True)


class TestPulls:
    @pytest.mark.req("OFF-DVC-E02")
    async def test_a_half_received_feed_is_never_in_force(self, gate: Gate) -> None:
        entries = standard() | {f"holder:{uid(42)}": holder(42, "2222")}
        half = msgspec.structs.replace(page(entries, 2), cursor="more")
        before = gate.held()
        assert not await gate.feed.page(half, True)
        assert not opens(gate.feed, "2222")
        assert (gate.feed.state, gate.held()) == (FeedState("epoch-1", 1), before)
        await gate.close()
        await gate.open()
        assert (gate.feed.state, gate.held()) == (FeedState("epoch-1", 1), before)
        assert opens(gate.feed, "1234")

    async def test_an_abandoned_pull_leaves_nothing_behind_in_the_next(self, gate: Gate) -> None:
        lost = [entry(f"holder:{uid(42)}", 2, holder(42, "2222"))]
        await gate.feed.page(
            FeedPage(epoch="epoch-1", schema=1, revision=2, reset=False, entries=lost, cursor="x"), True
        )
        gate.feed.give_up_pull()
        await gate.feed.page(FeedPage(epoch="epoch-1", schema=1, revision=3, reset=False, entries=[]), True)
        assert gate.feed.state == ("epoch-1", 3)
        assert not opens(gate.feed, "2222")

    @pytest.mark.req("GH-GW-05")
    async def test_removals_of_the_first_page_act_before_the_last_page_is_here(self, gate: Gate) -> None:
        gate.feed.expect("epoch-1", 2)
        assert not gate.feed.removals_in.is_set()
        first = [entry(BOB, 2, None), entry(f"holder:{uid(42)}", 2, holder(42, "2222"))]
        await gate.feed.page(
            FeedPage(epoch="epoch-1", schema=1, revision=2, reset=False, entries=first, cursor="x"), True
        )
        assert not opens(gate.feed, "5678")
        assert not opens(gate.feed, "2222")
        assert gate.feed.removals_in.is_set()
        assert gate.feed.behind.is_set()

    async def test_a_page_of_removals_only_does_not_say_that_all_removals_are_here(self, gate: Gate) -> None:
        gate.feed.expect("epoch-1", 2)
        only = FeedPage(epoch="epoch-1", schema=1, revision=2, reset=False, entries=[entry(BOB, 2, None)], cursor="x")
        await gate.feed.page(only, True)
        assert not gate.feed.removals_in.is_set()

    async def test_a_reset_forgets_what_it_does_not_name(self, gate: Gate) -> None:
        entries = standard()
        del entries[BOB]
        await gate.feed.page(page(entries, 5, "epoch-2"), True)
        assert gate.feed.state == ("epoch-2", 5)
        assert gate.held() == entries
        assert not opens(gate.feed, "5678")

    async def test_early_removals_of_another_epoch_do_not_hold_back_a_restored_cloud(self, gate: Gate) -> None:
        await gate.feed.delta(delta(50, entry(BOB, 51, None)))
        await gate.feed.page(page(standard(), 3, "epoch-2"), True)
        assert opens(gate.feed, "5678")

    async def test_pages_that_do_not_belong_together_break_the_pull_and_change_nothing(self, gate: Gate) -> None:
        first = FeedPage(epoch="epoch-1", schema=1, revision=2, reset=False, entries=[], cursor="x")
        for other in (
            FeedPage(epoch="epoch-1", schema=1, revision=3, reset=False, entries=[]),
            FeedPage(epoch="epoch-2", schema=1, revision=2, reset=True, entries=[]),
        ):
            await gate.feed.page(first, True)
            with pytest.raises(PullBroken):
                await gate.feed.page(other, False)
            assert gate.feed.state == ("epoch-1", 1)
        with pytest.raises(PullBroken):
            await gate.feed.page(FeedPage(epoch="epoch-2", schema=1, revision=2, reset=False, entries=[]), True)
        assert gate.held() == standard()

    @pytest.mark.req("GH-GW-E4")
    async def test_a_feed_of_a_newer_schema_leaves_the_last_whole_state_in_force(self, gate: Gate) -> None:
        with pytest.raises(NewerSchema):
            await gate.feed.page(FeedPage(epoch="epoch-9", schema=2, revision=9, reset=True, entries=[]), True)
        assert opens(gate.feed, "1234")
        assert gate.feed.newer_schema

    async def test_a_delta_between_two_pages_waits_and_leads_to_another_pull(self, gate: Gate) -> None:
        first = FeedPage(epoch="epoch-1", schema=1, revision=2, reset=False, entries=[], cursor="x")
        await gate.feed.page(first, True)
        await gate.feed.delta(delta(1, entry(f"holder:{uid(42)}", 2, holder(42, "2222"))))
        await gate.feed.delta(delta(2, entry(f"holder:{uid(43)}", 3, holder(43, "3333"))))
        assert gate.feed.state == ("epoch-1", 1)
        last = [entry(f"holder:{uid(42)}", 2, holder(42, "2222"))]
        assert await gate.feed.page(FeedPage(epoch="epoch-1", schema=1, revision=2, reset=False, entries=last), False)
        assert gate.feed.state == ("epoch-1", 2)
        assert gate.feed.behind.is_set(), "revision 3 is known to exist"

    async def test_a_whole_page_older_than_a_delta_that_overtook_it_is_not_taken(self, gate: Gate) -> None:
        gate.feed.ask_anew()
        assert gate.feed.asks() == (None, 0)
        await gate.feed.delta(delta(1, entry(BOB, 2, None)))
        with pytest.raises(PullBroken):
            await gate.feed.page(page(standard(), 1), True)
        assert not opens(gate.feed, "5678")
        assert gate.feed.behind.is_set(), "it is still to be asked anew"

    async def test_a_cloud_that_went_back_without_a_new_epoch_is_followed_all_the_same(self, gate: Gate) -> None:
        await gate.feed.delta(delta(1, entry(BOB, 2, None)))
        gate.feed.expect("epoch-1", 1)
        assert gate.feed.asks() == ("epoch-1", 2)
        assert await gate.feed.page(page(standard(), 1), True)
        assert gate.feed.state == ("epoch-1", 1)

    async def test_everything_anew_is_pulled_when_the_cloud_says_so(self, gate: Gate) -> None:
        gate.feed.ask_anew()
        assert gate.feed.asks() == (None, 0)
        assert await gate.feed.page(page(standard(), 1), True)
        assert gate.feed.asks() == ("epoch-1", 1)
        assert not gate.feed.behind.is_set()
