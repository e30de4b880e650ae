"""Asking a door to open: who may, and what becomes of it when the door cannot hear."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from gatehouse.cloud.access.services import assign_relays
from gatehouse.cloud.authz.permissions import Role, effective
from gatehouse.cloud.devices.models import Command, Gateway, Relay
from gatehouse.cloud.devices.services import OPEN_LIFE, open_relay
from gatehouse.cloud.kit.errors import Conflict, Denied, NotFound, Unavailable
from tests.cast import NOW, Cast


@pytest.fixture
def online(cast: Cast) -> Cast:
    Gateway.objects.filter(pk=cast.here.gateway.pk).update(online=True)
    return cast


def test_an_opening_is_one_row_that_expires_in_seconds(online: Cast) -> None:
    command = open_relay(actor=online.alice_actor, relay=online.here.front, now=NOW)
    assert (command.state, command.expires_at) == (Command.State.QUEUED, NOW + OPEN_LIFE)
    assert timedelta(seconds=10) >= OPEN_LIFE


@pytest.mark.req("OFF-APP-E02")
def test_a_door_that_cannot_hear_is_told_nothing_now_or_later(cast: Cast) -> None:
    with pytest.raises(Unavailable):
        open_relay(actor=cast.alice_actor, relay=cast.here.front, now=NOW)
    assert not Command.objects.visible_to(cast.alice_actor).exists()


def test_a_relay_that_is_off_is_not_opened(online: Cast) -> None:
    Relay.objects.filter(pk=online.here.front.pk).update(enabled=False)
    online.here.front.refresh_from_db()
    with pytest.raises(Conflict):
        open_relay(actor=online.alice_actor, relay=online.here.front, now=NOW)


def test_a_company_administrator_opens_the_doors_of_his_company_only(online: Cast) -> None:
    here = online.here
    assign_relays(actor=online.alice_actor, company=here.company, relays=[here.front], now=NOW)
    administrator = replace(
        online.alice_actor, role=Role.COMPANY_ADMIN, permissions=effective(Role.COMPANY_ADMIN), party=here.company.pk
    )
    assert open_relay(actor=administrator, relay=here.front, now=NOW).relay_id == here.front.id
    with pytest.raises(NotFound):
        open_relay(actor=administrator, relay=here.back, now=NOW)


def test_mallory_does_not_even_find_the_door(online: Cast) -> None:
    with pytest.raises(NotFound):
        open_relay(actor=online.actor(online.mallory, online.elsewhere), relay=online.here.front, now=NOW)


def test_somebody_without_the_right_is_denied(online: Cast) -> None:
    with pytest.raises(Denied):
        open_relay(actor=replace(online.alice_actor, permissions=frozenset()), relay=online.here.front, now=NOW)
