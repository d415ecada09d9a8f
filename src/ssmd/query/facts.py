"""What the manifests tell of each feed and day, as rows of the tables ``gaps`` and ``coverage``."""

import contextlib
import time
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from ssmd.config import Schedule
from ssmd.dataset import Day
from ssmd.exchanges import EXCHANGES
from ssmd.exchanges.base import Exchange
from ssmd.quality import window
from ssmd.query.scope import Scope
from ssmd.store import header, tally
from ssmd.store import manifest as manifests
from ssmd.store.manifest import OTHER, ExchangeGap, File, GapEnd, Manifest
from ssmd.store.shares import covered, is_data
from ssmd.store.tally import Tally

Row = dict[str, Any]


def whole(day: Day) -> Manifest:
    """The manifest of a day, with what no manifest names yet: the segment being written."""
    made = day.manifest
    for piece in day.pieces():
        if piece.entry is not None:
            continue
        with contextlib.suppress(FileNotFoundError):  # closed meanwhile: a moment younger, no more
            about = header.read(piece.path)
            counted, _ = tally.recover(
                piece.path, Tally(tally.position(tally.last_file(made), about))
            )
            if counted.records:
                tally.register(made, piece.path, counted, about)
    manifests.derive(made)
    return made


def gap_rows(manifest: Manifest) -> Iterator[Row]:
    """Gaps as the connector noted them, and messages that the stream lost before they were
    archived (cause ``not_archived``). ``to_ns`` is None for one that nobody closed."""
    ends = {str(end.facts.get("id", end.nats_seq)): end for end in manifest.gap_ends}
    for gap in (*manifest.gaps_before, *manifest.exchange_gaps):
        end = ends.pop(str(gap.facts.get("id", gap.nats_seq)), None)
        yield _row(manifest, gap, end)
    for end in ends.values():
        yield _row(manifest, end, end)
    for hole in manifest.gaps:
        yield {
            "feed": manifest.feed, "date": manifest.date, "cause": "not_archived",
            "from_ns": hole.from_ns or None, "to_ns": hole.to_ns or None,
            "noted_ns": hole.to_ns or None, "outcome": "lost",
            "first_seq": hole.after_seq + 1, "last_seq": hole.after_seq + hole.missing_count,
            "missing": hole.missing_count, "facts": _text(msgspec.to_builtins(hole)),
        }  # fmt: skip


def _row(manifest: Manifest, told: ExchangeGap | GapEnd, end: GapEnd | None) -> Row:
    facts = told.facts
    first, last = _whole(facts, "first_seq"), _whole(facts, "last_seq")
    return {
        "feed": manifest.feed, "date": manifest.date,
        "cause": str(facts.get("cause", "unknown")), "sym": _word(facts, "sym"),
        "conn": _word(facts, "conn"), "from_ns": _whole(facts, "from_ns") or told.recv_ns,
        "to_ns": end.recv_ns if end else None, "noted_ns": told.recv_ns,
        "outcome": _word(end.facts, "outcome") if end else None,
        "first_seq": first, "last_seq": last,
        "missing": last - first + 1 if first is not None and last is not None else None,
        "id": _word(facts, "id"), "facts": _text(facts),
    }  # fmt: skip


def damaged(day: Day) -> Iterator[tuple[File, str]]:
    """Segments that are plainly not what the manifest says, and how; see ``archive verify``."""
    for piece in day.pieces():
        entry = piece.entry
        if entry is None or piece.size == entry.compressed_bytes:
            continue
        yield entry, "is missing" if not piece.path.exists() else "has not its size"


def damage_rows(day: Day) -> Iterator[Row]:
    """The same as rows of ``gaps``: all that such a segment held may be missing."""
    for entry, what in damaged(day):
        yield {
            "feed": day.feed, "date": day.date, "cause": "segment_damaged",
            "from_ns": entry.first_recv_ns, "to_ns": entry.last_recv_ns, "outcome": "lost",
            "first_seq": entry.nats_start_seq, "last_seq": entry.nats_end_seq,
            "missing": entry.records, "facts": _text({"segment": entry.name, "what": what}),
        }  # fmt: skip


def overlaps(gap: Row, scope: Scope) -> bool:
    """Whether a gap was open in the scope's time."""
    until = gap.get("to_ns")
    return (gap.get("from_ns") or 0) < scope.end_ns and (until is None or until >= scope.start_ns)


def coverage_row(manifest: Manifest, schedule: Schedule, *, compacted: bool) -> Row:
    """One feed and day at a glance; ``coverage`` is the share of the scheduled time so far."""
    spans = list(manifests.captured(manifest).values())
    wanted = window(manifest.date, schedule, time.time_ns())
    held = [(max(a, start), min(b, end)) for a, b in spans for start, end in wanted]
    files, total = manifest.files, covered(wanted)
    counts = [pair for entry in files for pair in entry.records_by_type.items()]
    return {
        "feed": manifest.feed, "date": manifest.date,
        "messages": sum(entry.records for entry in files),
        "market_data": sum(count for kind, count in counts if is_data(kind) or kind == OTHER),
        "first_recv_ns": min((entry.first_recv_ns for entry in files), default=None),
        "last_recv_ns": max((entry.last_recv_ns for entry in files), default=None),
        "connections": len({conn for entry in files for conn in entry.connections}),
        "captured_s": covered(spans) / 1e9,
        "coverage": covered(held) / total if total else None,
        "verified_share": manifest.verified_share, "clean_share": manifest.clean_share,
        "gaps": len(manifest.gaps) + len(manifest.exchange_gaps), "compacted": compacted,
    }  # fmt: skip


def _whole(facts: dict[str, Any], name: str) -> int | None:
    value = facts.get(name)
    return value if type(value) is int and abs(value) < 2**63 else None


def _word(facts: dict[str, Any], name: str) -> str | None:
    value = facts.get(name)
    return value if isinstance(value, str) else None


def _text(facts: dict[str, Any]) -> str:
    return msgspec.json.encode(facts).decode()


def exchange_of(day: Day, manifest: Manifest) -> Exchange | None:
    """Whose messages these are: as the manifest or a segment says, else by the feed's name."""
    names: Iterable[str | None] = (manifest.exchange, *_headers(day), day.feed.replace("-", "_"))
    return next((EXCHANGES[name] for name in names if name in EXCHANGES), None)


def _headers(day: Day) -> Iterator[str | None]:
    for path in day.files()[:1]:
        with contextlib.suppress(OSError):
            about = header.read(path)
            yield about.exchange if about else None
