"""What a new version of a JSON Schema means for those who read the old one, and the old data.

Two versions are compatible where each can stand in for the other: readers of the old one read what
the new one writes, and the other way round. That leaves one change: an optional field more. What
only people read (titles, descriptions, examples, comments) may change freely.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from msgspec import Struct

ANNOTATIONS: Final = frozenset(
    {"$comment", "$defs", "$id", "$schema", "definitions", "deprecated", "description",
     "examples", "title"}
)  # fmt: skip
_UNORDERED: Final = frozenset({"anyOf", "enum", "oneOf", "type"})


class Change(Struct, frozen=True):
    """``path`` is a JSON pointer into the documents that the schemas describe."""

    path: str
    what: str
    breaking: bool

    def __str__(self) -> str:
        return f"{self.path or '/'}: {self.what}" + (" (breaking)" if self.breaking else "")


class Compatibility(Struct, frozen=True):
    changes: tuple[Change, ...]

    @property
    def breaking(self) -> tuple[Change, ...]:
        return tuple(change for change in self.changes if change.breaking)


def compatibility(old: Any, new: Any) -> Compatibility:
    """All that differs between two JSON Schemas (each as ``json.loads`` gives it)."""
    return Compatibility(tuple(_Comparison(old, new).compare(old, new, "")))


class _Comparison:
    def __init__(self, old: Any, new: Any) -> None:
        self._old = old
        self._new = new
        self._seen: set[tuple[str, str]] = set()
        """Pairs of references that are compared already: schemas may be recursive."""

    def compare(self, old: Any, new: Any, path: str) -> Iterator[Change]:
        pair = (_reference(old), _reference(new))
        if pair in self._seen:
            return
        if pair != ("", ""):
            self._seen.add(pair)
        old, new = _resolve(old, self._old), _resolve(new, self._new)
        if not isinstance(old, Mapping) or not isinstance(new, Mapping):
            if old != new:
                yield Change(path, "another schema", True)
            return
        yield from self._properties(old, new, path)
        for key in sorted({*old, *new} - ANNOTATIONS - {"properties", "required", "$ref"}):
            yield from self._keyword(key, old.get(key), new.get(key), path)

    def _properties(self, old: Any, new: Any, path: str) -> Iterator[Change]:
        before, after = old.get("properties", {}), new.get("properties", {})
        needed, needs = set(old.get("required", ())), set(new.get("required", ()))
        for name in (*before, *(name for name in after if name not in before)):
            here = f"{path}/{_escape(name)}"
            if name not in after:
                yield Change(here, "removed", True)
            elif name not in before:
                word = "required" if name in needs else "optional"
                yield Change(here, f"added, {word}", name in needs)
            else:
                if (name in needed) != (name in needs):
                    yield Change(here, "required now" if name in needs else "optional now", True)
                yield from self.compare(before[name], after[name], here)
        for name in sorted((needed ^ needs) - {*before, *after}):
            yield Change(f"{path}/{_escape(name)}", "required differs", True)

    def _keyword(self, key: str, old: Any, new: Any, path: str) -> Iterator[Change]:
        if old is None or new is None:
            if old != new:
                yield Change(path, f"{key} was {_short(old)}, is {_short(new)}", True)
        elif key in ("items", "additionalProperties", "not"):
            yield from self.compare(old, new, f"{path}/*")
        elif key in ("anyOf", "oneOf", "allOf", "prefixItems"):
            yield from self._list(key, old, new, path)
        elif _normal(key, old) != _normal(key, new):
            yield Change(path, f"{key} was {_short(old)}, is {_short(new)}", True)

    def _list(self, key: str, old: Any, new: Any, path: str) -> Iterator[Change]:
        if len(old) != len(new):
            yield Change(path, f"{key} had {len(old)} entries, has {len(new)}", True)
            return
        if key in _UNORDERED:
            old, new = sorted(old, key=_order), sorted(new, key=_order)
        for one, two in zip(old, new, strict=True):
            yield from self.compare(one, two, path)


def _reference(schema: Any) -> str:
    return str(schema["$ref"]) if isinstance(schema, Mapping) and "$ref" in schema else ""


def _resolve(schema: Any, root: Any) -> Any:
    """What a local reference stands for. One that leads nowhere stands for itself."""
    for _ in range(100):
        reference = _reference(schema)
        if not reference.startswith("#"):
            return schema
        found = root
        for step in reference.split("/")[1:]:
            if not isinstance(found, Mapping) or step not in found:
                return schema
            found = found[step]
        schema = found
    return schema


def _order(schema: Any) -> str:
    return str(sorted(schema.items(), key=str)) if isinstance(schema, Mapping) else str(schema)


def _normal(key: str, value: Any) -> Any:
    if key not in _UNORDERED:
        return value
    return sorted(map(repr, value)) if isinstance(value, list) else [repr(value)]


def _short(value: Any) -> str:
    text = "absent" if value is None else repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _escape(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")
