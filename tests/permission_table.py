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
