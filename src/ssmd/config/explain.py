"""Where each value of a resolved environment came from."""

import os
from collections.abc import Iterator, Mapping
from typing import Any

from msgspec import Struct

from ssmd.config import files
from ssmd.config.check import Place
from ssmd.config.files import Document
from ssmd.config.load import USER, feed_variable
from ssmd.config.model import Config, Feed, ResolvedFeed

DEFAULT = "default"
_OF_ENVIRONMENT: dict[Place, str] = {
    ("transport", "url"): "SSMD_TRANSPORT_URL",
    ("storage", "path"): "SSMD_STORAGE_PATH",
}
_OF_FEED = frozenset({"channels", "depth", "instruments", "stale_after_s"})
"""What ``capture`` of an environment can stand over."""
_OF_VERSION = frozenset({"max_symbols_per_connection", "rate_limit_per_second"})


class Value(Struct, frozen=True):
    """One value: ``source`` is ``file:line``, a variable's name, or ``default``."""

    path: str
    value: Any
    source: str


def explain(config: Config) -> Iterator[Value]:
    """Every value that a role gets, the environment's first. No secrets: those are references."""
    source = files.document(config.root, "environments", config.env.name)
    for place, value in _leaves(config.env, ()):
        variable = _OF_ENVIRONMENT.get(place)
        if variable and os.environ.get(variable):
            yield Value(_dotted(place), _masked(value), variable)
        else:
            yield Value(_dotted(place), _masked(value), _line(source, place))
    for feed in config.feeds.values():
        yield from _feed(config, feed, source)


def _feed(config: Config, feed: ResolvedFeed, environment: Document) -> Iterator[Value]:
    source = files.document(config.root, "feeds", feed.name)
    spec = files.decode(source, Feed)
    version = spec.versions.index(spec.version_on(config.day))
    for place, value in _leaves(feed, ()):
        top = str(place[0])
        if top in ("endpoint", "rest_endpoint"):
            found = _endpoint(feed.name, top, environment, source, version)
        elif top in _OF_FEED:
            over = ("capture", feed.name, top)
            found = (
                _line(environment, ("capture", feed.name, *place))
                if over in environment.lines
                else _line(source, place)
            )
        elif top in _OF_VERSION:
            found = _line(source, ("versions", version, *place))
        elif top in ("name", "exchange", "calendar"):
            found = _line(source, place)
        else:
            continue  # what follows from others: the key, and whether REST stands in
        yield Value(_dotted(("feeds", feed.name, *place)), value, found)


def _endpoint(feed: str, field: str, environment: Document, source: Document, version: int) -> str:
    variable = feed_variable(feed, field.upper())
    if os.environ.get(variable):
        return variable
    stands_in = ("endpoints", feed, field)
    if stands_in in environment.lines:
        return _line(environment, stands_in)
    return _line(source, ("versions", version, field))


def _leaves(value: Any, place: Place) -> Iterator[tuple[Place, Any]]:
    """The values within; a list of plain values is one."""
    if isinstance(value, Struct):
        value = {name: getattr(value, name) for name in value.__struct_fields__}
    if isinstance(value, Mapping) and value:
        for key, inner in value.items():
            yield from _leaves(inner, (*place, str(key)))
    else:
        yield place, list(value) if isinstance(value, tuple) else value


def _masked(value: Any) -> Any:
    return USER.sub("//***@", value) if isinstance(value, str) else value


def _line(source: Document, place: Place) -> str:
    number = source.lines.get(place)
    return DEFAULT if number is None else f"{source.file}:{number}"


def _dotted(place: Place) -> str:
    return ".".join(map(str, place))
