"""What an archive holds, for a program or a notebook: see ``Client``."""

from ssmd.client.client import Client
from ssmd.client.errors import (
    BadRequest,
    Forbidden,
    Incomplete,
    Missing,
    NeedsServer,
    Overloaded,
    Refused,
    TooLong,
    TooMany,
    Unauthorized,
    Unreachable,
)
from ssmd.client.moments import Moment
from ssmd.client.rows import Bar, Coverage, Feed, Gap, Hole
from ssmd.client.table import Table
from ssmd.errors import KeyFault, NotFound, SsmdError, StorageError

__all__ = [
    "BadRequest",
    "Bar",
    "Client",
    "Coverage",
    "Feed",
    "Forbidden",
    "Gap",
    "Hole",
    "Incomplete",
    "KeyFault",
    "Missing",
    "Moment",
    "NeedsServer",
    "NotFound",
    "Overloaded",
    "Refused",
    "SsmdError",
    "StorageError",
    "Table",
    "TooLong",
    "TooMany",
    "Unauthorized",
    "Unreachable",
]
