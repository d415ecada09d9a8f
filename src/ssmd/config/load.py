"""An environment and its feeds, resolved: files, then variables over them."""

import hashlib
import os
import re
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime
from pathlib import Path

import msgspec
from msgspec.structs import replace

from ssmd.config import files
from ssmd.config.check import Problem, url_fault
from ssmd.config.files import find_root, names
from ssmd.config.model import (
    Capture,
    Config,
    Endpoint,
    Environment,
    Feed,
    Key,
    ResolvedFeed,
    Schema,
)
from ssmd.errors import ConfigError, NotFound

USER = re.compile(r"//[^/]*@")
"""User and password of a URL."""


def load(env: str, *, root: Path | None = None, feeds: Sequence[str] = ()) -> Config:
    """Read an environment and the feeds it names (or the chosen ones of them).

    Feeds with ``status: disabled`` are left out. Raises ConfigError with file, line and what was
    expected; NotFound for unknown names. ``SSMD_FEED_<NAME>_ENDPOINT`` / ``_REST_ENDPOINT``,
    ``SSMD_TRANSPORT_URL`` and ``SSMD_STORAGE_PATH`` stand over the files (name in upper case,
    ``-`` as ``_``).
    """
    root = find_root(root)
    source = files.document(root, "environments", env)
    environment = files.decode(source, Environment)
    found = list(references(root, environment))
    if found:
        raise source.error(found)
    environment = _with_variables(environment)
    named = _named(environment)
    for name in feeds:
        if name not in named:
            raise NotFound(
                f"environment {env} has no feed {name!r}", hint=f"one of: {', '.join(named)}"
            )
    day = datetime.now(UTC).date()
    resolved = {}
    for name in dict.fromkeys(feeds or named):
        feed = files.read(root, "feeds", name, Feed)
        if feed.status != "disabled":
            resolved[name] = _resolve(root, environment, feed, day)
        elif feeds:
            raise ConfigError(
                f"feed {name} is disabled", hint=f"set status: active in {_file(root, name)}"
            )
    if not resolved:
        raise ConfigError(
            f"every feed of environment {env} is disabled", hint="set status: active in one"
        )
    return Config(
        root=root, env=environment, day=day, feeds=resolved, hash=_hash(environment, resolved)
    )


def feed_variable(feed: str, suffix: str) -> str:
    """The variable that stands over a feed's file: ``SSMD_FEED_KRAKEN_FUTURES_ENDPOINT``."""
    return f"SSMD_FEED_{feed.upper().replace('-', '_')}_{suffix}"


def _named(environment: Environment) -> list[str]:
    first = [environment.feed] if environment.feed else []
    return list(dict.fromkeys([*first, *environment.feeds]))


def _file(root: Path, feed: str) -> Path:
    return root / "feeds" / f"{feed}.yaml"


def _hash(environment: Environment, feeds: dict[str, ResolvedFeed]) -> str:
    # The URL may have come from a variable, with a password in it.
    url = USER.sub("//", environment.transport.url)
    environment = replace(environment, transport=replace(environment.transport, url=url))
    content = msgspec.json.encode([environment, feeds], order="deterministic")
    return "sha256:" + hashlib.sha256(content).hexdigest()


def _resolve(root: Path, environment: Environment, feed: Feed, day: date) -> ResolvedFeed:
    name, file = feed.name, _file(root, feed.name)
    if feed.type != "websocket":
        raise ConfigError(
            f"{file}: feeds of type {feed.type} are not supported", hint="use type: websocket"
        )
    try:
        version = feed.version_on(day)
    except ConfigError as error:
        raise ConfigError(
            f"{file}: {error.message}", hint="add a version with an earlier effective_from"
        ) from None
    stand_in = environment.endpoints.get(name, Endpoint())
    over = environment.capture.get(name, Capture())
    endpoint = _variable(feed_variable(name, "ENDPOINT")) or stand_in.endpoint
    rest = _variable(feed_variable(name, "REST_ENDPOINT")) or stand_in.rest_endpoint
    return ResolvedFeed(
        name=name,
        exchange=feed.exchange or name.replace("-", "_"),
        endpoint=endpoint or version.endpoint,
        rest_endpoint=rest or version.rest_endpoint or "",
        rest_stands_in=bool(rest),
        channels=tuple(feed.channels if over.channels is None else over.channels),
        depth=over.depth or feed.depth,
        instruments=over.instruments or feed.instruments,
        max_symbols_per_connection=version.max_symbols_per_connection,
        rate_limit_per_second=version.rate_limit_per_second,
        stale_after_s=over.stale_after_s or feed.stale_after_s,
        calendar=feed.calendar,
        key=_key(environment, name),
    )


def _key(environment: Environment, feed: str) -> Key | None:
    for key in environment.keys.values():
        if key.feed == feed:
            return key
    return environment.keys.get(feed)


def _variable(name: str) -> str | None:
    url = os.environ.get(name)
    if url and (fault := url_fault(url)):
        raise ConfigError(f"{name} {fault}", hint="write it as wss://host/path")
    return url or None


def _with_variables(environment: Environment) -> Environment:
    url = os.environ.get("SSMD_TRANSPORT_URL")
    if url:
        environment = replace(environment, transport=replace(environment.transport, url=url))
    path = os.environ.get("SSMD_STORAGE_PATH")
    if path:
        environment = replace(environment, storage=replace(environment.storage, path=path))
    return environment


def references(root: Path, environment: Environment) -> Iterator[Problem]:
    """What an environment names and is not there."""
    known = names(root, "feeds")
    hint = f"one of: {', '.join(known) or 'none yet'}"
    if environment.feed is not None and environment.feed not in known:
        yield Problem(("feed",), f"there is no feed {environment.feed!r}", hint)
    for index, name in enumerate(environment.feeds):
        if name not in known:
            yield Problem(("feeds", index), f"there is no feed {name!r}", hint)
    named = _named(environment)
    hint = f"one of: {', '.join(named)}"
    for part in ("endpoints", "capture"):
        for name in getattr(environment, part):
            if name not in named:
                yield Problem((part, name), f"the environment has no feed {name!r}", hint)
    for name in environment.retention.feeds:
        if name not in named:
            place = ("retention", "feeds", name)
            yield Problem(place, f"the environment has no feed {name!r}", hint)
    for name, key in environment.keys.items():
        if key.feed is not None and key.feed not in named:
            text = f"the environment has no feed {key.feed!r}"
            yield Problem(("keys", name, "feed"), text, hint)
    yield from _schema_fault(root, environment.schema)


def _schema_fault(root: Path, reference: str) -> Iterator[Problem]:
    name, _, version = reference.partition(":")
    try:
        schema = files.read(root, "schemas", name, Schema)
    except NotFound as error:
        yield Problem(("schema",), error.message, error.hint)
        return
    versions = {entry.version: entry.status for entry in schema.versions}
    if versions.get(version, "draft") == "draft":
        text = "is a draft" if version in versions else "does not exist"
        hint = f"versions: {', '.join(versions)}"
        yield Problem(("schema",), f"schema {reference} {text}", hint)
