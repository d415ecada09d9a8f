"""``config/*.yaml`` -> frozen Structs; the only loader."""

import hashlib
import os
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal, TypeVar

import msgspec
from msgspec import Struct, field

from ssmd.errors import ConfigError, KeyFault, NotFound

Strings = Mapping[str, str]


class Spec(Struct, kw_only=True, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A piece of a configuration file: unknown keys are refused."""


class Protocol(Spec, kw_only=True, frozen=True):
    transport: Literal["wss", "ws", "https", "multicast", "tcp"] = "wss"
    message: Literal["json", "itch", "fix", "sbe", "protobuf"] = "json"
    version: str | None = None


class FeedVersion(Spec, kw_only=True, frozen=True):
    """How the exchange is reached from a date on."""

    version: str
    effective_from: date
    effective_to: date | None = None
    protocol: Protocol
    endpoint: str
    rest_endpoint: str | None = None
    auth_method: Literal["api_key", "oauth", "mtls", "none"] = "none"
    rate_limit_per_second: float | None = None
    """REST calls per second during instrument discovery."""
    max_symbols_per_connection: int | None = None
    supports_orderbook: bool = True
    supports_trades: bool = True
    supports_historical: bool = False
    parser_config: Strings = field(default_factory=dict)


class CaptureLocation(Spec, kw_only=True, frozen=True):
    site: str
    type: Literal["cloud", "colo", "on_prem"]
    provider: str | None = None
    region: str | None = None
    clock: Literal["ptp", "gps", "ntp", "local"] | None = None


class Calendar(Spec, kw_only=True, frozen=True):
    timezone: str = "UTC"
    holiday_calendar: Literal["us_equity", "crypto_247", "custom"] = "crypto_247"
    open_time: str | None = None
    close_time: str | None = None


class Instruments(Spec, kw_only=True, frozen=True):
    """Which instruments: a list, or the exchange's REST list through a filter."""

    symbols: Sequence[str] = ()
    filter: Strings = field(default_factory=dict)
    """Query parameters of the exchange's own instrument list, handed on as they are."""
    match: str | None = None
    """Only symbols that this shell pattern (``*``, ``?``, ``[...]``) matches."""
    limit: int | None = None
    """At most so many, by falling volume where the exchange tells it."""
    refresh_s: float = 300.0


class Feed(Spec, kw_only=True, frozen=True):
    name: str
    display_name: str | None = None
    type: Literal["websocket", "rest", "multicast"] = "websocket"
    status: Literal["active", "deprecated", "disabled"] = "active"
    exchange: str
    channels: Sequence[str] = ()
    """The exchange's own channel names; none means every channel that ssmd knows."""
    depth: int | None = None
    instruments: Instruments = field(default_factory=Instruments)
    capture_locations: Sequence[CaptureLocation] = ()
    versions: Sequence[FeedVersion]
    calendar: Calendar = field(default_factory=Calendar)

    def version_on(self, day: date) -> FeedVersion:
        """The version in force on that day. Raises ConfigError where none is."""
        for version in sorted(self.versions, key=lambda v: v.effective_from, reverse=True):
            ends = version.effective_to
            if version.effective_from <= day and (ends is None or ends >= day):
                return version
        raise ConfigError(f"feed {self.name} has no version in force on {day}")


class Schedule(Spec, kw_only=True, frozen=True):
    timezone: str = "UTC"
    day_start: str | None = None
    day_end: str | None = None
    auto_roll: bool = True


class Key(Spec, kw_only=True, frozen=True):
    """A reference to secrets, never a secret."""

    type: Literal["api_key", "transport", "storage", "tls", "webhook"]
    description: str | None = None
    required: bool = True
    fields: Sequence[str]
    source: str
    """``env:VAR1,VAR2``, ``file:PATH1,PATH2``, ``sealed-secret:namespace/name``, ``vault:path``."""
    rotation_days: int | None = None
    feed: str | None = None
    """The feed whose handshake it signs; None where the name of the key is the feed's."""


class Transport(Spec, kw_only=True, frozen=True):
    """Where NATS is. ``url: embedded`` means a server of our own on this machine."""

    type: Literal["nats", "mqtt", "memory"] = "nats"
    url: str = "embedded"
    credentials_file: str | None = None
    tls_ca_file: str | None = None
    tls_cert_file: str | None = None
    tls_key_file: str | None = None
    max_age_s: float = 86_400.0
    max_bytes: int = 10_000_000_000
    duplicate_window_s: float = 120.0
    replicas: int = 1


class Storage(Spec, kw_only=True, frozen=True):
    type: Literal["local", "s3"] = "local"
    path: str | None = None
    bucket: str | None = None
    region: str | None = None


class Rotation(Spec, kw_only=True, frozen=True):
    """When the archiver flushes a member and closes a segment."""

    flush_s: float = 1.0
    flush_bytes: int = 4_000_000
    interval_s: float = 3_600.0
    max_bytes: int = 256_000_000
    """Compressed size of one segment."""


class Cache(Spec, kw_only=True, frozen=True):
    type: Literal["memory", "redis"] = "memory"
    max_size: int | None = None
    url: str | None = None


class Endpoint(Spec, kw_only=True, frozen=True):
    """A stand-in for a feed's endpoints in one environment."""

    endpoint: str | None = None
    rest_endpoint: str | None = None


class Environment(Spec, kw_only=True, frozen=True):
    name: str
    description: str | None = None
    feed: str | None = None
    feeds: Sequence[str] = ()
    schema: str
    schedule: Schedule = field(default_factory=Schedule)
    keys: Mapping[str, Key] = field(default_factory=dict)
    transport: Transport = field(default_factory=Transport)
    storage: Storage = field(default_factory=Storage)
    rotation: Rotation = field(default_factory=Rotation)
    cache: Cache = field(default_factory=Cache)
    endpoints: Mapping[str, Endpoint] = field(default_factory=dict)
    """Feed name -> servers that stand in for the exchange's own (a simulator, a proxy)."""


class SchemaVersion(Spec, kw_only=True, frozen=True):
    version: str
    effective_from: date
    effective_to: date | None = None
    status: Literal["draft", "active", "deprecated"]
    schema_file: str | None = None
    hash: str
    compatible_with: Sequence[str] = ()
    breaking_changes: str | None = None


class Schema(Spec, kw_only=True, frozen=True):
    name: str
    format: Literal["json_schema", "capnp", "protobuf"]
    schema_file: str
    versions: Sequence[SchemaVersion]


class ResolvedFeed(Struct, kw_only=True, frozen=True):
    """A feed as a role runs it: the version in force, the environment's endpoints applied."""

    name: str
    exchange: str
    endpoint: str
    rest_endpoint: str
    channels: tuple[str, ...]
    depth: int | None
    instruments: Instruments
    max_symbols_per_connection: int | None
    rate_limit_per_second: float | None
    key: Key | None


class Config(Struct, kw_only=True, frozen=True):
    """One environment, resolved."""

    root: Path
    """The folder the files came from."""
    env: Environment
    feeds: Mapping[str, ResolvedFeed]
    hash: str
    """``sha256:<hex>`` over the resolved content; the same in every role of one configuration."""


FOLDERS = {"feeds": Feed, "schemas": Schema, "environments": Environment}
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]*")
_UNKNOWN = re.compile(r"unknown field `(.*)`")
_T = TypeVar("_T", bound=Spec)


def find_root(explicit: Path | None = None) -> Path:
    """``--config``, else ``SSMD_CONFIG``, else ``./config``, else the one in the package."""
    chosen = explicit or (Path(os.environ["SSMD_CONFIG"]) if "SSMD_CONFIG" in os.environ else None)
    if chosen is not None:
        if not (chosen / "environments").is_dir():
            raise ConfigError(
                f"{chosen} has no folder environments/", hint="choose a config folder with --config"
            )
        return chosen
    here = Path(__file__).parent
    for folder in (Path("config"), here / "_config", here.parents[1] / "config"):
        if (folder / "environments").is_dir():
            return folder
    raise ConfigError("no configuration found", hint="choose a config folder with --config")


def load(env: str, *, root: Path | None = None, feeds: Sequence[str] = ()) -> Config:
    """Read an environment and the feeds it names (or the chosen ones of them).

    Raises ConfigError with file, line and what was expected; NotFound for unknown names.
    ``SSMD_FEED_<NAME>_ENDPOINT`` / ``_REST_ENDPOINT``, ``SSMD_TRANSPORT_URL`` and
    ``SSMD_STORAGE_PATH`` stand over the files (name in upper case, ``-`` as ``_``).
    """
    root = find_root(root)
    environment = _with_variables(read(root, "environments", env, Environment))
    named = tuple(
        dict.fromkeys([*([environment.feed] if environment.feed else ()), *environment.feeds])
    )
    file = root / "environments" / f"{env}.yaml"
    if not named:
        raise ConfigError(f"{file}: names no feed", hint="add `feeds: [...]`")
    _check_schema(root, environment, file)
    for name in feeds:
        if name not in named:
            raise NotFound(
                f"environment {env} has no feed {name!r}", hint=f"one of: {', '.join(named)}"
            )
    resolved = {name: _resolve(root, environment, name) for name in feeds or named}
    content = msgspec.json.encode([environment, resolved], order="deterministic")
    return Config(
        root=root,
        env=environment,
        feeds=resolved,
        hash="sha256:" + hashlib.sha256(content).hexdigest(),
    )


def secrets(key: Key) -> dict[str, str]:
    """Field -> secret of a key. Raises KeyFault naming what is missing, never a value.

    ``env:A,B`` reads variables, in the order of the key's fields; where a variable is not set,
    ``A_FILE`` names a file that holds the secret. ``file:A,B`` reads files.
    """
    scheme, _, rest = key.source.partition(":")
    names = [name.strip() for name in rest.split(",")]
    if scheme not in ("env", "file"):
        raise KeyFault(
            f"keys from {scheme}: are put into variables or files by the platform",
            hint="use env: or file: for the key's source on this machine",
        )
    if len(names) != len(key.fields) or not all(names):
        raise KeyFault(
            f"the key names {len(key.fields)} fields and its source {len(names)} places",
            hint=f"one place for each of: {', '.join(key.fields)}",
        )
    read_one = _from_variable if scheme == "env" else _from_file
    return {field: read_one(name) for field, name in zip(key.fields, names, strict=True)}


def read(root: Path, folder: str, name: str, kind: type[_T]) -> _T:
    """One file of a configuration folder. Raises NotFound, ConfigError."""
    if not _NAME.fullmatch(name):
        raise NotFound(
            f"{name!r} is no name: names are lower-case letters, digits, - and _",
            hint=f"one of: {', '.join(names(root, folder)) or 'none yet'}",
        )
    file = root / folder / f"{name}.yaml"
    if not file.is_file():
        one = {"feeds": "feed", "schemas": "schema", "environments": "environment"}[folder]
        raise NotFound(
            f"unknown {one} {name!r}: there is no {file}",
            hint=f"one of: {', '.join(names(root, folder)) or 'none yet'}",
        )
    spec = convert(file, parse(file), kind)
    if spec.name != name:  # type: ignore[attr-defined]
        raise ConfigError(f"{file}: its name is {spec.name!r}, its file's is {name!r}")  # type: ignore[attr-defined]
    return spec


def names(root: Path, folder: str) -> list[str]:
    """The names that have a file in that folder, sorted."""
    return sorted(file.stem for file in (root / folder).glob("*.yaml"))


def parse(file: Path) -> Any:
    """The YAML of a file, with line numbers. Raises ConfigError."""
    # Imported late: `ssmd --help` needs no YAML.
    from ruamel.yaml import YAML
    from ruamel.yaml.error import MarkedYAMLError, YAMLError

    try:
        return YAML(typ="rt").load(file.read_text(encoding="utf-8"))
    except MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise ConfigError(f"{file}:{line}: {error.problem}") from error
    except (YAMLError, OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file}: {error}") from error


def convert(file: Path, content: Any, kind: type[_T]) -> _T:
    """YAML -> Struct. Raises ConfigError with the line and what was expected."""
    try:
        return msgspec.convert(content, kind)
    except msgspec.ValidationError as error:
        text, _, path = str(error).partition(" - at `")
        line, spec = _locate(content, kind, path.rstrip("`"))
        unknown = _UNKNOWN.search(text)
        hint = None
        if unknown:
            line = _line_of_key(_follow(content, path.rstrip("`")), unknown[1], line)
            text = f"unknown key {unknown[1]!r}"
            known = spec.__struct_fields__ if spec else ()
            close = get_close_matches(unknown[1], known, 1)
            hint = f"did you mean {close[0]!r}?" if close else f"known keys: {', '.join(known)}"
        place = path.rstrip("`").removeprefix("$").lstrip(".")
        raise ConfigError(
            f"{file}:{line}: {place + ': ' if place else ''}{text}", hint=hint
        ) from error


def _steps(path: str) -> list[str | int]:
    """``$.versions[0].endpoint`` -> ["versions", 0, "endpoint"]; ``[...]`` is any mapping value."""
    return [
        int(index) if index.isdigit() else index or key
        for key, index in re.findall(r"\.([A-Za-z0-9_]+)|\[([^\]]*)\]", path)
    ]


def _follow(content: Any, path: str) -> Any:
    for step in _steps(path):
        try:
            content = content[step]
        except (KeyError, IndexError, TypeError):
            break
    return content


def _locate(content: Any, kind: type[Struct], path: str) -> tuple[int, type[Struct] | None]:
    """The line of a path, and the Struct that describes the place, where it is one."""
    line = 1
    spec: Any = kind
    for step in _steps(path):
        line = _line_of_key(content, step, line)
        spec = _child(spec, step)
        try:
            content = content[step]
        except (KeyError, IndexError, TypeError):
            break
    return line, spec if isinstance(spec, type) and issubclass(spec, Struct) else None


def _child(spec: Any, step: str | int) -> Any:
    if isinstance(spec, type) and issubclass(spec, Struct) and isinstance(step, str):
        fields = {f.name: f.type for f in msgspec.structs.fields(spec)}
        return fields.get(step)
    arguments = getattr(spec, "__args__", ())
    return arguments[-1] if arguments else None


def _line_of_key(content: Any, step: str | int, otherwise: int) -> int:
    marks = getattr(content, "lc", None)
    try:
        return int((marks.key if isinstance(step, str) else marks.item)(step)[0]) + 1  # type: ignore[union-attr]
    except (AttributeError, KeyError, TypeError, IndexError):
        return otherwise


def _resolve(root: Path, environment: Environment, name: str) -> ResolvedFeed:
    feed = read(root, "feeds", name, Feed)
    version = feed.version_on(datetime.now(UTC).date())
    stand_in = environment.endpoints.get(name, Endpoint())
    prefix = f"SSMD_FEED_{name.upper().replace('-', '_')}"
    endpoint = os.environ.get(f"{prefix}_ENDPOINT") or stand_in.endpoint or version.endpoint
    rest = os.environ.get(f"{prefix}_REST_ENDPOINT") or stand_in.rest_endpoint
    key = environment.keys.get(name)
    for candidate in environment.keys.values():
        if candidate.feed == name:
            key = candidate
    return ResolvedFeed(
        name=name,
        exchange=feed.exchange,
        endpoint=endpoint,
        rest_endpoint=rest or version.rest_endpoint or "",
        channels=tuple(feed.channels),
        depth=feed.depth,
        instruments=feed.instruments,
        max_symbols_per_connection=version.max_symbols_per_connection,
        rate_limit_per_second=version.rate_limit_per_second,
        key=key,
    )


def _with_variables(environment: Environment) -> Environment:
    url = os.environ.get("SSMD_TRANSPORT_URL")
    if url:
        transport = msgspec.structs.replace(environment.transport, url=url)
        environment = msgspec.structs.replace(environment, transport=transport)
    path = os.environ.get("SSMD_STORAGE_PATH")
    if path:
        storage = msgspec.structs.replace(environment.storage, path=path)
        environment = msgspec.structs.replace(environment, storage=storage)
    return environment


def _check_schema(root: Path, environment: Environment, file: Path) -> None:
    name, found, version = environment.schema.partition(":")
    if not found:
        raise ConfigError(f"{file}: schema {environment.schema!r} is not of the form name:version")
    try:
        schema = read(root, "schemas", name, Schema)
    except NotFound as error:
        raise ConfigError(f"{file}: {error.message}", hint=error.hint) from error
    status = {v.version: v.status for v in schema.versions}.get(version)
    if status is None or status == "draft":
        raise ConfigError(
            f"{file}: schema {environment.schema} "
            + ("is a draft" if status else "does not exist"),
            hint=f"versions: {', '.join(v.version for v in schema.versions)}",
        )


def _from_variable(name: str) -> str:
    value = os.environ.get(name)
    if value:
        return value
    file = os.environ.get(f"{name}_FILE")
    if file:
        return _from_file(file)
    raise KeyFault(f"{name} is not set", hint=f"set {name}, or {name}_FILE to a file that holds it")


def _from_file(name: str) -> str:
    try:
        return Path(name).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not text"
        raise KeyFault(f"cannot read the secret in {name}: {reason}") from None
