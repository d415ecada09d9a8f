"""``ssmd archive compact``: closed days -> Parquet, which can always be made again.

A day is compacted whole or not at all: its files count once the manifest names them.
"""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Literal

import msgspec
from msgspec import Struct

from ssmd import __version__
from ssmd.archive import lock
from ssmd.dataset import Day, Piece
from ssmd.errors import ContractError, CorruptArchive, SsmdError
from ssmd.query import facts, parquet
from ssmd.query.parquet import Compacted, Part
from ssmd.query.tables import TABLES, order
from ssmd.store import segment
from ssmd.store.manifest import File, Manifest

TEMPORARY: Final = "_tmp-"


class Outcome(Struct, frozen=True, kw_only=True):
    """What was done about one day."""

    feed: str
    date: str
    state: Literal["compacted", "current", "open", "failed", "would compact"]
    why: str | None = None
    rows: dict[str, int] = {}
    bytes: int = 0
    underivable: int = 0


def state(day: Day) -> Outcome | None:
    """Why there is nothing to do; None where the day is to be compacted."""
    manifest = day.manifest
    if day.date >= f"{datetime.now(UTC):%Y-%m-%d}":
        return Outcome(feed=day.feed, date=day.date, state="open", why="the day is not over")
    waiting = parquet.unnamed(day, manifest)
    if waiting:
        why = f"{waiting[0]} is in no manifest yet"
        return Outcome(feed=day.feed, date=day.date, state="open", why=why)
    if not manifest.files:
        return Outcome(feed=day.feed, date=day.date, state="open", why="it has no segments")
    found = parquet.current(day, manifest)
    return _outcome("current", found) if found is not None else None


def to_do(day: Day) -> Outcome:
    """What compacting the day would read."""
    files = day.manifest.files
    why = f"{len(files)} segments, {sum(entry.records for entry in files)} messages"
    return Outcome(feed=day.feed, date=day.date, state="would compact", why=why)


def compact(day: Day, progress: Callable[[int], None], *, memory: str) -> Outcome:
    """Turn one day into Parquet, unless it is already. ``progress`` takes bytes of segments."""
    done = state(day)
    if done is not None and done.state == "open":
        return done
    base = parquet.folder_of(day)
    try:
        base.mkdir(exist_ok=True)
        with contextlib.closing(lock.hold(base)):
            _sweep(base)
            done = _whole(day)
            if done is not None:
                return done
            return _outcome("compacted", _compact(day, base, progress, memory))
    except (SsmdError, OSError) as error:
        why = error.message if isinstance(error, SsmdError) else str(error)
        return Outcome(feed=day.feed, date=day.date, state="failed", why=why)


def _outcome(state: Literal["compacted", "current"], made: Compacted) -> Outcome:
    return Outcome(
        feed=made.feed,
        date=made.date,
        state=state,
        rows={part.table: part.rows for part in made.parts},
        bytes=sum(part.bytes for part in made.parts),
        underivable=made.underivable,
    )


def _sweep(base: Path) -> None:
    """What a killed run left: we hold the lock, so nobody works in it."""
    for left in base.glob(f"{TEMPORARY}*"):
        shutil.rmtree(left)


def _whole(day: Day) -> Outcome | None:
    """``state``; of a day that is compacted, nothing is left but what its manifest names."""
    done, found = state(day), parquet.load(day)
    if done is not None and done.state == "current" and found is not None:
        _drop_others(day, found)
    return done


def _compact(day: Day, base: Path, progress: Callable[[int], None], memory: str) -> Compacted:
    manifest = day.manifest
    with tempfile.TemporaryDirectory(prefix=TEMPORARY, dir=base) as name:
        made = _write(day, manifest, Path(name), progress, memory)
        for part in made.parts:
            place = base / part.path
            place.parent.mkdir(parents=True, exist_ok=True)
            (Path(name) / place.name.replace("part-", f"{part.table}-")).replace(place)
            segment.fsync_folder(place.parent)
    _commit(day, made)
    _drop_others(day, made)
    return made


def _write(
    day: Day, manifest: Manifest, folder: Path, progress: Callable[[int], None], memory: str
) -> Compacted:
    """The Parquet files, in a folder of their own, counted again as they lie."""
    # Imported late: DuckDB takes a tenth of a second.
    from ssmd.query import bars, engine
    from ssmd.query.rows import Rows

    exchange = facts.exchange_of(day, manifest)
    rows = Rows(exchange, TABLES)
    found = parquet.sources(manifest)
    digest = parquet.digest(found)[:12]
    with engine.opened(folder, memory=memory) as connection:
        loader = engine.Loader(connection, folder, TABLES)
        for source, line in _lines(day, manifest, progress):
            try:
                for table, row in rows.of(line):
                    loader.add(table, row)
            except ContractError as error:
                raise CorruptArchive(f"{source.name}: {error.message}") from error
        loader.finish()
        (repeats,) = connection.sql(bars.REPEATS).fetchall()[0]
        parts = []
        for table, count in loader.counts.items():
            if count or table == "messages":
                file = folder / f"{table}-{digest}-0.parquet"
                rows_of = connection.table(table)
                engine.write(rows_of.order(f"sym NULLS FIRST, {order(table)}"), file)
                parts.append(_part(day, table, file, engine.count(connection, file), count))
    return Compacted(
        feed=day.feed,
        date=day.date,
        version=parquet.VERSION,
        ssmd_version=__version__,
        exchange=exchange.name if exchange else None,
        compacted_at=f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
        messages=loader.counts["messages"],
        underivable=rows.underivable,
        repeats=repeats,
        sources=found,
        parts=parts,
    )


def _lines(
    day: Day, manifest: Manifest, progress: Callable[[int], None]
) -> Iterator[tuple[File, bytes]]:
    """Every line of the day. Raises CorruptArchive where the segments are not what the manifest
    says they are."""
    for entry in manifest.files:
        path = day.folder / entry.name
        count = 0
        for line in Piece(path, entry).lines():
            yield entry, line
            count += 1
        if count != entry.records or segment.sha256(path) != entry.sha256:
            raise CorruptArchive(
                f"{path.name} is not what the manifest says", hint="see `ssmd archive verify`"
            )
        progress(path.stat().st_size)


def _part(day: Day, table: str, file: Path, written: int, counted: int) -> Part:
    if written != counted:
        raise CorruptArchive(f"{table}: {written} rows were written of {counted}")
    with file.open("rb+") as content:
        os.fsync(content.fileno())
    place = parquet.table_folder(day, table) / file.name.replace(f"{table}-", "part-")
    path = place.relative_to(parquet.folder_of(day))
    return Part(table, str(path), written, file.stat().st_size, segment.sha256(file))


def _commit(day: Day, made: Compacted) -> None:
    """From here on the day is what this manifest says."""
    path = parquet.manifest_of(day)
    path.parent.mkdir(exist_ok=True)
    temporary = path.with_name(f".{path.name}.tmp")
    with temporary.open("wb") as file:
        file.write(msgspec.json.format(msgspec.json.encode(made), indent=1))
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    segment.fsync_folder(path.parent)


def _drop_others(day: Day, made: Compacted) -> None:
    """Files of the day that were made of other segments."""
    named = {parquet.folder_of(day) / part.path for part in made.parts}
    for table in TABLES:
        for path in parquet.table_folder(day, table).glob("part-*.parquet"):
            if path not in named:
                path.unlink()
