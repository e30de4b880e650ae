"""Personnel from a file: what is checked, mended, made, and taken back."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from gatehouse.cloud.access.models import AccessGroup, AccessGroupHolder, Window
from gatehouse.cloud.access.services import create_access_group
from gatehouse.cloud.accounts.models import Realm
from gatehouse.cloud.accounts.services import create_user
from gatehouse.cloud.authz.actor import Actor, enter, system_actor
from gatehouse.cloud.authz.permissions import Role
from gatehouse.cloud.changes.models import Touched
from gatehouse.cloud.imports.models import Effect, Job, Row
from gatehouse.cloud.imports.services import (
    UNDO_TIME,
    abandon_import,
    apply_import,
    mend_cell,
    seal_imports,
    undo_import,
    upload,
)
from gatehouse.cloud.imports.sheets import error_report, faulty_rows
from gatehouse.cloud.journal.models import Entry
from gatehouse.cloud.kit.errors import Conflict, Denied, Invalid, NotFound
from gatehouse.cloud.people.models import Credential, Holder, Person
from gatehouse.cloud.people.queries import code_of
from gatehouse.cloud.people.services import add_card, add_person, set_pin, set_valid_time
from gatehouse.cloud.premises.services import create_company, create_people_group
from gatehouse.cloud.tenants.services import add_member
from tests.cast import NOW, PASSWORD, Cast
from tests.cloud.imports.files import nobody_else, person, xlsx

LATER = NOW + timedelta(minutes=5)


def bring(cast: Cast, *rows: list[Any], data: bytes | None = None, **more: Any) -> Job:
    return upload(
        actor=cast.alice_actor,
        site=cast.here.site,
        format="office_people",
        file_name="people.xlsx",
        data=data or xlsx(rows),
        now=NOW,
        **more,
    )


def faults(job: Job) -> dict[int, list[tuple[str, str]]]:
    return {
        row.number: [(fault["column"], fault["code"]) for fault in row.faults]
        for row in job.rows.order_by("number")
        if row.faults
    }


def people(cast: Cast) -> set[str]:
    found = Person.objects.visible_to(cast.alice_actor).exclude(pk=cast.charlie.pk)
    return {f"{one.first_name} {one.last_name}" for one in found}


def _last_touched() -> int:
    return Touched.objects.order_by("-id").values_list("id", flat=True)[0]


class TestChecking:
    @pytest.mark.req(
        "OFF-IMP-06", "OFF-IMP-07", "OFF-IMP-08", "OFF-IMP-09", "OFF-IMP-10", "OFF-IMP-11", "OFF-IMP-13", "OFF-IMP-14",
        "OFF-IMP-16", "OFF-IMP-17",
    )  # fmt: skip
    def test_every_column_reaches_the_person(self, cast: Cast) -> None:
        job = apply_import(actor=cast.alice_actor, job=bring(cast, person()), now=LATER)
        assert (job.state, job.total, job.added, job.refused) == ("applied", 1, 1, 0)
        ada = Person.objects.visible_to(cast.alice_actor).get(staff_no="0042")
        assert (ada.company_id, ada.people_group_id) == (cast.here.company.pk, cast.here.people_group.pk)
        assert (ada.first_name, ada.last_name, ada.email) == ("Ada", "Lovelace", "ada@example.com")
        assert (ada.mobile, ada.intercom, ada.call_type) == ("+491701234567", True, 2)
        codes = Credential.objects.visible_to(cast.alice_actor).filter(holder=ada.holder, state="live")
        assert {(code.kind, code_of(cast.alice_actor, code)) for code in codes} == {
            ("pin", "0815"),
            ("card", "0x4A46F19"),
            ("card", "0x4A46F20"),
        }

    @pytest.mark.req("OFF-IMP-19")
    def test_blank_cells_have_their_defaults(self, cast: Cast) -> None:
        blank = {"ID": "", "Email": "", "Mobile_Number": "", "Telephone_Calling_Code": "", "RF_Card": "", "PIN": ""}
        row = person(**blank, SmartPlus_Intercom_Feature="", Call_Type="")
        apply_import(actor=cast.alice_actor, job=bring(cast, row), now=LATER)
        ada = Person.objects.visible_to(cast.alice_actor).get(first_name="Ada")
        assert (ada.intercom, ada.call_type, ada.in_directory, ada.guest_keys) == (False, 0, False, False)
        assert (ada.holder.valid_from_local, ada.holder.valid_until_local) == (None, None)
        assert not AccessGroupHolder.objects.visible_to(cast.alice_actor).filter(holder=ada.holder).exists()

    @pytest.mark.req("OFF-IMP-E02")
    def test_an_unknown_company_or_group_is_refused_and_so_is_another_company(self, cast: Cast) -> None:
        inside = system_actor(cast.here.site.id)
        other = create_company(actor=inside, site=cast.here.site, name="Harbour Law", now=NOW)
        create_people_group(actor=inside, company=other, name="Partners", now=NOW)
        rows = [
            nobody_else(1, Company="Nowhere"),
            nobody_else(2, Group="Partners"),
            nobody_else(3, Company="harbour law ", Group="PARTNERS"),
            nobody_else(4),
        ]
        assert faults(bring(cast, *rows)) == {2: [("company", "not_found")], 3: [("people_group", "not_found")]}
        assert faults(bring(cast, *rows, company=cast.here.company)) == {
            2: [("company", "not_found.company")],
            3: [("people_group", "not_found")],
            4: [("company", "not_found.company")],
        }

    @pytest.mark.req("OFF-IMP-E03")
    def test_every_row_of_a_double_is_reported_inside_the_file(self, cast: Cast) -> None:
        job = bring(
            cast,
            nobody_else(1, ID="A-7", RF_Card="04:A4:6F:19"),
            nobody_else(2, ID=" a-7", PIN="5555"),
            nobody_else(3, Email="X@example.com", PIN="5555"),
            nobody_else(4, Email="x@example.com", RF_Card="04a46f19"),
            nobody_else(5, RF_Card="0xAB; AB"),
        )
        assert faults(job) == {
            2: [("staff_no", "duplicate.file"), ("cards", "duplicate.file")],
            3: [("staff_no", "duplicate.file"), ("pin", "duplicate.file")],
            4: [("email", "duplicate.file"), ("pin", "duplicate.file")],
            5: [("email", "duplicate.file"), ("cards", "duplicate.file")],
            6: [("cards", "duplicate.file")],
        }

    @pytest.mark.req("OFF-IMP-E03", "OFF-IMP-E10")
    def test_what_the_site_has_already_is_refused_and_never_overwritten(self, cast: Cast) -> None:
        set_pin(actor=cast.alice_actor, holder=cast.charlie.holder, pin="4711", now=NOW)
        set_pin(actor=cast.alice_actor, holder=cast.charlie.holder, pin="4712", now=NOW)
        add_card(actor=cast.alice_actor, holder=cast.charlie.holder, card="04A46F19", now=NOW)
        job = bring(
            cast,
            nobody_else(1, ID="1001"),
            nobody_else(2, Email="Charlie@example.com"),
            nobody_else(3, PIN="4711"),
            nobody_else(4, RF_Card="04-A4-6F-19"),
            nobody_else(5),
            mode=Job.Mode.GOOD_ROWS,
        )
        assert faults(job) == {
            2: [("staff_no", "duplicate.taken")],
            3: [("email", "duplicate.taken")],
            4: [("pin", "duplicate.taken")],  # withdrawn, but a door may still know it
            5: [("cards", "duplicate.taken")],
        }
        apply_import(actor=cast.alice_actor, job=job, now=LATER)
        cast.charlie.refresh_from_db()
        assert cast.charlie.first_name == "Charlie"
        assert people(cast) == {"Person 5 Lovelace"}

    @pytest.mark.req("OFF-IMP-E04")
    def test_values_out_of_range_are_refused_and_a_call_type_without_intercom_is_ignored(self, cast: Cast) -> None:
        job = bring(
            cast,
            nobody_else(1, SmartPlus_Intercom_Feature="2"),
            nobody_else(2, Call_Type="6"),
            nobody_else(3, SmartPlus_Intercom_Feature="0", Call_Type="3"),
            mode=Job.Mode.GOOD_ROWS,
        )
        assert faults(job) == {
            2: [("intercom", "range"), ("call_type", "ignored")],
            3: [("call_type", "range")],
            4: [("call_type", "ignored")],
        }
        assert [row.verdict for row in job.rows.order_by("number")] == ["refused", "refused", "warned"]
        assert (job.added, job.warned, job.refused) == (1, 1, 2)
        apply_import(actor=cast.alice_actor, job=job, now=LATER)
        assert Person.objects.visible_to(cast.alice_actor).get(first_name="Person 3").call_type == 0

    @pytest.mark.req("OFF-IMP-E05")
    def test_a_number_that_a_spreadsheet_has_rewritten_is_refused(self, cast: Cast) -> None:
        job = bring(
            cast,
            nobody_else(1, PIN="1.2E3"),
            nobody_else(2, PIN="12.0"),
            nobody_else(3, PIN=12.5),
            nobody_else(4, PIN=4812),
            nobody_else(5, RF_Card=1.1e18),
            nobody_else(6, RF_Card="0xA1;;0xA2;"),
        )
        assert faults(job) == {
            2: [("pin", "format.damaged")],
            3: [("pin", "format.damaged")],
            4: [("pin", "format.damaged")],
            5: [("pin", "format.number")],
            6: [("cards", "format.damaged")],
        }
        assert job.rows.get(number=5).verdict == "warned"

    @pytest.mark.req("OFF-IMP-17")
    @pytest.mark.parametrize(("pin", "code"), [("1", "range"), ("123456789", "range"), ("12a4", "format")])
    def test_what_is_no_pin_is_refused(self, cast: Cast, pin: str, code: str) -> None:
        assert faults(bring(cast, person(PIN=pin))) == {2: [("pin", code)]}

    def test_what_a_person_needs_is_asked_for(self, cast: Cast) -> None:
        job = bring(
            cast,
            nobody_else(1, First_Name="", Last_Name="x" * 65, Company="", Group=""),
            nobody_else(2, Email=""),
            nobody_else(3, Email="nobody"),
            nobody_else(4, Mobile_Number="", Call_Type="1"),
            nobody_else(5, Mobile_Number="12-3", Telephone_Calling_Code="+49"),
        )
        assert faults(job) == {
            2: [
                ("company", "required"),
                ("people_group", "required"),
                ("first_name", "required"),
                ("last_name", "long"),
            ],
            3: [("email", "required")],
            4: [("email", "format")],
            5: [("mobile", "required")],
            6: [("mobile", "format"), ("calling_code", "format")],
        }

    @pytest.mark.req("OFF-IMP-18", "OFF-IMP-25", "OFF-IMP-E06")
    def test_access_groups_are_named_by_their_number(self, cast: Cast) -> None:
        inside = system_actor(cast.here.site.id)
        stranger = create_company(actor=inside, site=cast.here.site, name="No doors", now=NOW)
        create_people_group(actor=inside, company=stranger, name="All", now=NOW)
        night = create_access_group(
            actor=inside,
            site=cast.here.site,
            name="Night",
            windows=[{"kind": Window.Kind.DAILY}],
            relays=[cast.here.back],
            now=NOW,
        )
        both = f"{cast.here.access_group.number}; {night.number};"
        job = bring(
            cast,
            nobody_else(1, Access_Group_ID=both),
            nobody_else(2, Access_Group_ID="9999"),
            nobody_else(3, Access_Group_ID=str(night.number), Company="No doors", Group="All"),
            mode=Job.Mode.GOOD_ROWS,
        )
        assert faults(job) == {3: [("access_groups", "not_found")], 4: [("access_groups", "not_found.door")]}
        apply_import(actor=cast.alice_actor, job=job, now=LATER)
        first = Person.objects.visible_to(cast.alice_actor).get(first_name="Person 1")
        given = AccessGroup.objects.visible_to(cast.alice_actor).filter(holder_links__holder=first.holder)
        assert set(given.values_list("name", flat=True)) == {"Always", "Night"}

    def test_the_number_of_queries_does_not_depend_on_the_number_of_rows(self, cast: Cast) -> None:
        counts = []
        for size in (3, 300):
            with CaptureQueriesContext(
                connection,
            ) as seen:
                job = bring(cast, *(nobody_else(size * 1000 + n) for n in range(size)))
                apply_import(actor=cast.alice_actor, job=job, now=LATER)
            assert job.refused == 0
            counts.append(len(seen))
        assert counts[0] == counts[1] < 60

    def test_codes_do_not_rest_in_clear(self, cast: Cast) -> None:
        job = bring(cast, person(PIN="80818283"))
        mend_cell(actor=cast.alice_actor, job=job, number=2, column="pin", value="80818284", now=NOW)
        row = job.rows.get()
        assert b"8081828" not in bytes(row.raw) + bytes(row.mended or b"")


class TestWhoMay:
    def test_a_guard_may_not_and_a_stranger_finds_nothing(self, cast: Cast) -> None:
        job = bring(cast, person())
        with pytest.raises(Denied):
            apply_import(actor=cast.actor(cast.bob), job=job, now=LATER)
        mallory = cast.actor(cast.mallory, cast.elsewhere)
        with pytest.raises(NotFound):
            undo_import(actor=mallory, job=job, now=LATER)
        assert not Job.objects.visible_to(mallory).exists()
        with pytest.raises(NotFound):
            upload(
                actor=mallory,
                site=cast.here.site,
                format="office_people",
                file_name="f",
                data=xlsx([person()]),
                now=NOW,
            )

    def test_a_company_administrator_imports_into_his_company_only(self, cast: Cast) -> None:
        user = create_user(
            actor=system_actor(),
            realm=Realm.STAFF,
            login="dora",
            name="Dora",
            email="dora@example.com",
            password=PASSWORD,
            now=NOW,
        )
        inside = system_actor(cast.here.site.id)
        party = cast.here.company.party
        add_member(actor=inside, user=user, role=Role.COMPANY_ADMIN, site=cast.here.site, party=party, now=NOW)
        dora: Actor = cast.actor(user)
        theirs = bring(cast, person())
        with pytest.raises(NotFound):
            apply_import(actor=dora, job=theirs, now=LATER)
        with pytest.raises(NotFound):
            upload(
                actor=dora, site=cast.here.site, format="office_people", file_name="f", data=xlsx([person()]), now=NOW
            )
        assert not Job.objects.visible_to(dora).exists()
        job = upload(
            actor=dora,
            site=cast.here.site,
            company=cast.here.company,
            format="office_people",
            file_name="f",
            data=xlsx([person()]),
            now=NOW,
        )
        apply_import(actor=dora, job=job, now=LATER)
        assert list(Job.objects.visible_to(dora)) == [job]
        assert people(cast) == {"Ada Lovelace"}


class TestMending:
    @pytest.mark.req("OFF-IMP-21", "OFF-IMP-22")
    def test_one_faulty_row_stops_all_until_it_is_mended(self, cast: Cast) -> None:
        job = bring(cast, nobody_else(1, PIN="1"), nobody_else(2), nobody_else(3, Group="Lab"))
        with pytest.raises(Conflict) as refused:
            apply_import(actor=cast.alice_actor, job=job, now=LATER)
        assert (refused.value.code, refused.value.data) == ("import.faults", {"refused": 2})
        assert people(cast) == set()
        report = faulty_rows(actor=cast.alice_actor, job=job)
        assert report == [
            (2, "PIN", "", "This value is not among those allowed."),
            (4, "Group", "Lab", "There is nothing of this name here."),
        ]
        mend_cell(actor=cast.alice_actor, job=job, number=2, column="pin", value="1234", now=NOW)
        row = mend_cell(actor=cast.alice_actor, job=job, number=4, column="people_group", value="Laboratory", now=NOW)
        assert (row.verdict, row.faults) == ("added", [])
        done = apply_import(actor=cast.alice_actor, job=job, now=LATER)
        assert (done.added, done.refused) == (3, 0)
        assert people(cast) == {"Person 1 Lovelace", "Person 2 Lovelace", "Person 3 Lovelace"}

    def test_mending_one_of_two_doubles_clears_both(self, cast: Cast) -> None:
        job = bring(cast, nobody_else(1, ID="7"), nobody_else(2, ID="7"))
        assert set(faults(job)) == {2, 3}
        mend_cell(actor=cast.alice_actor, job=job, number=3, column="staff_no", value="8", now=NOW)
        assert faults(job) == {}
        job.refresh_from_db()
        assert (job.added, job.refused) == (2, 0)

    def test_what_is_not_there_cannot_be_mended(self, cast: Cast) -> None:
        job = bring(cast, person())
        for number, column in ((99, "pin"), (2, "shoe_size")):
            with pytest.raises(NotFound):
                mend_cell(actor=cast.alice_actor, job=job, number=number, column=column, value="1", now=NOW)
        with pytest.raises(Invalid):
            mend_cell(actor=cast.alice_actor, job=job, number=2, column="pin", value="1" * 2001, now=NOW)
        abandon_import(actor=cast.alice_actor, job=job, now=LATER)
        with pytest.raises(Conflict):
            mend_cell(actor=cast.alice_actor, job=job, number=2, column="pin", value="12", now=LATER)
        assert not Row.objects.visible_to(cast.alice_actor).exists()

    @pytest.mark.req("OFF-IMP-21")
    def test_the_report_can_be_opened_in_a_spreadsheet_program(self, cast: Cast) -> None:
        job = bring(cast, nobody_else(1, Group="=1+1", PIN="x"))
        lines = error_report(actor=cast.alice_actor, job=job).decode("utf-8-sig").splitlines()
        assert lines == [
            "2,Group,'=1+1,There is nothing of this name here.",
            "2,PIN,,This is not written as it must be.",
        ]
        hebrew = error_report(actor=cast.alice_actor, job=job, language="he").decode("utf-8-sig").splitlines()
        assert hebrew[0] == "2,קבוצה,'=1+1,אין כאן דבר בשם הזה."


class TestApplying:
    @pytest.mark.req("OFF-IMP-E09")
    def test_the_same_job_or_file_again_doubles_nothing(self, cast: Cast) -> None:
        data = xlsx([nobody_else(1), nobody_else(2)])
        job = bring(cast, data=data)
        once = apply_import(actor=cast.alice_actor, job=job, now=LATER)
        lines = Entry.objects.visible_to(cast.alice_actor).count()
        twice = apply_import(actor=cast.alice_actor, job=job, now=LATER + timedelta(minutes=1))
        assert (twice.undo_until, Entry.objects.visible_to(cast.alice_actor).count()) == (once.undo_until, lines)
        again = bring(cast, data=data, mode=Job.Mode.GOOD_ROWS)
        assert again.file_sha256 == job.file_sha256
        taken = [(column, "duplicate.taken") for column in ("staff_no", "email", "pin", "cards")]
        assert faults(again) == {2: taken, 3: taken}
        with pytest.raises(Conflict):
            apply_import(actor=cast.alice_actor, job=again, now=LATER)
        assert len(people(cast)) == 2

    def test_the_journal_has_a_line_for_the_import_and_one_for_each_person_and_no_code(self, cast: Cast) -> None:
        job = apply_import(actor=cast.alice_actor, job=bring(cast, nobody_else(1), nobody_else(2)), now=LATER)
        mine = Entry.objects.visible_to(cast.alice_actor).filter(at=LATER)
        line = mine.get(verb="import.applied")
        assert (line.object_id, line.object_label, line.actor_label) == (job.id, "people.xlsx", "Alice Moreau")
        assert line.data == {"format": "office_people", "rows": 2, "added": 2, "refused": 0}
        each = mine.filter(verb="person.added")
        assert {(entry.object_label, entry.data["import"]) for entry in each} == {
            (f"Person {n} Lovelace", str(job.id)) for n in (1, 2)
        }
        assert "100001" not in str([entry.data for entry in mine])

    def test_doors_hear_of_all_at_once(self, cast: Cast) -> None:
        before = _last_touched()
        apply_import(actor=cast.alice_actor, job=bring(cast, *map(nobody_else, range(5))), now=LATER)
        holders = Holder.objects.visible_to(cast.alice_actor).exclude(pk=cast.charlie.pk)
        touched = Touched.objects.filter(id__gt=before).values_list("kind", "key")
        assert sorted(touched) == sorted(("holder", id_) for id_ in holders.values_list("id", flat=True))

    def test_the_world_may_have_moved_since_the_check(self, cast: Cast) -> None:
        job = bring(cast, nobody_else(1, ID="77"), nobody_else(2))
        add_person(
            actor=cast.alice_actor,
            company=cast.here.company,
            people_group=cast.here.people_group,
            first_name="Quick",
            last_name="One",
            staff_no="77",
            now=NOW,
        )
        with pytest.raises(Conflict) as refused, transaction.atomic():
            apply_import(actor=cast.alice_actor, job=job, now=LATER)
        assert refused.value.code == "import.faults"
        assert people(cast) == {"Quick One"}


class TestUndo:
    def _applied(self, cast: Cast) -> Job:
        return apply_import(actor=cast.alice_actor, job=bring(cast, nobody_else(1), nobody_else(2)), now=NOW)

    @pytest.mark.req("GH-FEED-04")
    def test_undo_removes_exactly_what_was_made_and_keeps_its_codes_in_quarantine(self, cast: Cast) -> None:
        set_pin(actor=cast.alice_actor, holder=cast.charlie.holder, pin="4711", now=NOW)
        before = set(Holder.objects.visible_to(cast.alice_actor).values_list("id", flat=True))
        job = self._applied(cast)
        made = {effect.object_id for effect in Effect.objects.visible_to(cast.alice_actor)}
        last = _last_touched()
        undone = undo_import(actor=cast.alice_actor, job=job, now=LATER)
        assert undone.state == "undone"
        assert undo_import(actor=cast.alice_actor, job=job, now=LATER).state == "undone"
        assert set(Holder.objects.visible_to(cast.alice_actor).values_list("id", flat=True)) == before
        assert people(cast) == set()
        codes = Credential.objects.visible_to(cast.alice_actor)
        assert set(codes.filter(holder=None).values_list("state", flat=True)) == {"quarantined"}
        assert codes.get(holder=cast.charlie.holder).state == "live"
        assert set(Touched.objects.filter(id__gt=last).values_list("key", flat=True)) == made
        assert not Row.objects.visible_to(cast.alice_actor).exists()
        assert Entry.objects.visible_to(cast.alice_actor).filter(verb="import.undone", object_id=job.id).count() == 1
        assert faults(bring(cast, nobody_else(1))) == {2: [("pin", "duplicate.taken"), ("cards", "duplicate.taken")]}

    def test_undo_refuses_with_the_difference_when_somebody_changed_something(self, cast: Cast) -> None:
        job = self._applied(cast)
        holder = Holder.objects.visible_to(cast.alice_actor).get(label="Person 2 Lovelace")
        set_valid_time(
            actor=cast.alice_actor, holder=holder, valid_from=None, valid_until=NOW.replace(tzinfo=None), now=LATER
        )
        with pytest.raises(Conflict) as refused:
            undo_import(actor=cast.alice_actor, job=job, now=LATER)
        assert refused.value.code == "import.changed"
        assert refused.value.data["differences"] == [
            {"row": 3, "code": "changed", "words": "Changed since the import", "fields": ["holder__valid_until_local"]}
        ]
        assert len(people(cast)) == 2

    def test_a_new_pin_is_a_difference_too(self, cast: Cast) -> None:
        job = self._applied(cast)
        holder = Holder.objects.visible_to(cast.alice_actor).get(label="Person 1 Lovelace")
        set_pin(actor=cast.alice_actor, holder=holder, pin="987654", now=LATER)
        with pytest.raises(Conflict) as refused:
            undo_import(actor=cast.alice_actor, job=job, now=LATER)
        assert [found["fields"] for found in refused.value.data["differences"]] == [["codes"]]

    def test_undo_ends_after_fifteen_minutes_and_the_rows_go(self, cast: Cast, as_role: Any) -> None:
        job = self._applied(cast)
        assert job.may_undo(NOW + UNDO_TIME - timedelta(seconds=1))
        over = NOW + UNDO_TIME
        with pytest.raises(Conflict) as refused:
            undo_import(actor=cast.alice_actor, job=job, now=over)
        assert refused.value.code == "import.too_late"
        with as_role("system"):
            assert seal_imports(actor=system_actor(), now=over - timedelta(seconds=1)) == 0
            assert seal_imports(actor=system_actor(), now=over) == 1
        job.refresh_from_db()
        assert (job.state, job.added) == ("sealed", 2)
        assert not Row.objects.visible_to(cast.alice_actor).exists()
        assert len(people(cast)) == 2


def test_two_who_apply_at_once_make_everything_once(committed_cast: Cast) -> None:
    cast = committed_cast
    with transaction.atomic():
        enter(system_actor(cast.here.site.id))
        job = bring(cast, *map(nobody_else, range(20)))
        actor = cast.alice_actor
    gate, answers = threading.Barrier(2), []

    def apply() -> None:
        try:
            with transaction.atomic():
                enter(actor)
                gate.wait(timeout=20)
                answers.append(apply_import(actor=actor, job=job, now=LATER).state)
        except Conflict as refused:
            answers.append(refused.code)
        finally:
            connection.close()

    threads = [threading.Thread(target=apply) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert sorted(answers) in (["applied", "import.busy"], ["applied", "applied"])
    with transaction.atomic():
        enter(actor)
        assert len(people(cast)) == 20


def test_who_is_killed_while_applying_leaves_a_job_that_can_be_applied(committed_cast: Cast) -> None:
    cast = committed_cast
    with transaction.atomic():
        enter(system_actor(cast.here.site.id))
        job, actor = bring(cast, nobody_else(1), nobody_else(2)), cast.alice_actor
    with transaction.atomic():
        enter(actor)
        apply_import(actor=actor, job=job, now=LATER)
        transaction.set_rollback(True)
    with transaction.atomic():
        enter(actor)
        job.refresh_from_db()
        assert (job.state, people(cast)) == ("checked", set())
        apply_import(actor=actor, job=job, now=LATER)
        assert len(people(cast)) == 2
