"""Narrowing: what takes away acts at once and gives nothing."""

from __future__ import annotations

import random

from gatehouse.gateway.narrow import narrowed
from tests.gateway.feeds import KEYS, grants, put, random_payload, random_site


def test_narrowing_any_entries_never_lets_anybody_in_who_was_not_let_in_before() -> None:
    chance = random.Random(20261121)
    narrower = 0
    for _ in range(200):
        before = random_site(chance)
        after = before
        for key in KEYS:
            if key in after and chance.random() < 0.3:
                coming = random_payload(chance, key) if chance.random() < 0.8 else None
                after = put(after, key, narrowed(after[key], coming))
        assert grants(after) <= grants(before)
        narrower += grants(after) < grants(before)
    assert narrower > 30, "the test must see rights end"


def test_narrowing_one_entry_takes_everything_away_that_the_coming_one_takes_away() -> None:
    chance = random.Random(20261122)
    ended = 0
    for _ in range(400):
        before = random_site(chance)
        key = chance.choice([key for key in KEYS if key in before])
        coming = random_payload(chance, key) if chance.random() < 0.8 else None
        now = grants(put(before, key, narrowed(before[key], coming)))
        assert now <= grants(put(before, key, coming))
        ended += bool(grants(before) - now)
    assert ended > 30, "the test must see rights end"
