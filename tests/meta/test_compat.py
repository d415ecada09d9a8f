"""Compatibility of schemas is computed: what is called compatible must be so for any document."""

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from ssmd.meta.compat import compatibility

OLD = {
    "$ref": "#/$defs/Trade",
    "$defs": {
        "Trade": {
            "type": "object",
            "properties": {
                "sym": {"type": "string"},
                "price": {"type": "string", "format": "decimal"},
                "side": {"enum": ["buy", "sell"]},
                "levels": {"type": "array", "items": {"$ref": "#/$defs/Level"}},
                "note": {"anyOf": [{"type": "string"}, {"type": "null"}]},
            },
            "required": ["sym", "price"],
        },
        "Level": {"type": "array", "prefixItems": [{"type": "string"}, {"type": "string"}]},
    },
}


def changed(**edits: Any) -> dict[str, Any]:
    """The old schema with places of the trade replaced; None takes a property out."""
    new = copy.deepcopy(OLD)
    trade = new["$defs"]["Trade"]
    for name, value in edits.items():
        if name == "required":
            trade["required"] = value
        elif value is None:
            del trade["properties"][name]
        else:
            trade["properties"][name] = value
    return new


def test_the_same_is_compatible() -> None:
    assert compatibility(OLD, copy.deepcopy(OLD)).changes == ()


def test_an_optional_field_more_is_compatible() -> None:
    found = compatibility(OLD, changed(fee={"type": "string"}))
    assert [str(change) for change in found.changes] == ["/fee: added, optional"]
    assert not found.breaking


def test_descriptions_may_change() -> None:
    new = changed(sym={"type": "string", "description": "the symbol", "title": "S"})
    assert compatibility(OLD, new).changes == ()


EITHER = [{"type": "null"}, {"type": "string"}]


@pytest.mark.parametrize(
    ("edits", "told"),
    [
        ({"side": None}, "/side: removed"),
        ({"price": {"type": "number"}}, "/price: format was 'decimal', is absent"),
        ({"sym": {"type": "integer"}}, "/sym: type was 'string', is 'integer'"),
        ({"sym": {"type": ["null", "string"]}}, "/sym: type was 'string', is ['null', 'string']"),
        ({"side": {"enum": ["buy"]}}, "/side: enum was ['buy', 'sell'], is ['buy']"),
        ({"side": {"enum": ["x", "buy"]}}, "/side: enum was ['buy', 'sell'], is ['x', 'buy']"),
        ({"required": ["sym"]}, "/price: optional now"),
        ({"required": ["sym", "price", "side"]}, "/side: required now"),
        ({"fee": {}, "required": ["sym", "price", "fee"]}, "/fee: added, required"),
        ({"levels": {"type": "array", "items": {"type": "string"}}}, "/levels/*: type was 'array'"),
        ({"note": {"anyOf": EITHER[:1]}}, "/note: anyOf had 2 entries, has 1"),
        ({"note": {"anyOf": EITHER, "default": 1}}, "/note: default was absent, is 1"),
    ],
)
def test_everything_else_is_breaking_and_told(edits: dict[str, Any], told: str) -> None:
    found = compatibility(OLD, changed(**edits)).breaking
    assert [change for change in found if str(change).startswith(told)]
    assert str(found[0]).endswith("(breaking)")


def test_recursive_schemas_end() -> None:
    tree = {"$ref": "#/$defs/T", "$defs": {"T": {"properties": {"left": {"$ref": "#/$defs/T"}}}}}
    assert compatibility(tree, copy.deepcopy(tree)).changes == ()


TYPES = st.sampled_from(["string", "integer", "boolean", "null"])
NAMES = st.sampled_from(list("abcd"))
VALUES = st.one_of(st.text(max_size=2), st.integers(), st.booleans(), st.none())


@st.composite
def schemas(draw: st.DrawFn) -> dict[str, Any]:
    properties = draw(st.dictionaries(NAMES, TYPES, max_size=4))
    required = draw(st.sets(st.sampled_from(sorted(properties)))) if properties else set()
    return {
        "type": "object",
        "properties": {name: {"type": type_} for name, type_ in properties.items()},
        "required": sorted(required),
    }


@given(schemas(), schemas(), st.dictionaries(NAMES, VALUES))
def test_compatible_means_that_each_reads_the_other(
    old: dict[str, Any], new: dict[str, Any], document: dict[str, Any]
) -> None:
    if compatibility(old, new).breaking:
        return
    for writer, reader in ((old, new), (new, old)):
        # A writer writes the fields that it knows, a reader looks at those that it knows.
        written = {k: v for k, v in document.items() if k in writer["properties"]}
        if Draft202012Validator(writer).is_valid(written):
            assert Draft202012Validator(reader).is_valid(written)
