"""Writing one feed: lines -> members -> segments -> manifests, each durable before the next.

A segment belongs to the UTC day in which its messages were received, so a day is whole even when it
was archived late; within a feed the days only rise. What was archived before (a redelivery, or a
resend beyond JetStream's duplicate window) is recognised by stream sequence and by
``(conn, n, part)``, and counted.
"""

import contextlib
import fcntl
import logging
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import IO

from msgspec import Struct

from ssmd import __version__, message
from ssmd.config import Rotation
from ssmd.errors import ContractError, StorageError
from ssmd.message import Capture, Message
from ssmd.runtime import writable
from ssmd.store import manifest as manifests
from ssmd.store import segment
from ssmd.store.manifest import File, Manifest, Range, SequenceGap, Tally
from ssmd.store.segment import SUFFIX, SegmentFile

log = logging.getLogger(__name__)

NS_PER_S = 1_000_000_000
NS_PER_DAY = 86_400 * NS_PER_S
FOREIGN = "_foreign"
"""Type of what is on the stream and no message: kept as it is, under its stream sequence."""


class About(Struct, frozen=True):
    """What every manifest of the feed says of where its messages come from."""

    env: str
    feed: str
    schema: str
    config_hash: str
    stream_created: str


class Writer:
    """The open segment of one feed. Its methods block: call ``flush`` and ``seal`` in a thread."""

    def __init__(self, root: Path, about: About, rotation: Rotation) -> None:
        """``root`` is the archive's folder. Raises StorageError."""
        self.folder = writable(root / about.env / about.feed)
        self.about = about
        self.rotation = rotation
        self.last_seq = 0
        """Stream sequence up to which all is durable or in the buffer."""
        self.messages = 0
        self.bytes = 0
        self.segments = 0
        self.duplicates = 0
        self.gaps = 0
        self.last_recv_ns = 0
        self._lock = _lock(self.folder)
        self._seen: dict[str, Range] = {}
        self._file: SegmentFile | None = None
        self._tally = Tally()
        self._day = 0
        self._opened = 0.0
        self._buffer: list[tuple[bytes, Capture]] = []
        self._buffered = 0
        self._since = 0.0
        self._pending_gaps: list[SequenceGap] = []
        self._pending_duplicates = 0
        self._recover()

    # --- taking messages ------------------------------------------------------------------------

    def add(self, nats_seq: int, payload: bytes) -> None:
        """Take one message of the stream into the buffer, unless it is archived already."""
        if nats_seq <= self.last_seq:
            self._duplicate()
            return
        line = message.archive_line(nats_seq, payload)
        try:
            capture = message.decode_capture(line)
        except ContractError:
            line = self._foreign(nats_seq, payload)
            capture = message.decode_capture(line)
        if self.last_seq and nats_seq > self.last_seq + 1:
            self._gap(nats_seq)
        self.last_seq = nats_seq
        if self._is_known(capture):
            self._duplicate()
            return
        if not self._buffer:
            self._since = time.monotonic()
        self._buffer.append((line, capture))
        self._buffered += len(line)

    def _is_known(self, capture: Capture) -> bool:
        seen = self._seen.get(capture.conn)
        if seen is None:
            seen = self._seen[capture.conn] = Range()
        elif capture.part < 0:
            if -capture.part <= seen.notes:
                return True
        elif (capture.n, capture.part) <= (seen.last_n, seen.last_part) and seen.last_n:
            return True
        manifests.advance(seen, capture)
        return False

    def _duplicate(self) -> None:
        self.duplicates += 1
        self._pending_duplicates += 1

    def _gap(self, nats_seq: int) -> None:
        missing = nats_seq - self.last_seq - 1
        log.warning(
            "%s: the stream dropped %d messages before they were archived", self.about.feed, missing
        )
        now = datetime.now(UTC).isoformat()
        self._pending_gaps.append(SequenceGap(self.last_seq, missing, now))
        self.gaps += 1

    def _foreign(self, nats_seq: int, payload: bytes) -> bytes:
        log.warning("%s: message %d of the stream is not ours; kept", self.about.feed, nats_seq)
        wrapped = Message(
            feed=self.about.feed,
            conn=f"foreign-{self.about.stream_created}",
            n=nats_seq,
            recv_ns=time.time_ns(),
            mono_ns=time.monotonic_ns(),
            type=FOREIGN,
            **message.body(payload),
        )
        return message.archive_line(nats_seq, message.encode(wrapped))

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
            return False
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
        folder = self.folder / _date(day)
        folder.mkdir(exist_ok=True)
        segment.fsync_folder(self.folder)
        moment = datetime.fromtimestamp(first.recv_ns // NS_PER_S, UTC)
        while True:
            name = f"{moment:%H%M%S}-{first.nats_seq:012d}{SUFFIX}"
            with contextlib.suppress(FileExistsError):
                self._file = SegmentFile(folder / name)
                break
            moment += timedelta(seconds=1)  # the same sequence of a recreated stream
        self._tally = Tally()
        self._day = day
        self._opened = time.monotonic()

    def _write(self, count: int) -> None:
        assert self._file is not None
        some = self._buffer[:count]
        member = segment.compress(b"".join([line for line, _ in some]))
        offset = self._file.size
        self._file.append(member)
        for line, capture in some:
            self._tally.line(capture, len(line))
            if capture.type == "_gap":
                self._tally.gap(capture.nats_seq, capture.recv_ns, line)
                self.gaps += 1
        first = some[0][1]
        self._tally.block(offset, len(member), first.nats_seq, count, first.recv_ns)
        self.messages += count
        size = sum(len(line) for line, _ in some)
        self.bytes += size
        self._buffered -= size
        self.last_recv_ns = some[-1][1].recv_ns
        del self._buffer[:count]

    def seal(self) -> None:
        """Close the open segment and put it into the manifest of its day."""
        if self._file is None:
            return
        path = self._file.path
        self._file.close()
        self._file = None
        self._register(path, self._tally)

    def _register(self, path: Path, tally: Tally) -> None:
        folder = path.parent
        manifest = manifests.load(folder) or self._new_manifest(folder)
        entry = File(
            name=path.name,
            start=_rfc3339(tally.first_recv_ns),
            end=_rfc3339(tally.last_recv_ns),
            records=tally.records,
            bytes=tally.bytes,
            nats_start_seq=tally.first_seq,
            nats_end_seq=tally.last_seq,
            compressed_bytes=path.stat().st_size,
            sha256=segment.sha256(path),
            first_recv_ns=tally.first_recv_ns,
            last_recv_ns=tally.last_recv_ns,
            records_by_type=dict(sorted(tally.types.items())),
            connections=tally.connections,
            blocks=tally.blocks,
            stream_created=self.about.stream_created,
        )
        manifests.add(manifest, entry, tally.tickers)
        manifest.exchange_gaps += tally.gaps
        manifest.gaps += self._pending_gaps
        manifest.duplicates += self._pending_duplicates
        self._pending_gaps, self._pending_duplicates = [], 0
        manifests.save(folder, manifest)
        self.segments += 1

    def _new_manifest(self, folder: Path) -> Manifest:
        return Manifest(
            feed=self.about.feed,
            date=folder.name,
            rotation_interval=f"{self.rotation.interval_s:g}s",
            env=self.about.env,
            schema=self.about.schema,
            ssmd_version=__version__,
            config_hash=self.about.config_hash,
        )

    # --- taking up what was there ---------------------------------------------------------------

    def _recover(self) -> None:
        """Seal what a killed process left, and learn what is archived."""
        days = sorted(folder for folder in self.folder.glob("????-??-??") if folder.is_dir())
        for folder in days:
            self._recover_day(folder)
        for folder in days[-2:]:
            self._learn(folder)

    def _recover_day(self, folder: Path) -> None:
        for part in manifests.parts(folder):
            tally, end = manifests.recover(part)
            if not end:
                part.unlink()  # no member is complete: nothing in it was ever acked
                continue
            cut = part.stat().st_size - end
            if cut:
                log.warning("%s: cut %d bytes of an unfinished write", part, cut)
            SegmentFile.resume(part, end).close()
        manifest = manifests.load(folder)
        if manifest is None:
            kept = manifests.set_aside(folder)
            if kept is not None:
                log.warning("%s is unreadable; rebuilding it from the segments", kept)
        known = {entry.name for entry in manifest.files} if manifest else set()
        for path in manifests.segments(folder):
            if path.name not in known:
                tally, end = manifests.recover(path)
                if end != path.stat().st_size or not tally.records:
                    log.error("%s is damaged at byte %d; left as it is", path, end)
                    continue
                self._register(path, tally)

    def _learn(self, folder: Path) -> None:
        manifest = manifests.load(folder)
        for entry in manifest.files if manifest else ():
            if entry.stream_created == self.about.stream_created:
                self.last_seq = max(self.last_seq, entry.nats_end_seq)
            self.last_recv_ns = max(self.last_recv_ns, entry.last_recv_ns)
            self._day = max(self._day, entry.first_recv_ns // NS_PER_DAY)
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


def _lock(folder: Path) -> IO[bytes]:
    lock = (folder / ".lock").open("ab")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        raise StorageError(
            f"another archiver writes to {folder}", hint="stop it, or choose another folder"
        ) from None
    return lock


def _date(day: int) -> str:
    return f"{datetime.fromtimestamp(day * 86_400, UTC):%Y-%m-%d}"


def _rfc3339(ns: int) -> str:
    seconds, rest = divmod(ns, NS_PER_S)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest:09d}Z"
