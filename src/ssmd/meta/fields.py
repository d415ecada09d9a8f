"""What differs between two contents of a file, field by field; and what of it may be shown."""

import json
import re
from collections.abc import Iterator
from itertools import islice
from typing import Any

import msgspec
from msgspec import Struct

from ssmd.config import Key
from ssmd.config.secret import source_fault

HIDDEN = "(not shown)"
MOST = 5_000
IDENTITIES = ("version", "site", "name")
_USER = re.compile(r"//[^/\s]*@")


class Change(Struct, frozen=True):
    """One field; None where it is not there. ``[v2]`` in a field's name is that version."""

    field: str
    old: Any
    new: Any

    def __str__(self) -> str:
        if self.old is None:
            return f"+ {self.field}: {written(self.new)}"
        if self.new is None:
            return f"- {self.field}: {written(self.old)}"
        return f"{self.field}: {written(self.old)} -> {written(self.new)}"


def changes(old: Any, new: Any) -> list[Change]:
    """Between two contents, in the order of the new one; None is a file that is not there."""
    before, after = flat(shown(old)), flat(shown(new))
    hidden = _secret_changes(old, new)
    return [
        Change(name, before.get(name), after.get(name))
        for name in dict.fromkeys([*after, *before])
        if before.get(name) != after.get(name) or name in hidden
    ]


def _secret_changes(old: Any, new: Any) -> set[str]:
    """Fields that differ and are not shown."""
    before, after = flat(old), flat(new)
    shown_after = flat(shown(new))
    return {
        name
        for name in after.keys() & before.keys()
        if before[name] != after[name] and shown_after.get(name) == HIDDEN
    }


def written(value: Any) -> str:
    if isinstance(value, str) and value.isprintable():
        return value
    return json.dumps(value, ensure_ascii=False)


def flat(content: Any) -> dict[str, Any]:
    """Dotted name -> value, for what is not a mapping itself."""
    return dict(islice(_flat(content, ""), MOST))


def _flat(content: Any, name: str) -> Iterator[tuple[str, Any]]:
    if isinstance(content, dict) and content:
        for key, value in content.items():
            yield from _flat(value, f"{name}.{key}" if name else str(key))
    elif isinstance(content, list) and (labels := _labels(content)):
        for label, value in zip(labels, content, strict=True):
            rest = {k: v for k, v in value.items() if str(v) != label} or value
            yield from _flat(rest, f"{name}[{label}]")
    elif name:
        yield name, content


def _labels(content: list[Any]) -> list[str] | None:
    """What each item of a list of mappings is known by."""
    for identity in IDENTITIES:
        if all(isinstance(item, dict) and isinstance(item.get(identity), str) for item in content):
            labels = [item[identity] for item in content]
            if labels and len(set(labels)) == len(labels):
                return labels
    return None


def shown(content: Any) -> Any:
    """The content without what might be a secret: passwords in URLs, and whatever stands beside a
    key and is no reference."""
    if not isinstance(content, dict):
        return _shown(content)
    keys = content.get("keys")
    rest = {name: _shown(value) for name, value in content.items()}
    if isinstance(keys, dict):
        return {**rest, "keys": {name: _shown_key(key) for name, key in keys.items()}}
    return {**rest, "keys": HIDDEN} if "keys" in content else rest


def _shown(content: Any) -> Any:
    if isinstance(content, dict):
        return {name: _shown(value) for name, value in content.items()}
    if isinstance(content, list):
        return [_shown(value) for value in content]
    if isinstance(content, str):
        return HIDDEN if "-----BEGIN" in content else _USER.sub("//", content)
    return content


def _shown_key(key: Any) -> Any:
    try:
        fault = source_fault(msgspec.convert(key, Key))
    except msgspec.ValidationError:
        return dict.fromkeys(key, HIDDEN) if isinstance(key, dict) else HIDDEN
    return {**_shown(key), "source": HIDDEN} if fault else _shown(key)
