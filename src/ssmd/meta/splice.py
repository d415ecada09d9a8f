"""Edits of YAML text that change what they mean to change and not one character more.

A place in the text is found by the marks of ruamel's nodes, and only that place is written anew:
comments, order, quotes and spacing elsewhere cannot change.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from ruamel.yaml import YAML

from ssmd.config.check import Place
from ssmd.meta.render import block, inline


class Unspliceable(Exception):
    """The text is written in a way that these edits do not reach (aliases, odd nesting)."""


def put(text: str, place: Place, value: Any) -> str:
    """The text with that value at that place; what leads to it is made where it lacks."""
    depth = _depth(text, place)
    if depth == len(place):
        return _replace(text, place, value)
    for step in reversed(place[depth + 1 :]):
        value = {step: value}
    parent, key = place[:depth], place[depth]
    node = _node(text, parent)
    if _is_empty(node):
        return _replace(text, parent, {key: value})
    if node.id != "mapping":
        raise Unspliceable
    return _insert(text, node, {key: value})


def add(text: str, place: Place, item: Any) -> str:
    """The text with one more item in the list at that place."""
    if _depth(text, place) < len(place):
        return put(text, place, [item])
    node = _node(text, place)
    if _is_empty(node):
        return _replace(text, place, [item])
    if node.id != "sequence":
        raise Unspliceable
    return _insert(text, node, [item])


def drop(text: str, place: Place) -> str:
    """The text without the key at that place. It must not be the only one of its mapping."""
    parent = _node(text, place[:-1])
    if parent.id != "mapping" or len(parent.value) < 2:
        raise Unspliceable
    names = [key.value for key, _ in parent.value]
    index = names.index(place[-1])
    key, value = parent.value[index]
    if parent.flow_style:
        start, end = _flow_span(parent, index)
        return text[:start] + text[end:]
    start = text.rfind("\n", 0, key.start_mark.index) + 1
    end = _line_end(text, _end(text, key, value))
    if text[start : key.start_mark.index].strip():
        return _drop_first(text, parent.value, end)
    return text[:start] + text[end:]


def _drop_first(text: str, pairs: Any, end: int) -> str:
    """Without the key that stands behind the dash of its item: the next takes its place."""
    start, following = (int(key.start_mark.index) for key, _ in pairs[:2])
    if text[end:following].strip():
        raise Unspliceable
    return text[:start] + text[following:]


def _flow_span(parent: Any, index: int) -> tuple[int, int]:
    pairs = parent.value
    if index + 1 < len(pairs):
        return pairs[index][0].start_mark.index, pairs[index + 1][0].start_mark.index
    if index == 0:
        raise Unspliceable
    return pairs[index - 1][1].end_mark.index, pairs[index][1].end_mark.index


# --- finding ------------------------------------------------------------------------------------


def _node(text: str, place: Place) -> Any:
    node = YAML(typ="safe", pure=True).compose(text)
    for step in place:
        node = _child(node, step)
    if node is None:
        raise Unspliceable
    return node


def _child(node: Any, step: str | int) -> Any:
    """The node below, None where there is none."""
    if node is not None and node.id == "mapping":
        return next((value for key, value in node.value if key.value == step), None)
    if node is not None and node.id == "sequence" and isinstance(step, int):
        return node.value[step] if step < len(node.value) else None
    return None


def _depth(text: str, place: Place) -> int:
    """How many steps of the place exist."""
    node = YAML(typ="safe", pure=True).compose(text)
    for depth, step in enumerate(place):
        node = _child(node, step)
        if node is None:
            return depth
    return len(place)


def _is_empty(node: Any) -> bool:
    """Nothing was written: ``key:``, or ``null``."""
    return node.id == "scalar" and node.style is None and node.value in ("", "~", "null")


def _end(text: str, key: Any | None, value: Any) -> int:
    """Where the last sign of a value is over (a block's own mark is behind the comments below)."""
    if value.id == "scalar" and not value.value and value.style is None:
        return text.index(":", _mark(key)) + 1 if key is not None else _mark(value)
    if value.id == "mapping" and not value.flow_style:
        return _end(text, *value.value[-1])
    if value.id == "sequence" and not value.flow_style:
        return _end(text, None, value.value[-1])
    start, end = int(value.start_mark.index), _mark(value)
    return start + len(text[start:end].rstrip())


def _mark(node: Any) -> int:
    return int(node.end_mark.index)


def _line_end(text: str, position: int) -> int:
    """Behind the line break of the line that holds the position."""
    found = text.find("\n", position)
    return len(text) if found < 0 else found + 1


# --- writing ------------------------------------------------------------------------------------


def _replace(text: str, place: Place, value: Any) -> str:
    node = _node(text, place)
    parent = _node(text, place[:-1])
    scalar = node.id == "scalar"
    written = inline(value, node.style if scalar and isinstance(value, str) else None)
    if scalar and node.start_mark.index == _mark(node):
        if parent.id != "mapping":
            raise Unspliceable
        key = next(key for key, _ in parent.value if key.value == place[-1])
        position = text.index(":", key.end_mark.index) + 1
        return f"{text[:position]} {written}{text[position:]}"
    if not scalar and not node.flow_style:
        return _replace_block(text, node, value)
    if scalar and node.style in ("|", ">"):
        written += "\n"
    return text[: node.start_mark.index] + written + text[_mark(node) :]


def _replace_block(text: str, node: Any, value: Any) -> str:
    if not isinstance(value, (Mapping, Sequence)) or isinstance(value, str) or not value:
        raise Unspliceable
    column = node.start_mark.column
    lines = block(value, column, _break(text)).removeprefix(" " * column)
    end = _end(text, None, node)
    return text[: node.start_mark.index] + lines.removesuffix(_break(text)) + text[end:]


def _insert(text: str, node: Any, value: Any) -> str:
    """One more pair of a mapping, or item of a list, behind its last."""
    if node.flow_style:
        return _insert_flow(text, node, inline(value)[1:-1])
    last = node.value[-1]
    end = _end(text, *last) if node.id == "mapping" else _end(text, None, last)
    position = _line_end(text, end)
    lines = block(value, node.start_mark.column, _break(text))
    if position == len(text) and not text.endswith("\n"):
        lines = _break(text) + lines.removesuffix(_break(text))
    return text[:position] + lines + text[position:]


def _insert_flow(text: str, node: Any, written: str) -> str:
    if not node.value:
        position = node.start_mark.index + 1
        return text[:position] + written + text[position:]
    last = node.value[-1]
    end = _mark(last[1] if node.id == "mapping" else last)
    if re.match(r"\s*,", text[end:]):
        end = text.index(",", end) + 1
        return f"{text[:end]} {written}{text[end:]}"
    return f"{text[:end]}, {written}{text[end:]}"


def _break(text: str) -> str:
    return "\r\n" if "\r\n" in text else "\n"
