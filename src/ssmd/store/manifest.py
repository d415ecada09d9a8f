"""Manifests: the facts about the segments of one feed and day.

The seed's fields, and what proves the rest: checksums, frame ranges per connection, a block index,
the verified share, and a hash chain over the segments, so that none can be changed or taken out
unseen. A manifest is written anew beside the old one, fsynced and renamed.
"""

import hashlib
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec import Struct, field

from ssmd.errors import ContractError
from ssmd.message import Capture, decode_capture
from ssmd.store import segment
from ssmd.store.segment import PART, SUFFIX, Block

NAME: Final = "manifest.json"
GENESIS: Final = "0" * 64


class Range(Struct):
    """Frames of one connection in a segment: numbers of the exchange's frames and of our notes."""

    first_n: int = 0
    last_n: int = 0
    last_part: int = 0
    notes: int = 0
    """The highest number of our own messages (their ``part`` is its negative)."""
    records: int = 0


class File(Struct, kw_only=True):
    """One segment. Times are RFC 3339, ``bytes`` is uncompressed."""

    name: str
    start: str
    end: str
    records: int
    bytes: int
    nats_start_seq: int
    nats_end_seq: int
    compressed_bytes: int
    sha256: str
    first_recv_ns: int
    last_recv_ns: int
    records_by_type: dict[str, int] = field(default_factory=dict)
    connections: dict[str, Range] = field(default_factory=dict)
    blocks: list[Block] = field(default_factory=list)
    stream_created: str | None = None
    chain: str = GENESIS
    """SHA-256 over the chain value of the segment before and this one's ``sha256``."""


class SequenceGap(Struct):
    """Messages that the stream dropped before they were archived."""

    after_seq: int
    missing_count: int
    detected_at: str


class ExchangeGap(Struct):
    """A ``_gap`` of the stream: what the connector knows to be missing."""

    nats_seq: int
    recv_ns: int
    facts: dict[str, Any]


class Manifest(Struct, kw_only=True, omit_defaults=False):
    feed: str
    date: str
    format: str = "jsonl"
    rotation_interval: str = "1h"
    files: list[File] = field(default_factory=list)
    gaps: list[SequenceGap] = field(default_factory=list)
    exchange_gaps: list[ExchangeGap] = field(default_factory=list)
    tickers: list[str] = field(default_factory=list)
    message_types: list[str] = field(default_factory=list)
    has_gaps: bool = False
    duplicates: int = 0
    """Redelivered or resent messages that were recognised and not written again."""
    env: str | None = None
    schema: str | None = None
    ssmd_version: str | None = None
    config_hash: str | None = None


def load(folder: Path) -> Manifest | None:
    """The manifest of a day; None where there is none or it cannot be read."""
    try:
        return msgspec.json.decode((folder / NAME).read_bytes(), type=Manifest)
    except (FileNotFoundError, msgspec.MsgspecError, UnicodeDecodeError):
        return None


def set_aside(folder: Path) -> Path | None:
    """Keep an unreadable manifest under another name; None where there is none."""
    damaged = folder / NAME
    if not damaged.exists():
        return None
    kept = folder / f"{NAME}.corrupt-{time.time_ns()}"
    damaged.rename(kept)
    return kept


def save(folder: Path, manifest: Manifest) -> None:
    """Durable when it returns; a crash leaves the old one or the new one."""
    manifest.has_gaps = bool(manifest.gaps or manifest.exchange_gaps)
    manifest.tickers.sort()
    manifest.message_types.sort()
    temporary = folder / f".{NAME}.tmp"
    with temporary.open("wb") as file:
        file.write(msgspec.json.format(msgspec.json.encode(manifest), indent=1))
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(folder / NAME)
    segment.fsync_folder(folder)


def link(previous: str, digest: str) -> str:
    """The next value of the hash chain."""
    return hashlib.sha256(f"{previous}{digest}".encode()).hexdigest()


def add(manifest: Manifest, entry: File, tickers: set[str]) -> None:
    """Put a closed segment into the manifest of its day."""
    previous = manifest.files[-1].chain if manifest.files else GENESIS
    entry.chain = link(previous, entry.sha256)
    manifest.files.append(entry)
    manifest.tickers = sorted({*manifest.tickers, *tickers})
    manifest.message_types = sorted({*manifest.message_types, *entry.records_by_type})


class Tally:
    """What a segment's manifest entry says, counted line by line."""

    def __init__(self) -> None:
        self.records = 0
        self.bytes = 0
        self.first_seq = 0
        self.last_seq = 0
        self.first_recv_ns = 0
        self.last_recv_ns = 0
        self.types: dict[str, int] = {}
        self.tickers: set[str] = set()
        self.connections: dict[str, Range] = {}
        self.blocks: list[Block] = []
        self.gaps: list[ExchangeGap] = []

    def line(self, capture: Capture, size: int) -> None:
        if not self.records:
            self.first_seq, self.first_recv_ns = capture.nats_seq, capture.recv_ns
        self.records += 1
        self.bytes += size
        self.last_seq = capture.nats_seq
        self.last_recv_ns = max(self.last_recv_ns, capture.recv_ns)
        self.first_recv_ns = min(self.first_recv_ns, capture.recv_ns)
        self.types[capture.type] = self.types.get(capture.type, 0) + 1
        if capture.sym is not None:
            self.tickers.add(capture.sym)
        frames = self.connections.get(capture.conn)
        if frames is None:
            frames = self.connections[capture.conn] = Range()
        advance(frames, capture)

    def gap(self, nats_seq: int, recv_ns: int, line: bytes) -> None:
        """Remember a ``_gap`` with what it says."""
        facts = msgspec.json.decode(line).get("raw")
        self.gaps.append(ExchangeGap(nats_seq, recv_ns, facts if isinstance(facts, dict) else {}))

    def block(self, offset: int, length: int, first_seq: int, records: int, recv_ns: int) -> None:
        self.blocks.append(Block(offset, length, first_seq, records, recv_ns))


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
        before = tally.records
        first: Capture | None = None
        for line in content[:-1].split(b"\n"):
            try:
                capture = decode_capture(line)
            except ContractError:
                break
            first = first or capture
            tally.line(capture, len(line) + 1)
            if capture.type == "_gap":
                tally.gap(capture.nats_seq, capture.recv_ns, line)
        if first is None:
            break
        tally.block(offset, length, first.nats_seq, tally.records - before, first.recv_ns)
        end = offset + length
    return tally, end


def segments(folder: Path) -> Iterator[Path]:
    """Closed segments of a day, in order of their stream sequence."""
    return iter(sorted(folder.glob(f"*{SUFFIX}"), key=sequence_of))


def parts(folder: Path) -> Iterator[Path]:
    """Segments of a day that are being written, or were when a process died."""
    return iter(sorted(folder.glob(f"*{SUFFIX}{PART}"), key=sequence_of))


def sequence_of(path: Path) -> tuple[str, int]:
    """``HHMMSS-SEQ``: by sequence within an epoch of the stream, and time otherwise."""
    stem = path.name.partition(".")[0]
    clock, _, sequence = stem.partition("-")
    return clock, int(sequence) if sequence.isdigit() else 0
