"""Proving an archive: what is on disk against what its manifests say, and both against the law
that every message is there once. Reads one gzip member at a time."""

import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import msgspec

from ssmd.archive import claims, lock
from ssmd.archive.finding import REMAKE, REPAIR, WITNESS, Finding, Line, Summary, Tell, at_line
from ssmd.archive.frames import Frames
from ssmd.archive.replay import Replay
from ssmd.exchanges import EXCHANGES
from ssmd.store import header, retired, segment, tally
from ssmd.store import manifest as manifests
from ssmd.store.manifest import File, Manifest
from ssmd.store.tally import Tally

_line = msgspec.json.Decoder(Line).decode


def verify(
    env: Path,
    feeds: Sequence[str],
    dates: Sequence[str],
    *,
    deep: bool,
    tell: Tell,
    progress: Callable[[int], None],
) -> Summary:
    """Prove the feeds of an environment's folder, all days or only those of ``dates``.

    Each finding is told as it is made; ``progress`` gets compressed bytes as they are read.
    """
    summary = Summary(deep=deep, feeds=list(feeds))
    started = time.monotonic()

    def note(finding: Finding) -> None:
        summary.findings.append(finding)
        tell(finding)

    for feed in feeds:
        _Feed(env / feed, dates, summary, note, progress).verify()
    summary.seconds = time.monotonic() - started
    summary.ok = not summary.findings
    return summary


class _Feed:
    """One feed, day after day."""

    def __init__(
        self,
        folder: Path,
        dates: Sequence[str],
        summary: Summary,
        tell: Tell,
        progress: Callable[[int], None],
    ) -> None:
        days = manifests.days(folder)
        self._days = [day for day in days if not dates or day.name in dates]
        self._summary = summary
        self._tell = tell
        self._progress = progress
        self._running = lock.is_held(folder)
        self._folder = folder
        self._replay: Replay | None = None
        self._frames: Frames | None = None
        self._previous: File | None = None
        self._before: Manifest | None = None
        if self._days:
            self._before = retired.before(folder, self._days[0].name)
            self._previous = tally.last_file(self._before)

    def verify(self) -> None:
        for day in self._days:
            self._day(day)
            self._summary.days += 1
        if self._frames is not None:
            self._frames.finish()
        if self._replay is not None:
            self._replay.finish()
            self._summary.faults += self._replay.faults
            for type_, found in self._replay.outcomes.items():
                sums = self._summary.checks.setdefault(type_, {})
                for state, count in found.items():
                    sums[state] = sums.get(state, 0) + count

    # --- one day --------------------------------------------------------------------------------

    def _day(self, folder: Path) -> None:
        on_disk = set(folder.iterdir())
        manifest = manifests.load(folder)
        if manifest is None:
            self._note(claims.absent(folder, on_disk, running=self._running))
            manifest = Manifest(feed=folder.parent.name, date=folder.name)
        made, sound = self._segments(folder, manifest)
        self._note(claims.chain(folder, manifest))
        self._note(claims.strays(folder, on_disk, manifest, running=self._running))
        self._summary.quarantined += claims.quarantined(folder)
        if sound:
            self._note(claims.derived(folder, manifest, made))
        self._summary.gaps += len(manifest.gaps) + len(manifest.exchange_gaps)
        self._before = manifest if manifest.files else self._before

    def _segments(self, folder: Path, manifest: Manifest) -> tuple[Manifest, bool]:
        """The manifest that the segments make, and whether all of them are sound."""
        made = Manifest(feed=manifest.feed, date=manifest.date)
        if self._before is not None:
            made.gaps_before = manifests.still_open(self._before)
        sound = True
        for entry in manifest.files:
            path = folder / entry.name
            if not path.exists():
                self._tell(Finding(str(path), "", "the manifest names it, and it is gone", REMAKE))
                self._previous, sound = None, False
                self._skip()
                continue
            sound &= self._segment(path, entry, made)
            self._previous = entry
        return made, sound

    # --- one segment ----------------------------------------------------------------------------

    def _segment(self, path: Path, entry: File, made: Manifest) -> bool:
        """Whether it is what its entry says."""
        about = header.read(path)
        if self._frames is None:
            self._begin(entry, about)
        counted = Tally(tally.position(self._previous, about))
        self._last_seq = counted.last_seq
        end = 0
        for offset, length, content in segment.members(path):
            if not self._member(path, counted, offset, length, content):
                break
            end = offset + length
            self._progress(length)
        self._summary.segments += 1
        self._summary.messages += counted.records
        self._summary.bytes += counted.bytes
        size = path.stat().st_size
        if end != size:
            self._tell(Finding(str(path), f"byte {end}", "the file is damaged here", REPAIR))
            self._progress(size - end)
            self._skip()
        found = tally.register(made, path, counted, about)
        faults = list(claims.entry(path, entry, found))
        self._note(faults)
        return not faults and end == size

    def _note(self, findings: Iterable[Finding]) -> None:
        for finding in findings:
            self._tell(finding)

    def _begin(self, entry: File, about: header.About | None) -> None:
        """At the first segment: from here on, each frame is followed."""
        from_start = self._previous is None and entry.nats_start_seq == 1
        self._frames = Frames(self._tell, from_start=from_start, on_hole=self._lose)
        if self._summary.deep:
            name = about.exchange if about and about.exchange else self._folder.name
            exchange = EXCHANGES.get(name.replace("-", "_"))
            if exchange is None:
                what = "it does not say of which exchange it is: its checks are not done again"
                self._tell(Finding(str(self._folder / entry.name), "", what, WITNESS))
            self._replay = Replay(self._folder.name, exchange, self._tell)

    def _skip(self) -> None:
        """Lines are missing, and it is told: no connection can be followed across."""
        if self._frames is not None:
            self._frames.dropped += 1

    def _lose(self, conn: str) -> None:
        if self._replay is not None:
            self._replay.lose(conn)

    def _member(self, path: Path, counted: Tally, offset: int, length: int, content: bytes) -> bool:
        """False where its lines are no messages of an archive."""
        texts = content.removesuffix(b"\n").split(b"\n")
        try:
            lines = [_line(text) for text in texts]
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return False
        for line, text in zip(lines, texts, strict=True):
            self._follow(path, counted, line, text)
        counted.block(offset, length, lines)
        return True

    def _follow(self, path: Path, counted: Tally, line: Line, text: bytes) -> None:
        assert self._frames is not None
        if line.nats_seq <= self._last_seq:
            what = f"its sequence comes after {self._last_seq}"
            self._tell(at_line(path, line, what))
        self._last_seq = max(self._last_seq, line.nats_seq)
        holes = len(counted.holes)
        counted.line(line, text)
        if len(counted.holes) > holes:
            self._frames.dropped += 1
        self._frames.line(path, line, text)
        if self._replay is not None:
            self._replay.line(path, line, text)
