"""MACs from a file: a distributor's books and a site's library."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from gatehouse.cloud.accounts.models import Realm
from gatehouse.cloud.accounts.services import create_user
from gatehouse.cloud.authz.actor import Actor, enter, system_actor
from gatehouse.cloud.authz.permissions import Role
from gatehouse.cloud.devices.models import Device, Hardware
from gatehouse.cloud.devices.services import add_device, register_all, register_hardware, taken_macs
from gatehouse.cloud.imports.models import Job
from gatehouse.cloud.imports.services import apply_import, mend_cell, undo_import, upload
from gatehouse.cloud.imports.sheets import faulty_rows
from gatehouse.cloud.kit.errors import Conflict, Denied, Invalid, NotFound
from gatehouse.cloud.tenants.queries import actor_in_organisation
from gatehouse.cloud.tenants.services import add_member
from tests.cast import NOW, PASSWORD, Cast
from tests.cloud.imports.files import MACS, xlsx

LATER = NOW + timedelta(minutes=5)


@pytest.fixture
def dieter(cast: Cast) -> Actor:
    """He works for the distributor; the transaction has entered what he may see."""
    user = create_user(
        actor=system_actor(),
        realm=Realm.STAFF,
        login="dieter",
        name="Dieter",
        email="dieter@example.com",
        password=PASSWORD,
        now=NOW,
    )
    add_member(actor=system_actor(), user=user, role=Role.DISTRIBUTOR, organisation=cast.distributor, now=NOW)
    actor = actor_in_organisation(user, cast.distributor.id, via="portal")
    enter(actor)
    return actor


@pytest.fixture
def ivan(cast: Cast) -> Actor:
    """The installer at Alice's site, whose firm has been allotted two boxes; another firm has one."""
    actor = cast.actor(cast.ivan)
    system = system_actor(cast.here.site.id)
    for mac in ("0C11050893CA", "0C11050893CB"):
        register_hardware(actor=system, mac=mac, distributor=cast.distributor, installer=cast.installer, now=NOW)
    other = cast.elsewhere.site.organisation
    register_hardware(actor=system, mac="0C11050893CF", distributor=cast.distributor, installer=other, now=NOW)
    return actor


def bring(actor: Actor, *macs: Any, **more: Any) -> Job:
    data = more.pop("data", None) or xlsx([[mac] for mac in macs], headings=MACS)
    return upload(actor=actor, format="macs", file_name="macs.xlsx", data=data, now=NOW, **more)


def faults(job: Job) -> dict[int, str]:
    return {row.number: row.faults[0]["code"] for row in job.rows.order_by("number") if row.faults}


class TestBooks:
    @pytest.mark.req("GH-DIST-04", "COM-MAC-09", "COM-MAC-E1")
    def test_good_rows_are_kept_in_one_notation_and_refused_ones_are_reported_by_line(
        self, cast: Cast, dieter: Actor
    ) -> None:
        job = bring(
            dieter,
            "0c:11:05:08:93:ca",
            "0C-11-05-08-93-CB",
            "0c11.0508.93cc",
            "0C 11 05 08 93 CD",
            "000000000000",
            "FFFFFFFFFFFF",
            "010000000001",
            "0C11050893C",
            "0C11050893CAA",
            "OC11050893CE",
            "0C1105000001",
            organisation=cast.distributor,
        )
        assert job.mode == "good_rows"
        assert faults(job) == {**dict.fromkeys(range(6, 12), "format"), 12: "not_found.mac"}
        done = apply_import(actor=dieter, job=job, now=LATER)
        assert (done.total, done.added, done.refused) == (11, 4, 7)
        found = Hardware.objects.filter(distributor=cast.distributor, site=None)
        assert set(found.values_list("mac", flat=True)) == {f"0C11050893C{end}" for end in "ABCD"}
        assert [number for number, *_rest in faulty_rows(actor=dieter, job=job)] == [6, 7, 8, 9, 10, 11, 12]

    @pytest.mark.req("COM-MAC-E3")
    def test_damage_and_several_in_one_cell_are_refused_by_row(self, cast: Cast, dieter: Actor) -> None:
        job = bring(
            dieter,
            "1.1E+12",
            1.1e15,
            "0C11050893CA;0C11050893CB",
            "0C11050893CA\n0C11050893CB",
            220508089300,
            "0C11050893CC",
            organisation=cast.distributor,
        )
        assert faults(job) == {2: "format.damaged", 3: "format.damaged", 4: "format", 5: "format"}
        apply_import(actor=dieter, job=job, now=LATER)
        assert taken_macs(["0C11050893CC", "220508089300", "0C11050893CA"]) == {"0C11050893CC", "220508089300"}

    def test_a_file_without_its_heading_is_refused(self, cast: Cast, dieter: Actor) -> None:
        with pytest.raises(Invalid) as refused:
            bring(dieter, data=b"0C11050893CA\n0C11050893CB\n", organisation=cast.distributor)
        assert refused.value.code == "file.headings"

    @pytest.mark.req("COM-MAC-E2")
    def test_doubles_in_the_file_and_in_the_books_are_refused_by_row(self, cast: Cast, dieter: Actor) -> None:
        register_all(actor=dieter, macs=["0C11050893CA"], distributor=cast.distributor, now=NOW)
        job = bring(
            dieter, "0C11050893CA", "0C11050893CB", "0c-11-05-08-93-cb", "0C11050893CC", organisation=cast.distributor
        )
        assert faults(job) == {2: "duplicate.taken", 3: "duplicate.file", 4: "duplicate.file"}
        mend_cell(actor=dieter, job=job, number=4, column="mac", value="0C11050893CD", now=NOW)
        assert apply_import(actor=dieter, job=job, now=LATER).added == 3

    @pytest.mark.req("COM-MAC-E5")
    def test_whose_a_foreign_box_is_is_not_said(self, cast: Cast, dieter: Actor, ivan: Actor) -> None:
        enter(ivan)
        job = bring(ivan, "0C11050893CF", "0C1105000002", "0C1105FFFFFF", site=cast.here.site)
        said = {words for _number, _heading, _cell, words in faulty_rows(actor=ivan, job=job)}
        assert said == {"This MAC cannot be added here."}

    def test_asking_what_is_taken_leaves_nothing_behind(self, cast: Cast, dieter: Actor) -> None:
        assert taken_macs(["0C1105000001", "0C11050893CA"]) == {"0C1105000001"}
        assert taken_macs(["0C11050893CA"]) == set()

    def test_undo_strikes_the_boxes_unless_one_was_allotted(self, cast: Cast, dieter: Actor) -> None:
        job = apply_import(
            actor=dieter, job=bring(dieter, "0C11050893CA", "0C11050893CB", organisation=cast.distributor), now=NOW
        )
        Hardware.objects.filter(mac="0C11050893CB").update(installer=cast.installer)
        with pytest.raises(Conflict) as refused:
            undo_import(actor=dieter, job=job, now=LATER)
        assert refused.value.data["differences"][0]["fields"] == ["installer"]
        Hardware.objects.filter(mac="0C11050893CB").update(installer=None)
        assert undo_import(actor=dieter, job=job, now=LATER).state == "undone"
        assert taken_macs(["0C11050893CA", "0C11050893CB"]) == set()

    def test_only_the_distributor_writes_his_books(self, cast: Cast, dieter: Actor) -> None:
        for actor in (cast.alice_actor, cast.actor(cast.ivan)):
            with pytest.raises(Denied):
                bring(actor, "0C11050893CA", organisation=cast.distributor)
            with pytest.raises(Denied):
                register_all(actor=cast.alice_actor, macs=["0C11050893CA"], distributor=cast.distributor, now=NOW)
        job = bring(dieter, "0C11050893CA", organisation=cast.distributor)
        assert list(Job.objects.visible_to(dieter)) == [job]
        assert not Job.objects.visible_to(cast.alice_actor).exists()


class TestLibrary:
    @pytest.mark.req("COM-MAC-02", "COM-MAC-08", "COM-MAC-E2")
    def test_only_boxes_that_the_distributor_registered_for_the_installer_enter(self, cast: Cast, ivan: Actor) -> None:
        job = bring(
            ivan, "0C11050893CA", "0C11050893CB", "0C11050893CF", "0C110508FFFF", "0C1105000001", site=cast.here.site
        )
        assert faults(job) == {4: "not_found.mac", 5: "not_found.mac", 6: "duplicate.taken"}
        assert apply_import(actor=ivan, job=job, now=LATER).added == 2
        library = Hardware.objects.filter(site=cast.here.site).values_list("mac", flat=True)
        assert set(library) == {"0C1105000001", "0C11050893CA", "0C11050893CB"}

    def test_undo_gives_the_boxes_back_unless_one_fills_a_device(self, cast: Cast, ivan: Actor) -> None:
        job = apply_import(actor=ivan, job=bring(ivan, "0C11050893CA", "0C11050893CB", site=cast.here.site), now=NOW)
        add_device(
            actor=ivan,
            site=cast.here.site,
            name="Yard",
            type=Device.Type.MULTI_TENANT_DOOR_PHONE,
            mac="0C11050893CB",
            now=NOW,
        )
        with pytest.raises(Conflict) as refused:
            undo_import(actor=ivan, job=job, now=LATER)
        assert [(found["row"], found["code"]) for found in refused.value.data["differences"]] == [(3, "bound")]
        assert Hardware.objects.get(mac="0C11050893CA").site_id == cast.here.site.id

    def test_undo_leaves_what_was_there_before(self, cast: Cast, ivan: Actor) -> None:
        job = apply_import(actor=ivan, job=bring(ivan, "0C11050893CA", site=cast.here.site), now=NOW)
        undo_import(actor=ivan, job=job, now=LATER)
        assert list(Hardware.objects.filter(site=cast.here.site).values_list("mac", flat=True)) == ["0C1105000001"]
        box = Hardware.objects.get(mac="0C11050893CA")
        assert (box.installer_id, box.site_id) == (cast.installer.id, None)

    def test_who_may_not_add_devices_may_not_import_them(self, cast: Cast, ivan: Actor) -> None:
        with pytest.raises(Denied):
            bring(cast.alice_actor, "0C11050893CA", site=cast.here.site)
        with pytest.raises(NotFound):
            bring(ivan, "0C11050893CA", site=cast.elsewhere.site)
