"""What is archived: one row a feed and day, from the manifests."""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import msgspec
from msgspec import Struct

from ssmd.store import manifest as manifests
from ssmd.store import retired
from ssmd.store.manifest import Manifest


class Row(Struct, frozen=True):
    """One feed on one day. ``mb`` is compressed, in MB; shares are None where there is nothing to
    judge."""

    feed: str
    date: str
    segments: int
    messages: int
    mb: float
    first: str | None
    last: str | None
    gaps: int
    verified_share: float | None
    clean_share: float | None
    open_parts: int
    """Segments that are being written: their messages are not counted here."""
    readable: bool
    """Whether there is a manifest that can be read."""
    deleted: str | None = None
    """When retention deleted it, for a day of which the rest is only on record."""


def rows(days: Sequence[Path], feeds: Sequence[Path], dates: Sequence[str]) -> list[Row]:
    """The days, and those of the feeds that were deleted."""
    found = [row(day, manifests.load(day)) for day in days]
    for feed in feeds:
        for day in retired.days(feed):
            gone = retired.load(day)
            if gone is not None and (not dates or day.name in dates):
                made = row(day, gone.manifest)
                found.append(msgspec.structs.replace(made, deleted=gone.at))
    return sorted(found, key=lambda one: (one.feed, one.date))


def row(folder: Path, found: Manifest | None) -> Row:
    manifest = found or Manifest(feed=folder.parent.name, date=folder.name)
    files = manifest.files
    return Row(
        feed=folder.parent.name,
        date=folder.name,
        segments=len(files),
        messages=sum(entry.records for entry in files),
        mb=round(sum(entry.compressed_bytes for entry in files) / 1e6, 3),
        first=min((entry.start for entry in files), default=None),
        last=max((entry.end for entry in files), default=None),
        gaps=len(manifest.gaps) + len(manifest.exchange_gaps),
        verified_share=manifest.verified_share,
        clean_share=manifest.clean_share,
        open_parts=sum(1 for _ in manifests.parts(folder)),
        readable=found is not None,
    )


def note(one: Row) -> str:
    if one.deleted is not None:
        return f" (deleted {one.deleted[:10]})"
    return "" if one.readable else " (no manifest)"


def clock(moment: str | None) -> str:
    """``HH:MM:SS`` of an RFC 3339 time."""
    return f"{datetime.fromisoformat(moment[:19]):%H:%M:%S}" if moment else "–"
