"""Why a passage went as it did: the steps of the decision in words, from the code that the door recorded.

The log keeps the outcome, not every look at every rule; which steps were passed follows from the order in
which doors judge (`rules.reasons.STEPS`), so nothing here is guessed.
"""

from __future__ import annotations

from dataclasses import dataclass

from django.utils.translation import pgettext

from gatehouse.cloud.events.models import Passage
from gatehouse.cloud.wording import words
from gatehouse.rules import reasons as r
from gatehouse.rules.access import Decision


@dataclass(frozen=True, slots=True)
class Step:
    """One line of the chain: passed, stop or unasked."""

    name: str
    text: str
    outcome: str


_NO_CHAIN = {r.DEVICE_UNKNOWN, r.DEVICE_NO_RELAY, r.CLOCK_UNKNOWN}
"""Refusals from which the steps before cannot be told."""


def why(passage: Passage) -> list[Step]:
    """The chain of a decision by a credential.

    Empty for openings that no rule decided (portal, exit button) and where the code leaves the chain open.
    """
    if passage.method in ("remote", "exit", "schedule") or passage.reason in _NO_CHAIN:
        return []
    if passage.reason not in (*r.REFUSALS, r.GRANTED, r.EMERGENCY_OPEN):
        return []
    decision = Decision(
        allowed=passage.allowed,
        reason=passage.reason,
        method=passage.method,
        relay=str(passage.relay_id or ""),
        holder=str(passage.holder_id or ""),
        credential=str(passage.credential_id or ""),
        party=str(passage.party_id or ""),
    )
    chain = [
        Step(
            words.say("step", step),
            words.say("passed", code) if code in words.PASSED else words.say("why", code),
            "passed" if code in words.PASSED else "stop",
        )
        for step, code, _ids in decision.chain
    ]
    judged = {step for step, _code, _ids in decision.chain}
    if chain and chain[-1].outcome == "stop":
        rest = [words.say("step", step) for step in r.STEPS if step not in judged]
        chain += [Step(pgettext("between the things of a list", ", ").join(rest), "", "unasked")] if rest else []
    return chain
