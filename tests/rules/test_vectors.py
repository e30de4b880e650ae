from __future__ import annotations

from typing import Any

import pytest
from tests.vectors import run

from gatehouse.rules import reasons

DECIDE = run.by_rules()
CASES = list(run.cases())


@pytest.mark.parametrize(
    "case", [pytest.param(case, id=str(case), marks=pytest.mark.req(*case.req) if case.req else ()) for case in CASES]
)
def test_the_rules_answer_as_the_vector_says(case: run.Case) -> None:
    assert case.differences(DECIDE) == []


def test_names_are_unique_within_a_file() -> None:
    assert len({str(case) for case in CASES}) == len(CASES)


def test_the_schema_beside_the_vectors_is_the_one_of_this_format_and_wire() -> None:
    assert run.SCHEMA.read_text() == run.schema()


def test_every_reason_for_which_a_relay_stays_shut_has_a_vector() -> None:
    # A policy without site entry cannot be written as a vector: their format needs the site's key.
    assert {case.expect.reason for case in CASES if not case.expect.allowed} == set(reasons.REFUSALS) - {
        reasons.SITE_UNKNOWN
    }


@pytest.mark.parametrize("field", ["allowed", "reason", "relays"])
def test_a_decider_that_is_wrong_is_caught(field: str) -> None:
    wrong: dict[str, Any] = {"allowed": None, "reason": "no.such", "relays": ["elsewhere"]}
    for case in CASES:
        answer = DECIDE(case)._replace(**{field: wrong[field]})

        def decide(_: run.Case, answer: run.Answer = answer) -> run.Answer:
            return answer

        assert len(case.differences(decide)) == 1
