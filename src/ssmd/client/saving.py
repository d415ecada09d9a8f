"""Rows -> a file, a page at a time."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Final

import msgspec

from ssmd import outfile
from ssmd.client.errors import BadRequest
from ssmd.client.rows import Hole, Page

Writer = Callable[[Path, Iterator[Page], Mapping[str, str]], int]
"""Answers how many rows it wrote."""


def whole(path: Path) -> AbstractContextManager[Path]:
    """A file to write into, which takes the place of ``path`` once it is whole. Raises
    StorageError."""
    return outfile.whole(path, force=True)


def ndjson(file: Path, pages: Iterator[Page], columns: Mapping[str, str]) -> int:
    holes: dict[Hole, None] = {}
    count = 0
    with file.open("wb") as out:
        for page in pages:
            out.writelines(bytes(row) + b"\n" for row in page.rows)
            count += len(page.rows)
            holes |= dict.fromkeys(page.holes)
        out.writelines(msgspec.json.encode({"_hole": hole}) + b"\n" for hole in holes)
    return count


def _parquet(file: Path, pages: Iterator[Page], columns: Mapping[str, str]) -> int:
    from pyarrow import parquet

    from ssmd.client import frames

    count = 0
    with parquet.ParquetWriter(file, frames.schema(columns), compression="zstd") as out:
        for page in pages:
            if page.rows:
                out.write_batch(frames.batch(page.rows, columns))
            count += len(page.rows)
    return count


_WRITERS: Final[dict[str, Writer]] = {".ndjson": ndjson, ".jsonl": ndjson, ".parquet": _parquet}


def writer_of(path: Path) -> Writer:
    """Raises BadRequest."""
    found = _WRITERS.get(path.suffix.lower())
    if found is None:
        raise BadRequest(
            f"{path.name} ends in nothing that is known", hint=f"one of: {', '.join(_WRITERS)}"
        )
    return found
