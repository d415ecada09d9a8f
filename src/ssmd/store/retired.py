"""Days that retention deleted: what is on record of them, so that nobody takes them for days that
were never captured.

``retired.json`` in the day's folder is its manifest as it was (without the block index), and when
and why its data were deleted. From the moment that it is there the day is deleted, whatever files
a crash left beside it.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import msgspec
from msgspec import Struct

from ssmd.store import manifest as manifests
from ssmd.store import segment
from ssmd.store.manifest import RETIRED, Manifest


class Retired(Struct, kw_only=True, frozen=True):
    """``at`` is RFC 3339, ``bytes`` what the segments took on disk."""

    feed: str
    date: str
    at: str
    why: str
    forced: bool = False
    """In spite of what was wrong with the day, or not looked at."""
    segments: int
    messages: int
    bytes: int
    manifest: Manifest


def load(folder: Path) -> Retired | None:
    """None for a day that is not deleted."""
    try:
        return msgspec.json.decode((folder / RETIRED).read_bytes(), type=Retired)
    except (FileNotFoundError, msgspec.MsgspecError, UnicodeDecodeError):
        return None


def days(feed: Path) -> Iterator[Path]:
    """The folders of the days of a feed that were deleted, in order."""
    return iter(sorted(path.parent for path in feed.glob(f"????-??-??/{RETIRED}")))


def retire(folder: Path, *, at: str, why: str, forced: bool) -> Retired:
    """Put on record that a day is deleted; durable when it returns. Raises OSError."""
    manifest = manifests.load(folder) or Manifest(feed=folder.parent.name, date=folder.name)
    files = [msgspec.structs.replace(entry, blocks=[]) for entry in manifest.files]
    made = Retired(
        feed=folder.parent.name,
        date=folder.name,
        at=at,
        why=why,
        forced=forced,
        segments=len(files),
        messages=sum(entry.records for entry in files),
        bytes=sum(entry.compressed_bytes for entry in files),
        manifest=msgspec.structs.replace(manifest, files=files),
    )
    temporary = folder / f".{RETIRED}.tmp"
    with temporary.open("wb") as file:
        file.write(msgspec.json.format(msgspec.json.encode(made), indent=1))
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(folder / RETIRED)
    segment.fsync_folder(folder)
    return made


def before(feed: Path, date: str) -> Manifest | None:
    """What the latest day before that date was, whether it is deleted or not: where the stream was
    archived up to, and which gaps it left open."""
    kept = [path for path in manifests.days(feed) if path.name < date]
    gone = [path for path in days(feed) if path.name < date]
    if gone and (not kept or gone[-1].name > kept[-1].name):
        found = load(gone[-1])
        return found.manifest if found is not None else None
    return manifests.load(kept[-1]) if kept else None
