"""Rows that are in a file -> Parquet, without holding them. Imported late: DuckDB takes a while."""

from collections.abc import Mapping
from pathlib import Path

import duckdb

from ssmd.errors import StorageError


def parquet(rows: Path, columns: Mapping[str, str], made: Path) -> None:
    """NDJSON with these columns (name -> type of DuckDB) as a Parquet file. Raises StorageError."""
    shape = ", ".join(f"\"{name}\": '{type_}'" for name, type_ in columns.items())
    reading = f"read_json('{_quoted(rows)}', format='newline_delimited', columns={{{shape}}})"
    try:
        with duckdb.connect(config={"memory_limit": "512MB"}) as connection:
            connection.execute("SET enable_progress_bar = false")
            connection.execute(f"COPY (FROM {reading}) TO '{_quoted(made)}' (FORMAT parquet)")
    except duckdb.Error as error:
        said = str(error).strip().splitlines()[0]
        raise StorageError(f"cannot make the Parquet file: {said}") from error


def _quoted(path: Path) -> str:
    return str(path).replace("'", "''")
