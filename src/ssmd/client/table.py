"""An answer that is read when it is wanted, in the form in which it is wanted."""

import warnings
from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Final, Generic, TypeVar

import msgspec
from msgspec import Struct

from ssmd.client import saving
from ssmd.client.errors import Incomplete, Missing
from ssmd.client.progress import following
from ssmd.client.rows import Hole, Page

if TYPE_CHECKING:
    import pandas
    import polars
    import pyarrow

T = TypeVar("T")

_SHOWN: Final = 3


class Plan(Struct, Generic[T], frozen=True):
    """What a table is, and how it is read."""

    name: str
    read: Callable[[], Iterator[Page]]
    kind: type[T]
    columns: Mapping[str, str]
    span: tuple[int, int] | None = None
    """Of receipt, where the rows come in its order."""
    progress: bool | None = None


class Table(Generic[T]):
    """Rows, not read yet. Each use reads them again, page by page: ``for row in table`` holds one
    page, ``to_polars`` and its like hold all.

    What could not be read is named in ``holes``; where there are any, a read ends with the warning
    ``Incomplete``.
    """

    def __init__(self, plan: Plan[T]) -> None:
        self._plan = plan
        self._holes: tuple[Hole, ...] = ()

    def __repr__(self) -> str:
        return f"<Table {self._plan.name}>"

    @property
    def holes(self) -> tuple[Hole, ...]:
        """What the last read met; () before the first."""
        return self._holes

    @property
    def columns(self) -> tuple[str, ...]:
        """Of its data frames; typed rows have the record's fields."""
        return tuple(self._plan.columns)

    def __iter__(self) -> Iterator[T]:
        decode = msgspec.json.Decoder(self._plan.kind, strict=False).decode
        for page in self._pages():
            yield from map(decode, page.rows)

    def _pages(self) -> Iterator[Page]:
        self._holes = ()
        for page in self._plan.read():
            self._holes += tuple(hole for hole in page.holes if hole not in self._holes)
            yield page
        if self._holes:
            warnings.warn(Incomplete(self._missing()), stacklevel=3)

    def _missing(self) -> str:
        holes = self._holes
        named = "; ".join(f"{hole.feed} {hole.date}: {hole.what}" for hole in holes[:_SHOWN])
        more = f" and {len(holes) - _SHOWN} more" if len(holes) > _SHOWN else ""
        return f"{self._plan.name} is not complete: {named}{more}"

    def _followed(self) -> Iterator[Page]:
        plan = self._plan
        with following(plan.name, plan.span, plan.progress) as told:
            for page in self._pages():
                told(page)
                yield page

    # --- whole ------------------------------------------------------------------------------------

    def batches(self) -> "Iterator[pyarrow.RecordBatch]":
        """A page at a time, as Arrow."""
        frames = _frames()
        for page in self._pages():
            if page.rows:
                yield frames.batch(page.rows, self._plan.columns)

    def save(self, path: str | Path) -> int:
        """Write all rows to a ``.ndjson`` or ``.parquet`` file, a page at a time, and answer how
        many; the file is there only once it is whole. Raises BadRequest, StorageError."""
        return self._save(Path(path), saving.writer_of(Path(path)))

    def ndjson(self, path: str | Path) -> int:
        """The same, as a line a row, whatever the file is called. Holes are the last lines, as
        ``{"_hole": ...}``."""
        return self._save(Path(path), saving.ndjson)

    def _save(self, path: Path, write: saving.Writer) -> int:
        with saving.whole(path) as file:
            return write(file, self._followed(), self._plan.columns)

    def arrow(self) -> "pyarrow.Table":
        """All of it: prices and sizes as ``decimal128(38, 18)``, times as int64 ns."""
        frames = _frames()
        import pyarrow

        columns = self._plan.columns
        batches = [frames.batch(page.rows, columns) for page in self._followed() if page.rows]
        return pyarrow.Table.from_batches(batches, schema=frames.schema(columns))

    def to_polars(self, *, floats: bool = False, times: bool = False) -> "polars.DataFrame":
        """``floats``: prices and sizes as doubles. ``times``: each ``x_ns`` as the time ``x``."""
        frames = _frames("polars")
        import polars

        found = polars.from_arrow(frames.shaped(self.arrow(), floats=floats, times=times))
        assert isinstance(found, polars.DataFrame)
        return found

    def to_pandas(self, *, floats: bool = False, times: bool = False) -> "pandas.DataFrame":
        """The same for pandas; integers that may be absent are ``Int64``."""
        frames = _frames("pandas")
        return frames.to_pandas(frames.shaped(self.arrow(), floats=floats, times=times))


def _frames(*libraries: str) -> ModuleType:
    """What makes data frames; it is imported where it is needed. Raises Missing."""
    for name in ("pyarrow", *libraries):
        try:
            import_module(name)
        except ImportError as error:
            raise Missing(f"{name} is not installed", hint="pip install 'ssmd[client]'") from error
    return import_module("ssmd.client.frames")
