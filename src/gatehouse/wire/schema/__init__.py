"""JSON schema of wire v1, generated from `messages`, for people who write a gateway of their own.

`v1.json` beside this file is the reviewed snapshot; `python -m gatehouse.wire.schema` writes it anew. A
difference is a change of the protocol: within a version only added fields with a default.
"""

from __future__ import annotations

import json
from pathlib import Path

import msgspec

from gatehouse.wire import FEED_SCHEMA, VERSION, topics
from gatehouse.wire.messages import DOWN_TYPES, HTTP_TYPES, MAX_BATCH, MAX_MESSAGE, UP_TYPES, Emergency, Message

SNAPSHOT = Path(__file__).parent / f"v{VERSION}.json"


def document() -> str:
    """The schema as it stands in the snapshot: every message, and on which topic or path it travels."""
    groups: dict[str, dict[str, type[Message]]] = {
        topics.up("{gateway}", "{name}"): UP_TYPES,
        topics.down("{gateway}", "{name}"): DOWN_TYPES,
        topics.emergency("{site}"): {"emergency": Emergency},
        "https": HTTP_TYPES,
    }
    kinds = [kind for group in groups.values() for kind in group.values()]
    refs, defs = msgspec.json.schema_components(kinds, ref_template="#/$defs/{name}")
    where = dict(zip(kinds, refs, strict=True))
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"Gatehouse wire v{VERSION}, feed schema {FEED_SCHEMA}",
        "maxMessageBytes": MAX_MESSAGE,
        "maxBatchEvents": MAX_BATCH,
        "messages": {place: {name: where[kind] for name, kind in group.items()} for place, group in groups.items()},
        "$defs": defs,
    }
    return json.dumps(schema, indent=1, ensure_ascii=False) + "\n"
