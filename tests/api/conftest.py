"""Programs: clients that hold a token of one of the cast."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import pytest
from django.db import transaction
from django.test import Client

from gatehouse.cloud.accounts.models import User
from gatehouse.cloud.kit import clock
from gatehouse.cloud.tenants.queries import actor_at_site, actor_everywhere
from gatehouse.cloud.tenants.services import SCOPES, MadeToken, create_token
from tests.cast import Cast


@dataclass
class Program:
    """Calls the API with one token; paths begin after `/api/v1`, or at the site with `at`."""

    token: str
    site: UUID
    address: str = "192.0.2.7"
    headers: dict[str, str] = field(default_factory=dict)

    def call(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        """The response; a body is sent as JSON, text and bytes as they are."""
        data = body if isinstance(body, str | bytes) else "" if body is None else json.dumps(body)
        given = self.headers | {name.replace("_", "-"): value for name, value in headers.items()}
        if self.token:
            given = {"Authorization": f"Bearer {self.token}"} | given
        return Client(raise_request_exception=False).generic(
            method,
            f"/api/v1{path}",
            data,
            content_type="application/json",
            headers=given,
            REMOTE_ADDR=self.address,
        )

    def at(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        """The same below the program's site."""
        return self.call(method, f"/sites/{self.site}{path}", body, **headers)


def make_token(user: User, sites: Iterable[UUID], scopes: Iterable[str] | None = None, **more: Any) -> MadeToken:
    """A token, for all that the user may at the first site when no scopes are named."""
    sites = list(sites)
    with transaction.atomic():
        rights = actor_at_site(user, sites[0], via="portal").permissions & SCOPES
        return create_token(
            actor=actor_everywhere(user, via="portal"),
            user=user,
            name="Test",
            sites=sites,
            scopes=[right.value for right in rights] if scopes is None else scopes,
            **({"now": clock.now()} | more),
        )


@pytest.fixture
def program(committed_cast: Cast) -> Callable[..., Program]:
    """`program(user)`: one that may what the user may at Alice's site; `program(user, scopes=[...])` less."""

    def of(user: User | None, *, site: UUID | None = None, scopes: Iterable[str] | None = None) -> Program:
        where = site or committed_cast.here.site.id
        return Program(make_token(user, [where], scopes).token if user else "", where)

    return of


@pytest.fixture
def alice(committed_cast: Cast, program: Callable[..., Program]) -> Program:
    """Alice's program at her site."""
    return program(committed_cast.alice)
