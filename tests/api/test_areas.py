"""What the endpoints do, area by area: as a program uses them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.db import transaction

from gatehouse.cloud.accounts.models import Realm
from gatehouse.cloud.accounts.services import create_user
from gatehouse.cloud.authz.actor import enter, system_actor
from gatehouse.cloud.authz.permissions import Role
from gatehouse.cloud.journal.models import Entry
from gatehouse.cloud.people.models import Credential
from gatehouse.cloud.premises.services import create_company, create_people_group
from gatehouse.cloud.tenants.services import add_member
from tests.api.conftest import Program
from tests.cast import NOW, PASSWORD, Cast
from tests.portal.conftest import bring_up, compiled, confirm, happen

Programs = Callable[..., Program]


def test_a_person_is_added_given_codes_and_a_door_and_loses_a_card(committed_cast: Cast, alice: Program) -> None:
    place = committed_cast.here
    body = {
        "people_group": str(place.people_group.id),
        "first_name": "Nina",
        "last_name": "Воскресенская",
        "valid_until": "2027-01-01T00:00:00",
    }
    made = alice.at("POST", "/people", body)
    assert made.status_code == 201
    person = made.json()["id"]
    read = alice.call("GET", made["Location"].removeprefix("/api/v1"))
    assert read.json() == made.json() and read.json()["valid_until"] == "2027-01-01T00:00:00"

    assert alice.at("PUT", f"/people/{person}/pin", {"pin": "271828"}).json()["state"] == "live"
    card = alice.at("POST", f"/people/{person}/cards", {"card": "0x00BADA55"})
    assert card.status_code == 201
    codes = alice.at("GET", f"/people/{person}/credentials")
    assert {code["kind"] for code in codes.json()["items"]} == {"pin", "card"}
    assert b"271828" not in codes.content and b"BADA55" not in codes.content
    gone = alice.at("DELETE", f"/people/{person}/credentials/{card.json()['id']}")
    assert gone.json()["state"] == "quarantined"

    group = f"/access-groups/{place.access_group.id}"
    assert alice.at("PUT", f"{group}/people/{person}").status_code == 200
    assert alice.at("DELETE", f"{group}/people/{person}").status_code == 200
    with transaction.atomic():
        enter(system_actor(place.site.id))
        lines = Entry.objects.filter(site_id=place.site.id, via="api").order_by("id")
        assert [line.verb for line in lines] == [
            "person.added",
            "credential.added",
            "credential.added",
            "credential.withdrawn",
            "access_group.given",
            "access_group.taken",
        ]
        assert {line.actor_label for line in lines} == {"Alice Moreau (Test)"}
        assert set(Credential.objects.values_list("source", flat=True)) == {"api"}


def test_a_withdrawn_pin_is_not_given_out_again_here_either(committed_cast: Cast, alice: Program) -> None:
    charlie = f"/people/{committed_cast.charlie.pk}"
    alice.at("PUT", f"{charlie}/pin", {"pin": "4711"})
    alice.at("PUT", f"{charlie}/pin", {"pin": "4712"})
    taken = alice.at("PUT", f"{charlie}/pin", {"pin": "4711"})
    assert (taken.status_code, taken.json()["code"]) == (409, "credential.taken")
    for pin in ("1", "123456789", "12a4", ""):
        assert alice.at("PUT", f"{charlie}/pin", {"pin": pin}).status_code == 422


def test_an_access_group_is_made_changed_and_given(committed_cast: Cast, alice: Program) -> None:
    place = committed_cast.here
    body: dict[str, Any] = {
        "name": "Office hours",
        "windows": [{"kind": "weekly", "days": 31, "start_min": 420, "length_min": 720}],
        "relays": [str(place.front.id), str(place.back.id), str(place.front.id)],
    }
    made = alice.at("POST", "/access-groups", body)
    assert made.status_code == 201
    assert made.json()["relays"] == sorted([str(place.front.id), str(place.back.id)])
    path = f"/access-groups/{made.json()['id']}"
    given = alice.at("PUT", f"{path}/people-groups/{place.people_group.id}")
    assert given.json()["people_groups"] == [str(place.people_group.id)]
    taken = alice.at("DELETE", f"{path}/people-groups/{place.people_group.id}")
    assert taken.json()["people_groups"] == []
    once = {"kind": "once", "from_local": "2026-12-24T18:00:00", "until_local": "2026-12-24T23:00:00"}
    changed = alice.at("PUT", f"{path}/windows", {"windows": [once]}, If_Match=made["ETag"])
    assert [window["kind"] for window in changed.json()["windows"]] == ["once"]
    doors = alice.at("PUT", f"{path}/relays", {"relays": [str(place.back.id)]}, If_Match=changed["ETag"])
    assert doors.json()["relays"] == [str(place.back.id)]
    assert alice.at("POST", "/access-groups", body).json()["code"] == "access_group.taken"
    for window in ({"kind": "once"}, once | {"until_local": once["from_local"]}, {"kind": "weekly", "days": 0}):
        assert alice.at("POST", "/access-groups", body | {"name": "X", "windows": [window]}).status_code == 422


def test_opening_a_door_gives_a_command_to_follow(committed_cast: Cast, alice: Program, program: Programs) -> None:
    path = f"/relays/{committed_cast.here.front.id}/open"
    offline = alice.at("POST", path)
    assert (offline.status_code, offline.json()["code"]) == (503, "device.offline")
    bring_up(committed_cast.here)
    opened = alice.at("POST", path)
    assert opened.status_code == 202
    where = opened["Location"].removeprefix("/api/v1")
    assert alice.call("GET", where).json()["state"] == "queued"
    assert program(committed_cast.bob).call("GET", where).status_code == 404


def test_logs_receipts_devices_and_gateways_are_read(committed_cast: Cast, alice: Program, program: Programs) -> None:
    place = committed_cast.here
    bring_up(place)
    person = str(committed_cast.charlie.pk)
    happen(place, {"holder": person}, {"allowed": False, "reason": "unknown"})
    log = alice.at("GET", "/door-log").json()["items"]
    assert [row["allowed"] for row in log] == [False, True]
    assert log[1]["name"] == str(committed_cast.charlie)
    assert len(alice.at("GET", "/door-log?allowed=false").json()["items"]) == 1
    assert len(alice.at("GET", f"/door-log?person={person}").json()["items"]) == 1
    assert alice.at("GET", "/door-log?since=2099-01-01T00:00:00Z").json()["items"] == []
    assert alice.at("GET", "/door-log?since=2026-01-01T00:00:00").status_code == 422
    for never in ("0001-01-01T00:00:00%2B20:00", "9999-12-31T23:59:00-20:00"):
        assert alice.at("GET", f"/door-log?since={never}").status_code == 422

    compiled(place)
    receipt = alice.at("GET", f"/people/{person}/receipt").json()
    assert [(line["name"], line["state"]) for line in receipt["devices"]] == [(place.device.name, "pending")]
    confirm(place)
    assert alice.at("GET", f"/people/{person}/receipt").json()["complete"]

    (device,) = alice.at("GET", "/devices").json()["items"]
    assert device["online"] and device["gateway"] == str(place.gateway.id)
    assert len(alice.at("GET", f"/relays?device={device['id']}").json()["items"]) == 2
    (gateway,) = alice.at("GET", "/gateways").json()["items"]
    assert gateway["online"] and gateway["claimed"]
    assert alice.at("POST", f"/gateways/{gateway['id']}/claim-code").status_code == 403
    issued = program(committed_cast.ivan).at("POST", f"/gateways/{gateway['id']}/claim-code")
    assert issued.status_code == 201 and len(issued.json()["code"]) == 20


def test_companies_and_groups_of_people_are_read(committed_cast: Cast, alice: Program) -> None:
    place = committed_cast.here
    (company,) = alice.at("GET", "/companies").json()["items"]
    assert company == {"id": str(place.company.pk), "name": place.company.name}
    groups = alice.at("GET", f"/people-groups?company={company['id']}").json()["items"]
    assert [group["id"] for group in groups] == [str(place.people_group.id)]
    assert [person["id"] for person in alice.at("GET", "/people?q=charl").json()["items"]] == [
        str(committed_cast.charlie.pk)
    ]
    assert alice.at("GET", f"/people?people_group={company['id']}").json()["items"] == []


@pytest.mark.req("GH-API-E2")
def test_a_companys_administrator_reaches_his_company_only(committed_cast: Cast, program: Programs) -> None:
    place = committed_cast.here
    with transaction.atomic():
        inside = system_actor(place.site.id)
        enter(inside)
        other = create_company(actor=inside, site=place.site, name="Нева Консалтинг", now=NOW)
        group = create_people_group(actor=inside, company=other, name="Team", now=NOW)
        olga = create_user(actor=inside, realm=Realm.STAFF, login="olga", name="Olga", password=PASSWORD, now=NOW)
        add_member(actor=inside, user=olga, role=Role.COMPANY_ADMIN, site=place.site, party=other.party, now=NOW)
    hers = program(olga)
    assert hers.at("GET", "/people").json()["items"] == []
    assert [row["id"] for row in hers.at("GET", "/people-groups").json()["items"]] == [str(group.id)]
    charlie = f"/people/{committed_cast.charlie.pk}"
    assert hers.at("GET", charlie).status_code == 404
    assert hers.at("PUT", f"{charlie}/pin", {"pin": "4711"}).status_code == 404
    body = {"people_group": str(place.people_group.id), "first_name": "A", "last_name": "B"}
    assert hers.at("POST", "/people", body).status_code == 404
    assert hers.at("POST", "/people", body | {"people_group": str(group.id)}).status_code == 201
    assert hers.at("GET", "/relays").json()["items"] == []
    assert hers.at("POST", f"/relays/{place.front.id}/open").status_code == 404
    assert hers.at("GET", f"/access-groups/{place.access_group.id}").status_code == 404
    assert hers.at("PUT", f"/access-groups/{place.access_group.id}/people-groups/{group.id}").status_code == 404
    window = {"name": "X", "windows": [{"kind": "daily"}], "relays": [str(place.front.id)]}
    assert hers.at("POST", "/access-groups", window).status_code == 403
