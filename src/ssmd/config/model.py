"""What a configuration can say: one frozen Struct for each piece of a file."""

from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Annotated, Literal

from msgspec import Meta, Struct, field

from ssmd.errors import ConfigError

Strings = Mapping[str, str]
Text = Annotated[str, Meta(min_length=1)]
Positive = Annotated[float, Meta(gt=0)]
Count = Annotated[int, Meta(ge=1)]
Clock = Annotated[str, Meta(pattern=r"^([01]\d|2[0-3]):[0-5]\d$", description="HH:MM")]
Hash = Annotated[str, Meta(pattern=r"^sha256:[0-9a-f]{64}$", description="sha256:<64 hex digits>")]


class Spec(Struct, kw_only=True, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A piece of a configuration file: unknown keys are refused."""


class Protocol(Spec, kw_only=True, frozen=True):
    transport: Literal["wss", "ws", "https", "multicast", "tcp"] = "wss"
    message: Literal["json", "itch", "fix", "sbe", "protobuf"] = "json"
    version: str | None = None


class FeedVersion(Spec, kw_only=True, frozen=True):
    """How the exchange is reached from a date on."""

    version: Text
    effective_from: date
    effective_to: date | None = None
    protocol: Protocol
    endpoint: Text
    rest_endpoint: Text | None = None
    auth_method: Literal["api_key", "oauth", "mtls", "none"] = "none"
    rate_limit_per_second: Positive | None = None
    """REST calls per second."""
    max_symbols_per_connection: Count | None = None
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
    open_time: Clock | None = None
    close_time: Clock | None = None
    holidays: Sequence[date] = ()
    """Days of a ``custom`` calendar, in its time zone, on which nothing opens."""


class Instruments(Spec, kw_only=True, frozen=True):
    """Which instruments: a list, or the exchange's REST list through a filter."""

    symbols: Sequence[Text] = ()
    filter: Strings = field(default_factory=dict)
    """Query parameters of the exchange's own instrument list, handed on as they are."""
    match: str | None = None
    """Only symbols that this shell pattern (``*``, ``?``, ``[...]``) matches."""
    limit: Count | None = None
    """At most so many, by falling volume where the exchange tells it."""
    refresh_s: Positive = 300.0


class Feed(Spec, kw_only=True, frozen=True):
    name: str
    display_name: str | None = None
    type: Literal["websocket", "rest", "multicast"] = "websocket"
    status: Literal["active", "deprecated", "disabled"] = "active"
    exchange: Text | None = None
    """The venue's protocol; None where it is the feed's name, with ``_`` for ``-``."""
    channels: Sequence[Text] = ()
    """The exchange's own channel names; none means every channel that ssmd knows."""
    stale_after_s: Positive = 60.0
    """Silence of an instrument, and of so many times its usual pace, that is looked into."""
    depth: Count | None = None
    instruments: Instruments = field(default_factory=Instruments)
    capture_locations: Sequence[CaptureLocation] = ()
    versions: Annotated[Sequence[FeedVersion], Meta(min_length=1)]
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
    day_start: Clock | None = None
    day_end: Clock | None = None
    auto_roll: bool = True


class Key(Spec, kw_only=True, frozen=True):
    """A reference to secrets, never a secret."""

    type: Literal["api_key", "transport", "storage", "tls", "webhook"]
    description: str | None = None
    required: bool = True
    fields: Annotated[Sequence[Text], Meta(min_length=1)]
    source: Text
    """``env:VAR1,VAR2``, ``file:PATH1,PATH2``, ``sealed-secret:namespace/name``, ``vault:path``."""
    rotation_days: Count | None = None
    rotated_on: date | None = None
    """The day the secret was last made anew, where no file tells it."""
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
    max_age_s: Positive = 86_400.0
    max_bytes: Count = 10_000_000_000
    duplicate_window_s: Positive = 120.0
    replicas: Annotated[int, Meta(ge=1, le=5)] = 1
    spill_max_bytes: Count = 1_000_000_000
    """What a connector keeps on disk of each feed while NATS is away; beyond it frames are lost."""


class Storage(Spec, kw_only=True, frozen=True):
    type: Literal["local", "s3"] = "local"
    path: str | None = None
    bucket: str | None = None
    region: str | None = None


class Rotation(Spec, kw_only=True, frozen=True):
    """When the archiver flushes a member and closes a segment."""

    flush_s: Positive = 1.0
    flush_bytes: Count = 4_000_000
    interval_s: Positive = 3_600.0
    max_bytes: Count = 256_000_000
    """Compressed size of one segment."""


class Cache(Spec, kw_only=True, frozen=True):
    type: Literal["memory", "redis"] = "memory"
    max_size: Count | None = None
    url: str | None = None


class Endpoint(Spec, kw_only=True, frozen=True):
    """A stand-in for a feed's endpoints in one environment."""

    endpoint: Text | None = None
    rest_endpoint: Text | None = None


class Capture(Spec, kw_only=True, frozen=True):
    """What one environment captures of a feed, where that is not what the feed's file says."""

    channels: Sequence[Text] | None = None
    depth: Count | None = None
    instruments: Instruments | None = None
    stale_after_s: Positive | None = None


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
    capture: Mapping[str, Capture] = field(default_factory=dict)
    """Feed name -> what stands over the feed's file in this environment."""
    simulated: bool = False
    """Whether ``ssmd up`` starts the simulated exchanges where the endpoints point."""


class SchemaVersion(Spec, kw_only=True, frozen=True):
    version: str
    effective_from: date
    effective_to: date | None = None
    status: Literal["draft", "active", "deprecated"]
    schema_file: str | None = None
    hash: Hash | None = None
    compatible_with: Sequence[str] = ()
    breaking_changes: str | None = None


class Schema(Spec, kw_only=True, frozen=True):
    name: str
    format: Literal["json_schema", "capnp", "protobuf"]
    schema_file: Text
    versions: Annotated[Sequence[SchemaVersion], Meta(min_length=1)]


class ResolvedFeed(Struct, kw_only=True, frozen=True):
    """A feed as a role runs it: the version in force, the environment's endpoints applied."""

    name: str
    exchange: str
    endpoint: str
    rest_endpoint: str
    rest_stands_in: bool
    """The REST endpoint stands in for all hosts of the exchange (a simulator, a proxy)."""
    channels: tuple[str, ...]
    depth: int | None
    instruments: Instruments
    max_symbols_per_connection: int | None
    rate_limit_per_second: float | None
    stale_after_s: float
    calendar: Calendar = field(default_factory=Calendar)
    key: Key | None


class Config(Struct, kw_only=True, frozen=True):
    """One environment, resolved."""

    root: Path
    """The folder the files came from."""
    env: Environment
    day: date
    """The UTC day whose versions of the feeds these are."""
    feeds: Mapping[str, ResolvedFeed]
    hash: str
    """``sha256:<hex>`` over the resolved content; the same in every role of one configuration."""
