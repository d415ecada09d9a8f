"""What is archived: one row a feed and day, from the manifests."""

from datetime import datetime
from pathlib import Path

from msgspec import Struct

from ssmd.store import manifest as manifests
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


def row(folder: Path) -> Row:
    found = manifests.load(folder)
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


def clock(moment: str | None) -> str:
    """``HH:MM:SS`` of an RFC 3339 time."""
    return f"{datetime.fromisoformat(moment[:19]):%H:%M:%S}" if moment else "–"
