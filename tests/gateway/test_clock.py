"""True time from the cloud's answers."""

from __future__ import annotations

import random

from gatehouse.gateway.clock import WORST_ROUND_TRIP_MS, Clock, Measured, machine_boot


class Hand:
    """A counter and a wall clock that stand still until they are moved."""

    def __init__(self) -> None:
        self.now, self.shown = 1_000_000, 0

    def clock(self, machine: str | None = None) -> Clock:
        return Clock(lambda: self.now, lambda: self.shown, machine)


def test_before_the_first_answer_there_is_no_time() -> None:
    clock = Hand().clock()
    assert clock.true_ms() is None
    assert clock.offset_ms() is None
    assert clock.true_at(5) is None


def test_the_round_trip_is_halved_and_time_runs_on() -> None:
    hand = Hand()
    clock = hand.clock()
    sent = hand.now
    hand.now += 400
    assert clock.measure(sent, 50_000)
    assert clock.true_ms() == 50_200
    hand.now += 3_600_000
    assert clock.true_ms() == 3_650_200
    assert clock.true_at(sent) == 49_800


def test_the_wall_clock_may_jump_as_it_likes() -> None:
    hand = Hand()
    clock = hand.clock()
    clock.measure(hand.now, 77)
    for shown in (-5, 0, 10**15):
        hand.shown = shown
        assert clock.true_ms() == 77
        assert clock.offset_ms() == 77 - shown
        assert 0 <= clock.wall_ms() <= 253402300800000, "it must fit into a message"


def test_a_slower_answer_does_not_spoil_a_good_clock_until_that_has_aged() -> None:
    hand = Hand()
    clock = hand.clock()
    assert clock.measure(hand.now - 20, 1_000)
    assert not clock.measure(hand.now - 4_000, 999_999)
    assert clock.true_ms() == 1_010
    hand.now += 86_400_000
    assert clock.measure(hand.now - 4_000, 86_400_000), "after a day a quartz is worse than that answer"


def test_an_answer_from_the_future_or_of_half_a_minute_ago_says_nothing() -> None:
    hand = Hand()
    clock = hand.clock()
    assert not clock.measure(hand.now + 1, 1_000)
    assert not clock.measure(hand.now - WORST_ROUND_TRIP_MS - 1, 1_000)
    assert clock.true_ms() is None


def test_however_answers_vary_the_error_stays_within_what_is_claimed() -> None:
    chance = random.Random(3)
    hand = Hand()
    clock = hand.clock()
    for _ in range(500):
        hand.now += chance.randrange(60_000)
        up, down = chance.randrange(2_000), chance.randrange(2_000)
        sent = hand.now
        server = sent + up + 10**12
        hand.now += up + down
        clock.measure(sent, server)
        true, measured = clock.true_ms(), clock.measured
        assert true is not None and measured is not None
        assert abs(true - (hand.now + 10**12)) <= measured.uncertain_ms


def test_a_restarted_process_goes_on_with_the_time_of_the_same_machine_boot_only() -> None:
    hand = Hand()
    kept = Measured(hand.now - 5_000, 80_000, 10)
    clock = hand.clock("boot-1")
    assert clock.resume("boot-1", kept)
    assert clock.true_ms() == 85_000
    for machine, own in (("boot-1", "boot-2"), (None, None), ("boot-1", None), (None, "boot-1")):
        fresh = hand.clock(own)
        assert not fresh.resume(machine, kept)
        assert fresh.true_ms() is None
    hand.now = 1
    assert not hand.clock("boot-1").resume("boot-1", kept), "a counter that went back is another one"


def test_each_process_has_a_boot_of_its_own_and_the_machine_one_for_all() -> None:
    assert Clock().boot != Clock().boot
    assert machine_boot() == machine_boot()
