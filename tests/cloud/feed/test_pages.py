"""Pages and deltas: what a gateway is told, whatever it missed."""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import timedelta

import pytest

from gatehouse.cloud.access import services as access
from gatehouse.cloud.access.models import AccessGroup
from gatehouse.cloud.changes.services import touch
from gatehouse.cloud.devices.models import Gateway, Relay
from gatehouse.cloud.feed.pages import INLINE, delta_for, page_for, standing
from gatehouse.cloud.feed.services import compile_site, new_epoch, prune, record_published
from gatehouse.cloud.kit.errors import NotFound
from gatehouse.cloud.kit.ids import new_id
from gatehouse.cloud.people.models import Holder
from gatehouse.cloud.people.services import add_card, set_pin
from gatehouse.cloud.premises.models import PeopleGroup
from gatehouse.wire.messages import FeedPage, SiteEntry, encode
from tests.cast import NOW
from tests.cloud.feed.gateways import Doors, Far
from tests.cloud.feed.town import Town, expected, relays_of

AsRole = Callable[[str], AbstractContextManager[None]]


class House:
    """Two gateways with a door each; a group of people at either; somebody at the first."""

    def __init__(self, town: Town, as_role: AsRole) -> None:
        self.town, self.as_role = town, as_role
        with town.act():
            self.north, self.south = town.gateway(), town.gateway()
            self.front: Relay = relays_of(town.device(self.north))[0]
            self.back: Relay = relays_of(town.device(self.south))[0]
            company = town.company(self.front, self.back)
            self.at_front: AccessGroup = town.access_group(self.front)
            self.at_back: AccessGroup = town.access_group(self.back)
            self.people: PeopleGroup = town.people_group(company)
            self.holder: Holder = town.person(self.people)
            access.give_to_holder(actor=town.actor, access_group=self.at_front, holder=self.holder, now=NOW)
        self.key = f"holder:{self.holder.pk}"
        self.compile()

    def compile(self) -> int:
        with self.as_role("system"):
            return compile_site(self.town.site.pk, NOW).revision

    def far(self, gateway: Gateway) -> Far:
        return Far(gateway.pk, Doors(), random.Random(1))

    def pull(self, far: Far) -> None:
        with self.as_role("system"):
            assert far.pull()
            assert far.entries == expected(self.town.site.pk)[far.id]

    def page(
        self, gateway: Gateway, epoch: str | None, since: int, cursor: str | None = None, limit: int = 50
    ) -> FeedPage:
        with self.as_role("system"):
            return page_for(gateway.pk, epoch, since, cursor, limit)

    def give(self, group: AccessGroup) -> None:
        with self.town.act():
            access.give_to_holder(actor=self.town.actor, access_group=group, holder=self.holder, now=NOW)
        self.compile()

    def take(self, group: AccessGroup) -> None:
        with self.town.act():
            access.take_from_holder(actor=self.town.actor, access_group=group, holder=self.holder, now=NOW)
        self.compile()

    def pin(self, pin: str) -> None:
        with self.town.act():
            set_pin(actor=self.town.actor, holder=self.holder, pin=pin, now=NOW)
        self.compile()


@pytest.fixture
def house(town: Town, as_role: AsRole) -> House:
    return House(town, as_role)


def test_a_first_pull_tells_everything_the_site_first_with_its_keys(house: House) -> None:
    page = house.page(house.north, None, 0)
    assert page.reset and page.cursor is None
    first = page.entries[0].payload
    assert isinstance(first, SiteEntry) and len(first.lookup_key) == 64 and first.emergency_key
    far = house.far(house.north)
    house.pull(far)
    assert house.key in far.entries


def test_pages_tell_one_state_however_far_the_compiler_goes_on(house: House) -> None:
    whole = house.page(house.north, None, 0)
    told, cursor = [], None
    for number in range(len(whole.entries)):
        page = house.page(house.north, None, 0, cursor, limit=1)
        assert (page.epoch, page.revision, page.reset) == (whole.epoch, whole.revision, True)
        told += page.entries
        cursor = page.cursor
        house.pin(f"{4711 + number}")
    assert cursor is None and told == whole.entries
    changes = house.page(house.north, whole.epoch, whole.revision)
    assert [entry.key for entry in changes.entries] == [house.key]


@pytest.mark.req("GH-FEED-02")
def test_who_was_away_while_somebody_moved_on_and_on_learns_that_he_is_gone(house: House) -> None:
    north, south = house.far(house.north), house.far(house.south)
    house.pull(north)
    house.pull(south)
    with house.town.act():
        elsewhere = house.town.access_group(*relays_of(house.town.device(house.town.gateway())))
    house.give(house.at_back)
    house.take(house.at_front)
    house.give(elsewhere)
    house.take(house.at_back)
    assert house.key in north.entries
    house.pull(north)
    house.pull(south)
    assert house.key not in north.entries


def test_what_came_and_went_while_away_leaves_no_trace(house: House) -> None:
    south = house.far(house.south)
    house.pull(south)
    house.give(house.at_back)
    house.take(house.at_back)
    house.pull(south)
    assert house.key not in south.entries


def test_a_version_that_was_lost_and_regained_is_told_again(house: House) -> None:
    """The gateway acted on the loss already, from a pull that broke off: the same version must come once more."""
    north = house.far(house.north)
    house.pull(north)
    since = north.revision
    with house.town.act():
        access.set_relays(actor=house.town.actor, access_group=house.at_front, relays=[house.back], now=NOW)
    house.compile()
    north._take_early(house.page(house.north, north.epoch, since))
    assert house.key not in north.entries and north.buried[house.key] > since
    with house.town.act():
        access.set_relays(actor=house.town.actor, access_group=house.at_front, relays=[house.front], now=NOW)
    house.compile()
    assert north.revision == since
    house.pull(north)
    assert house.key in north.entries


def test_who_has_everything_is_told_nothing(house: House) -> None:
    page = house.page(house.north, None, 0)
    with house.town.act():
        town = house.town
        set_pin(actor=town.actor, holder=town.person(town.people_group(town.company())), pin="9999", now=NOW)
    house.compile()
    again = house.page(house.north, page.epoch, page.revision)
    assert not again.reset and again.entries == [] and again.revision == page.revision


@pytest.mark.parametrize("epoch", [None, "00000000-0000-0000-0000-000000000000", "nonsense"])
def test_another_epoch_or_none_is_told_everything(house: House, epoch: str | None) -> None:
    assert house.page(house.north, epoch, 1).reset


def test_a_revision_from_the_future_is_told_everything(house: House) -> None:
    page = house.page(house.north, None, 0)
    assert house.page(house.north, page.epoch, page.revision + 5).reset


@pytest.mark.parametrize(
    "cursor",
    ["x", "1.2.3", "a.1.1.1.1.holder.nope", "%s.99999.-1.0.0.site.00000000-0000-0000-0000-000000000000", "." * 6],
)
def test_a_made_up_cursor_begins_a_new_pull(house: House, cursor: str) -> None:
    page = house.page(house.north, None, 0)
    again = house.page(house.north, None, 0, cursor.replace("%s", page.epoch))
    assert again == page


def test_below_the_horizon_there_is_a_reset_and_above_it_none(house: House) -> None:
    north, south = house.far(house.north), house.far(house.south)
    house.pull(north)
    house.pull(south)
    epoch, old = north.epoch, north.revision
    for number in range(3):
        house.pin(f"{5000 + number}")
    with house.as_role("system"):
        gone = prune(house.town.site.pk, timedelta(days=1), NOW + timedelta(days=2))
    assert gone >= 3
    assert house.page(house.north, epoch, old).reset
    quiet = house.page(house.south, epoch, south.revision)
    assert not quiet.reset and quiet.entries == []
    with house.as_role("system"):
        here = standing(house.north.pk)
    house.pin("6000")
    assert not house.page(house.north, epoch, here.revision).reset
    house.pull(north)
    # who lacks only the last revision needs no history, however old the one he has
    house.give(house.at_back)
    assert not house.page(house.south, epoch, south.revision).reset
    house.pull(south)


def test_a_restore_makes_everything_anew(house: House) -> None:
    north = house.far(house.north)
    house.pull(north)
    before = north.epoch
    with house.as_role("system"):
        epoch = new_epoch(house.town.site.pk, NOW)
        page = page_for(house.north.pk, before, north.revision)
        delta = delta_for(house.north.pk)
    assert page.reset and page.epoch == epoch != before
    assert delta is not None and (delta.epoch, delta.since, delta.entries) == (epoch, 0, None)
    house.pull(north)
    assert north.epoch == epoch


def test_a_cursor_of_before_the_restore_is_seen_by_the_gateway(house: House) -> None:
    page = house.page(house.north, None, 0, limit=1)
    with house.as_role("system"):
        new_epoch(house.town.site.pk, NOW)
    again = house.page(house.north, None, 0, page.cursor, limit=1)
    assert (again.epoch, again.revision) != (page.epoch, page.revision)


def test_a_gateway_for_which_nothing_was_compiled_is_told_nothing_and_a_stranger_does_not_exist(house: House) -> None:
    with house.town.act():
        new = house.town.gateway()
    page = house.page(new, None, 0)
    assert page.reset and page.revision == 0 and page.entries == []
    with house.as_role("system"), pytest.raises(NotFound):
        page_for(new_id(), None, 0)


# --- deltas -------------------------------------------------------------------------------------


def sent(house: House, gateway: Gateway) -> None:
    with house.as_role("system"):
        delta = delta_for(gateway.pk)
        record_published(house.town.site.pk, [(gateway.pk, delta)] if delta else [])


def test_a_delta_carries_what_one_revision_brought_and_continues_the_last_one(house: House) -> None:
    north = house.far(house.north)
    house.pull(north)
    sent(house, house.north)
    house.pin("4711")
    with house.as_role("system"):
        delta = delta_for(house.north.pk)
        assert delta is not None and delta_for(house.south.pk) != delta
    assert (delta.since, [entry.key for entry in delta.entries or []]) == (north.revision, [house.key])
    north.take(delta)
    assert north.count["deltas"] == 1
    with house.as_role("system"):
        assert north.entries == expected(house.town.site.pk)[house.north.pk]
    sent(house, house.north)
    with house.as_role("system"):
        assert delta_for(house.north.pk) is None


def test_a_removal_is_carried_to_the_doors_that_lose_it(house: House) -> None:
    sent(house, house.north)
    house.take(house.at_front)
    with house.as_role("system"):
        delta = delta_for(house.north.pk)
    assert delta is not None and delta.entries
    assert [(entry.key, entry.priority, entry.payload) for entry in delta.entries] == [(house.key, 0, None)]


def test_nothing_is_carried_on_top_of_a_revision_that_was_never_sent(house: House) -> None:
    sent(house, house.north)
    house.pin("4711")
    house.pin("4712")
    with house.as_role("system"):
        delta = delta_for(house.north.pk)
    assert delta is not None and delta.entries is None


def test_the_first_delta_and_a_change_of_interest_only_ask_to_pull(house: House) -> None:
    with house.as_role("system"):
        first = delta_for(house.north.pk)
    assert first is not None and (first.since, first.entries) == (0, None)
    sent(house, house.south)
    with house.town.act():
        access.set_relays(
            actor=house.town.actor, access_group=house.at_front, relays=[house.front, house.back], now=NOW
        )
    house.compile()
    with house.as_role("system"):
        delta = delta_for(house.south.pk)
    assert delta is not None and delta.since > 0 and delta.entries is None


def test_what_is_too_large_for_a_message_is_pulled(house: House) -> None:
    sent(house, house.north)
    with house.town.act():
        for number in range(180):
            add_card(actor=house.town.actor, holder=house.holder, card=f"A{number:07X}", now=NOW)
    house.compile()
    page = house.page(house.north, None, 0)
    assert max(len(encode(entry)) for entry in page.entries) > INLINE
    with house.as_role("system"):
        delta = delta_for(house.north.pk)
    assert delta is not None and delta.since > 0 and delta.entries is None


def test_a_revoked_gateway_is_sent_nothing(house: House) -> None:
    sent(house, house.north)
    with house.town.act():
        Gateway.objects.filter(pk=house.north.pk).update(revoked_at=NOW)
        touch(house.town.site.pk, "gateway", house.north.pk)
    house.compile()
    with house.as_role("system"):
        assert delta_for(house.north.pk) is None
