"""``config/*.yaml`` -> frozen Structs; the only loader."""

from ssmd.config.files import find_root, names, read
from ssmd.config.load import feed_variable, load
from ssmd.config.model import (
    Cache,
    Calendar,
    Capture,
    CaptureLocation,
    Config,
    Endpoint,
    Environment,
    Feed,
    FeedVersion,
    Instruments,
    Key,
    Protocol,
    ResolvedFeed,
    Rotation,
    Schedule,
    Schema,
    SchemaVersion,
    Storage,
    Transport,
)
from ssmd.config.secret import secrets

__all__ = [
    "Cache",
    "Calendar",
    "Capture",
    "CaptureLocation",
    "Config",
    "Endpoint",
    "Environment",
    "Feed",
    "FeedVersion",
    "Instruments",
    "Key",
    "Protocol",
    "ResolvedFeed",
    "Rotation",
    "Schedule",
    "Schema",
    "SchemaVersion",
    "Storage",
    "Transport",
    "feed_variable",
    "find_root",
    "load",
    "names",
    "read",
    "secrets",
]
