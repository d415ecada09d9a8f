"""The fields that messages have, read off archived ones; those of records, off their Structs."""

from collections.abc import Iterable, Iterator
from typing import Any, Final, Literal, get_args, get_origin

import msgspec
from msgspec import Struct

MAX_FIELDS: Final = 1000
MAX_DEPTH: Final = 20

_WORDS: Final = {
    "str": "string",
    "int": "integer",
    "float": "number",
    "bool": "boolean",
    "Decimal": "decimal as text",
    "Raw": "any JSON",
    "Sequence": "array of [price, size], decimals as text",
}


def of_lines(lines: Iterable[bytes]) -> dict[str, str]:
    """Path -> JSON type of every field in some messages: ``raw.msg.market_ticker``, and ``[]`` for
    the elements of an array. Several types of one field are joined with " or "."""
    found: dict[str, dict[str, None]] = {}
    for line in lines:
        try:
            content = msgspec.json.decode(line)
        except (msgspec.MsgspecError, RecursionError):
            continue  # valid JSON, but beyond what can be held: a number of 1e999, deep nesting
        for path, kind in _walk("", content, 0):
            if path in found or len(found) < MAX_FIELDS:
                found.setdefault(path, {})[kind] = None
    return {path: " or ".join(_merged(kinds)) for path, kinds in found.items()}


def of_struct(kind: type[Struct]) -> dict[str, str]:
    """Name -> JSON type of a Struct's fields, as they are encoded."""
    tag = kind.__struct_config__
    fields = {str(tag.tag_field): repr(tag.tag)} if tag.tag else {}
    for field in msgspec.structs.fields(kind):
        fields[field.encode_name] = _name(field.type)
    return fields


def _walk(path: str, value: Any, depth: int) -> Iterator[tuple[str, str]]:
    if depth < MAX_DEPTH and isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from _walk(f"{path}.{key}" if path else key, inner, depth + 1)
    elif depth < MAX_DEPTH and isinstance(value, list) and value:
        for inner in value:
            yield from _walk(f"{path}[]", inner, depth + 1)
    else:
        yield path, _json_type(value)


def _json_type(value: Any) -> str:
    for kind, name in (
        (bool, "boolean"),
        (int, "integer"),
        (float, "number"),
        (str, "string"),
        (list, "array"),
        (dict, "object"),
    ):
        if isinstance(value, kind):
            return name
    return "null"


def _merged(kinds: dict[str, None]) -> list[str]:
    """An exchange writes 5 and 5.5 into one field: a number."""
    return [kind for kind in kinds if kind != "integer" or "number" not in kinds]


def _name(kind: Any) -> str:
    words = dict.fromkeys(
        _WORDS.get(name, name) for name in _names(kind) if name not in ("UnsetType", "NoneType")
    )
    return " or ".join(words)


def _names(kind: Any) -> Iterator[str]:
    origin = get_origin(kind)
    if origin is Literal:
        yield from (repr(value) for value in get_args(kind))
    elif origin is None or origin.__name__ == "Sequence":
        yield getattr(kind, "__name__", str(kind))
    else:
        for one in get_args(kind):
            yield from _names(one)
