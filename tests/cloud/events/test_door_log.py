"""The door log as people read it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from gatehouse.cloud.authz.actor import enter, system_actor
from gatehouse.cloud.authz.permissions import Role, effective
from gatehouse.cloud.events.queries import Filters, Place, about_count, door_log, door_log_rows
from gatehouse.cloud.events.services import record_batches
from gatehouse.cloud.kit.errors import Denied
from gatehouse.cloud.people.models import Holder, Person
from gatehouse.wire.messages import Passage
from tests.cast import NOW, Cast
from tests.cast import Place as Site
from tests.cloud.events.batches import NOW_MS, arrival, new_spool, passage

AsRole = Callable[[str], AbstractContextManager[None]]


@pytest.fixture
def log(cast: Cast, as_role: AsRole) -> Callable[..., None]:
    """Put passages of a place into the log."""

    def write(place: Site, *events: Passage) -> None:
        with as_role("system"):
            record_batches([arrival(place.gateway.id, *events, spool=new_spool())])

    return write


def times(minutes: int) -> int:
    return NOW_MS - 60_000 * minutes


class TestReading:
    @pytest.mark.req("OFF-LOG-E02")
    def test_newest_first_by_when_it_happened_not_when_it_came(self, cast: Cast, log: Callable[..., None]) -> None:
        log(cast.here, passage(1, cast.here, true_ms=times(1)), passage(2, cast.here, true_ms=times(90)))
        log(cast.here, passage(1, cast.here, true_ms=times(30)))
        page = door_log(cast.alice_actor)
        assert [row.at for row in page.rows] == [NOW - timedelta(minutes=m) for m in (1, 30, 90)]
        assert (page.older, page.newer) == (None, None)

    def test_pages_meet_without_losing_or_repeating_a_row_even_of_one_moment(
        self, cast: Cast, log: Callable[..., None]
    ) -> None:
        log(cast.here, *(passage(seq, cast.here, true_ms=times(seq // 9)) for seq in range(1, 48)))
        alice = cast.alice_actor
        whole = [row.id for row in door_log(alice, limit=200).rows]
        assert len(set(whole)) == 47
        down: list[UUID] = []
        page = door_log(alice, limit=10)
        assert page.newer is None
        while True:
            down += [row.id for row in page.rows]
            if page.older is None:
                break
            page = door_log(alice, before=Place.of(str(page.older)), limit=10)
        assert down == whole
        up = [row.id for row in page.rows]
        while page.newer is not None:
            page = door_log(alice, after=page.newer, limit=10)
            up = [row.id for row in page.rows] + up
        assert up == whole

    def test_it_never_counts_and_asks_the_same_at_any_depth(self, cast: Cast, log: Callable[..., None]) -> None:
        log(cast.here, *(passage(seq, cast.here, holder=str(cast.charlie.pk)) for seq in range(1, 60)))
        alice = cast.alice_actor
        with CaptureQueriesContext(
            connection,
        ) as asked:
            page = door_log(alice, limit=20)
            door_log(alice, before=page.older, limit=20)
        assert len(asked) == 4
        assert not [query for query in asked.captured_queries if "count(" in query["sql"].lower()]

    def test_filters_must_all_hold(self, cast: Cast, log: Callable[..., None]) -> None:
        here, charlie = cast.here, str(cast.charlie.pk)
        log(
            here,
            passage(1, here, true_ms=times(50), holder=charlie),
            passage(2, here, true_ms=times(40), holder=charlie, method="pin", allowed=False, reason="access.no_group"),
            passage(3, here, true_ms=times(30), relay=str(here.back.id)),
            passage(4, here, true_ms=times(20), device=None, relay=None, method="pin"),
        )

        def found(**filters: object) -> list[str]:
            rows = door_log(cast.alice_actor, Filters(**filters)).rows  # type: ignore[arg-type]
            return [f"{row.method} {row.relay_name}".strip() for row in rows]

        assert found() == ["pin", "card Back door", "pin Front door", "card Front door"]
        assert found(since=NOW - timedelta(minutes=40), until=NOW - timedelta(minutes=20)) == [
            "card Back door",
            "pin Front door",
        ]
        assert found(device=here.device.id, methods=("pin",)) == ["pin Front door"]
        assert found(holder=cast.charlie.pk, allowed=True) == ["card Front door"]
        assert found(party=here.company.pk, allowed=False, relay=here.front.id) == ["pin Front door"]
        assert found(relay=here.back.id, methods=("pin",)) == []

    @pytest.mark.req("OFF-LOG-E06")
    def test_a_renamed_person_keeps_the_old_name_in_earlier_rows(self, cast: Cast, log: Callable[..., None]) -> None:
        charlie = cast.charlie.pk
        log(cast.here, passage(1, cast.here, true_ms=times(9), holder=str(charlie)))
        Holder.objects.filter(pk=charlie).update(label="Charlie Moreau")
        log(cast.here, passage(1, cast.here, true_ms=times(1), holder=str(charlie)))
        rows = door_log(cast.alice_actor, Filters(holder=charlie)).rows
        assert [(row.name, row.of) for row in rows] == [
            ("Charlie Moreau", "Lumen Diagnostics"),
            ("Charlie Novak", "Lumen Diagnostics"),
        ]

    def test_who_was_erased_has_no_name_any_more(self, cast: Cast, log: Callable[..., None]) -> None:
        log(cast.here, passage(1, cast.here, holder=str(cast.charlie.pk)))
        Holder.objects.filter(pk=cast.charlie.pk).update(seal_key=None)
        (row,) = door_log(cast.alice_actor).rows
        assert (row.name, row.of, row.holder) == ("", "", cast.charlie.pk)
        Person.objects.filter(pk=cast.charlie.pk).delete()
        Holder.objects.filter(pk=cast.charlie.pk).delete()
        assert door_log(cast.alice_actor).rows[0].name == ""

    def test_no_role_of_the_portal_can_change_or_delete_a_row(self, cast: Cast, log: Callable[..., None]) -> None:
        log(cast.here, passage(1, cast.here))
        for verb in ("UPDATE events_passage SET reason = 'x'", "DELETE FROM events_passage"):
            with connection.cursor() as cursor:
                cursor.execute("SELECT has_table_privilege('events_passage', %s)", [verb.split()[0]])
                assert cursor.fetchone() == (False,)

    def test_about_how_many(self, cast: Cast, log: Callable[..., None], as_role: AsRole) -> None:
        log(cast.here, *(passage(seq, cast.here) for seq in range(1, 301)))
        log(cast.elsewhere, *(passage(seq, cast.elsewhere) for seq in range(1, 101)))
        with as_role("owner"), connection.cursor() as cursor:
            cursor.execute("ANALYZE events_passage")
        enter(system_actor(cast.here.site.id))
        assert 250 <= about_count(cast.alice_actor) <= 350


class TestWhoMayRead:
    def test_a_companys_admin_reads_his_companys_rows_only(self, cast: Cast, log: Callable[..., None]) -> None:
        log(cast.here, passage(1, cast.here, holder=str(cast.charlie.pk)), passage(2, cast.here))
        admin = replace(
            cast.alice_actor,
            role=Role.COMPANY_ADMIN,
            permissions=effective(Role.COMPANY_ADMIN),
            party=cast.here.company.pk,
        )
        rows = door_log(admin).rows
        assert [row.name for row in rows] == ["Charlie Novak"]
        everything = [row.id for row in door_log(cast.alice_actor).rows]
        assert [row.id for row in door_log_rows(admin, everything)] == [rows[0].id]
        assert door_log(replace(admin, party=uuid4())).rows == []

    def test_without_the_right_there_is_no_log(self, cast: Cast) -> None:
        bob = cast.actor(cast.bob)
        for read in (lambda: door_log(bob), lambda: door_log_rows(bob, []), lambda: about_count(bob)):
            with pytest.raises(Denied):
                read()

    def test_another_site_has_no_rows_for_you(self, cast: Cast, log: Callable[..., None]) -> None:
        log(cast.here, passage(1, cast.here))
        ids = [row.id for row in door_log(cast.alice_actor).rows]
        mallory = cast.actor(cast.mallory, cast.elsewhere)
        enter(mallory)
        assert door_log(mallory).rows == []
        assert door_log_rows(mallory, ids) == []


def test_a_place_in_the_log_is_its_text_and_nothing_else() -> None:
    place = Place(NOW, uuid4())
    assert Place.of(str(place)) == place
    for text in ("", "x", "2026-01-01~x", f"2026-01-01T00:00:00~{uuid4()}"):
        with pytest.raises(ValueError):
            Place.of(text)
