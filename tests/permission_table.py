"""Who gets what at every address: the one table that a new address has to stand in.

Walked by `tests/portal/test_permissions.py` with the cast: as nobody, as Mallory (who manages elsewhere), as a
member of the site whose role lacks the right, and as the right one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from gatehouse.cloud.authz.permissions import P
from tests.cast import Cast, Place

SIGN_IN = 302
"""Nobody is sent to the form."""
DONE = 303
"""A form was taken."""


@dataclass(frozen=True)
class Things:
    """What the addresses speak of, at one place."""

    cast: Cast
    place: Place
    person: UUID
    passage: UUID


@dataclass(frozen=True)
class Row:
    """One address. `parts` fills it in; None as an answer: there is nobody of that kind."""

    name: str
    method: str = "get"
    parts: Callable[[Things], Mapping[str, Any]] = lambda things: {}
    data: Mapping[str, str] = field(default_factory=dict)
    right: P | None = None
    """What the address asks for; None: no right inside a site."""
    nobody: int = SIGN_IN
    stranger: int = 404
    without: int | None = 403
    allowed: int = 200
    who: str = "alice"
    """The right one."""


def _site(things: Things) -> Mapping[str, Any]:
    return {"site": things.place.site.id}


def _passage(things: Things) -> Mapping[str, Any]:
    return {"site": things.place.site.id, "passage": things.passage}


def _device(things: Things) -> Mapping[str, Any]:
    return {"site": things.place.site.id, "device": things.place.device.id}


def _relay(things: Things) -> Mapping[str, Any]:
    return {"site": things.place.site.id, "relay": things.place.front.id}


def _holder(things: Things) -> Mapping[str, Any]:
    return {"site": things.place.site.id, "holder": things.person}


def _gateway(things: Things) -> Mapping[str, Any]:
    return {"site": things.place.site.id, "gateway": things.place.gateway.id}


ROWS = (
    # open to everybody; what they say is nobody's secret
    Row("portal:sign_in", nobody=200, stranger=302, without=302, allowed=302),
    Row("portal:language", "post", data={"language": "he"}, nobody=DONE, stranger=DONE, without=DONE, allowed=DONE),
    Row("health_live", nobody=200, stranger=200, without=200),
    Row("health_ready", nobody=503, stranger=503, without=503, allowed=503),  # no broker in this test
    # one's own
    Row("portal:sign_out", "post", nobody=DONE, stranger=DONE, without=DONE, allowed=DONE),
    Row("portal:home", stranger=302, without=302, allowed=302),
    Row("portal:sites", stranger=200, without=200),
    # a site's
    Row("portal:dashboard", parts=_site, right=P.SITE_VIEW, who="bob"),
    Row("portal:stream", parts=_site, right=P.SITE_VIEW, nobody=401, who="bob"),
    Row("portal:open_relay", "post", parts=_relay, right=P.RELAY_OPEN, allowed=DONE, who="bob"),
    Row("portal:logs:door_log", parts=_site, right=P.LOG_READ),
    Row("portal:logs:door_log_rows", parts=_site, right=P.LOG_READ),
    Row("portal:logs:passage", parts=_passage, right=P.LOG_READ),
    Row("portal:devices:device_list", parts=_site, right=P.DEVICE_VIEW),
    Row("portal:devices:device_detail", parts=_device, right=P.DEVICE_VIEW),
    Row("portal:people:person_list", parts=_site, right=P.PERSON_VIEW),
    Row("portal:people:person_detail", parts=_holder, right=P.PERSON_VIEW),
    Row(
        "portal:people:change_pin", "post", parts=_holder, data={"pin": "271828"}, right=P.CREDENTIAL_EDIT, allowed=DONE
    ),
    Row("portal:gateways:gateway_list", parts=_site, right=P.DEVICE_VIEW),
    Row("portal:gateways:claim_code", "post", parts=_gateway, right=P.GATEWAY_EDIT, who="ivan"),
    Row("portal:journal:entry_list", parts=_site, right=P.JOURNAL_READ),
    Row("portal:lab", parts=_site, right=P.DEVICE_CONFIGURE, allowed=404),  # there is a lab in the demo only
    # gateways': no session counts, only their own secret; tests/link looks at what the right one gets
    Row("link:claim", "post", nobody=403, stranger=403, without=403, allowed=403),
    Row("link:feed", nobody=401, stranger=401, without=401, allowed=401),
    Row("link:health", nobody=200, stranger=200, without=200),
)


@dataclass(frozen=True)
class Call:
    """One operation of the REST API. Asks for a token: walked by `tests/api/test_permissions.py`."""

    name: str
    method: str = "GET"
    parts: Callable[[Things], Mapping[str, Any]] = _site
    right: P | None = None
    """The scope it asks for; None: open to everybody."""
    allowed: int = 200
    body: Callable[[Things], Any] = lambda things: None
    who: str = "alice"


def _person(things: Things) -> Mapping[str, Any]:
    return {"site": things.place.site.id, "person": things.person}


def _group(things: Things) -> Mapping[str, Any]:
    return {"site": things.place.site.id, "access_group": things.place.access_group.id}


def _group_group(things: Things) -> Mapping[str, Any]:
    return {**_group(things), "people_group": things.place.people_group.id}


def _group_person(things: Things) -> Mapping[str, Any]:
    return {**_group(things), "person": things.person}


def _nowhere(part: str, parts: Callable[[Things], Mapping[str, Any]]) -> Callable[[Things], Mapping[str, Any]]:
    return lambda things: {**parts(things), part: UUID(int=0)}


CALLS = (
    Call("api:reference", parts=lambda things: {}),
    Call("api:document", parts=lambda things: {}),
    Call("api:unknown", parts=lambda things: {}, allowed=404),
    Call("api:sites", parts=lambda things: {}, right=P.SITE_VIEW, who="bob"),
    Call("api:site", right=P.SITE_VIEW, who="bob"),
    Call("api:companies", right=P.PREMISES_VIEW),
    Call(
        "api:company",
        parts=lambda things: {"site": things.place.site.id, "company": things.place.company.pk},
        right=P.PREMISES_VIEW,
    ),
    Call("api:people_groups", right=P.PERSON_VIEW),
    Call(
        "api:people_group",
        parts=lambda things: {"site": things.place.site.id, "people_group": things.place.people_group.id},
        right=P.PERSON_VIEW,
    ),
    Call("api:people", right=P.PERSON_VIEW),
    Call(
        "api:people",
        "POST",
        right=P.PERSON_EDIT,
        allowed=201,
        body=lambda things: {
            "people_group": str(things.place.people_group.id),
            "first_name": "Nina",
            "last_name": "Berg",
        },
    ),
    Call("api:person", parts=_person, right=P.PERSON_VIEW),
    Call(
        "api:valid_time",
        "PUT",
        parts=_person,
        right=P.PERSON_EDIT,
        body=lambda things: {"valid_from": None, "valid_until": None},
    ),
    Call("api:credentials", parts=_person, right=P.PERSON_VIEW),
    Call("api:pin", "PUT", parts=_person, right=P.CREDENTIAL_EDIT, body=lambda things: {"pin": "271828"}),
    Call(
        "api:cards",
        "POST",
        parts=_person,
        right=P.CREDENTIAL_EDIT,
        allowed=201,
        body=lambda things: {"card": "0x00BADA55"},
    ),
    Call("api:credential", "DELETE", parts=_nowhere("credential", _person), right=P.CREDENTIAL_EDIT, allowed=404),
    Call("api:receipt", parts=_person, right=P.DEVICE_VIEW),
    Call("api:access_groups", right=P.ACCESS_VIEW),
    Call(
        "api:access_groups",
        "POST",
        right=P.ACCESS_EDIT,
        allowed=201,
        body=lambda things: {"name": "X", "windows": [{"kind": "daily"}], "relays": [str(things.place.front.id)]},
    ),
    Call("api:access_group", parts=_group, right=P.ACCESS_VIEW),
    Call(
        "api:windows",
        "PUT",
        parts=_group,
        right=P.ACCESS_EDIT,
        body=lambda things: {"windows": [{"kind": "daily"}]},
    ),
    Call(
        "api:group_relays",
        "PUT",
        parts=_group,
        right=P.ACCESS_EDIT,
        body=lambda things: {"relays": [str(things.place.front.id)]},
    ),
    Call("api:given_group", "PUT", parts=_group_group, right=P.ACCESS_EDIT),
    Call("api:given_group", "DELETE", parts=_group_group, right=P.ACCESS_EDIT),
    Call("api:given_person", "PUT", parts=_group_person, right=P.ACCESS_EDIT),
    Call("api:given_person", "DELETE", parts=_group_person, right=P.ACCESS_EDIT),
    Call("api:devices", right=P.DEVICE_VIEW),
    Call("api:device", parts=_device, right=P.DEVICE_VIEW),
    Call("api:relays", right=P.SITE_VIEW, who="bob"),
    Call("api:relay", parts=_relay, right=P.SITE_VIEW, who="bob"),
    Call("api:relay_open", "POST", parts=_relay, right=P.RELAY_OPEN, allowed=202, who="bob"),
    Call("api:command", parts=_nowhere("command", _site), right=P.RELAY_OPEN, allowed=404, who="bob"),
    Call("api:gateways", right=P.DEVICE_VIEW),
    Call("api:gateway", parts=_gateway, right=P.DEVICE_VIEW),
    Call("api:claim_code", "POST", parts=_gateway, right=P.GATEWAY_EDIT, allowed=201, who="ivan"),
    Call("api:door_log", right=P.LOG_READ),
    Call("api:journal", right=P.JOURNAL_READ),
)
