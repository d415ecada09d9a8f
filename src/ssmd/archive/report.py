"""How good the data of a feed and day is, read off every archived line.

Unverified is never shown as clean, and a quiet market never as a missing one: a minute is *quiet*
where a connection was open and no market data came, and *missing* where none was open.
"""

import math
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from datetime import time as wall
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

import msgspec
from msgspec import Struct, field

from ssmd.archive import show
from ssmd.archive.finding import Line
from ssmd.archive.place import Place
from ssmd.config import Schedule
from ssmd.dataset import ALIASES
from ssmd.exchanges import EXCHANGES
from ssmd.store import header, segment, tally
from ssmd.store import manifest as manifests
from ssmd.store.manifest import Manifest
from ssmd.store.shares import CONTROL, Span, covered, is_data
from ssmd.store.tally import Tally

NS_PER_S: Final = 1_000_000_000
NS_PER_MINUTE: Final = 60 * NS_PER_S
KNOWN: Final = frozenset(
    {"event_lifecycle", "event_fee_update", "orderbook_snapshot"}.union(CONTROL, *ALIASES.values())
)
"""Documented message types that are no channels of their own."""
FIELDS_KEPT: Final = 2_000
"""Fields of one message type beyond which no more are collected."""
STEP: Final = math.log(1.05)
"""Ages are told to 5 %."""


class Row(Struct, kw_only=True):
    """One feed on one day. Shares are None where there is nothing to judge."""

    feed: str
    date: str
    state: str = "missing"
    """``data``; ``quiet``: connections were open and no market data came; ``missing``: none was."""
    messages: int = 0
    """Of market data."""
    coverage: float | None = None
    """Share of the day so far (of the environment's schedule) in which a connection was open."""
    quiet_minutes: int = 0
    missing_minutes: int = 0
    verified_share: float | None = None
    clean_share: float | None = None
    verified: int = 0
    unverified: int = 0
    broken: int = 0
    gaps: dict[str, int] = field(default_factory=dict)
    """Cause -> how many. ``not_archived``: the stream dropped messages, or segments were lost."""
    duplicates: int = 0
    age_ms_p50: float | None = None
    age_ms_p99: float | None = None
    negative_ages: int = 0
    unknown_types: dict[str, int] = field(default_factory=dict)
    """Types that the exchange does not document, and frames without one."""
    new_fields: dict[str, list[str]] = field(default_factory=dict)
    """Message type -> JSON fields that its messages in the first segment of the range lack."""
    damaged: list[str] = field(default_factory=list)
    """Files that could not be read to their end: what is behind is in no figure."""


def report(place: Place, progress: Callable[[int], None]) -> list[Row]:
    """Rows by feed and day; what a day has of new fields is against the first segment read."""
    rows = []
    for feed in place.feeds:
        drift = Drift()
        days = [day for day in place.days() if day.parent.name == feed]
        rows += [_Day(day, place, drift, progress).row() for day in days]
    return rows


class Drift:
    """The JSON fields of each message type, and which came later than the first segment."""

    def __init__(self) -> None:
        self._known: dict[str, set[str]] = {}
        self._first: dict[str, Path] = {}

    def look(self, path: Path, type_: str, payload: Any) -> list[str]:
        """Fields of this message that are new."""
        known = self._known.setdefault(type_, set())
        fresh = [name for name in fields(payload) if name not in known]
        if not fresh or len(known) > FIELDS_KEPT:
            return []
        known.update(fresh)
        return fresh if self._first.setdefault(type_, path) != path else []


def fields(value: Any, above: str = "") -> Iterator[str]:
    """The paths of all keys, through lists: ``msg.ts``, ``data[].price``."""
    if isinstance(value, dict):
        for key, below in value.items():
            yield f"{above}{key}"
            yield from fields(below, f"{above}{key}.")
    elif isinstance(value, list):
        for one in value:
            if isinstance(one, dict):
                yield from fields(one, f"{above.removesuffix('.')}[].")


class _Payload(Struct):
    raw: Any = None


_line = msgspec.json.Decoder(Line).decode
_payload = msgspec.json.Decoder(_Payload).decode


class _Day:
    def __init__(
        self, folder: Path, place: Place, drift: Drift, progress: Callable[[int], None]
    ) -> None:
        self._folder = folder
        self._place = place
        self._drift = drift
        self._progress = progress
        self._row = Row(feed=folder.parent.name, date=folder.name)
        self._ages: Counter[int] = Counter()
        self._minutes: set[int] = set()
        self._known: frozenset[str] = KNOWN

    def row(self) -> Row:
        made = self._read()
        row, on_record = self._row, manifests.load(self._folder)
        if on_record is not None:
            made.gaps = on_record.gaps
            made.gaps_before = on_record.gaps_before
        manifests.derive(made)
        row.verified_share, row.clean_share = made.verified_share, made.clean_share
        row.verified, row.broken = made.checked.verified, made.checked.broken
        row.unverified = max(made.checked.unverified, row.messages - row.verified - row.broken)
        row.duplicates = made.duplicates
        causes = Counter(str(gap.facts.get("cause", "unknown")) for gap in made.exchange_gaps)
        causes["not_archived"] += len(made.gaps)
        row.gaps = {cause: count for cause, count in sorted(causes.items()) if count}
        row.age_ms_p50, row.age_ms_p99 = (_quantile(self._ages, share) for share in (0.5, 0.99))
        self._cover(list(manifests.captured(made).values()))
        return row

    def _read(self) -> Manifest:
        """Count every line; the manifest that all files make, open parts included."""
        made = Manifest(feed=self._row.feed, date=self._row.date)
        for path in (*manifests.segments(self._folder), *manifests.parts(self._folder)):
            about = header.read(path)
            self._learn(about.exchange if about else None)
            counted = Tally(tally.position(tally.last_file(made), about))
            end = 0
            for offset, length, content in segment.members(path):
                if not tally.member(counted, offset, length, content):
                    break
                end = offset + length
                self._progress(length)
                for text in content.removesuffix(b"\n").split(b"\n"):
                    self._count(path, text)
            if end != path.stat().st_size and path.name.endswith(segment.SUFFIX):
                self._row.damaged.append(path.name)
            if counted.records:
                tally.register(made, path, counted, about)
        return made

    def _learn(self, exchange: str | None) -> None:
        known = EXCHANGES.get(exchange or self._row.feed.replace("-", "_"))
        if known is not None:
            self._known = KNOWN.union(known.channels)

    def _count(self, path: Path, text: bytes) -> None:
        line = _line(text)
        row, type_ = self._row, line.type
        if line.part < 0:
            return
        if type_ not in self._known:
            row.unknown_types[type_] = row.unknown_types.get(type_, 0) + 1
        if is_data(type_):
            row.messages += 1
            self._minutes.add(line.recv_ns // NS_PER_MINUTE)
        if line.ts_ns is not None:
            self._age(line.recv_ns - line.ts_ns)
        for name in self._drift.look(path, type_, _payload(text).raw):
            row.new_fields.setdefault(type_, []).append(name)

    def _age(self, age_ns: int) -> None:
        if age_ns < 0:
            self._row.negative_ages += 1
        self._ages[math.ceil(math.log(max(age_ns, 1_000)) / STEP)] += 1

    def _cover(self, spans: list[Span]) -> None:
        """Coverage, and what the minutes without market data were."""
        config = self._place.config
        wanted = window(self._row.date, config.schedule if config else Schedule(), time.time_ns())
        held = [
            (max(first, start), min(last, end)) for first, last in spans for start, end in wanted
        ]
        total = covered(wanted)
        self._row.coverage = covered(held) / total if total else None
        live = {
            minute
            for first, last in spans
            for minute in range(first // NS_PER_MINUTE, last // NS_PER_MINUTE + 1)
        }
        due = {
            minute
            for start, end in wanted
            for minute in range(start // NS_PER_MINUTE, -(-end // NS_PER_MINUTE))
        }
        self._row.quiet_minutes = len((due & live) - self._minutes)
        self._row.missing_minutes = len(due - live - self._minutes)
        self._row.state = "data" if self._row.messages else "quiet" if spans else "missing"


def window(day: str, schedule: Schedule, now_ns: int) -> list[Span]:
    """When the day is to be captured, as far as it has passed: the schedule's hours in its own time
    zone, cut to the UTC day; the whole day without hours."""
    start = datetime.combine(date.fromisoformat(day), wall(), UTC)
    whole = (_ns(start), min(_ns(start + timedelta(days=1)), now_ns))
    if schedule.day_start is None and schedule.day_end is None:
        return [whole]
    zone = ZoneInfo(schedule.timezone)
    found = []
    for local in (start.date() + timedelta(days=shift) for shift in (-1, 0, 1)):
        opens = datetime.combine(local, wall.fromisoformat(schedule.day_start or "00:00"), zone)
        closes = datetime.combine(local, wall.fromisoformat(schedule.day_end or "00:00"), zone)
        if closes <= opens:
            closes = datetime.combine(local + timedelta(days=1), closes.time(), zone)
        found.append((max(_ns(opens), whole[0]), min(_ns(closes), whole[1])))
    return [(first, last) for first, last in found if last > first]


def _ns(moment: datetime) -> int:
    return int(moment.timestamp()) * NS_PER_S


def _quantile(ages: Counter[int], share: float) -> float | None:
    """ms; the upper bound of the class that holds the quantile."""
    left = share * ages.total()
    for step in sorted(ages):
        left -= ages[step]
        if left <= 0:
            return round(math.exp(step * STEP) / 1e6, 3)
    return None


def tell(env: str, rows: list[Row]) -> None:
    """For a person."""
    show.line(f"environment {env}")
    head = (
        "feed", "date", "state", "messages", "coverage %", "verified %", "clean %",
        "duplicates", "age ms p50", "p99", "negative",
    )  # fmt: skip
    show.table(
        head,
        [
            (
                row.feed, row.date, row.state, str(row.messages), show.percent(row.coverage),
                show.percent(row.verified_share), show.percent(row.clean_share),
                str(row.duplicates), show.number(row.age_ms_p50), show.number(row.age_ms_p99),
                str(row.negative_ages),
            )
            for row in rows
        ],
    )  # fmt: skip
    for row in rows:
        for what in _remarks(row):
            show.line(f"{row.feed} {row.date}: {what}")


def _remarks(row: Row) -> Iterator[str]:
    if row.broken or row.unverified:
        yield (
            f"{row.verified} messages verified, {row.unverified} unverified, {row.broken} broken"
        )
    if row.gaps:
        yield "gaps: " + ", ".join(f"{cause} {count}" for cause, count in row.gaps.items())
    if row.quiet_minutes:
        yield f"{row.quiet_minutes} minutes quiet: connected, no market data"
    if row.missing_minutes:
        yield f"{row.missing_minutes} minutes missing: not connected"
    if row.unknown_types:
        found = ", ".join(f"{kind} {count}" for kind, count in sorted(row.unknown_types.items()))
        yield f"types that are not documented: {found}"
    for kind, names in sorted(row.new_fields.items()):
        yield f"new fields of {kind}: {', '.join(names)}"
    for name in row.damaged:
        yield f"{name} is damaged: see `ssmd archive verify`"
