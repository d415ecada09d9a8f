"""Taking up what an archiver left when it died: parts, segments without an entry, bad manifests."""

import logging
from pathlib import Path

from ssmd.archive.salvage import has_more, put_aside, salvage
from ssmd.store import header, retired, segment, tally
from ssmd.store import manifest as manifests
from ssmd.store.manifest import Manifest
from ssmd.store.segment import SegmentFile
from ssmd.store.tally import Tally

log = logging.getLogger(__name__)


def take_up(feed: Path) -> None:
    """Bring all days of a feed's folder to where each closed, sound segment has its entry."""
    days = manifests.days(feed)
    before = retired.before(feed, days[0].name) if days else None
    for folder in days:
        for part in manifests.parts(folder):
            finish(part)
        before = _enter(folder, before) or before


def finish(part: Path) -> None:
    """Close a part: cut an unfinished write off its end, and keep aside what damage is in it."""
    _, end = tally.recover(part)
    cut = part.stat().st_size - end
    if cut and has_more(part, end):
        log.error("%s is damaged at byte %d; it is put aside", part, end)
        salvage(part, header.read(part))
        put_aside(part, "damaged in the middle", {"at_byte": end})
    elif not end:
        part.unlink()  # no member is complete: nothing in it was ever acked
    else:
        if cut:
            log.warning("%s: cut %d bytes of an unfinished write", part, cut)
        SegmentFile.resume(part, end).close()


def _enter(folder: Path, before: Manifest | None) -> Manifest | None:
    """The day's manifest, on disk and complete."""
    manifest = manifests.load(folder)
    if manifest is None:
        return remake(folder, before)
    known = {entry.name for entry in manifest.files}
    for path in manifests.segments(folder):
        if path.name not in known:
            enter(manifest, path, before)
    if len(manifest.files) > len(known):
        manifests.save(folder, manifest)
    return manifest


def remake(folder: Path, before: Manifest | None) -> Manifest | None:
    """The day's manifest made from its segments; one that cannot be read is kept aside."""
    made, damaged = tally.rebuild(folder, before)
    for path in damaged:
        log.error("%s is damaged; left as it is, see `ssmd archive verify`", path)
    kept = manifests.set_aside(folder)
    if kept is not None:
        log.warning("%s is unreadable; made anew from the segments", kept)
    if made is not None:
        manifests.save(folder, made)
    return made


def enter(manifest: Manifest, path: Path, before: Manifest | None) -> bool:
    """Put a segment into the manifest; False where it is damaged, or a copy."""
    if segment.sha256(path) in {entry.sha256 for entry in manifest.files}:
        log.error("%s is a copy of another segment; left as it is", path)
        return False
    about = header.read(path)
    previous = tally.last_file(manifest) or tally.last_file(before)
    counted, end = tally.recover(path, Tally(tally.position(previous, about)))
    if end != path.stat().st_size or not counted.records:
        log.error("%s is damaged at byte %d; left as it is", path, end)
        return False
    tally.register(manifest, path, counted, about)
    return True
