"""Rows of a query -> one file, whole or not at all."""

import csv
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct, field

from ssmd.dataset import matcher
from ssmd.errors import ContractError
from ssmd.meta.data.where import Where
from ssmd.query import engine, plain, reading
from ssmd.query.engine import Connection, Relation
from ssmd.query.scope import VIEWS, Scope
from ssmd.query.session import opened
from ssmd.span import Hole

_encode = msgspec.json.Encoder().encode


class Made(Struct, kw_only=True):
    """What is in the file."""

    rows: int = 0
    compacted: list[str] = field(default_factory=list)
    """``feed/date`` of what was read from Parquet."""
    holes: list[Hole] = field(default_factory=list)


def table(
    found: Where, scope: Scope, type_: str, kind: str, file: Path, progress: Callable[[int], None]
) -> Made:
    """Rows of one table, in the order of receipt."""
    schedule = found.config.schedule if found.config else None
    with opened(found.archive, scope, schedule=schedule, progress=progress) as query:
        rows = query.table(type_) if type_ in VIEWS else query.messages(type_)
        count = WRITERS[kind](query.connection, rows, file)
        compacted = [f"{feed}/{date}" for feed, date in query.compacted]
        return Made(rows=count, compacted=compacted, holes=query.holes)


def lines(
    found: Where, scope: Scope, type_: str, file: Path, progress: Callable[[int], None]
) -> Made:
    """Archived lines as they are, in the order of the stream, feed by feed."""
    made = Made()
    wanted = matcher(None if type_ in VIEWS else type_)
    with file.open("wb") as out:
        for day in found.days(scope.feeds, None, None):
            if not scope.may_hold(day.date):
                continue
            for line in reading.lines(day, scope, made.holes.append, progress):
                try:
                    if wanted(line) and scope.wants(line):
                        out.write(line + b"\n")
                        made.rows += 1
                except ContractError as error:
                    made.holes.append(Hole(day.feed, day.date, error.message))
    return made


def _parquet(connection: Connection, rows: Relation, file: Path) -> int:
    engine.write(rows, file)
    return engine.count(connection, file)


def _arrow(connection: Connection, rows: Relation, file: Path) -> int:
    """Arrow's stream format, which every Arrow library reads."""
    # Imported late: only this format needs it.
    from nanoarrow import ipc

    with ipc.StreamWriter.from_path(file) as writer:
        writer.write_stream(rows)
    (count,) = rows.aggregate("count(*)").fetchall()[0]
    return int(count)


def _ndjson(connection: Connection, rows: Relation, file: Path) -> int:
    count = 0
    with file.open("wb") as out:
        for count, row in enumerate(plain.rows(connection, rows), 1):  # noqa: B007
            out.write(_encode(row) + b"\n")
    return count


def _csv(connection: Connection, rows: Relation, file: Path) -> int:
    count = 0
    with file.open("w", encoding="utf-8", newline="") as out:
        writer = csv.writer(out)
        writer.writerow(name for name in rows.columns if name != "unfit")
        for count, row in enumerate(plain.rows(connection, rows), 1):  # noqa: B007
            writer.writerow(
                _encode(value).decode() if isinstance(value, list) else value
                for value in row.values()
            )
    return count


Writer = Callable[[Connection, Relation, Path], int]
WRITERS: Final[Mapping[str, Writer]] = {
    "parquet": _parquet,
    "arrow": _arrow,
    "ndjson": _ndjson,
    "csv": _csv,
}
"""Each answers how many rows it wrote."""
