"""Compacted days: where their Parquet files are, and which of them tell what the segments tell.

``{archive}/{env}/_parquet/feed=F/type=TABLE/date=D/part-*.parquet``, readable by anything that
knows Hive's partitions. ``feed=F/_manifests/D.json`` names the files of a day and the segments that
they were made of: a file that it does not name does not exist, and it is replaced in one step. A
day whose segments are others by now is read from the segments.
"""

import hashlib
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from ssmd.dataset import Day
from ssmd.store import manifest as manifests
from ssmd.store.manifest import Manifest

FOLDER: Final = "_parquet"
VERSION: Final = 1
"""Of the columns in ``tables.TABLES`` and of what ``rows`` puts into them."""


class Source(Struct, frozen=True):
    """A segment that the files were made of."""

    name: str
    sha256: str
    records: int


class Part(Struct, frozen=True):
    """One Parquet file; ``path`` is below the folder ``_parquet``."""

    table: str
    path: str
    rows: int
    bytes: int
    sha256: str


class Compacted(Struct, frozen=True, kw_only=True):
    """What one day was turned into."""

    feed: str
    date: str
    version: int
    ssmd_version: str
    exchange: str | None
    compacted_at: str
    messages: int
    underivable: int
    """Messages of which the exchange's file made no record."""
    repeats: int
    """Trades that are told again: see ``bars.ONCE``."""
    sources: list[Source]
    parts: list[Part]


def folder_of(day: Day) -> Path:
    """The environment's Parquet."""
    return day.folder.parents[1] / FOLDER


def manifest_of(day: Day) -> Path:
    """Where it says what the day was turned into."""
    return folder_of(day) / f"feed={day.feed}" / "_manifests" / f"{day.date}.json"


def table_folder(day: Day, table: str) -> Path:
    return folder_of(day) / f"feed={day.feed}" / f"type={table}" / f"date={day.date}"


def sources(manifest: Manifest) -> list[Source]:
    return [Source(entry.name, entry.sha256, entry.records) for entry in manifest.files]


def digest(found: list[Source]) -> str:
    """Of what the files of a day follow from: the same segments, the same names of files."""
    return hashlib.sha256(msgspec.json.encode([VERSION, found])).hexdigest()


def load(day: Day) -> Compacted | None:
    """What the day was turned into, whether or not that is what its segments tell; None for a day
    that is not compacted."""
    try:
        return msgspec.json.decode(manifest_of(day).read_bytes(), type=Compacted)
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
        return None


def current(day: Day, manifest: Manifest) -> Compacted | None:
    """The same where it tells what the segments tell and all its files are there."""
    found = load(day)
    if found is None or found.version != VERSION or found.sources != sources(manifest):
        return None
    if unnamed(day, manifest):
        return None
    whole = all(_size(folder_of(day) / part.path) == part.bytes for part in found.parts)
    return found if whole else None


def unnamed(day: Day, manifest: Manifest) -> list[str]:
    """Files of the day that its manifest does not name: being written, or not taken up yet."""
    named = {entry.name for entry in manifest.files}
    found = [*manifests.segments(day.folder), *manifests.parts(day.folder)]
    return [path.name for path in found if path.name not in named]


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return -1
