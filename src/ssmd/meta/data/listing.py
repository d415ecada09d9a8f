"""``ssmd meta data list`` and ``inventory``."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
import msgspec
from msgspec import Struct, field

from ssmd import show
from ssmd.dataset import Day
from ssmd.meta.data.where import day_of, place, span, where
from ssmd.query import facts, parquet
from ssmd.query.parquet import Compacted
from ssmd.store import manifest as manifests
from ssmd.store.manifest import Manifest
from ssmd.store.retired import Retired


@click.command(name="list")
@span
@place
def list_(
    feeds: tuple[str, ...], first: str | None, last: str | None,
    path: str | None, env: str | None, config: Path | None, as_json: bool, output: str,
) -> None:  # fmt: skip
    """Datasets, with the segment that is being written."""
    found = where(path, env, config).days(feeds, day_of(first), day_of(last))
    rows = [day.summary() for day in found]
    if as_json or output == "json":
        show.as_json(rows or None)
        return
    show.table(
        ("FEED", "DATE", "RECORDS", "TICKERS", "SIZE", "GAPS"),
        [
            (
                row.feed, row.date, str(row.records), str(row.tickers), f"{row.size_mb:.1f} MB",
                "YES" if row.has_gaps else "",
            )
            for row in rows
        ],
    )  # fmt: skip


class Item(Struct, kw_only=True):
    """One feed on one day, raw or as one table of records."""

    feed: str
    date: str
    data_type: str
    """``raw``, or the table that the day was compacted into."""
    schema_version: str | None
    status: str
    """``open``: still written to; ``closed``; ``damaged``: see ``damaged``; ``stale``: Parquet of
    segments that have changed since; ``deleted`` by retention, and only on record."""
    record_count: int
    byte_size: int
    """On disk."""
    first_timestamp: str | None = None
    last_timestamp: str | None = None
    gaps: int = 0
    quality_score: float | None = None
    """The clean share."""
    connector_version: str | None
    created_at: str | None = None
    damaged: list[str] = field(default_factory=list)


@click.command()
@span
@place
def inventory(
    feeds: tuple[str, ...], first: str | None, last: str | None,
    path: str | None, env: str | None, config: Path | None, as_json: bool, output: str,
) -> None:  # fmt: skip
    """What is archived of each feed and day, raw and as Parquet, and whether it is all there.

    Files are held against the manifest by name and size; `ssmd archive verify` reads every byte.
    """
    found, span_ = where(path, env, config), (day_of(first), day_of(last))
    items = [item for day in found.days(feeds, *span_) for item in _items(day)]
    items += [_deleted(day) for day in found.deleted(feeds, *span_)]
    items.sort(key=lambda item: (item.feed, item.date))
    if as_json or output == "json":
        show.as_json(items or None)
        return
    show.table(
        ("FEED", "DATE", "DATA", "STATUS", "RECORDS", "MB", "FIRST", "LAST", "GAPS", "CLEAN %"),
        [
            (
                one.feed, one.date, one.data_type, one.status, str(one.record_count),
                f"{one.byte_size / 1e6:.3f}", _clock(one.first_timestamp),
                _clock(one.last_timestamp), str(one.gaps), show.percent(one.quality_score),
            )
            for one in items
        ],
    )  # fmt: skip
    for one in items:
        for what in one.damaged:
            show.line(f"{one.feed} {one.date}: {what}", "red")


def _deleted(gone: Retired) -> Item:
    """What is on record of a day that retention deleted."""
    files = gone.manifest.files
    return Item(
        feed=gone.feed,
        date=gone.date,
        data_type="raw",
        schema_version=gone.manifest.schema,
        status="deleted",
        record_count=0,
        byte_size=0,
        first_timestamp=min((entry.start for entry in files), default=None),
        last_timestamp=max((entry.end for entry in files), default=None),
        gaps=len(gone.manifest.gaps) + len(gone.manifest.exchange_gaps),
        quality_score=gone.manifest.clean_share,
        connector_version=gone.manifest.ssmd_version,
        created_at=gone.at,
    )


def _items(day: Day) -> list[Item]:
    manifest = facts.whole(day)
    raw = _raw(day, manifest)
    compacted = parquet.load(day)
    return [raw, *(_tables(day, compacted, raw) if compacted else ())]


def _raw(day: Day, manifest: Manifest) -> Item:
    damaged = [f"{entry.name} {what}" for entry, what in facts.damaged(day)]
    if manifests.load(day.folder) is None and (day.folder / manifests.NAME).exists():
        damaged.append(f"{manifests.NAME} cannot be read")
    waiting = parquet.unnamed(day, day.manifest)
    return Item(
        feed=day.feed,
        date=day.date,
        data_type="raw",
        schema_version=manifest.schema,
        status="damaged" if damaged else "open" if waiting else "closed",
        record_count=sum(entry.records for entry in manifest.files),
        byte_size=sum(piece.size for piece in day.pieces()),
        first_timestamp=min((entry.start for entry in manifest.files), default=None),
        last_timestamp=max((entry.end for entry in manifest.files), default=None),
        gaps=len(manifest.gaps) + len(manifest.exchange_gaps),
        quality_score=manifest.clean_share,
        connector_version=manifest.ssmd_version,
        created_at=_modified(day.folder / manifests.NAME),
        damaged=damaged,
    )


def _tables(day: Day, made: Compacted, raw: Item) -> list[Item]:
    status = "closed" if parquet.current(day, day.manifest) else "stale"
    return [
        msgspec.structs.replace(
            raw,
            data_type=part.table,
            schema_version=f"parquet:v{made.version}",
            status=status,
            record_count=part.rows,
            byte_size=part.bytes,
            connector_version=made.ssmd_version,
            created_at=made.compacted_at,
            damaged=[],
        )
        for part in made.parts
    ]


def _modified(path: Path) -> str | None:
    try:
        at = path.stat().st_mtime
    except OSError:
        return None
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%dT%H:%M:%SZ}"


def _clock(moment: Any) -> str:
    return str(moment)[11:19] if moment else "–"
