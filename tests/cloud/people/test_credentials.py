"""PINs and cards: what is kept, what is refused, what becomes of a withdrawn one."""

from __future__ import annotations

from datetime import timedelta

import pytest

from gatehouse.cloud.changes.models import Touched
from gatehouse.cloud.journal.models import Entry
from gatehouse.cloud.kit.errors import Conflict, Denied, Invalid, NotFound
from gatehouse.cloud.people.models import Credential
from gatehouse.cloud.people.queries import code_of
from gatehouse.cloud.people.services import add_card, add_person, set_pin, withdraw_credential
from tests.cast import NOW, Cast


@pytest.mark.req("OFF-PERS-19", "OFF-PERS-E05")
def test_a_pin_keeps_its_leading_zeros_and_is_read_back_only_by_those_who_may(cast: Cast) -> None:
    credential = set_pin(actor=cast.alice_actor, holder=cast.charlie.holder, pin="0012", now=NOW)
    assert code_of(cast.alice_actor, credential) == "0012"
    other = set_pin(actor=cast.alice_actor, holder=_second(cast).holder, pin="12", now=NOW)
    assert other.digest != credential.digest
    with pytest.raises(Denied):
        code_of(cast.actor(cast.bob), credential)


@pytest.mark.req("OFF-PERS-E05")
@pytest.mark.parametrize("pin", ["1", "123456789", "12a4", " 1 2", "+12", ""])
def test_what_is_no_pin_is_refused_at_its_field(cast: Cast, pin: str) -> None:
    with pytest.raises(Invalid) as refused:
        set_pin(actor=cast.alice_actor, holder=cast.charlie.holder, pin=pin, now=NOW)
    assert "pin" in refused.value.fields
    assert not Credential.objects.visible_to(cast.alice_actor).exists()


@pytest.mark.req("OFF-PERS-E06")
def test_a_pin_in_use_is_refused_without_saying_whose_and_saving_ones_own_is_no_duplicate(cast: Cast) -> None:
    mine = set_pin(actor=cast.alice_actor, holder=cast.charlie.holder, pin="4711", now=NOW)
    with pytest.raises(Conflict) as refused:
        set_pin(actor=cast.alice_actor, holder=_second(cast).holder, pin="4711", now=NOW)
    assert "Charlie" not in str(refused.value.message)
    assert set_pin(actor=cast.alice_actor, holder=cast.charlie.holder, pin="4711", now=NOW).id == mine.id


@pytest.mark.req("GH-FEED-04")
def test_a_changed_pin_is_quarantined_and_nobody_gets_it(cast: Cast) -> None:
    old = set_pin(actor=cast.alice_actor, holder=cast.charlie.holder, pin="4711", now=NOW)
    new = set_pin(actor=cast.alice_actor, holder=cast.charlie.holder, pin="4712", now=NOW + timedelta(minutes=1))
    old.refresh_from_db()
    assert (old.state, new.state) == ("quarantined", "live")
    with pytest.raises(Conflict):
        set_pin(actor=cast.alice_actor, holder=_second(cast).holder, pin="4711", now=NOW)


@pytest.mark.req("OFF-PERS-E07")
def test_one_card_in_two_notations_is_one_card(cast: Cast) -> None:
    add_card(actor=cast.alice_actor, holder=cast.charlie.holder, card="04:a4:6f:19", now=NOW)
    with pytest.raises(Conflict):
        add_card(actor=cast.alice_actor, holder=_second(cast).holder, card="04A46F19", now=NOW)


@pytest.mark.req("GH-SEC-05")
def test_nothing_in_the_row_shows_the_code(cast: Cast) -> None:
    credential = set_pin(actor=cast.alice_actor, holder=cast.charlie.holder, pin="83920175", now=NOW)
    credential.refresh_from_db()
    assert credential.secret is not None
    assert b"83920175" not in bytes(credential.secret)
    assert "83920175" not in repr(credential.__dict__)


def test_a_withdrawn_credential_is_journalled_once_and_touches_the_holder(cast: Cast, as_role) -> None:  # type: ignore[no-untyped-def]
    credential = set_pin(actor=cast.alice_actor, holder=cast.charlie.holder, pin="4711", now=NOW)
    for _ in range(2):
        withdraw_credential(actor=cast.alice_actor, credential=credential, now=NOW)
    assert Entry.objects.filter(verb="credential.withdrawn").count() == 1
    with as_role("system"):
        assert Touched.objects.filter(kind="holder", key=cast.charlie.pk).count() >= 2


@pytest.mark.req("OFF-NAV-E04")
def test_mallory_finds_nobody_here(cast: Cast) -> None:
    with pytest.raises(NotFound):
        set_pin(actor=cast.actor(cast.mallory, cast.elsewhere), holder=cast.charlie.holder, pin="4711", now=NOW)


@pytest.mark.req("OFF-PERS-E01", "OFF-PERS-E02", "OFF-PERS-E09", "OFF-PERS-E12")
def test_a_person_is_refused_with_every_fault_named(cast: Cast) -> None:
    here = cast.here
    with pytest.raises(Invalid) as refused:
        add_person(
            actor=cast.alice_actor,
            company=here.company,
            people_group=cast.elsewhere.people_group,
            first_name=" ",
            last_name="x" * 65,
            valid_from=NOW.replace(tzinfo=None),
            valid_until=NOW.replace(tzinfo=None),
            now=NOW,
        )
    assert set(refused.value.fields) == {"first_name", "last_name", "valid_until", "people_group"}
    with pytest.raises(Conflict) as taken:
        add_person(
            actor=cast.alice_actor,
            company=here.company,
            people_group=here.people_group,
            first_name="A",
            last_name="B",
            staff_no=" 1001 ",
            now=NOW,
        )
    assert taken.value.data["field"] == "staff_no"


def _second(cast: Cast):  # type: ignore[no-untyped-def]
    return add_person(
        actor=cast.alice_actor,
        company=cast.here.company,
        people_group=cast.here.people_group,
        first_name="Dora",
        last_name="Sand",
        now=NOW,
    )
