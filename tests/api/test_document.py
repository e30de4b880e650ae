"""The OpenAPI document is the code's, complete, and shown without anybody's network; garbage after its pattern breaks nothing."""

from __future__ import annotations

import json
import re
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import pytest
from django.test import Client
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gatehouse.cloud.api import document
from gatehouse.cloud.api.application import api
from tests.api.conftest import Program, make_token
from tests.cast import Cast
from tests.portal.conftest import bring_up
from tests.requirements import ROOT

SNAPSHOT = ROOT / "docs" / "api" / "openapi.json"
DOCUMENT = document.built(api)
OPERATIONS = [
    (path, method, operation) for path, methods in DOCUMENT["paths"].items() for method, operation in methods.items()
]


@pytest.mark.req("GH-API-02")
def test_the_snapshot_is_what_the_code_says() -> None:
    assert json.loads(SNAPSHOT.read_text()) == DOCUMENT, (
        "the API has changed: python -m gatehouse.cloud.api.snapshot docs/api/openapi.json, and look at the difference"
    )


@pytest.mark.req("GH-API-02")
@pytest.mark.parametrize(("path", "method", "operation"), OPERATIONS, ids=lambda part: str(part)[:60])
def test_every_operation_has_examples_of_all_it_takes_and_says(
    path: str, method: str, operation: dict[str, Any]
) -> None:
    assert operation["summary"] and operation["description"]
    assert all("example" in parameter for parameter in operation["parameters"])
    bodies = [response["content"] for response in operation["responses"].values()]
    bodies += [operation["requestBody"]["content"]] if "requestBody" in operation else []
    assert all("example" in kind for content in bodies for kind in content.values())
    assert {"400", "401", "403", "404", "422", "429", "500"} <= set(operation["responses"])


@pytest.mark.req("GH-API-02")
def test_the_reference_is_served_here_and_asks_nobody_else() -> None:
    response = Client().get("/api/v1/")
    html = response.content.decode()
    assert response.status_code == 200
    for path, _method, operation in OPERATIONS:
        assert path in html and f'id="{operation["operationId"]}"' in html
    assert not re.findall(r"""(?:src|href)=["'](?:https?:)?//""", html)
    assert Client().get("/api/v1/openapi.json").json() == DOCUMENT


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False)
    | st.text(max_size=40)
    | st.sampled_from(["", "0", "\x00", "2026-12-01T08:00:00", "0001-01-01T00:00:00", "9999-12-31T23:59:59.999999"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
TEXT = (
    st.text(max_size=40)
    | st.integers(-(2**70), 2**70).map(str)
    | st.sampled_from(
        ["", "\x00", "0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59", "MDE5NQ", "null", "true", "-1", "%"]
    )
)


def fitting(schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    """Values near the schema: fitting, or with a part that is not."""
    if "$ref" in schema:
        return fitting(DOCUMENT["components"]["schemas"][schema["$ref"].rsplit("/", 1)[-1]])
    if "anyOf" in schema:
        return st.one_of([fitting(part) for part in schema["anyOf"]])
    kind, form = schema.get("type"), schema.get("format")
    if schema.get("enum"):
        good: st.SearchStrategy[Any] = st.sampled_from(schema["enum"])
    elif kind == "object":
        parts = {name: fitting(part) for name, part in schema.get("properties", {}).items()}
        good = st.fixed_dictionaries({}, optional=parts)
    elif kind == "array":
        good = st.lists(fitting(schema["items"]), max_size=3)
    elif kind == "integer":
        good = st.integers(schema.get("minimum", -5), schema.get("maximum", 5))
    elif form == "uuid":
        good = st.builds(lambda: str(uuid4()))
    elif form == "date-time":
        good = st.datetimes().map(lambda moment: moment.isoformat())
    elif kind == "null":
        good = st.none()
    else:
        good = st.text(min_size=1, max_size=70) | st.sampled_from(["271828", "0x00BADA55", "a@b"])
    return st.one_of(good, good, good, JSON)


@pytest.mark.req("GH-API-E1")
def test_garbage_breaks_nothing(committed_cast: Cast, settings: Any, caplog: pytest.LogCaptureFixture) -> None:
    """Every operation, with bodies, queries and paths near and far from what it takes: no server error."""
    settings.API_LIMITS = dict.fromkeys(("read", "write", "open"), 10**9)
    place = committed_cast.here
    bring_up(place)
    real = {
        "site": place.site.id,
        "company": place.company.pk,
        "people_group": place.people_group.id,
        "person": committed_cast.charlie.pk,
        "access_group": place.access_group.id,
        "device": place.device.id,
        "relay": place.front.id,
        "gateway": place.gateway.id,
    }
    programs = [
        Program(make_token(user, [place.site.id]).token, place.site.id)
        for user in (committed_cast.alice, committed_cast.ivan)
    ]
    seen: dict[int, int] = {}
    for path, method, operation in OPERATIONS:
        _batter(programs[method == "post" and path.endswith("claim-code")], path, method, operation, real, seen)
    assert not [record for record in caplog.records if record.levelname == "ERROR"]
    assert set(seen) <= {200, 201, 202, 400, 403, 404, 405, 409, 412, 413, 422, 428, 503}
    assert {200, 201, 400, 404, 422} <= set(seen)


def _batter(
    program: Program,
    path: str,
    method: str,
    operation: dict[str, Any],
    real: dict[str, Any],
    seen: dict[int, int],
) -> None:
    content = operation.get("requestBody", {}).get("content", {}).get("application/json")
    queries = [parameter["name"] for parameter in operation["parameters"] if parameter["in"] == "query"]

    @settings(max_examples=12, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(data=st.data())
    def run(data: st.DataObject) -> None:
        address = path.removeprefix("/api/v1")
        for name in re.findall(r"{(\w+)}", path):
            id_ = str(real.get(name, uuid4()))
            if data.draw(st.integers(0, 9)) == 0:
                id_ = quote(data.draw(TEXT), safe="")
            address = address.replace(f"{{{name}}}", id_)
        chosen = data.draw(st.dictionaries(st.sampled_from(queries), TEXT, max_size=2)) if queries else {}
        if chosen:
            address += "?" + "&".join(f"{name}={quote(value, safe='')}" for name, value in chosen.items())
        body = data.draw(fitting(content["schema"])) if content else None
        headers = {"If_Match": "*"} if data.draw(st.booleans()) else {}
        response = program.call(method.upper(), address, body, **headers)
        seen[response.status_code] = seen.get(response.status_code, 0) + 1
        assert response.status_code < 500 or response.status_code == 503, (address, body, response.content)
        if response.status_code >= 400:
            assert response["Content-Type"] == "application/problem+json"

    run()
