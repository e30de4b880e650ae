"""`gatehouse user`: accounts from the shell of the machine's owner."""

from __future__ import annotations

import argparse

import pytest
from django.contrib.auth import authenticate

from gatehouse.cloud.accounts.models import Realm, User
from gatehouse.cloud.config import console
from gatehouse.cloud.tenants.queries import standings

pytestmark = pytest.mark.usefixtures("db")


def run(act: str, login: str = "olga", **more: object) -> list[str]:
    return list(console.act(argparse.Namespace(act=act, login=login, **more)))


def create(operator: bool = False) -> str:
    (line,) = run("create", name="Olga", email="", operator=operator)
    return line.removeprefix("olga: first password ").partition(" ")[0]


def signs_in(password: str) -> bool:
    return authenticate(username=f"{Realm.STAFF}:olga", password=password) is not None


def verbs() -> list[str]:
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("SET ROLE gatehouse_owner")
        cursor.execute("SELECT verb FROM journal_entry WHERE via = 'console' ORDER BY id")
        found = [verb for (verb,) in cursor.fetchall()]
        cursor.execute("SET ROLE gatehouse_app")
    return found


def test_a_new_account_has_a_first_password_that_must_be_changed() -> None:
    password = create()
    assert len(password) >= 12
    assert signs_in(password)
    assert User.objects.get(login="olga").must_change_password


def test_the_first_operator_account_brings_its_organisation() -> None:
    create(operator=True)
    (standing,) = standings(User.objects.get(login="olga").id)
    assert (standing.role, standing.site) == ("operator", None)


def test_a_disabled_account_cannot_sign_in_until_it_is_enabled() -> None:
    password = create()
    run("disable")
    assert not signs_in(password)
    assert any("disabled" in line for line in run("list"))
    run("enable")
    assert signs_in(password)


def test_a_new_password_replaces_the_old_one() -> None:
    old = create()
    (line,) = run("password")
    assert not signs_in(old)
    assert signs_in(line.removeprefix("olga: new password "))


def test_every_act_stands_in_the_journal_as_console_and_without_the_password() -> None:
    create()
    for act in ("disable", "enable", "password"):
        run(act)
    assert verbs() == ["account.created", "account.disable", "account.enable", "account.password"]


def test_what_cannot_be_done_is_said_in_one_line() -> None:
    create()
    with pytest.raises(console.Refused, match="taken"):
        create()
    with pytest.raises(console.Refused, match="no account 'nobody'"):
        run("disable", "nobody")
