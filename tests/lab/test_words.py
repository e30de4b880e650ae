"""What the device says: every language says everything, and every refusal has words in the tray."""

from __future__ import annotations

import re

import pytest

from gatehouse.gateway.keypad import THROTTLED
from gatehouse.lab import words
from gatehouse.rules import reasons


@pytest.mark.parametrize("language", sorted(words.DEVICE))
def test_every_language_says_what_english_says(language: str) -> None:
    english, said = words.DEVICE["en"], words.DEVICE[language]
    assert said.keys() == english.keys()
    for code, text in said.items():
        assert text.strip() == text != ""
        assert re.findall(r"\{\w+\}", text) == re.findall(r"\{\w+\}", english[code]), code


def test_every_reason_of_a_decision_has_words() -> None:
    assert set(reasons.REFUSALS) | {reasons.GRANTED, reasons.EMERGENCY_OPEN, THROTTLED} <= words.REASONS.keys()


def test_the_device_itself_never_says_why() -> None:
    told = {text for said in words.DEVICE.values() for text in said.values()}
    # That the keypad pauses cannot be hidden, and its screen says until when.
    assert told.isdisjoint(set(words.REASONS.values()) - {words.REASONS[THROTTLED]})


@pytest.mark.parametrize(
    ("language", "spoken", "direction"),
    [
        ("en", "en", "ltr"),
        ("de-AT", "de-AT", "ltr"),
        ("fa", "fa", "rtl"),
        ("he-IL", "he-IL", "rtl"),
        ("ja", "en", "ltr"),
    ],
)
def test_a_language_that_is_not_ours_becomes_english(language: str, spoken: str, direction: str) -> None:
    assert (words.spoken(language), words.direction(language)) == (spoken, direction)
    assert words.device_words(language)["ask"] == words.DEVICE[spoken.split("-")[0]]["ask"]
