"""``config/*.yaml`` -> frozen Structs; the only loader."""

from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Literal

from msgspec import Struct, field

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
        raise NotImplementedError


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


def find_root(explicit: Path | None = None) -> Path:
    """``--config``, else ``SSMD_CONFIG``, else ``./config``, else the one in the package."""
    raise NotImplementedError


def load(env: str, *, root: Path | None = None, feeds: Sequence[str] = ()) -> Config:
    """Read an environment and the feeds it names (or the chosen ones of them).

    Raises ConfigError with file, line and what was expected; NotFound for unknown names.
    ``SSMD_FEED_<NAME>_ENDPOINT`` / ``_REST_ENDPOINT``, ``SSMD_TRANSPORT_URL`` and
    ``SSMD_STORAGE_PATH`` stand over the files (name in upper case, ``-`` as ``_``).
    """
    raise NotImplementedError


def secrets(key: Key) -> dict[str, str]:
    """Field -> secret of a key. Raises KeyFault naming what is missing, never a value."""
    raise NotImplementedError
