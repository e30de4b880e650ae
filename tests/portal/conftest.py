"""Browsers without a browser: Django's client, signed in as one of the cast."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db import connection, transaction
from django.test import Client
from django.urls import reverse

from gatehouse.cloud.accounts.models import User
from gatehouse.cloud.authz.actor import enter, system_actor
from gatehouse.cloud.devices.models import Device, Gateway
from gatehouse.cloud.events.arrivals import Arrival
from gatehouse.cloud.events.models import Passage
from gatehouse.cloud.events.services import record_batches
from gatehouse.cloud.feed.pages import standing
from gatehouse.cloud.feed.services import record_applied
from gatehouse.cloud.feed.services.compiling import compile_site
from gatehouse.wire import messages as wire
from tests.cast import NOW, Place

HTMX: dict[str, Any] = {"HTTP_HX_REQUEST": "true"}
"""Headers of a request by htmx."""


@pytest.fixture
def browser() -> Callable[..., Client]:
    """`browser(user)`: a client with its own cookies, signed in; `browser()` is nobody's."""

    def of(user: User | None = None, **options: Any) -> Client:
        client = Client(raise_request_exception=False, **options)
        if user is not None:
            client.force_login(user)
        return client

    return of


@contextmanager
def as_system() -> Iterator[None]:
    """As the link and the worker work: in the same connection, as the system role."""
    with connection.cursor() as cursor:
        cursor.execute("SET ROLE gatehouse_system")
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            cursor.execute("SET ROLE gatehouse_app")


def happen(place: Place, *passages: dict[str, Any], start: datetime = NOW, spool: str | None = None) -> list[UUID]:
    """Passages as a gateway reports them, one minute apart; their ids, oldest first."""
    spool, boot = spool or str(uuid4()), str(uuid4())
    defaults: dict[str, Any] = {
        "device": str(place.device.id),
        "relay": str(place.front.id),
        "method": "pin",
        "allowed": True,
        "reason": "granted",
    }
    events: list[wire.AnyEvent] = []
    for number, given in enumerate(passages, 1):
        at = int((given.pop("at", None) or start + timedelta(minutes=number)).timestamp() * 1000)
        events.append(
            wire.Passage(
                **(defaults | {"seq": number, "boot": boot, "mono_ms": number, "wall_ms": at, "true_ms": at} | given)
            )
        )
    batch = wire.EventBatch(spool=spool, boot=boot, sent_mono_ms=10**6, events=events)
    received = max(NOW + timedelta(hours=1), start + timedelta(hours=1))
    with as_system():
        record_batches([Arrival(place.gateway.id, batch, received)])
        rows = Passage.objects.filter(site_id=place.site.id, spool=spool).order_by("seq")
        return list(rows.values_list("id", flat=True))


def bring_up(place: Place) -> None:
    """The place's gateway and device are there, as the link would say."""
    with transaction.atomic():
        enter(system_actor(place.site.id))
        Gateway.objects.filter(pk=place.gateway.pk).update(online=True, last_seen_at=NOW, claimed_at=NOW)
        Device.objects.filter(pk=place.device.pk).update(online=True, last_seen_at=NOW)
        place.gateway.refresh_from_db()
        place.device.refresh_from_db()


def to(name: str, place: Place, **parts: Any) -> str:
    return reverse(f"portal:{name}", kwargs={"site": place.site.id} | parts)


def shown(response: Any) -> str:
    """The page as one line of text."""
    return " ".join(response.content.decode().split())


def text(html: str) -> str:
    """Without tags."""
    return " ".join(re.sub(r"<[^>]+>", " ", html).split())


def piece(response: Any, id_: str, tag: str = "tr") -> str:
    """The element with this id, up to the end of the first such tag."""
    html = response.content.decode()
    start = html.index(f'id="{id_}"')
    return text("<" + html[start : html.index(f"</{tag}>", start)])


def compiled(place: Place) -> None:
    """The worker has compiled the site's feed."""
    with as_system():
        compile_site(place.site.id, NOW)


def confirm(place: Place) -> None:
    """The device says that it holds everything."""
    with as_system():
        stand = standing(place.gateway.id)
        applied = wire.Applied(
            epoch=stand.epoch, revision=stand.revision, devices={str(place.device.id): stand.revision}
        )
        record_applied(place.gateway.id, applied, NOW)
