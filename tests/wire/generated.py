"""Random messages of any wire type, made from the types themselves, so that a new field is covered by itself."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import strategies as st
from msgspec import inspect

from gatehouse.wire.messages import DOWN_TYPES, HTTP_TYPES, UP_TYPES, Emergency, Message

KINDS: list[type[Message]] = [*UP_TYPES.values(), *DOWN_TYPES.values(), *HTTP_TYPES.values(), Emergency]


def plain(kind: type[Message]) -> st.SearchStrategy[Any]:
    """Plain values, as JSON decoding gives them, of valid messages of this kind."""
    return _values(inspect.type_info(kind))


def messages(kind: type[Message]) -> st.SearchStrategy[Message]:
    """Valid messages of this kind."""
    return plain(kind).map(lambda values: msgspec.convert(values, kind))


def _values(info: inspect.Type) -> st.SearchStrategy[Any]:
    match info:
        case inspect.Metadata(type=inner):
            return _values(inner)
        case inspect.StructType(fields=fields, tag_field=tag_field, tag=tag):
            needed: dict[str, st.SearchStrategy[Any]] = {
                field.encode_name: _values(field.type) for field in fields if field.required
            }
            if tag_field is not None and tag is not None:
                needed[tag_field] = st.just(tag)
            optional = {field.encode_name: _values(field.type) for field in fields if not field.required}
            return st.fixed_dictionaries(needed, optional=optional)
        case inspect.UnionType(types=types):
            return st.one_of(*(_values(one) for one in types))
        case inspect.StrType(min_length=least, max_length=most, pattern=pattern):
            if pattern is not None:
                text = st.from_regex(pattern.removesuffix(r"(?![\s\S])"), fullmatch=True)
                return text.filter(lambda value: (least or 0) <= len(value) <= (most or 1 << 16))
            return st.text(min_size=least or 0, max_size=min(most or 12, 64))
        case inspect.IntType(ge=least, le=most):
            return st.integers(min_value=-(1 << 53) if least is None else least, max_value=most or 1 << 53)
        case inspect.ListType(item_type=item, min_length=least):
            return st.lists(_values(item), min_size=least or 0, max_size=3)
        case inspect.DictType(key_type=key, value_type=value):
            return st.dictionaries(_values(key), _values(value), max_size=3)
        case inspect.LiteralType(values=values):
            return st.sampled_from(values)
        case inspect.BoolType():
            return st.booleans()
        case inspect.NoneType():
            return st.none()
        case inspect.AnyType():
            return st.one_of(st.none(), st.booleans(), st.integers(-99, 99), st.text(max_size=8))
        case _:
            raise NotImplementedError(str(info))
