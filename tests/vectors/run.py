"""Runs the decision vectors against anything that decides; format and meaning: docs/decision-vectors.md.

    for case in cases():
        assert case.differences(decide) == []

where `decide(case) -> Answer` builds whatever it needs from `case.site` and presents what the case says.
Rules, gateway, cloud and lab all run the same files, so that none of them can read a rule differently.
`python -m tests.vectors.run` checks the files against the rules and writes the schema anew.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import msgspec

from gatehouse.wire.messages import Payload

Id = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f-]{36}$")]
Code = Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9_.]+$")]
Lookup = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{32}$")]

FOLDER = Path(__file__).parent
SCHEMA = FOLDER / "schema.json"


class Presented(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What stands before the door. Exactly one of text, lookup and holder."""

    method: Code
    text: str | None = None
    """What keypad or reader saw, in clear."""
    lookup: Lookup | None = None
    """The digest of a credential."""
    holder: Id | None = None
    """For the app's methods, where sign-in tells who it is."""


class Memory(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What the decider remembers besides the entries."""

    emergency: bool = False


class Expect(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The right answer."""

    allowed: bool
    reason: Code
    relays: list[Id]
    """Ids of the relays released; for a case at a relay it or nothing. Order has no meaning."""


class Answer(NamedTuple):
    """What the decider under test says."""

    allowed: bool
    reason: str
    relays: list[str]


class _Case(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    name: str
    at: Annotated[str, msgspec.Meta(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z$")] | None
    presented: Presented
    expect: Expect
    device: Id | None = None
    relay: Id | None = None
    memory: Memory = Memory()
    req: list[str] = []


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename={"schema_": "$schema"}):
    schema_: str
    format: Literal[1]
    about: str
    names: dict[Id, str]
    site: dict[str, dict[str, Any]]
    """Payloads of wire v1; their schema is the wire's own."""
    cases: list[_Case]


class Case(NamedTuple):
    """One question and its answer."""

    file: str
    name: str
    site: dict[str, dict[str, Any]]
    """The feed's entries: key > payload as plain values. The same object for all cases of a file."""
    at: datetime | None
    """The instant; None when the clock was never set."""
    device: str | None
    relay: str | None
    """Exactly one of device and relay is given: where it was presented."""
    presented: Presented
    memory: Memory
    expect: Expect
    req: tuple[str, ...]
    """Requirement ids that the case is about."""

    def __str__(self) -> str:
        return f"{self.file}: {self.name}"

    def differences(self, decide: Callable[[Case], Answer]) -> list[str]:
        """What `decide` answers differently, in words; empty when it is right."""
        answer, expect = decide(self), self.expect
        pairs = {
            "allowed": (answer.allowed, expect.allowed),
            "reason": (answer.reason, expect.reason),
            "relays": (sorted(answer.relays), sorted(expect.relays)),
        }
        return [f"{self}: {name} {got!r}, expected {want!r}" for name, (got, want) in pairs.items() if got != want]


def files() -> list[Path]:
    """The vector files."""
    return sorted(path for path in FOLDER.glob("*.json") if path != SCHEMA)


def cases() -> Iterator[Case]:
    """Every case of every file, checked against the format. Raises msgspec.ValidationError or ValueError."""
    for path in files():
        parsed = msgspec.json.decode(path.read_bytes(), type=_File)
        msgspec.convert(list(parsed.site.values()), list[Payload])
        for case in parsed.cases:
            presented = case.presented
            if (case.device is None) == (case.relay is None):
                raise ValueError(f"{path.name}: {case.name}: needs a device or a relay")
            if [presented.text, presented.lookup, presented.holder].count(None) != 2:
                raise ValueError(f"{path.name}: {case.name}: needs a text, a lookup or a holder")
            yield Case(
                path.stem,
                case.name,
                parsed.site,
                None if case.at is None else datetime.fromisoformat(case.at),
                case.device,
                case.relay,
                presented,
                case.memory,
                case.expect,
                tuple(case.req),
            )


def schema() -> str:
    """The JSON schema of a vector file, as it stands in schema.json."""
    document = {"title": "Gatehouse decision vectors, format 1", **msgspec.json.schema(_File)}
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


def by_rules() -> Callable[[Case], Answer]:
    """The decider of `gatehouse.rules`; keeps the policy of the file it is at."""
    from gatehouse.rules import access

    policies: dict[str, access.Policy] = {}

    def decide(case: Case) -> Answer:
        policy = policies.get(case.file)
        if policy is None:
            policy = policies[case.file] = access.Policy(case.site.items())
        given = case.presented
        if given.text is not None:
            presented = policy.read(given.method, given.text)
        else:
            presented = access.Presented(given.method, given.lookup or "", given.holder or "")
        memory = access.Memory(emergency=case.memory.emergency)
        if case.relay is not None:
            one = access.decide(policy, presented, case.relay, case.at, memory)
            return Answer(one.allowed, one.reason, [one.relay] if one.allowed else [])
        assert case.device is not None
        many = access.decide_device(policy, presented, case.device, case.at, memory)
        return Answer(many.allowed, many.reason, list(many.relays))

    return decide


def main() -> int:
    """Write the schema, check every file; the number of wrong answers."""
    SCHEMA.write_text(schema())
    decide = by_rules()
    wrong = [difference for case in cases() for difference in case.differences(decide)]
    total = sum(1 for _ in cases())
    sys.stdout.write(("\n".join(wrong) or f"{total} cases in {len(files())} files, all as expected") + "\n")
    return len(wrong)


if __name__ == "__main__":
    raise SystemExit(main() > 0)
