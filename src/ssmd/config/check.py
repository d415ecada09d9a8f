"""What is wrong with the content of a configuration file: everything, each with its place."""

import types
import zoneinfo
from collections.abc import Callable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta, Struct

from ssmd.config.model import (
    Calendar,
    Endpoint,
    Environment,
    Feed,
    FeedVersion,
    Key,
    Schedule,
    Schema,
    SchemaVersion,
    Storage,
    Transport,
)
from ssmd.config.secret import source_fault

Place = tuple[str | int, ...]
"""``("versions", 0, "endpoint")``"""


class Problem(NamedTuple):
    place: Place
    text: str
    hint: str | None = None


def problems(content: Any, kind: Any, place: Place = ()) -> Iterator[Problem]:
    """Each thing that keeps the content from being of that type."""
    kind = _bare(kind, content)
    if isinstance(kind, type) and issubclass(kind, Struct) and isinstance(content, Mapping):
        found = list(_in_struct(content, kind, place))
        yield from found
        if not found and kind in RULES:
            for rule in RULES[kind](msgspec.convert(content, kind)):
                yield rule._replace(place=place + rule.place)
        return
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Mapping and isinstance(content, Mapping):
        for key, value in content.items():
            if not isinstance(key, str):
                yield Problem((*place, key), f"the key {key!r} is not text", "put it in quotes")
            yield from problems(value, arguments[1], (*place, key))
        return
    elif origin is Sequence and isinstance(content, list):
        for index, value in enumerate(content):
            yield from problems(value, arguments[0], (*place, index))
        return
    yield from _value(content, kind, place)


def _bare(kind: Any, content: Any) -> Any:
    """The type that decides: of a union with None the other side, without limits on a list."""
    if get_origin(kind) in (Union, types.UnionType) and content is not None:
        kind = next(side for side in get_args(kind) if side is not type(None))
    if get_origin(kind) is Annotated and isinstance(content, list) and content:
        kind = get_args(kind)[0]
    return kind


def _in_struct(content: Mapping[Any, Any], kind: type[Struct], place: Place) -> Iterator[Problem]:
    fields = {field.name: field for field in msgspec.structs.fields(kind)}
    meant: set[str] = set()
    for key, value in content.items():
        if key in fields:
            yield from problems(value, fields[key].type, (*place, key))
        else:
            meant |= set(get_close_matches(str(key), fields, 1))
            yield Problem((*place, key), f"unknown key {key!r}", _close(key, list(fields)))
    for name, field in fields.items():
        if field.required and name not in content and name not in meant:
            yield Problem(place, f"{_dotted(place)} lacks the key {name!r}")


def _value(content: Any, kind: Any, place: Place) -> Iterator[Problem]:
    try:
        msgspec.convert(content, kind)
    except msgspec.ValidationError as error:
        text = str(error).partition(" - at `")[0]
        hint = None
        if get_origin(kind) is Literal and isinstance(content, str):
            # Beside a key, a secret may have been pasted into any place.
            said = "what is written" if place[:1] == ("keys",) else repr(content)
            text = f"{said} is not possible"
            hint = _close(content, [str(choice) for choice in get_args(kind)])
        elif "matching regex" in text:
            text = f"expected {_description(kind)}"
        elif text.startswith("Expected `str`, got") and not isinstance(content, (dict, list)):
            hint = "put it in quotes"
        yield Problem(place, f"{_dotted(place)}: {text}", hint)


def _description(kind: Any) -> str:
    return next(note.description or "" for note in kind.__metadata__ if isinstance(note, Meta))


def _close(word: object, known: Sequence[str]) -> str:
    close = get_close_matches(str(word), known, 1)
    return f"did you mean {close[0]!r}?" if close else f"one of: {', '.join(known)}"


def _dotted(place: Place) -> str:
    text = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in place)
    return text.lstrip(".") or "the file"


# --- what no type can say -----------------------------------------------------------------------


def _feed(feed: Feed) -> Iterator[Problem]:
    yield from _versions(feed.versions, list(range(len(feed.versions))))


def _schema(schema: Schema) -> Iterator[Problem]:
    # A draft is in force for nobody.
    dated = [i for i, version in enumerate(schema.versions) if version.status != "draft"]
    yield from _versions(schema.versions, dated)
    names: list[tuple[Place, str]] = [(("schema_file",), schema.schema_file)]
    names += [
        (("versions", i, "schema_file"), version.schema_file)
        for i, version in enumerate(schema.versions)
        if version.schema_file is not None
    ]
    for place, name in names:
        if Path(name).name != name:
            yield Problem(place, "the file must lie in schemas/", "give its name alone")


def _versions(
    versions: Sequence[FeedVersion] | Sequence[SchemaVersion], dated: Sequence[int]
) -> Iterator[Problem]:
    """Names are unique; no day belongs to two of the dated ones. Without an end, a version ends
    where the next begins."""
    names = [version.version for version in versions]
    for index, name in enumerate(names):
        if name in names[:index]:
            yield Problem(("versions", index, "version"), f"two versions are named {name!r}")
    order = sorted(dated, key=lambda index: versions[index].effective_from)
    for before, after in pairwise(order):
        start, ends = versions[after].effective_from, versions[before].effective_to
        place = ("versions", after, "effective_from")
        if versions[before].effective_from == start:
            yield Problem(place, f"two versions begin on {start}", "let one begin later")
        elif ends is not None and ends >= start:
            text = f"{names[after]} begins on {start}, when {names[before]} (to {ends}) is in force"
            yield Problem(place, text, "let the first end the day before, or leave out its end")


def _range(version: FeedVersion | SchemaVersion) -> Iterator[Problem]:
    if version.effective_to is not None and version.effective_to < version.effective_from:
        text = f"the version ends on {version.effective_to}, before it begins"
        yield Problem(("effective_to",), text)


def _version(version: FeedVersion) -> Iterator[Problem]:
    yield from _range(version)
    yield from _endpoints(version)


def _endpoints(spec: FeedVersion | Endpoint) -> Iterator[Problem]:
    for name, url in (("endpoint", spec.endpoint), ("rest_endpoint", spec.rest_endpoint)):
        if url is not None and (fault := url_fault(url)):
            yield Problem((name,), f"{name} {fault}")


def url_fault(url: str) -> str | None:
    """What is wrong with a URL; shows nothing of it, as it may hold a password."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return "is no URL"
    if not parts.scheme or not host:
        return "is no URL"
    if parts.username is not None or parts.password is not None:
        return "holds a user or a password; a file must not"
    return None


def _zone(spec: Calendar | Schedule) -> Iterator[Problem]:
    if spec.timezone == "UTC" or not any(Path(path).is_dir() for path in zoneinfo.TZPATH):
        return
    try:
        zoneinfo.ZoneInfo(spec.timezone)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        text = f"timezone: {spec.timezone!r} is unknown"
        yield Problem(("timezone",), text, "write it as America/New_York")


def _calendar(spec: Calendar) -> Iterator[Problem]:
    yield from _zone(spec)
    if spec.holidays and spec.holiday_calendar != "custom":
        text = f"holidays: {spec.holiday_calendar} has its own"
        yield Problem(("holidays",), text, "set holiday_calendar: custom")


def _key(key: Key) -> Iterator[Problem]:
    fault = source_fault(key)
    if fault is not None:
        yield Problem(("source",), f"source {fault}", "write it as env:VARIABLE or file:PATH")


def _transport(transport: Transport) -> Iterator[Problem]:
    if transport.type == "nats" and transport.url != "embedded":
        fault = url_fault(transport.url)
        if fault is not None:
            hint = "embedded, or nats://host:4222; a password goes into SSMD_TRANSPORT_URL"
            yield Problem(("url",), f"url {fault}", hint)
    if (transport.tls_cert_file is None) != (transport.tls_key_file is None):
        text = "tls_cert_file and tls_key_file need each other"
        yield Problem((), text)


def _storage(storage: Storage) -> Iterator[Problem]:
    if storage.type == "s3" and not storage.bucket:
        yield Problem(("type",), "storage of type s3 needs a bucket")


def _environment(environment: Environment) -> Iterator[Problem]:
    if environment.feed is None and not environment.feeds:
        yield Problem((), "the environment names no feed", "add `feeds: [...]`")
    name, _, version = environment.schema.partition(":")
    if not name or not version:
        text = f"schema: {environment.schema!r} is not of the form name:version"
        yield Problem(("schema",), text, "write it as message:v1")


RULES: dict[type[Struct], Callable[[Any], Iterator[Problem]]] = {
    Feed: _feed,
    FeedVersion: _version,
    Schema: _schema,
    SchemaVersion: _range,
    Endpoint: _endpoints,
    Calendar: _calendar,
    Schedule: _zone,
    Key: _key,
    Transport: _transport,
    Storage: _storage,
    Environment: _environment,
}
