"""DuckDB, bounded: the only module that opens it. Imported late: it takes a tenth of a second."""

import contextlib
import glob
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import duckdb
from duckdb import ColumnExpression, ConstantExpression

from ssmd.errors import StorageError
from ssmd.query.scope import Scope

Connection = duckdb.DuckDBPyConnection
Relation = duckdb.DuckDBPyRelation

MEMORY: Final = "512MB"
THREADS: Final = min(4, os.cpu_count() or 1)
CHUNK_BYTES: Final = 8 << 20
"""Rows of a table that are held before DuckDB takes them."""
FULL: Final = "is there room on the disk of the temporary folder (TMPDIR)?"
ROW_GROUP: Final = 61_440
"""Rows: of messages, some 30 MB as they are sorted."""


@contextlib.contextmanager
def opened(folder: Path, *, memory: str = MEMORY) -> Iterator[Connection]:
    """A database of its own in an empty folder: what is beyond its memory goes there. Raises
    StorageError where DuckDB cannot go on (a full disk, a file that is no Parquet)."""
    spill = folder / "spill"
    spill.mkdir()
    settings: dict[str, str | bool | int | float | list[str]] = {
        "memory_limit": memory,
        "threads": THREADS,
        "temp_directory": str(spill),
        "autoinstall_known_extensions": False,
        "autoload_known_extensions": False,
    }
    try:
        with duckdb.connect(config=settings) as connection:
            connection.execute("SET enable_progress_bar = false")
            yield connection
    except duckdb.Error as error:
        said = str(error).strip().splitlines()[0]
        raise StorageError(f"the query failed: {said}", hint=_hint(error)) from error


def _hint(error: duckdb.Error) -> str:
    if isinstance(error, duckdb.IOException | duckdb.OutOfMemoryException):
        return FULL
    return "try a shorter time or fewer symbols"


def parquet(connection: Connection, files: Sequence[Path]) -> Relation:
    """The rows of Parquet files, whatever signs are in their paths."""
    paths = [glob.escape(str(path)) for path in files]
    return connection.read_parquet(paths, hive_partitioning=False)


def write(rows: Relation, file: Path) -> None:
    """Rows as one Parquet file."""
    rows.write_parquet(str(file), compression="zstd", row_group_size=ROW_GROUP)


def count(connection: Connection, file: Path) -> int:
    """How many rows a Parquet file holds."""
    (found,) = parquet(connection, [file]).aggregate("count(*)").fetchall()[0]
    return int(found)


def chosen(rows: Relation, scope: Scope) -> Relation:
    """Those of the scope's times and symbols."""
    time = ColumnExpression("recv_ns")
    rows = rows.filter(
        (time >= ConstantExpression(scope.start_ns)) & (time < ConstantExpression(scope.end_ns))
    )
    if scope.symbols is None:
        return rows
    symbols = [ConstantExpression(symbol) for symbol in sorted(scope.symbols)]
    return rows.filter(ColumnExpression("sym").isin(*symbols))


class Loader:
    """Puts rows into tables of the database, a chunk at a time."""

    def __init__(self, connection: Connection, folder: Path, tables: dict[str, dict[str, str]]):
        self.counts = dict.fromkeys(tables, 0)
        self._connection = connection
        self._chunk = folder / "chunk.ndjson"
        self._tables = tables
        self._rows: dict[str, list[bytes]] = {name: [] for name in tables}
        self._sizes = dict.fromkeys(tables, 0)
        for name, columns in tables.items():
            body = ", ".join(f'"{column}" {kind}' for column, kind in columns.items())
            connection.execute(f'CREATE TABLE "{name}" ({body})')

    def add(self, table: str, row: bytes) -> None:
        """One row, as a line of JSON."""
        self._rows[table].append(row)
        self._sizes[table] += len(row)
        if self._sizes[table] >= CHUNK_BYTES:
            self._load(table)

    def finish(self) -> None:
        """Load what is held."""
        for table in self._tables:
            self._load(table)

    def _load(self, table: str) -> None:
        rows = self._rows[table]
        if not rows:
            return
        try:
            with self._chunk.open("wb") as file:
                file.writelines(row + b"\n" for row in rows)
        except OSError as error:
            raise StorageError(
                f"cannot write {self._chunk}: {error.strerror}", hint=FULL
            ) from error
        self._connection.execute(
            f'INSERT INTO "{table}" SELECT * FROM read_json(?, columns = {_struct(self._tables[table])}, '  # noqa: S608, E501 - names and types are constants of ours
            "format = 'newline_delimited', maximum_object_size = ?)",
            [glob.escape(str(self._chunk)), max(1 << 20, max(map(len, rows)) + 1024)],
        )
        self._chunk.unlink()
        self.counts[table] += len(rows)
        self._rows[table] = []
        self._sizes[table] = 0


def _struct(columns: dict[str, str]) -> str:
    return "{" + ", ".join(f"'{name}': '{kind}'" for name, kind in columns.items()) + "}"
