"""Mending an archive: nothing is deleted, everything sound is kept, what is missing is a gap.

What an archiver does at its start (close parts, enter segments) happens here too. A run that is
cut off is taken up by the next; a second run finds nothing to do.
"""

import contextlib
from collections.abc import Sequence
from pathlib import Path

import msgspec
from msgspec import Struct

from ssmd.archive import lock, recovery
from ssmd.archive.salvage import put_aside, salvage
from ssmd.errors import StorageError
from ssmd.instruments import checkpoint
from ssmd.store import header, retired, segment, tally
from ssmd.store import manifest as manifests
from ssmd.store.header import About
from ssmd.store.manifest import File, Manifest, SequenceGap

MOVING = ".moving"


class Action(Struct, frozen=True):
    """One thing that was done, or would be."""

    path: str
    what: str

    def __str__(self) -> str:
        return f"{self.path}: {self.what}"


def repair(env: Path, feeds: Sequence[str], dates: Sequence[str], *, dry_run: bool) -> list[Action]:
    """Mend the feeds of an environment. Raises StorageError while an archiver runs."""
    done: list[Action] = []
    with contextlib.ExitStack() as locks:
        for feed in feeds:
            if dry_run and lock.is_held(env / feed):
                raise StorageError(
                    f"an archiver writes to {env / feed}", hint="stop it before the repair"
                )
            if not dry_run:
                locks.enter_context(lock.hold(env / feed))
        for feed in feeds:
            _Feed(env / feed, dates, done, dry_run=dry_run).repair()
    return done


class _Feed:
    def __init__(
        self, folder: Path, dates: Sequence[str], done: list[Action], *, dry_run: bool
    ) -> None:
        self._folder = folder
        self._dates = dates
        self._done = done
        self._dry_run = dry_run

    def repair(self) -> None:
        before = retired.before(self._folder, _first(self._folder))
        for day in manifests.days(self._folder):
            if not self._dates or day.name in self._dates:
                self._parts(day)
                old = manifests.load(day)
                self._names(day, old)
                self._segments(day, old)
                made = self._manifest(day, old, before)
            else:
                made = manifests.load(day)
            before = made or before

    def _act(self, path: Path, what: str) -> bool:
        """Note it; whether it is to be done."""
        self._done.append(Action(str(path), what))
        return not self._dry_run

    def _parts(self, day: Path) -> None:
        for part in manifests.parts(day):
            if self._act(part, "close the part that an archiver left"):
                recovery.finish(part)

    def _names(self, day: Path, old: Manifest | None) -> None:
        """Segments that have each other's names, or none that is known, get their own back."""
        for path in day.glob(f"*{MOVING}"):  # of a run that was cut off
            if self._act(path, "finish giving it its name back"):
                path.rename(path.with_name(path.name.removesuffix(MOVING)))
        if old is None:
            return
        names = {entry.sha256: entry.name for entry in old.files}
        is_ = {path: segment.sha256(path) for path in manifests.segments(day)}
        moves = [(p, names[h]) for p, h in is_.items() if names.get(h, p.name) != p.name]
        taken = {p.name for p, h in is_.items() if names.get(h) == p.name}
        moving = []
        for path, name in moves:
            if name in taken:
                if self._act(path, f"a copy of {name}: put it aside"):
                    put_aside(path, f"a copy of {name}", {})
                continue
            taken.add(name)
            if self._act(path, f"this is {name}: give it its name back"):
                moving.append(path.rename(path.with_name(name + MOVING)))
        for path in moving:
            target = path.with_name(path.name.removesuffix(MOVING))
            if target.exists():
                put_aside(target, "another segment has a right to its name", {})
            path.rename(target)
            segment.fsync_folder(day)

    def _segments(self, day: Path, old: Manifest | None) -> None:
        """Put damaged segments aside, and keep what is sound in them."""
        entries = {entry.name: entry for entry in old.files} if old else {}
        for path in manifests.segments(day):
            why = _damage(path, entries.get(path.name))
            if why is None:
                continue
            if self._act(path, f"{why}: put it aside, keep what is sound in it"):
                kept = salvage(path, _about(path, old, entries.get(path.name)))
                put_aside(path, why, {"kept_in": kept.name if kept else None})

    def _manifest(
        self, day: Path, old: Manifest | None, before: Manifest | None
    ) -> Manifest | None:
        """Make the manifest from the segments, with the gaps that are known besides."""
        made, _ = tally.rebuild(day, before)
        if made is None and old is None:
            return None
        if made is None:
            assert old is not None
            made = msgspec.structs.replace(
                manifests.new(day, tally.unnamed(day), before), schema=old.schema
            )
        if old is not None:
            _keep_gaps(made, old)
        manifests.derive(made)
        if made == old:
            return made
        if self._act(day / manifests.NAME, _difference(made, old)):
            checkpoint.drop_from(self._folder, day.name)
            if old is None:
                kept = manifests.set_aside(day)
                if kept is not None:
                    self._act(kept, "the old manifest is kept here")
            manifests.save(day, made)
        return made


def _first(feed: Path) -> str:
    return next((day.name for day in manifests.days(feed)), "")


def _damage(path: Path, entry: File | None) -> str | None:
    """Why a segment cannot be kept as it is; None where it can."""
    counted, end = tally.recover(path)
    if end != path.stat().st_size or not counted.records:
        return f"damaged at byte {end}"
    if entry is not None and entry.sha256 != segment.sha256(path):
        return "not the bytes that the manifest was made of"
    return None


def _about(path: Path, old: Manifest | None, entry: File | None) -> About | None:
    """What the segment said of itself, where its own words are lost but its manifest's are not."""
    about = header.read(path)
    if about is not None or old is None or entry is None or entry.stream_created is None:
        return about
    return About(
        env=old.env or "",
        feed=old.feed,
        schema=old.schema or "",
        config_hash=old.config_hash or "",
        stream_created=entry.stream_created,
        exchange=old.exchange,
        rotation_interval=old.rotation_interval,
    )


def _keep_gaps(made: Manifest, old: Manifest) -> None:
    """Add gaps that the segments do not show: those known before, and segments that are gone."""
    here = {entry.name for entry in made.files}
    known = list(old.gaps)
    for entry in old.files:
        if entry.name not in here:
            missing = entry.nats_end_seq - entry.nats_start_seq + 1
            known.append(
                SequenceGap(
                    after_seq=entry.nats_start_seq - 1,
                    missing_count=missing,
                    detected_at=entry.end,
                    from_ns=entry.first_recv_ns,
                    to_ns=entry.last_recv_ns,
                    stream_created=entry.stream_created,
                )
            )
    for gap in known:
        for rest in _still_missing(gap, made):
            if not any(_holds(other, rest) for other in made.gaps):
                made.gaps.append(rest)


def _still_missing(gap: SequenceGap, made: Manifest) -> list[SequenceGap]:
    """The gap less what is there: of a damaged segment, most may be salvaged."""
    first, last = gap.after_seq + 1, gap.after_seq + gap.missing_count
    rest = []
    present = sorted(
        (entry.nats_start_seq, entry.nats_end_seq)
        for entry in made.files
        if entry.stream_created == gap.stream_created and entry.nats_end_seq >= first
    )
    for start, end in present:
        if start > first:
            rest.append((first, min(start - 1, last)))
        first = max(first, end + 1)
        if first > last:
            break
    if first <= last:
        rest.append((first, last))
    return [
        msgspec.structs.replace(gap, after_seq=a - 1, missing_count=b - a + 1)
        for a, b in rest
        if a <= b
    ]


def _holds(outer: SequenceGap, inner: SequenceGap) -> bool:
    return (
        outer.stream_created == inner.stream_created
        and outer.after_seq <= inner.after_seq
        and outer.after_seq + outer.missing_count >= inner.after_seq + inner.missing_count
    )


def _difference(made: Manifest, old: Manifest | None) -> str:
    if old is None:
        return f"made again from {len(made.files)} segments"
    was, is_ = (sum(e.records for e in one.files) for one in (old, made))
    gaps = sum(gap.missing_count for gap in made.gaps) - sum(gap.missing_count for gap in old.gaps)
    text = f"made again from {len(made.files)} segments: {is_} messages, it said {was}"
    return text + (f"; {gaps} more noted as missing" if gaps > 0 else "")
