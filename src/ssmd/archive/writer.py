"""Writing one feed: lines -> members -> segments -> manifests, each durable before the next.

A segment belongs to the UTC day in which its messages were received, so a day is whole even when it
was archived late; within a feed the days only rise. What was archived before (a redelivery, or a
resend beyond JetStream's duplicate window) is recognised by stream sequence and by
``(conn, n, part)``, and counted.
"""

import logging
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from ssmd import message
from ssmd.archive import lock, recovery
from ssmd.config import Rotation
from ssmd.errors import ContractError
from ssmd.message import Capture, Message
from ssmd.runtime import writable
from ssmd.store import manifest as manifests
from ssmd.store import segment, tally
from ssmd.store.header import About, Contents
from ssmd.store.manifest import DUPLICATE, Manifest, Range
from ssmd.store.segment import SUFFIX, SegmentFile
from ssmd.store.tally import FOREIGN, NS_PER_S, Tally

log = logging.getLogger(__name__)

NS_PER_DAY = 86_400 * NS_PER_S
LATEST_NS = 4_000 * 365 * NS_PER_DAY
"""Receive times beyond are none: no calendar has their day."""
CONNECTIONS_KEPT = 50_000
"""So many of the latest connections are looked through for resent messages."""


class Writer:
    """The open segment of one feed. Its methods block: call ``flush`` and ``seal`` in a thread."""

    def __init__(self, root: Path, about: About, rotation: Rotation) -> None:
        """``root`` is the archive's folder. Raises StorageError."""
        self.folder = writable(root / about.env / about.feed)
        self.about = msgspec.structs.replace(about, rotation_interval=f"{rotation.interval_s:g}s")
        self.rotation = rotation
        self.last_seq = 0
        """Stream sequence up to which all is durable or in the buffer."""
        self.messages = 0
        self.bytes = 0
        self.segments = 0
        self.duplicates = 0
        self.gaps = 0
        self.last_recv_ns = 0
        self._lock = lock.hold(self.folder)
        self._seen: dict[str, Range] = {}
        self._file: SegmentFile | None = None
        self._tally = Tally()
        self._day = 0
        self._opened = 0.0
        self._buffer: list[tuple[bytes, Capture]] = []
        self._buffered = 0
        self._since = 0.0
        self._closed: tuple[Path, Tally, About] | None = None
        """A segment that has its final name and is in no manifest yet."""
        self._before: Manifest | None = None
        """The latest manifest."""
        try:
            recovery.take_up(self.folder)
            self._learn()
        except BaseException:
            self._lock.close()
            raise

    # --- taking messages ------------------------------------------------------------------------

    def add(self, nats_seq: int, payload: bytes) -> None:
        """Take one message of the stream into the buffer, unless it is archived already."""
        if nats_seq <= self.last_seq:
            self.duplicates += 1
            return
        line = message.archive_line(nats_seq, payload)
        capture = _capture(line)
        if capture is None:
            log.warning("%s: message %d of the stream is not ours; kept", self.about.feed, nats_seq)
            conn = f"foreign-{self.about.stream_created}"
            body = message.body(payload)
            line = self._own(nats_seq, FOREIGN, time.time_ns(), conn=conn, n=nats_seq, **body)
            capture = message.decode_capture(line)
        if self.last_seq and nats_seq > self.last_seq + 1:
            missing = nats_seq - self.last_seq - 1
            log.warning("%s: %d messages of the stream are gone", self.about.feed, missing)
        self.last_seq = nats_seq
        if self._is_known(capture):
            self.duplicates += 1
            line = self._duplicate(nats_seq, capture)
            capture = message.decode_capture(line)
        if not self._buffer:
            self._since = time.monotonic()
        self._buffer.append((line, capture))
        self._buffered += len(line)

    def _is_known(self, capture: Capture) -> bool:
        seen = self._seen.get(capture.conn)
        if seen is None:
            seen = self._seen[capture.conn] = Range()
            if len(self._seen) > CONNECTIONS_KEPT:
                del self._seen[next(iter(self._seen))]
        elif capture.part < 0:
            if -capture.part <= seen.notes:
                return True
        elif (capture.n, capture.part) <= (seen.last_n, seen.last_part) and seen.last_n:
            return True
        tally.advance(seen, capture)
        return False

    def _duplicate(self, nats_seq: int, of: Capture) -> bytes:
        """What takes the place of a message that was stored once more, so that no sequence is
        missing from the archive without a reason in it."""
        facts = {"of": f"{of.conn}:{of.n}:{of.part}", "type": of.type}
        conn = f"archive-{self.about.stream_created}"
        raw = msgspec.Raw(msgspec.json.encode(facts))
        return self._own(nats_seq, DUPLICATE, of.recv_ns, conn=conn, n=0, part=-nats_seq, raw=raw)

    def _own(self, nats_seq: int, type_: str, recv_ns: int, **fields: Any) -> bytes:
        own = Message(
            feed=self.about.feed,
            recv_ns=recv_ns,
            mono_ns=time.monotonic_ns(),
            type=type_,
            **fields,
        )
        return message.archive_line(nats_seq, message.encode(own))

    def renew(self, stream_created: str) -> None:
        """The stream was deleted and made anew: its sequences begin again. Only after ``seal``."""
        assert self._file is None
        assert not self._buffer
        self.about = msgspec.structs.replace(self.about, stream_created=stream_created)
        self.last_seq = 0

    # --- making durable -------------------------------------------------------------------------

    @property
    def flush_due(self) -> bool:
        if not self._buffer:
            return False
        aged = time.monotonic() - self._since >= self.rotation.flush_s
        return aged or self._buffered >= self.rotation.flush_bytes

    @property
    def seal_due(self) -> bool:
        """The open segment is old or large enough, or its day is over."""
        if self._file is None:
            return self._closed is not None
        aged = time.monotonic() - self._opened >= self.rotation.interval_s
        today = time.time_ns() // NS_PER_DAY
        return aged or self._file.size >= self.rotation.max_bytes or self._day < today

    def flush(self) -> None:
        """Make the buffer durable, a member for each day in it. Raises OSError and keeps what is
        not durable in the buffer: nothing is lost, and the call can be repeated."""
        while self._buffer:
            day = max(self._day, self._buffer[0][1].recv_ns // NS_PER_DAY)
            if self._file is not None and day > self._day:
                self.seal()
            count = 0
            for _, capture in self._buffer:
                if max(day, capture.recv_ns // NS_PER_DAY) > day:
                    break
                count += 1
            if self._file is None:
                self._open(day, self._buffer[0][1])
            self._write(count)

    def _open(self, day: int, first: Capture) -> None:
        if self._closed is not None:
            self.seal()
        folder = self.folder / _date(day)
        folder.mkdir(exist_ok=True)
        segment.fsync_folder(self.folder)
        self._file = SegmentFile(folder / _name(folder, day, first))
        self._tally = Tally(tally.position(tally.last_file(self._before), self.about))
        self._day = day
        self._opened = time.monotonic()

    def _write(self, count: int) -> None:
        assert self._file is not None
        some = self._buffer[:count]
        offset = self._file.size
        about = None if offset else self.about
        captures = [capture for _, capture in some]
        lines = b"".join([line for line, _ in some])
        member = segment.compress(lines, about, _holds(captures))
        self._file.append(member)
        counted = self._tally
        gaps = len(counted.gaps) + len(counted.holes)
        for line, capture in some:
            counted.line(capture, line[:-1])
        counted.block(offset, len(member), captures)
        self.gaps += len(counted.gaps) + len(counted.holes) - gaps
        self.messages += count
        self.bytes += len(lines)
        self._buffered -= len(lines)
        self.last_recv_ns = some[-1][1].recv_ns
        del self._buffer[:count]

    def seal(self) -> None:
        """Close the open segment and put it into the manifest of its day. Raises OSError; the call
        can then be repeated."""
        if self._file is not None:
            self._file.close()
            self._closed = (self._file.path, self._tally, self.about)
            self._file = None
        if self._closed is not None:
            self._before = self._register(*self._closed)
            self._closed = None
            self.segments += 1

    def _register(self, path: Path, counted: Tally, about: About) -> Manifest:
        folder = path.parent
        before = self._before if self._before and self._before.date < folder.name else None
        manifest = manifests.load(folder)
        if manifest is None and (folder / manifests.NAME).exists():
            return recovery.remake(folder, before) or manifests.new(folder, about, before)
        manifest = manifest or manifests.new(folder, about, before)
        if path.name not in {entry.name for entry in manifest.files}:
            tally.register(manifest, path, counted, about)
            manifests.save(folder, manifest)
        return manifest

    def _learn(self) -> None:
        """What is archived already, from the latest two days."""
        for folder in manifests.days(self.folder)[-2:]:
            manifest = manifests.load(folder)
            if manifest is not None:
                self._before = manifest
                self._learn_day(manifest)

    def _learn_day(self, manifest: Manifest) -> None:
        for entry in manifest.files:
            if entry.stream_created == self.about.stream_created:
                self.last_seq = max(self.last_seq, entry.nats_end_seq)
            self.last_recv_ns = max(self.last_recv_ns, entry.last_recv_ns)
            self._day = max(self._day, _day(manifest.date))
            for conn, frames in entry.connections.items():
                seen = self._seen.setdefault(conn, Range())
                if frames.last_n:
                    seen.last_n, seen.last_part = frames.last_n, frames.last_part
                seen.notes = max(seen.notes, frames.notes)

    def close(self) -> None:
        """Let go of the files; what is not flushed stays unacked on the bus."""
        if self._file is not None:
            self._file.abandon()
        self._lock.close()


def _capture(line: bytes) -> Capture | None:
    """None where the line is no message of ours."""
    try:
        capture = message.decode_capture(line)
    except ContractError:
        return None
    return capture if 0 <= capture.recv_ns < LATEST_NS else None


def _holds(captures: Sequence[Capture]) -> Contents:
    low_ns, high_ns = tally.times(captures)
    first, last = captures[0].nats_seq, captures[-1].nats_seq
    return Contents(0, len(captures), first, last, low_ns, high_ns)


def _name(folder: Path, day: int, first: Capture) -> str:
    """``HHMMSS-SEQ``: later than every name in the folder, though clocks step, messages come late
    and a stream that was made anew counts from 1."""
    taken = [manifests.sequence_of(p) for p in manifests.parts(folder)]
    taken += [manifests.sequence_of(p) for p in manifests.segments(folder)]
    moment = datetime.fromtimestamp(first.recv_ns // NS_PER_S, UTC)
    clock = f"{moment:%H%M%S}" if first.recv_ns // NS_PER_DAY == day else "000000"
    last_clock, last_seq = max(taken, default=("000000", 0))
    if (clock, first.nats_seq) <= (last_clock, last_seq):
        later = first.nats_seq > last_seq
        clock = last_clock if later else f"{int(last_clock) + 1:06d}"
    return f"{clock}-{first.nats_seq:012d}{SUFFIX}"


def _date(day: int) -> str:
    return f"{datetime.fromtimestamp(day * 86_400, UTC):%Y-%m-%d}"


def _day(date: str) -> int:
    return int(datetime.fromisoformat(f"{date}T00:00:00+00:00").timestamp()) // 86_400
