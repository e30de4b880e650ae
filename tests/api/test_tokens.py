"""Tokens: for whom, for what, for how long."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.db import transaction

from gatehouse.cloud.accounts.services import disable_user
from gatehouse.cloud.authz.actor import enter, system_actor
from gatehouse.cloud.config import console
from gatehouse.cloud.kit import clock
from gatehouse.cloud.kit.errors import Denied, Invalid, NotFound
from gatehouse.cloud.tenants.models import ApiToken, Membership, Organisation
from gatehouse.cloud.tenants.queries import actor_everywhere
from gatehouse.cloud.tenants.services import create_token, revoke_token
from tests.api.conftest import Program, make_token
from tests.cast import Cast

Programs = Callable[..., Program]


@pytest.mark.req("GH-API-03")
def test_a_token_is_shown_once_and_kept_as_a_digest_for_ninety_days(committed_cast: Cast) -> None:
    made = make_token(committed_cast.alice, [committed_cast.here.site.id])
    kept = ApiToken.objects.filter(pk=made.row.pk).values().get()
    assert made.token not in str(kept) and made.token.removeprefix("gh_") not in str(kept)
    assert kept["expires_at"] - kept["made_at"] == timedelta(days=90)


@pytest.mark.req("GH-API-03")
def test_a_token_remembers_its_last_use(alice: Program) -> None:
    assert ApiToken.objects.get().last_used_at is None
    assert alice.at("GET", "").status_code == 200
    assert ApiToken.objects.get().last_used_at is not None


@pytest.mark.parametrize("given", ["", "Bearer", "Bearer gh_unknown", "Basic YWxpY2U6eA==", "Bearer \u00e9"])
def test_without_a_live_token_nothing_is_told(alice: Program, given: str) -> None:
    response = alice.at("GET", "", Authorization=given)
    assert (response.status_code, response.json()["code"]) == (401, "token.invalid")
    assert response["WWW-Authenticate"].startswith("Bearer")


@pytest.mark.req("GH-API-03")
def test_an_expired_token_is_refused(committed_cast: Cast) -> None:
    site = committed_cast.here.site.id
    old = make_token(committed_cast.alice, [site], now=clock.now() - timedelta(days=91))
    assert Program(old.token, site).at("GET", "").status_code == 401


@pytest.mark.req("GH-API-03")
def test_a_revoked_token_is_refused_at_the_next_call(committed_cast: Cast, alice: Program) -> None:
    assert alice.at("GET", "").status_code == 200
    with transaction.atomic():
        actor = actor_everywhere(committed_cast.alice, via="portal")
        enter(actor)
        revoke_token(actor=actor, token=ApiToken.objects.get(), now=clock.now())
    assert alice.at("GET", "").status_code == 401


@pytest.mark.req("GH-API-03")
def test_a_token_may_what_its_scopes_say_and_no_more(committed_cast: Cast, program: Programs) -> None:
    reader = program(committed_cast.alice, scopes=["person.view"])
    assert reader.at("GET", "/people").status_code == 200
    refused = reader.at("GET", "/journal")
    assert (refused.status_code, refused.json()["code"]) == (403, "denied")
    assert reader.call("GET", "/sites").status_code == 403


@pytest.mark.req("GH-API-03")
def test_a_token_loses_what_its_maker_loses(committed_cast: Cast, alice: Program) -> None:
    assert alice.at("GET", "/people").status_code == 200
    with transaction.atomic():
        enter(system_actor(committed_cast.here.site.id))
        Membership.objects.filter(user=committed_cast.alice).update(role="guard")
    assert alice.at("GET", "/people").status_code == 403
    with transaction.atomic():
        enter(system_actor(committed_cast.here.site.id))
        Membership.objects.filter(user=committed_cast.alice).delete()
    assert alice.at("GET", "/people").status_code == 404


@pytest.mark.req("GH-API-03")
def test_the_token_of_a_disabled_maker_is_refused_at_the_next_call(committed_cast: Cast, alice: Program) -> None:
    with transaction.atomic():
        enter(system_actor())
        disable_user(actor=system_actor(), user=committed_cast.alice, now=clock.now())
    assert alice.at("GET", "").status_code == 401


@pytest.mark.req("GH-API-03")
def test_a_disabled_organisation_reaches_nothing(committed_cast: Cast, program: Programs) -> None:
    ivan = program(committed_cast.ivan)
    assert ivan.at("GET", "").status_code == 200
    Organisation.objects.filter(pk=committed_cast.installer.pk).update(disabled_at=clock.now())
    assert ivan.at("GET", "").status_code == 404


def test_only_the_user_himself_makes_a_token_and_none_by_a_token(committed_cast: Cast) -> None:
    site, now = committed_cast.here.site.id, clock.now()
    for actor in (
        actor_everywhere(committed_cast.bob, via="portal"),
        actor_everywhere(committed_cast.alice, via="api"),
    ):
        with transaction.atomic(), pytest.raises(Denied):
            create_token(
                actor=actor, user=committed_cast.alice, name="X", sites=[site], scopes=["person.view"], now=now
            )


def test_a_token_is_made_for_ones_own_sites_and_rights_only(committed_cast: Cast) -> None:
    here, elsewhere = committed_cast.here.site.id, committed_cast.elsewhere.site.id
    with pytest.raises(NotFound):
        make_token(committed_cast.alice, [here, elsewhere])
    for scopes in ([], ["person.view"], ["link.speak"], ["nonsense"]):
        with pytest.raises(Invalid):
            make_token(committed_cast.bob, [here], scopes)
    with pytest.raises(Invalid):
        make_token(committed_cast.alice, [here], life=timedelta(days=400))
    assert not ApiToken.objects.exists()


def test_only_its_maker_ends_a_token(committed_cast: Cast, alice: Program) -> None:
    with transaction.atomic(), pytest.raises(NotFound):
        actor = actor_everywhere(committed_cast.bob, via="portal")
        revoke_token(actor=actor, token=ApiToken.objects.get(), now=clock.now())
    assert alice.at("GET", "").status_code == 200


def test_the_machines_owner_makes_and_ends_a_token_for_an_account(committed_cast: Cast) -> None:
    def shell(act: str, **more: object) -> str:
        (line,) = console.act(argparse.Namespace(act=act, login="alice", name="Payroll", **more))
        return line

    token = shell("token", scope=["person.view"]).removeprefix("alice: token ").partition(" ")[0]
    payroll = Program(token, committed_cast.here.site.id)
    assert payroll.at("GET", "/people").status_code == 200
    assert payroll.at("GET", "/journal").status_code == 403
    with pytest.raises(console.Refused):
        shell("token", scope=["gateway.edit"])
    assert shell("revoke") == "alice: 1 revoked"
    assert payroll.at("GET", "/people").status_code == 401
    everything = shell("token", scope=None).removeprefix("alice: token ").partition(" ")[0]
    assert Program(everything, committed_cast.here.site.id).at("GET", "/journal").status_code == 200
