"""Random acts, compiled bit by bit: the feed is what it would be if it were made from nothing."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager
from uuid import UUID

import pytest

from gatehouse.cloud.devices.models import Gateway
from gatehouse.cloud.feed.models import Revision
from gatehouse.cloud.feed.pages import deltas
from gatehouse.cloud.feed.services import compile_site, record_published
from gatehouse.wire.messages import FeedDelta
from tests.cast import NOW
from tests.cloud.feed.acts import ACTS, do_something
from tests.cloud.feed.gateways import Doors, Far
from tests.cloud.feed.town import Town, expected, relays_of

AsRole = Callable[[str], AbstractContextManager[None]]


def settle(town: Town) -> None:
    """A few of everything, so that acts find something to act upon."""
    with town.act():
        for _ in range(3):
            gateway = town.gateway()
            town.device(gateway, relays=2)
            town.device(gateway)
        relays = [relay for device in town.devices for relay in relays_of(device)]
        groups = [town.access_group(*relays[start : start + 4]) for start in (0, 2, 4)]
        for number in range(2):
            company = town.company(*relays[number::2])
            for group in groups[number:]:
                people = town.people_group(company, group)
                for _ in range(3):
                    town.person(people)


@pytest.mark.parametrize("seed", range(3))
def test_after_each_act_the_feed_equals_one_made_from_nothing(town: Town, as_role: AsRole, seed: int) -> None:
    rng = random.Random(seed)
    settle(town)
    done: set[str] = set()
    for _ in range(120):
        done.add(do_something(rng, town) or "")
        with as_role("system"):
            compile_site(town.site.pk, NOW)
            again = compile_site(town.site.pk, NOW, everything=True)
            assert (again.changed, again.concerned) == (0, 0)
    assert len(done) > len(ACTS) / 2


@pytest.mark.req("GH-FEED-02")
def test_gateways_on_a_bad_line_end_with_exactly_what_their_doors_need(town: Town, as_role: AsRole) -> None:
    rng = random.Random(4)
    settle(town)
    doors = Doors()
    far: dict[UUID, Far] = {}
    late: list[tuple[UUID, FeedDelta]] = []
    for _step in range(150):
        for _ in range(rng.randrange(4)):
            do_something(rng, town)
        with as_role("system"):
            compile_site(town.site.pk, NOW)
            for row in Gateway.objects.filter(site_id=town.site.pk):
                far.setdefault(row.pk, Far(row.pk, doors, rng))
            made = deltas(town.site.pk)
            record_published(town.site.pk, made)
            late += [delta for delta in made if rng.random() < 0.8]
            rng.shuffle(late)
            while late and rng.random() < 0.8:
                name, delta = late.pop()
                far[name].take(delta)
                if rng.random() < 0.1:
                    late.append((name, delta))
            for gateway in far.values():
                if rng.random() < 0.15:
                    gateway.pull(breaks=0.2)
    with as_role("system"):
        wanted = expected(town.site.pk)
        for gateway in far.values():
            while not gateway.pull(breaks=0.1):
                pass
            assert gateway.entries == wanted.get(gateway.id, {})
        total = sum((gateway.count for gateway in far.values()), start=Counter[str]())
        assert all(total[what] for what in ("deltas", "stale", "broken", "early", "buried")), total
        numbers = list(Revision.objects.filter(site_id=town.site.pk).order_by("id").values_list("number", flat=True))
        assert numbers == list(range(1, len(numbers) + 1))
