"""Who gets in: only whom the portal has signed, and not for long."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json

import pytest

from gatehouse.lab import tickets
from gatehouse.lab.tickets import NotAdmitted, Visitor

KEY, NOW = bytes(range(32)), 1_800_000_000.0


def by_hand(payload: dict[str, object], key: bytes = KEY) -> str:
    """A ticket as the documentation of the module describes it, made without the module."""
    text = base64.urlsafe_b64encode(json.dumps(payload).encode()).rstrip(b"=").decode()
    return f"{text}.{hmac.new(key, text.encode(), hashlib.sha256).hexdigest()}"


def test_a_ticket_made_as_documented_admits() -> None:
    ticket = by_hand({"user": "alice", "until": NOW + 60, "devices": ["a", "b"]})
    visitor = tickets.read(KEY, ticket, NOW)
    assert visitor == Visitor("alice", NOW + 60, ["a", "b"])
    assert visitor.may("a") and not visitor.may("c")


def test_a_star_admits_to_every_device() -> None:
    assert tickets.read(KEY, by_hand({"user": "ivan", "until": NOW + 60, "devices": "*"}), NOW).may("anything")


@pytest.mark.req("GH-LAB-E2")
@pytest.mark.parametrize(
    "text",
    [
        "",
        ".",
        "no dot",
        "a.b",
        by_hand({"user": "mallory", "until": NOW + 60, "devices": "*"}, key=b"another key"),
        by_hand({"user": "alice", "until": NOW, "devices": "*"}),
        by_hand({"user": "alice", "until": NOW - 1, "devices": "*"}),
        by_hand({"user": "alice", "until": NOW + 86_400, "devices": "*"}),
        by_hand({"user": "alice", "until": NOW + 60}),
        by_hand({"user": "alice", "until": "later", "devices": "*"}),
        by_hand({"user": "alice", "until": NOW + 60, "devices": 7}),
        by_hand({"user": "alice", "until": NOW + 60, "devices": "*"}) + "0",
        "é" + by_hand({"user": "alice", "until": NOW + 60, "devices": "*"}),
        "x" * 20_000,
    ],
)
def test_anything_else_admits_nobody(text: str) -> None:
    with pytest.raises(NotAdmitted):
        tickets.read(KEY, text, NOW)


@pytest.mark.req("GH-LAB-E2")
def test_changing_one_letter_of_the_payload_breaks_the_seal() -> None:
    payload, _, seal = tickets.sign(KEY, Visitor("bob", NOW + 60, ["a"])).partition(".")
    forged = base64.urlsafe_b64encode(base64.urlsafe_b64decode(payload + "==").replace(b'"a"', b'"b"')).rstrip(b"=")
    with pytest.raises(NotAdmitted):
        tickets.read(KEY, f"{forged.decode()}.{seal}", NOW)


def test_the_cookie_lasts_for_the_visit_and_no_longer() -> None:
    kept = tickets.cookie(KEY, Visitor("alice", NOW + 60, ["a"]), NOW)
    assert tickets.read_cookie(KEY, kept, NOW + tickets.VISIT_S - 1).user == "alice"
    with pytest.raises(NotAdmitted):
        tickets.read_cookie(KEY, kept, NOW + tickets.VISIT_S)


def test_a_ticket_is_no_cookie_and_a_cookie_no_ticket() -> None:
    visitor = Visitor("alice", NOW + 60, "*")
    with pytest.raises(NotAdmitted):
        tickets.read_cookie(KEY, tickets.sign(KEY, visitor), NOW)
    with pytest.raises(NotAdmitted):
        tickets.read(KEY, tickets.cookie(KEY, visitor, NOW), NOW)
