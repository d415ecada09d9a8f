"""Manifests: the facts about the segments of one feed and day.

The seed's fields, and what proves the rest: checksums, frame ranges per connection, a block index,
the verified and the clean share, and a hash chain over the segments, so that none can be changed or
taken out unseen. A manifest is written anew beside the old one, fsynced and renamed. All of it
follows from the segments: ``tally.rebuild`` makes the same again.
"""

import hashlib
import os
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec import Struct, field

from ssmd.store import segment
from ssmd.store.header import About
from ssmd.store.segment import PART, SUFFIX, Block
from ssmd.store.shares import Checked, Checks, OpenGap, Span, clean_share, verified_share

NAME: Final = "manifest.json"
RETIRED: Final = "retired.json"
"""In the folder of a day whose data were deleted: see ``store.retired``."""
GENESIS: Final = "0" * 64
DUPLICATE: Final = "_duplicate"
"""Type of what stands for a message that was stored on the stream once more."""

OTHER: Final = "_other"
"""What market data of any further type is counted as, where a segment holds very many types."""


class Range(Struct):
    """Frames of one connection in a segment: numbers of the exchange's frames and of our notes."""

    first_n: int = 0
    last_n: int = 0
    last_part: int = 0
    notes: int = 0
    """The highest number of our own messages (their ``part`` is its negative)."""
    records: int = 0
    first_ns: int = 0
    last_ns: int = 0
    """Receive times of the first and last message that show the connection open; 0: none does."""
    attested_ns: int = 0
    """The last ``_clock``: until then the connector says itself that no other gap was open."""
    ended: bool = False
    """Its ``_disconnect`` is here."""
    checks: Checks = field(default_factory=Checks)


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
    checked: Checked = field(default_factory=Checked)
    """Sums over the ``_clock``s in this segment."""
    verified_share: float | None = None
    """Of the market data in this segment; data after the last ``_clock`` is unverified here. None
    where there is no market data."""
    stream_created: str | None = None
    chain: str = GENESIS
    """SHA-256 over the chain value of the segment before and this one's ``sha256``."""


class SequenceGap(Struct):
    """Messages of the stream that are not archived: dropped before they were, or damaged since.

    ``from_ns`` and ``to_ns`` are the receive times around it (0: not known)."""

    after_seq: int
    missing_count: int
    detected_at: str
    from_ns: int = 0
    to_ns: int = 0
    stream_created: str | None = None


class ExchangeGap(Struct):
    """A ``_gap`` of the stream: what the connector knows to be missing."""

    nats_seq: int
    recv_ns: int
    facts: dict[str, Any]


class GapEnd(Struct):
    """A ``_gap_closed`` of the stream; ``conn`` is the connection that says so."""

    nats_seq: int
    recv_ns: int
    conn: str
    facts: dict[str, Any]


class Manifest(Struct, kw_only=True, omit_defaults=False):
    feed: str
    date: str
    format: str = "jsonl"
    rotation_interval: str = "1h"
    files: list[File] = field(default_factory=list)
    gaps: list[SequenceGap] = field(default_factory=list)
    exchange_gaps: list[ExchangeGap] = field(default_factory=list)
    gap_ends: list[GapEnd] = field(default_factory=list)
    gaps_before: list[ExchangeGap] = field(default_factory=list)
    """Gaps that were open at the end of the day before, on connections that lived on."""
    tickers: list[str] = field(default_factory=list)
    message_types: list[str] = field(default_factory=list)
    has_gaps: bool = False
    duplicates: int = 0
    """Resent messages that were recognised and not written again: ``_duplicate`` in their place."""
    checked: Checked = field(default_factory=Checked)
    verified_share: float | None = None
    """Of the day's market data; see ``shares.verified_share``."""
    clean_share: float | None = None
    """Of the day's captured time; see ``shares.clean_share``."""
    env: str | None = None
    exchange: str | None = None
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


def new(folder: Path, about: About, before: Manifest | None) -> Manifest:
    """The manifest of a day without segments; ``before`` is that of the latest day before it."""
    return Manifest(
        feed=about.feed,
        date=folder.name,
        rotation_interval=about.rotation_interval,
        gaps_before=still_open(before) if before is not None else [],
        env=about.env,
        exchange=about.exchange,
        schema=about.schema,
        ssmd_version=about.ssmd_version,
        config_hash=about.config_hash,
    )


def save(folder: Path, manifest: Manifest) -> None:
    """Durable when it returns; a crash leaves the old one or the new one."""
    derive(manifest)
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


def derive(manifest: Manifest) -> None:
    """Bring what follows from the entries and gaps up to date."""
    files = manifest.files
    manifest.has_gaps = bool(manifest.gaps or manifest.exchange_gaps)
    manifest.message_types = sorted({kind for entry in files for kind in entry.records_by_type})
    manifest.duplicates = sum(entry.records_by_type.get(DUPLICATE, 0) for entry in files)
    manifest.checked = Checked()
    stretches: dict[str, Checks] = {}
    for entry in files:
        manifest.checked.add(entry.checked)
        for conn, frames in entry.connections.items():
            known = stretches.get(conn)
            stretches[conn] = known.join(frames.checks) if known else frames.checks
    manifest.verified_share = verified_share(stretches.values())
    spans = captured(manifest)
    manifest.clean_share = clean_share(spans, open_gaps(manifest, spans))


def captured(manifest: Manifest) -> dict[str, Span]:
    """The time of each connection on the day."""
    spans: dict[str, Span] = {}
    for entry in manifest.files:
        for conn, frames in entry.connections.items():
            if frames.first_ns:
                first, last = spans.get(conn, (frames.first_ns, frames.last_ns))
                spans[conn] = min(first, frames.first_ns), max(last, frames.last_ns)
    return spans


def open_gaps(manifest: Manifest, spans: Mapping[str, Span]) -> Iterator[OpenGap]:
    """When gaps were open on the day, and against which of the connections they count."""
    ends = {_id(end): end for end in manifest.gap_ends}
    for gap in (*manifest.gaps_before, *manifest.exchange_gaps):
        end = ends.pop(_id(gap), None)
        yield _open_gap(gap.facts, gap.recv_ns, end, spans)
    for end in ends.values():  # opened on a day that is not here
        yield _open_gap(end.facts, 0, end, spans)
    for hole in manifest.gaps:
        yield OpenGap(hole.from_ns, hole.to_ns, None)
    for conn, last_ns in _attested(manifest).items():
        yield OpenGap(last_ns, None, frozenset({conn}))


def _attested(manifest: Manifest) -> dict[str, int]:
    """Until when each connection's own ``_clock``s, and the ``_disconnect`` after them, speak."""
    until: dict[str, int] = {}
    for entry in manifest.files:
        for conn, frames in entry.connections.items():
            last_ns = max(until.get(conn, 0), frames.attested_ns)
            until[conn] = max(last_ns, frames.last_ns) if frames.ended and last_ns else last_ns
    return until


def _id(told: ExchangeGap | GapEnd) -> str:
    """The gap's own; one that has none is like no other."""
    return str(told.facts.get("id", f"{told.nats_seq}"))


def _open_gap(
    facts: dict[str, Any], noted_ns: int, end: GapEnd | None, spans: Mapping[str, Span]
) -> OpenGap:
    told = facts.get("from_ns")
    from_ns = min(told, noted_ns or told) if isinstance(told, int) else noted_ns
    conn = str(facts.get("conn"))
    if end is None:
        return OpenGap(from_ns, None, frozenset({conn}))
    conns = frozenset({conn, end.conn}) if end.conn in spans else None
    return OpenGap(from_ns, end.recv_ns, conns)


def still_open(manifest: Manifest) -> list[ExchangeGap]:
    """Gaps that the day leaves open, on connections that it does not see ended."""
    closed = {_id(end) for end in manifest.gap_ends}
    alive = {conn for entry in manifest.files for conn in entry.connections} - {
        conn for entry in manifest.files for conn, of in entry.connections.items() if of.ended
    }
    return [
        gap
        for gap in (*manifest.gaps_before, *manifest.exchange_gaps)
        if _id(gap) not in closed and str(gap.facts.get("conn")) in alive
    ]


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


def days(feed: Path) -> list[Path]:
    """The folders of a feed's days, in order, without those that retention deleted."""
    found = (folder for folder in feed.glob("????-??-??") if folder.is_dir())
    return sorted(folder for folder in found if not (folder / RETIRED).exists())
