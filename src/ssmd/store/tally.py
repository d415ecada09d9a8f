"""From lines to a manifest: counting a segment, and making a day's manifest from its segments."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Final, NamedTuple

import msgspec
from msgspec import Meta, Struct

from ssmd.errors import ContractError
from ssmd.message import BINARY, EMPTY, TEXT, UNKNOWN, Capture, decode_capture
from ssmd.store import header, segment
from ssmd.store import manifest as manifests
from ssmd.store.header import About
from ssmd.store.manifest import (
    DUPLICATE,
    OTHER,
    ExchangeGap,
    File,
    GapEnd,
    Manifest,
    Range,
    SequenceGap,
)
from ssmd.store.segment import Block
from ssmd.store.shares import CONTROL, Checked, is_data, verified_share

NS_PER_S: Final = 1_000_000_000
FOREIGN: Final = "_foreign"
"""Type of what is on the stream and no message: kept as it is, under its stream sequence."""

TYPES_MOST: Final = 256
"""Message types that a segment's entry counts by name, beside those that are known to be few: an
exchange may invent types without end."""
_FEW: Final = CONTROL | {BINARY, DUPLICATE, EMPTY, FOREIGN, TEXT, UNKNOWN}

_Count = Annotated[int, Meta(ge=0)]


class _Clock(Struct):
    messages: _Count
    verified: _Count
    unverified: _Count
    broken: _Count


class _ClockLine(Struct):
    raw: _Clock


_clock = msgspec.json.Decoder(_ClockLine).decode


class Position(NamedTuple):
    """Up to where a stream is archived: sequence, and the latest receive time of the segment."""

    seq: int
    recv_ns: int


class Tally:
    """What a segment's manifest entry says, counted line by line."""

    def __init__(self, after: Position | None = None) -> None:
        """``after`` is where the stream's segment before ends; None where that is not known."""
        self.records = 0
        self.bytes = 0
        self.first_seq = 0
        self.last_seq = after.seq if after else 0
        self.first_recv_ns = 0
        self.last_recv_ns = 0
        self.types: dict[str, int] = {}
        self.tickers: set[str] = set()
        self.connections: dict[str, Range] = {}
        self.blocks: list[Block] = []
        self.gaps: list[ExchangeGap] = []
        self.ends: list[GapEnd] = []
        self.holes: list[SequenceGap] = []
        self._after = after
        self._data: dict[str, bool] = {}

    def line(self, capture: Capture, line: bytes) -> None:
        """Count one line; ``line`` is without its line break."""
        recv_ns = capture.recv_ns
        if capture.nats_seq != self.last_seq + 1 or not self.records:
            self._jump(capture)
        self.last_seq = capture.nats_seq
        self.records += 1
        self.bytes += len(line) + 1
        if recv_ns > self.last_recv_ns:
            self.last_recv_ns = recv_ns
        if recv_ns < self.first_recv_ns:
            self.first_recv_ns = recv_ns
        type_ = capture.type
        if type_ not in self.types:
            type_ = self._name(capture)  # from here on: what it is counted as
        self.types[type_] = self.types.get(type_, 0) + 1
        if capture.sym is not None:
            self.tickers.add(capture.sym)
        frames = self.connections.get(capture.conn)
        if frames is None:
            frames = self.connections[capture.conn] = Range()
        advance(frames, capture)
        if capture.part < 0:
            self._note(frames, capture, line)
        elif type_ != FOREIGN:
            _seen_open(frames, capture.recv_ns)
            data = self._data.get(type_)
            if data is None:
                data = self._data[type_] = is_data(type_) or type_ == OTHER
            frames.checks.data += data

    def _name(self, capture: Capture) -> str:
        """What a type is counted as that was not seen before."""
        type_ = capture.type
        if capture.part < 0 or type_ in _FEW or len(self.types) < TYPES_MOST:
            return type_
        return OTHER if is_data(type_) else UNKNOWN

    def _jump(self, capture: Capture) -> None:
        """The first line, or one whose sequence does not follow on the one before."""
        recv_ns = capture.recv_ns
        missing = capture.nats_seq - self.last_seq - 1
        if missing > 0 and (self.records or self._after is not None):
            before = self.last_recv_ns or (self._after.recv_ns if self._after else 0)
            at = rfc3339(recv_ns)
            self.holes.append(SequenceGap(self.last_seq, missing, at, before, recv_ns))
        if not self.records:
            self.first_seq, self.first_recv_ns = capture.nats_seq, recv_ns

    def _note(self, frames: Range, capture: Capture, line: bytes) -> None:
        if capture.type == "_gap":
            self.gaps.append(ExchangeGap(capture.nats_seq, capture.recv_ns, _facts(line)))
        elif capture.type == "_gap_closed":
            end = GapEnd(capture.nats_seq, capture.recv_ns, capture.conn, _facts(line))
            self.ends.append(end)
        elif capture.type == "_connect":
            _seen_open(frames, capture.recv_ns)
        elif capture.type == "_disconnect":
            if _facts(line).get("conn", capture.conn) == capture.conn:
                _seen_open(frames, capture.recv_ns)
                frames.ended = True
        elif capture.type == "_clock":
            counts = _counts(line)
            if counts is not None:
                frames.attested_ns = max(frames.attested_ns, capture.recv_ns)
                _seen_open(frames, capture.recv_ns)
                frames.checks.clock(counts)

    def block(self, offset: int, length: int, captures: Sequence[Capture]) -> None:
        """The lines that were counted were those of one member."""
        low_ns, high_ns = times(captures)
        first = captures[0]
        self.blocks.append(
            Block(offset, length, first.nats_seq, len(captures), first.recv_ns, low_ns, high_ns)
        )


def times(captures: Sequence[Capture]) -> tuple[int, int]:
    """The earliest and the latest receive time."""
    received = [capture.recv_ns for capture in captures]
    return min(received), max(received)


def _seen_open(frames: Range, recv_ns: int) -> None:
    if recv_ns > frames.last_ns:
        frames.last_ns = recv_ns
    if not frames.first_ns or recv_ns < frames.first_ns:
        frames.first_ns = recv_ns


def _facts(line: bytes) -> dict[str, Any]:
    facts = msgspec.json.decode(line).get("raw")
    return facts if isinstance(facts, dict) else {}


def _counts(line: bytes) -> Checked | None:
    """None for a ``_clock`` of something that is no connection: it tells of the clock only."""
    try:
        counts = _clock(line).raw
    except msgspec.MsgspecError:
        return None
    return Checked(counts.messages, counts.verified, counts.unverified, counts.broken)


def advance(frames: Range, capture: Capture) -> None:
    """Move a connection's range over one more message."""
    frames.records += 1
    if capture.part < 0:
        frames.notes = max(frames.notes, -capture.part)
        return
    if not frames.first_n:
        frames.first_n = capture.n
    frames.last_n, frames.last_part = capture.n, capture.part


def recover(path: Path, tally: Tally | None = None, start: int = 0) -> tuple[Tally, int]:
    """What the complete members of a file hold, and where they end.

    With what an earlier call answered, only the members after it are read and added.
    """
    tally = tally or Tally()
    end = start
    for offset, length, content in segment.members(path, start=start):
        if not member(tally, offset, length, content):
            break
        end = offset + length
    return tally, end


def member(tally: Tally, offset: int, length: int, content: bytes) -> bool:
    """Count the lines of one member; False, and nothing counted, where they are not ours."""
    lines = content.removesuffix(b"\n").split(b"\n")
    try:
        captures = [decode_capture(line) for line in lines]
    except ContractError:
        return False
    for capture, line in zip(captures, lines, strict=True):
        tally.line(capture, line)
    tally.block(offset, length, captures)
    return True


def register(manifest: Manifest, path: Path, tally: Tally, about: About | None) -> File:
    """Put a closed segment that was counted into the manifest of its day."""
    created = about.stream_created if about else None
    entry = File(
        name=path.name,
        start=rfc3339(tally.first_recv_ns),
        end=rfc3339(tally.last_recv_ns),
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
        verified_share=verified_share(of.checks for of in tally.connections.values()),
        stream_created=created,
    )
    for frames in tally.connections.values():
        entry.checked.add(frames.checks.sums)
    for hole in tally.holes:
        hole.stream_created = created
    manifests.add(manifest, entry, tally.tickers)
    manifest.exchange_gaps += tally.gaps
    manifest.gap_ends += tally.ends
    manifest.gaps += tally.holes
    return entry


def position(before: File | None, about: About | None) -> Position | None:
    """Where the stream of a segment was archived up to by ``before``, the segment before it."""
    if before is None or about is None or before.stream_created is None:
        return None
    if before.stream_created == about.stream_created:
        return Position(before.nats_end_seq, before.last_recv_ns)
    return Position(0, before.last_recv_ns)  # the stream was made anew, and counts from 1


def last_file(before: Manifest | None) -> File | None:
    return before.files[-1] if before is not None and before.files else None


def rebuild(folder: Path, before: Manifest | None) -> tuple[Manifest | None, list[Path]]:
    """The manifest that the segments of a day make, and the damaged ones that it leaves out.

    ``before`` is the manifest of the latest day before. None where no segment is sound.
    """
    made: Manifest | None = None
    previous = last_file(before)
    damaged = []
    for path in manifests.segments(folder):
        about = header.read(path)
        tally, end = recover(path, Tally(position(previous, about)))
        if end != path.stat().st_size or not tally.records:
            damaged.append(path)
            continue
        made = made or manifests.new(folder, about or unnamed(folder), before)
        previous = register(made, path, tally, about)
    if made is not None:
        manifests.derive(made)
    return made, damaged


def unnamed(folder: Path) -> About:
    """What is known of a segment that does not say it: what its folders are called."""
    feed = folder.parent
    return About(feed.parent.name, feed.name, "unknown", "unknown", "unknown")


def rebuild_all(feed: Path) -> Iterator[tuple[Path, Manifest | None, list[Path]]]:
    """``rebuild`` of each day of a feed, in order, each after the one before."""
    before: Manifest | None = None
    for folder in manifests.days(feed):
        made, damaged = rebuild(folder, before)
        before = made or before
        yield folder, made, damaged


def rfc3339(ns: int) -> str:
    seconds, rest = divmod(ns, NS_PER_S)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest:09d}Z"
