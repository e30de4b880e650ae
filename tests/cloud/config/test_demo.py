"""The demo is loaded once, and what it hands out really works."""

from __future__ import annotations

import json
from pathlib import Path
from uuid import UUID

import pytest
from django.db import transaction
from pytest_django import Settings

from gatehouse.cloud.accounts.models import Realm, User
from gatehouse.cloud.authz.actor import enter, system_actor
from gatehouse.cloud.config.demo import PHONES, load
from gatehouse.cloud.devices.models import Gateway
from gatehouse.cloud.devices.services import claim_gateway
from gatehouse.cloud.kit.clock import now
from gatehouse.cloud.tenants.queries import standings


@pytest.fixture
def home(tmp_path: Path, settings: Settings) -> Path:
    settings.HOME = tmp_path
    return tmp_path


@pytest.mark.req("GH-RUN-04")
def test_the_demo_is_loaded_once_with_passwords_made_at_random_that_work(committed: None, home: Path) -> None:
    load()
    first = json.loads((home / "run/demo.json").read_text())
    load()
    assert json.loads((home / "run/demo.json").read_text())["sign_ins"] == first["sign_ins"]
    assert (home / "run/demo.json").stat().st_mode & 0o077 == 0
    assert len({sign_in["password"] for sign_in in first["sign_ins"]}) == 3
    for sign_in in first["sign_ins"]:
        user = User.objects.named(Realm.STAFF, sign_in["login"])
        assert user is not None
        assert user.check_password(sign_in["password"])
        assert any(str(standing.site) == first["site"] for standing in standings(user.id))


def test_a_claimed_gateway_gets_no_second_code_and_the_others_get_fresh_ones(committed: None, home: Path) -> None:
    load()
    lab = json.loads((home / "lab/config.json").read_text())
    assert {device["mac"] for device in lab["devices"]} == {phone.mac for phone in PHONES}
    native = next(device for device in lab["devices"] if device["native"])
    with transaction.atomic():
        told = json.loads((home / "run/demo.json").read_text())
        enter(system_actor(UUID(told["site"])))
        gateway = Gateway.objects.get(devices__id=native["id"])
        claim_gateway(
            actor=system_actor(gateway.site_id), gateway=gateway, code=native["claim_code"], version="test", now=now()
        )
    load()
    again = {device["id"]: device for device in json.loads((home / "lab/config.json").read_text())["devices"]}
    assert "claim_code" not in again[native["id"]]
    other = next(device for device in lab["devices"] if device["native"] and device["id"] != native["id"])
    assert again[other["id"]]["claim_code"] != other["claim_code"]
