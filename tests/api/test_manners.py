"""What every endpoint does alike."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection, transaction

from gatehouse.cloud.api import manners
from gatehouse.cloud.authz.actor import enter, system_actor
from gatehouse.cloud.devices.models import Command
from gatehouse.cloud.kit import clock
from gatehouse.cloud.people.models import Holder, Person
from gatehouse.cloud.tenants.models import ApiAnswer
from tests.api.conftest import Program
from tests.cast import Cast
from tests.portal.conftest import bring_up, happen

Programs = Callable[..., Program]


@pytest.fixture
def nina(committed_cast: Cast) -> dict[str, Any]:
    """Somebody to add."""
    return {"people_group": str(committed_cast.here.people_group.id), "first_name": "Nina", "last_name": "Berg"}


def people(cast: Cast) -> int:
    with transaction.atomic():
        enter(system_actor(cast.here.site.id))
        return Person.objects.filter(site=cast.here.site).count()


# ---------------------------------------------------------------- problems


@pytest.mark.req("GH-API-04")
def test_a_refusal_is_a_problem_document_with_code_pointers_and_request_id(
    alice: Program, nina: dict[str, Any]
) -> None:
    response = alice.at("POST", "/people", nina | {"first_name": "", "shoe": 44, "email": "none"})
    assert (response.status_code, response["Content-Type"]) == (422, "application/problem+json")
    told = response.json()
    assert told["code"] == "request.invalid" and told["status"] == 422
    assert told["request_id"] == response["X-Request-ID"]
    assert {fault["pointer"] for fault in told["errors"]} == {"/first_name", "/shoe", "/email"}


@pytest.mark.req("GH-API-04")
def test_a_service_is_heard_with_its_own_code_and_the_field(alice: Program, nina: dict[str, Any]) -> None:
    assert alice.at("POST", "/people", nina | {"staff_no": "7"}).status_code == 201
    taken = alice.at("POST", "/people", nina | {"staff_no": "7"})
    assert (taken.status_code, taken.json()["code"]) == (409, "person.taken")
    assert taken.json()["errors"][0]["pointer"] == "/staff_no"


@pytest.mark.req("GH-API-04")
def test_words_are_in_the_language_that_was_asked_for_and_codes_are_not(alice: Program) -> None:
    english = alice.at("GET", "/people/" + str(uuid4())).json()
    hebrew = alice.at("GET", "/people/" + str(uuid4()), Accept_Language="he").json()
    assert english["code"] == hebrew["code"] == "not_found"
    assert english["detail"] != hebrew["detail"]


@pytest.mark.req("GH-API-E1")
@pytest.mark.parametrize(
    ("body", "status"),
    [
        ("{", 400),
        ("", 422),
        ("null", 400),
        ("[]", 400),
        ('{"pin": NaN}', 400),
        ('{"pin": "1", "pin": "2"}', 400),
        ('{"pin": "12\\u00003"}', 400),
        ('{"pin": "\\ud800"}', 400),
        (b'{"pin": "\xff\xfe"}', 400),
        ('{"a\\u0000": 1}', 400),
        ('{"pin": ' + "[" * 100 + "]" * 100 + "}", 400),
        ("[" * 100_000, 400),
        ('{"pin": 1' + "0" * 5000 + "}", 400),
        ('{"pin": "' + "1" * 10_000_000 + '"}', 413),
        ('{"pin": 1234}', 422),
        ('{"pin": null}', 422),
        ('{"pin": {"$ne": 1}}', 422),
        ('{"pin": "1234", "more": 1}', 422),
        ("{}", 422),
    ],
    ids=range(19),
)
def test_a_body_that_is_none_is_refused(committed_cast: Cast, alice: Program, body: str | bytes, status: int) -> None:
    response = alice.at("PUT", f"/people/{committed_cast.charlie.pk}/pin", body)
    assert (response.status_code, response["Content-Type"]) == (status, "application/problem+json")


@pytest.mark.req("GH-API-E1")
def test_the_place_of_a_fault_is_told(committed_cast: Cast, alice: Program) -> None:
    nul = alice.at("POST", "/access-groups", '{"name": "x", "windows": [{"kind": "\\u0000"}]}')
    assert nul.json()["errors"][0]["pointer"] == "/windows/0/kind"
    wrong = alice.at("POST", "/access-groups", {"name": "x", "windows": [{"kind": "hourly"}], "relays": ["x"]})
    assert {fault["pointer"] for fault in wrong.json()["errors"]} == {"/windows/0/kind", "/relays/0"}


@pytest.mark.parametrize("query", ["shoe=44", "limit=0", "limit=201", "limit=x", "cursor=%00", "cursor=x", "cursor=é"])
def test_a_parameter_that_does_not_fit_is_refused(alice: Program, query: str) -> None:
    response = alice.at("GET", f"/people?{query}")
    assert response.status_code in (400, 422)
    assert response.json()["errors"][0]["parameter"] == query.partition("=")[0]


def test_an_address_or_method_that_is_none_is_told_so_as_a_problem(alice: Program) -> None:
    for path, status in (("/none", 404), ("/sites/7", 404), ("/sites/", 404)):
        response = alice.call("GET", path)
        assert (response.status_code, response["Content-Type"]) == (status, "application/problem+json")
    response = alice.at("DELETE", "/people")
    assert (response.status_code, response.json()["code"]) == (405, "method.not_allowed")
    assert "POST" in response["Allow"]


def test_our_own_fault_says_nothing_of_itself(alice: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("the secret is 4711")

    monkeypatch.setattr(manners, "_no_strange_parameters", broken)
    response = alice.at("GET", "")
    assert (response.status_code, response.json()["code"]) == (500, "broken")
    assert "4711" not in response.content.decode()


# ---------------------------------------------------------------- reach


@pytest.mark.req("GH-API-E2")
def test_a_token_for_one_site_finds_nothing_under_another(committed_cast: Cast, alice: Program) -> None:
    theirs = committed_cast.elsewhere
    assert alice.call("GET", f"/sites/{theirs.site.id}").status_code == 404
    assert alice.call("GET", f"/sites/{theirs.site.id}/people").status_code == 404
    assert [site["id"] for site in alice.call("GET", "/sites").json()["items"]] == [str(alice.site)]


@pytest.mark.req("GH-API-E2")
def test_a_foreign_id_is_not_found_in_the_path_nor_in_a_body(
    committed_cast: Cast, alice: Program, nina: dict[str, Any]
) -> None:
    theirs = committed_cast.elsewhere
    bring_up(theirs)
    assert alice.at("GET", f"/devices/{theirs.device.id}").status_code == 404
    assert alice.at("POST", f"/relays/{theirs.front.id}/open").status_code == 404
    assert alice.at("POST", "/people", nina | {"people_group": str(theirs.people_group.id)}).status_code == 404
    group = {"name": "X", "windows": [{"kind": "daily"}], "relays": [str(theirs.front.id)]}
    assert alice.at("POST", "/access-groups", group).status_code == 404
    here = committed_cast.here.access_group.id
    assert alice.at("PUT", f"/access-groups/{here}/people-groups/{theirs.people_group.id}").status_code == 404


# ---------------------------------------------------------------- idempotency


@pytest.mark.req("GH-API-05")
def test_the_same_call_with_the_same_key_is_done_once(
    committed_cast: Cast, alice: Program, nina: dict[str, Any]
) -> None:
    before = people(committed_cast)
    first = alice.at("POST", "/people", nina, Idempotency_Key="k1")
    again = alice.at("POST", "/people", nina, Idempotency_Key="k1")
    assert (first.status_code, again.status_code) == (201, 201)
    assert again.content == first.content
    assert (again["Location"], again["ETag"]) == (first["Location"], first["ETag"])
    assert again["Idempotency-Replayed"] == "true" and "Idempotency-Replayed" not in first
    assert people(committed_cast) == before + 1


@pytest.mark.req("GH-API-05")
def test_another_body_with_the_same_key_is_refused(alice: Program, nina: dict[str, Any]) -> None:
    assert alice.at("POST", "/people", nina, Idempotency_Key="k1").status_code == 201
    other = alice.at("POST", "/people", nina | {"last_name": "Tal"}, Idempotency_Key="k1")
    assert (other.status_code, other.json()["code"]) == (422, "idempotency.reused")


@pytest.mark.req("GH-API-05")
def test_a_refusal_is_the_first_answer_too(alice: Program, nina: dict[str, Any]) -> None:
    alice.at("POST", "/people", nina | {"staff_no": "7"})
    first = alice.at("POST", "/people", nina | {"staff_no": "7"}, Idempotency_Key="k2")
    again = alice.at("POST", "/people", nina | {"staff_no": "7"}, Idempotency_Key="k2")
    assert first.status_code == 409 and again.content == first.content


@pytest.mark.req("GH-API-05")
def test_a_door_that_could_not_be_reached_may_be_tried_again_with_the_same_key(
    committed_cast: Cast, alice: Program
) -> None:
    path = f"/relays/{committed_cast.here.front.id}/open"
    assert alice.at("POST", path, Idempotency_Key="k3").status_code == 503
    bring_up(committed_cast.here)
    assert alice.at("POST", path, Idempotency_Key="k3").status_code == 202
    again = alice.at("POST", path, Idempotency_Key="k3")
    assert again.status_code == 202 and again["Idempotency-Replayed"] == "true"
    with transaction.atomic():
        enter(system_actor(alice.site))
        assert Command.objects.filter(site_id=alice.site).count() == 1


@pytest.mark.req("GH-API-05")
def test_calls_at_the_same_moment_with_the_same_key_are_one(
    committed_cast: Cast, alice: Program, nina: dict[str, Any]
) -> None:
    before = people(committed_cast)
    answers: list[Any] = []
    start = threading.Barrier(4)

    def run() -> None:
        start.wait(10)
        try:
            answers.append(alice.at("POST", "/people", nina, Idempotency_Key="k4"))
        finally:
            connection.close()

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert [answer.status_code for answer in answers] == [201] * 4
    assert len({answer.content for answer in answers}) == 1
    assert people(committed_cast) == before + 1


@pytest.mark.req("GH-API-05")
def test_a_key_is_forgotten_after_a_day(committed_cast: Cast, alice: Program, nina: dict[str, Any]) -> None:
    from datetime import timedelta

    from django.db.models import F

    before = people(committed_cast)
    alice.at("POST", "/people", nina, Idempotency_Key="k5")
    with transaction.atomic():
        enter(system_actor(alice.site))
        assert b"Nina" not in bytes(ApiAnswer.objects.get().body or b"")  # sealed
        ApiAnswer.objects.update(made_at=F("made_at") - timedelta(hours=24, seconds=1))
    alice.at("POST", "/people", nina, Idempotency_Key="k5")
    assert people(committed_cast) == before + 2


def test_a_key_belongs_to_one_token(committed_cast: Cast, program: Programs, nina: dict[str, Any]) -> None:
    before = people(committed_cast)
    for user in (committed_cast.alice, committed_cast.ivan):
        assert program(user).at("POST", "/people", nina, Idempotency_Key="k6").status_code == 201
    assert people(committed_cast) == before + 2


@pytest.mark.parametrize("key", ["", "with blank", "x" * 201])
def test_a_key_that_is_none_is_refused(alice: Program, nina: dict[str, Any], key: str) -> None:
    assert alice.at("POST", "/people", nina, Idempotency_Key=key).json()["code"] == "idempotency.key"


# ---------------------------------------------------------------- lists


def walk(program: Program, path: str, limit: int, meanwhile: Callable[[], object] = lambda: None) -> list[str]:
    found: list[str] = []
    cursor = ""
    while True:
        page = program.at("GET", f"{path}?limit={limit}&cursor={cursor}").json()
        assert len(page["items"]) <= limit
        found += [row["id"] for row in page["items"]]
        if page["next"] is None:
            return found
        cursor = page["next"]
        meanwhile()


@pytest.mark.req("GH-API-06")
def test_a_list_neither_skips_nor_repeats_while_people_are_added(
    committed_cast: Cast, alice: Program, nina: dict[str, Any]
) -> None:
    for number in range(5):
        alice.at("POST", "/people", nina | {"staff_no": str(number)})
    there = walk(alice, "/people", 200)
    left = iter(range(3))

    def add() -> None:
        if next(left, None) is not None:
            assert alice.at("POST", "/people", nina | {"first_name": "Aaron"}).status_code == 201

    seen = walk(alice, "/people", 2, add)
    assert len(seen) == len(set(seen))
    assert [id_ for id_ in seen if id_ in there] == there
    assert len(seen) == len(there) + 3


@pytest.mark.req("GH-API-06")
def test_a_log_neither_skips_nor_repeats_while_doors_open(committed_cast: Cast, alice: Program) -> None:
    place = committed_cast.here
    there = [str(id_) for id_ in happen(place, *({} for _ in range(5)))]
    seen = walk(alice, "/door-log", 2, lambda: happen(place, {}, start=clock.now()))
    assert seen == there[::-1]
    journal = walk(alice, "/journal", 3)
    assert len(journal) == len(set(journal)) > 3


# ---------------------------------------------------------------- versions


@pytest.mark.req("GH-API-07")
def test_a_change_names_the_version_it_was_made_on(committed_cast: Cast, alice: Program) -> None:
    path = f"/people/{committed_cast.charlie.pk}"
    seen = alice.at("GET", path)["ETag"]
    body = {"valid_from": "2026-12-01T08:00:00", "valid_until": None}
    missing = alice.at("PUT", f"{path}/valid-time", body)
    assert (missing.status_code, missing.json()["code"]) == (428, "version.missing")
    done = alice.at("PUT", f"{path}/valid-time", body, If_Match=seen)
    assert done.status_code == 200 and done["ETag"] != seen
    stale = alice.at("PUT", f"{path}/valid-time", body | {"valid_from": None}, If_Match=seen)
    assert (stale.status_code, stale.json()["code"], stale["ETag"]) == (412, "version.stale", done["ETag"])
    assert alice.at("GET", path)["ETag"] == done["ETag"]
    with transaction.atomic():
        enter(system_actor(alice.site))
        kept = Holder.objects.get(pk=committed_cast.charlie.pk)
        assert str(kept.valid_from_local) == "2026-12-01 08:00:00"


@pytest.mark.req("GH-API-07")
@pytest.mark.parametrize("part", ["windows", "relays"])
def test_times_and_doors_of_an_access_group_ask_for_its_version(
    committed_cast: Cast, alice: Program, part: str
) -> None:
    path = f"/access-groups/{committed_cast.here.access_group.id}"
    body = {"windows": {"windows": [{"kind": "daily"}]}, "relays": {"relays": [str(committed_cast.here.back.id)]}}[part]
    seen = alice.at("GET", path)["ETag"]
    assert alice.at("PUT", f"{path}/{part}", body).status_code == 428
    assert alice.at("PUT", f"{path}/{part}", body, If_Match='"99"').status_code == 412
    assert alice.at("PUT", f"{path}/{part}", body, If_Match=seen).status_code == 200
    assert alice.at("PUT", f"{path}/{part}", body, If_Match=seen).status_code == 412
    assert alice.at("PUT", f"{path}/{part}", body, If_Match="*").status_code == 200


@pytest.mark.req("GH-API-07")
def test_every_single_resource_with_a_version_tells_it(committed_cast: Cast, alice: Program) -> None:
    place = committed_cast.here
    for path in (
        "",
        f"/companies/{place.company.pk}",
        f"/people-groups/{place.people_group.id}",
        f"/people/{committed_cast.charlie.pk}",
        f"/access-groups/{place.access_group.id}",
        f"/devices/{place.device.id}",
        f"/relays/{place.front.id}",
        f"/gateways/{place.gateway.id}",
    ):
        response = alice.at("GET", path)
        assert response.status_code == 200 and response["ETag"].strip('"').isdigit(), path


# ---------------------------------------------------------------- limits


@pytest.fixture
def few(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three reads, two writes, one opening a minute, in a minute that does not end."""
    settings.API_LIMITS = {"read": 3, "write": 2, "open": 1}
    moment = clock.now().replace(second=20)
    monkeypatch.setattr(clock, "now", lambda: moment)


def test_a_token_that_calls_too_often_is_told_how_long_to_wait(alice: Program, few: None) -> None:
    left = [alice.at("GET", "")["RateLimit-Remaining"] for _ in range(3)]
    assert left == ["2", "1", "0"]
    response = alice.at("GET", "")
    assert (response.status_code, response.json()["code"]) == (429, "rate.limited")
    assert response["Retry-After"] == "40" and response["RateLimit-Remaining"] == "0"
    assert alice.at("PUT", f"/people/{uuid4()}/pin", {"pin": "1"}).status_code == 404  # writes are counted apart


def test_a_token_is_counted_from_every_address_and_an_address_for_every_token(
    committed_cast: Cast, alice: Program, program: Programs, few: None
) -> None:
    for number in range(3):
        alice.address = f"192.0.2.{number}"
        assert alice.at("GET", "").status_code == 200
    alice.address = "192.0.2.99"
    assert alice.at("GET", "").status_code == 429
    ivan, nobody = program(committed_cast.ivan), program(None)
    ivan.address = nobody.address = "192.0.2.50"
    assert [nobody.at("GET", "").status_code for _ in range(4)] == [401, 401, 401, 429]
    assert ivan.at("GET", "").status_code == 429


def test_doors_have_a_limit_of_their_own(committed_cast: Cast, alice: Program, few: None) -> None:
    bring_up(committed_cast.here)
    path = f"/relays/{committed_cast.here.front.id}/open"
    assert [alice.at("POST", path).status_code for _ in range(2)] == [202, 429]


def test_the_limits_are_those_of_the_document() -> None:
    assert manners.LIMITS == {"read": 600, "write": 120, "open": 30}


def test_a_session_of_the_portal_opens_nothing_here(committed_cast: Cast) -> None:
    from django.test import Client

    client = Client()
    client.force_login(committed_cast.alice)
    response = client.get(f"/api/v1/sites/{committed_cast.here.site.id}/people")
    assert response.status_code == 401
    assert json.loads(response.content)["code"] == "token.invalid"
