"""The schema that other people read is the schema that the code has."""

from __future__ import annotations

import json
from pathlib import Path
from typing import get_args, get_type_hints

from gatehouse.wire import topics
from gatehouse.wire.messages import DOWN_TYPES, HTTP_TYPES, UP_TYPES, AnyEvent, Command, Emergency, Message
from gatehouse.wire.schema import SNAPSHOT, document


def test_the_snapshot_is_what_the_code_says() -> None:
    assert SNAPSHOT.read_text(encoding="utf-8") == document(), "python -m gatehouse.wire.schema, and look at the change"


def test_every_reference_of_the_snapshot_leads_somewhere() -> None:
    schema = json.loads(document())

    def references(value: object) -> list[str]:
        if isinstance(value, dict):
            own = [value["$ref"]] if isinstance(value.get("$ref"), str) else []
            return own + [ref for inner in value.values() for ref in references(inner)]
        return [ref for inner in value for ref in references(inner)] if isinstance(value, list) else []

    found = references(schema)
    assert len(found) > 30
    assert {ref.removeprefix("#/$defs/") for ref in found} <= schema["$defs"].keys()


def test_every_message_of_a_topic_has_its_kind_and_every_kind_its_message() -> None:
    assert set(UP_TYPES) == set(topics.UP)
    assert set(DOWN_TYPES) == set(topics.DOWN)


def test_topics_are_taken_apart_as_they_were_put_together() -> None:
    assert topics.sender(topics.up("g", "events")) == ("g", "events")
    assert topics.kind_of_down(topics.down("g", "ack")) == "ack"
    for foreign in (topics.down("g", "ack"), topics.emergency("s"), "gh/v1/gw/g/up", "gh/v2/gw/g/up/events", ""):
        assert topics.sender(foreign) is None
    for foreign in (topics.up("g", "events"), topics.emergency("s"), "gh/v1/gw/g/down/ack/more"):
        assert topics.kind_of_down(foreign) is None


def test_the_document_speaks_of_every_message_topic_verb_and_event() -> None:
    text = (Path(__file__).parents[2] / "docs" / "wire.md").read_text(encoding="utf-8")
    kinds: list[type[Message]] = [*UP_TYPES.values(), *DOWN_TYPES.values(), *HTTP_TYPES.values(), Emergency]
    words = [kind.__name__ for kind in kinds]
    words += [f"/up/{name}" for name in topics.UP] + [f"/down/{name}" for name in topics.DOWN]
    words += [f"`{event.__struct_config__.tag}`" for event in get_args(AnyEvent)]
    words += [f"`{verb}`" for verb in get_args(get_type_hints(Command)["verb"])]
    words += [topics.emergency("<site>"), "gatehouse emergency v1"]
    assert [word for word in words if word not in text] == []
