"""What every reader of the wire may rely on: valid messages come through whole, anything else is `Unreadable`."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gatehouse.wire.messages import (
    MAX_MESSAGE,
    Ack,
    Command,
    Emergency,
    EventBatch,
    FeedDelta,
    Message,
    Unreadable,
    decode,
    emergency_bytes,
    encode,
)
from tests.wire.generated import KINDS, messages, plain

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=40),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=20,
)
kinds = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)


@kinds
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_every_message_comes_back_as_it_went(kind: type[Message], data: st.DataObject) -> None:
    message = data.draw(messages(kind))
    assert decode(kind, encode(message)) == message


@kinds
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_fields_of_a_newer_sender_are_ignored_at_every_depth(kind: type[Message], data: st.DataObject) -> None:
    values = data.draw(plain(kind))
    expected = decode(kind, json.dumps(values).encode())
    extra = data.draw(JSON)

    def grown(value: Any) -> Any:
        # Maps whose keys are data (devices, counts, settings, args) must stay as they are.
        if isinstance(value, list):
            return [grown(item) for item in value]
        if not isinstance(value, dict):
            return value
        free = {"devices", "dropped", "counts", "settings", "args"}
        inner = {k: v if k in free and isinstance(v, dict) else grown(v) for k, v in value.items()}
        return inner | {"of_the_future": extra}

    assert decode(kind, json.dumps(grown(values)).encode()) == expected


@kinds
@settings(max_examples=60, deadline=None)
@given(garbage=st.binary(max_size=300) | JSON.map(lambda value: json.dumps(value).encode()))
def test_garbage_is_unreadable_and_nothing_else(kind: type[Message], garbage: bytes) -> None:
    try:
        decode(kind, garbage)
    except Unreadable:
        return


@kinds
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_a_damaged_message_is_read_or_unreadable(kind: type[Message], data: st.DataObject) -> None:
    payload = bytearray(encode(data.draw(messages(kind))))
    for _ in range(data.draw(st.integers(1, 4))):
        payload[data.draw(st.integers(0, len(payload) - 1))] = data.draw(st.integers(0, 255))
    try:
        decode(kind, bytes(payload[: data.draw(st.integers(0, len(payload)))]))
    except Unreadable:
        return


@pytest.mark.parametrize(
    "payload",
    [b"[" * 5_000, b'{"args":' * 5_000, b'{"entries":[' * 5_000, b'{"events":[{"event":' * 3_000, b"\xff\xfe{}", b""],
    ids=["brackets", "objects", "entries", "events", "not unicode", "nothing"],
)
@kinds
def test_nesting_and_other_nonsense_is_unreadable(kind: type[Message], payload: bytes) -> None:
    with pytest.raises(Unreadable):
        decode(kind, payload)


def test_a_deeply_nested_argument_that_nobody_reads_is_unreadable_too() -> None:
    head = f'{{"id":"{"0" * 36}","session":"{"0" * 36}","verb":"relay.open","issued_ms":1,"ttl_ms":1,'
    deep = f'{head}"args":{{"a":{"[" * 30_000}{"]" * 30_000}}}}}'
    with pytest.raises(Unreadable):
        decode(Command, deep.encode())
    with pytest.raises(Unreadable):
        decode(Command, f'{head}"of_the_future":{"[" * 30_000}{"]" * 30_000}}}'.encode())


def test_a_message_of_exactly_the_limit_is_read_and_one_byte_more_is_not() -> None:
    ack = encode(Ack(spool="0" * 36, seq=1))
    assert decode(Ack, ack + b" " * (MAX_MESSAGE - len(ack))).seq == 1
    with pytest.raises(Unreadable):
        decode(Ack, ack + b" " * (MAX_MESSAGE + 1 - len(ack)))


def test_what_is_wrong_is_named_without_quoting_it() -> None:
    with pytest.raises(Unreadable) as caught:
        decode(Command, b'{"id":"very secret 4711","session":"x"}')
    assert "Command" in str(caught.value)
    assert "4711" not in str(caught.value)


@pytest.mark.parametrize("tail", ["\n", "\r", " ", "\0"])
def test_a_line_end_is_no_part_of_a_code_or_a_signature(tail: str) -> None:
    spool = "0" * 36
    with pytest.raises(Unreadable):
        decode(Ack, json.dumps({"spool": spool, "seq": 1, "refused": f"batch.gap{tail}"}).encode())
    good = {"site": spool, "id": spool, "state": "open", "counter": 1, "at_ms": 1, "signature": "0" * 128}
    assert decode(Emergency, json.dumps(good).encode()).counter == 1
    with pytest.raises(Unreadable):
        decode(Emergency, json.dumps(good | {"signature": "0" * 128 + tail}).encode())


def test_an_empty_batch_and_one_of_501_events_are_unreadable() -> None:
    head = {"spool": "0" * 36, "boot": "0" * 36, "sent_mono_ms": 0}
    event = {"event": "door", "boot": "0" * 36, "mono_ms": 0, "wall_ms": 0, "state": "open"}
    for number, readable in ((0, False), (1, True), (500, True), (501, False)):
        events = [event | {"seq": seq + 1} for seq in range(number)]
        payload = json.dumps(head | {"events": events}).encode()
        if readable:
            assert len(decode(EventBatch, payload, limit=1 << 20).events) == number
        else:
            with pytest.raises(Unreadable):
                decode(EventBatch, payload, limit=1 << 20)


def test_an_entry_of_an_unknown_kind_makes_the_delta_unreadable_rather_than_half_read() -> None:
    delta = {
        "epoch": "e",
        "since": 1,
        "revision": 2,
        "entries": [{"key": "x:1", "revision": 2, "payload": {"kind": "x"}}],
    }
    with pytest.raises(Unreadable):
        decode(FeedDelta, json.dumps(delta).encode())


def test_every_field_of_an_emergency_is_under_its_signature() -> None:
    base = ("site", "id", "open", 1, 2)
    changed = [("other", *base[1:]), ("site", "ix", *base[2:]), ("site", "id", "closed", 1, 2)]
    changed += [("site", "id", "open", 2, 2), ("site", "id", "open", 1, 3)]
    assert len({emergency_bytes(*values) for values in [base, *changed]}) == 6
