"""Every act that writes what the feed is made of is among the random acts; a new one is missing here until it is.

The random acts (`test_random_acts`) prove that each leaves word for the feed: were it not so, the feed would differ
from one made from nothing.
"""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from django.apps import apps

from gatehouse.cloud.feed import entries

AREAS = ("tenants", "premises", "people", "devices", "access")
NOT_FOR_DOORS = {
    "create_organisation": "no site yet",
    "add_member": "standing of accounts",
    "create_building": "no entry names a building",
    "issue_claim_code": "a gateway's identity",
    "claim_gateway": "a gateway's identity",
    "open_relay": "a command",
    "create_token": "who may ask the API",
    "revoke_token": "who may ask the API",
    "register_all": "hardware that fills no device yet",
    "unregister": "hardware that fills no device",
    "put_into_library": "hardware that fills no device yet",
    "take_from_library": "hardware that fills no device",
}
"""Acts of these areas that change nothing of what doors hold, with the reason."""


FIRST = {"create_site"}
"""What every town begins with (`tests.cast.make_place`)."""


def tables() -> set[str]:
    """Every table that the entries or the interest are made of."""
    texts = "\n".join([*entries.FRESH.values(), *entries.INTEREST.values()])
    return set(re.findall(r"(?:FROM|JOIN) ([a-z]+_[a-z]+)\b(?!\()", texts)) - {"feed_interest"}


def acts() -> Iterator[Callable[..., Any]]:
    """Every act of the areas whose tables the feed reads."""
    for area in AREAS:
        module = importlib.import_module(f"gatehouse.cloud.{area}.services")
        for name, function in inspect.getmembers(module, inspect.isfunction):
            here = function.__module__.startswith(module.__name__) and not name.startswith("_")
            if here and {"actor", "now"} <= inspect.signature(function).parameters.keys():
                yield function


def test_the_areas_are_those_whose_tables_the_feed_reads() -> None:
    by_table = {model._meta.db_table: model._meta.app_label for model in apps.get_models()}
    read = tables()
    assert len(read) >= 15 and read <= by_table.keys()
    assert {by_table[table] for table in read} == set(AREAS)


def test_every_act_on_them_is_among_the_random_acts_or_is_said_to_concern_no_door() -> None:
    here = Path(__file__).parent
    text = (here / "acts.py").read_text() + (here / "town.py").read_text()
    called = set(re.findall(r"\b(?:access\.|people\.)?([a-z_]+)\(", text)) | set(re.findall(r"access\.([a-z_]+)", text))
    missing = {act.__name__ for act in acts()} - called - FIRST - NOT_FOR_DOORS.keys()
    assert not missing, f"these acts are not proven to leave word for the feed: {sorted(missing)}"


def test_what_is_excused_is_still_an_act_and_leaves_the_tables_alone_or_says_so() -> None:
    known = {act.__name__: act for act in acts()}
    assert NOT_FOR_DOORS.keys() <= known.keys()
    for name in NOT_FOR_DOORS:
        assert "touch(" not in inspect.getsource(known[name]), f"{name} leaves word for the feed: let it be proven"
