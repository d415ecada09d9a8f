"""Retention: which archived days go, what keeps one of them from it, and deleting one.

First it is on record that the day is deleted, then its files go: a crash in between leaves a day
that is deleted for all readers, and the next run takes the rest away.
"""

import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Final, Literal

from msgspec import Struct

from ssmd.archive import claims
from ssmd.archive.verify import verify
from ssmd.calendar import TradingDays, utc_dates
from ssmd.config import Keep
from ssmd.dataset import Archive
from ssmd.day import Day
from ssmd.errors import SsmdError
from ssmd.instruments.past import Past
from ssmd.query import parquet, tables
from ssmd.store import manifest as manifests
from ssmd.store import retired, segment
from ssmd.store.manifest import RETIRED

NEWEST: Final = 2
"""So many days of a feed always stay: by them the archiver knows where it is in the stream."""


class Outcome(Struct, kw_only=True):
    """One day that retention is about."""

    feed: str
    date: str
    bytes: int
    why: str
    state: Literal["to delete", "deleted", "kept"]
    kept_by: str | None = None
    """What is wrong with it, or not known of it."""


def due(folder: Path, keep: Keep, today: date) -> Iterator[Outcome]:
    """The days of a feed that the bounds leave out, the oldest first."""
    days = manifests.days(folder)
    sizes = {day: size(day) for day in days}
    total = sum(sizes.values())
    for day in days[:-NEWEST]:
        why = _why(day.name, total, keep, today)
        if why is not None:
            total -= sizes[day]
            yield Outcome(
                feed=folder.name, date=day.name, bytes=sizes[day], why=why, state="to delete"
            )


def _why(name: str, total: int, keep: Keep, today: date) -> str | None:
    if keep.days is not None and date.fromisoformat(name) < today - timedelta(days=keep.days):
        return f"older than {keep.days} days"
    if keep.max_bytes is not None and total > keep.max_bytes:
        return f"over {keep.max_bytes} bytes"
    return None


def size(day: Path) -> int:
    """What a day takes on disk, as segments and as Parquet."""
    files = [path for path in day.rglob("*") if path.is_file()]
    return sum(path.stat().st_size for path in (*files, *_parquet(day)))


def faults(
    env: Path, day: Path, known: Iterable[Day], days: TradingDays, progress: Callable[[int], None]
) -> Iterator[str]:
    """What keeps a day from being deleted. Reads every byte of it, where nothing else does."""
    open_ = [f"{one.date} is {one.state}" for one in known if _touches(one, days, day.name)]
    if open_:
        yield f"the trading day {', '.join(open_)}"
    elif any(True for _ in manifests.parts(day)):
        yield "it is being written"
    elif claims.quarantined(day):
        yield "it has files in quarantine"
    else:
        summary = verify(
            env, [day.parent.name], [day.name], deep=False, tell=lambda _: None, progress=progress
        )
        if summary.findings:
            yield f"{len(summary.findings)} faults, first: {summary.findings[0].what}"


def _touches(one: Day, days: TradingDays, name: str) -> bool:
    """Whether the UTC day holds a part of a trading day that is not complete."""
    if one.state == "COMPLETE":
        return False
    trading = days.on(date.fromisoformat(one.date))
    return name in utc_dates(trading.start_ns, trading.end_ns)


def delete(archive: Archive, chosen: Sequence[Outcome], *, forced: bool) -> None:
    """Delete days of one feed: what was known of instruments at the end of them first, then one
    after the other, the oldest first. Raises SsmdError, OSError."""
    if not chosen:
        return
    feed = chosen[0].feed
    try:
        Past(archive, feed).keep(chosen[-1].date)
    except SsmdError:
        if not forced:
            raise
    for one in chosen:
        folder = archive.folder / feed / one.date
        at = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        retired.retire(folder, at=at, why=one.why, forced=forced)
        sweep(folder)
        one.state = "deleted"


def left(folder: Path) -> list[Path]:
    """Deleted days of a feed of which a run that was cut off left files."""
    return [day for day in retired.days(folder) if any(_files(day)) or any(_parquet(day))]


def sweep(day: Path) -> None:
    """Take away what is left of a day that is on record as deleted."""
    for path in [*_files(day), *_parquet(day)]:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    segment.fsync_folder(day)


def _files(day: Path) -> list[Path]:
    """All but what is on record of the day. The manifest goes last: without it, segments would be
    taken up as new ones by who does not know better."""
    stays = (RETIRED, claims.DAY)
    found = [path for path in day.iterdir() if not path.name.startswith(stays)]
    return sorted(found, key=lambda path: path.name == manifests.NAME)


def _parquet(day: Path) -> Iterator[Path]:
    """Its compacted files, what names them first."""
    base = day.parents[1] / parquet.FOLDER / f"feed={day.parent.name}"
    manifest = base / "_manifests" / f"{day.name}.json"
    if manifest.exists():
        yield manifest
    for table in tables.TABLES:
        yield from (base / f"type={table}" / f"date={day.name}").glob("part-*.parquet")
