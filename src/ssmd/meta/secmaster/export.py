"""All records into a file: JSON with all that is in them, or a table with a column a fact."""

import contextlib
import csv
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import IO, Any, Final

import msgspec

from ssmd.errors import ConfigError, StorageError
from ssmd.instruments.change import Held
from ssmd.meta.secmaster.shown import as_object
from ssmd.security import FIELDS, Links

Records = AsyncIterator[tuple[str, Held]]

_ABOUT: Final = ("number", "known_ns", "learned_ns", "valid_ns", "source", "raw_sha256")
_LINKS: Final = Links.__struct_fields__
COLUMNS: Final = (
    "feed", *(name for name in FIELDS if name != "links"), *(f"links_{name}" for name in _LINKS),
    *_ABOUT,
)  # fmt: skip
_INTEGERS: Final = frozenset({"price_precision", "size_precision", "number"})


async def export(records: Records, kind: str, output: Path | None) -> int:
    """How many records. Raises StorageError, ConfigError."""
    if kind == "parquet":
        if output is None:
            raise ConfigError("Parquet goes into a file", hint="name it with --output")
        return await _parquet(records, output)
    with _out(output) as out:
        return await WRITERS[kind](records, out)


async def _json(records: Records, out: IO[str]) -> int:
    count = 0
    out.write("[")
    async for feed, held in records:
        out.write(",\n" if count else "\n")
        out.write(msgspec.json.encode(as_object(feed, held)).decode())
        count += 1
    out.write("\n]\n")
    return count


async def _ndjson(records: Records, out: IO[str]) -> int:
    count = 0
    async for feed, held in records:
        out.write(msgspec.json.encode(as_object(feed, held)).decode() + "\n")
        count += 1
    return count


async def _csv(records: Records, out: IO[str]) -> int:
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    count = 0
    async for feed, held in records:
        row = flat(feed, held)
        writer.writerow([_text(row[name]) for name in COLUMNS])
        count += 1
    return count


WRITERS: Final = {"json": _json, "ndjson": _ndjson, "csv": _csv}
KINDS: Final = (*WRITERS, "parquet")


def flat(feed: str, held: Held) -> dict[str, Any]:
    """One row; what is a list or an object is JSON in a text."""
    about, one = msgspec.to_builtins(held), held.instrument
    content = {name: getattr(one, name) for name in FIELDS if name != "links"}
    content |= {f"links_{name}": getattr(one.links, name) for name in _LINKS}
    content |= {name: about.get(name) for name in _ABOUT}
    return {"feed": feed, **{name: _cell(value) for name, value in content.items()}}


def _text(value: Any) -> Any:
    """JSON's words for yes and no, as in the other formats."""
    return msgspec.json.encode(value).decode() if isinstance(value, bool) else value


def _cell(value: Any) -> Any:
    plain = msgspec.to_builtins(value)
    if isinstance(plain, list | tuple | dict):
        return msgspec.json.encode(plain).decode() if plain else None
    return plain


async def _parquet(records: Records, output: Path) -> int:
    """By way of a file of rows: DuckDB holds none of it in Python's memory."""
    # Imported late: what is not asked for Parquet does without DuckDB.
    try:
        from ssmd.query import file
    except ImportError:
        raise ConfigError("Parquet needs the package duckdb", hint="pip install duckdb") from None
    with tempfile.TemporaryDirectory(prefix="ssmd-") as folder:
        rows, made = Path(folder) / "rows.ndjson", Path(folder) / "rows.parquet"
        count = 0
        with rows.open("wb") as out:
            async for feed, held in records:
                out.write(msgspec.json.encode(flat(feed, held)) + b"\n")
                count += 1
        file.parquet(rows, {name: _type(name) for name in COLUMNS}, made)
        with _whole(output, "wb") as out:
            out.write(made.read_bytes())
    return count


def _type(name: str) -> str:
    if name.endswith("_ns") or name in _INTEGERS:
        return "BIGINT"
    return "BOOLEAN" if name == "active" else "VARCHAR"


@contextlib.contextmanager
def _out(output: Path | None) -> Iterator[IO[str]]:
    if output is None:
        yield sys.stdout
        return
    with _whole(output, "w") as out:
        yield out


@contextlib.contextmanager
def _whole(output: Path, mode: str) -> Iterator[IO[Any]]:
    """A file that is there whole, or as it was. Raises StorageError."""
    temporary = output.with_name(f".{output.name}.part")
    try:
        with temporary.open(mode) as out:
            yield out
        temporary.replace(output)
    except OSError as error:
        raise StorageError(f"cannot write {output}: {error.strerror}") from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
