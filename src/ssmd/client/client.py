"""``Client``: what an archive holds, by way of a server or off the disk."""

import os
import weakref
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Protocol, TypeVar

from ssmd.client.asked import Asked, Words, asked
from ssmd.client.errors import BadRequest
from ssmd.client.moments import Moment
from ssmd.client.rows import COLUMNS, Bar, Coverage, Feed, Gap, Page
from ssmd.client.table import Plan, Table
from ssmd.message import BookDelta, BookSnapshot, InstrumentStatus, Quote, Trade

T = TypeVar("T")

HERE: Final = "http://127.0.0.1:8080"
PATIENCE_S: Final = 60.0


class Source(Protocol):
    """Where answers come from."""

    def table(self, asked: Asked) -> Iterator[Page]: ...
    def feeds(self) -> Iterator[Page]: ...
    def close(self) -> None: ...


class Client:
    """``Client()`` asks ``ssmd serve`` at ``SSMD_URL`` (else on this machine) with the key in
    ``SSMD_API_KEY``; ``Client("https://...", key=...)`` another one; ``Client("data/archive",
    env="demo")`` reads an archive on this disk without a server. The methods and their answers are
    the same.

    ``start`` and ``end`` are moments of receipt, ``end`` not included: see ``Moment``. By default
    they are the beginning of today, UTC, and now. Where ``feed`` or ``symbol`` is None, all are
    meant. What fails in passing is tried again for ``patience_s``. ``progress`` None shows a bar
    for long downloads where stderr is a terminal.
    """

    def __init__(
        self,
        place: str | Path | None = None,
        *,
        key: str | None = None,
        env: str | None = None,
        patience_s: float = PATIENCE_S,
        progress: bool | None = None,
    ) -> None:
        """Raises BadRequest for what is no URL, KeyFault, NotFound for an archive."""
        where = place if place is not None else os.environ.get("SSMD_URL") or HERE
        self._progress = progress
        self._source = _source(where, key, env, patience_s)
        self.close: Any = weakref.finalize(self, self._source.close)
        """Let go of the connections; it happens by itself where nobody does it."""

    @classmethod
    def open(
        cls, path: str | Path, *, env: str | None = None, progress: bool | None = None
    ) -> "Client":
        """An archive on this disk: the folder of its environments or of one of them. ``env`` may
        be left out where there is only one. Raises NotFound."""
        return cls(Path(path), env=env, progress=progress)

    def __repr__(self) -> str:
        return f"Client({self._source!r})"

    def __enter__(self) -> "Client":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    # --- tables -----------------------------------------------------------------------------------

    def trades(
        self,
        feed: Words = None,
        symbol: Words = None,
        start: Moment | None = None,
        end: Moment | None = None,
    ) -> Table[Trade]:
        """Trades in the order of receipt."""
        return self._table(Trade, asked("trades", feed, symbol, start, end))

    def quotes(
        self,
        feed: Words = None,
        symbol: Words = None,
        start: Moment | None = None,
        end: Moment | None = None,
    ) -> Table[Quote]:
        """Best bids and asks as the exchange told them, in the order of receipt."""
        return self._table(Quote, asked("quotes", feed, symbol, start, end))

    def book_snapshots(
        self,
        feed: Words = None,
        symbol: Words = None,
        start: Moment | None = None,
        end: Moment | None = None,
    ) -> Table[BookSnapshot]:
        """Whole books as the exchange told them, in the order of receipt."""
        return self._table(BookSnapshot, asked("book_snapshots", feed, symbol, start, end))

    def book_deltas(
        self,
        feed: Words = None,
        symbol: Words = None,
        start: Moment | None = None,
        end: Moment | None = None,
    ) -> Table[BookDelta]:
        """What changed in books, in the order of receipt."""
        return self._table(BookDelta, asked("book_deltas", feed, symbol, start, end))

    def instrument_status(
        self,
        feed: Words = None,
        symbol: Words = None,
        start: Moment | None = None,
        end: Moment | None = None,
    ) -> Table[InstrumentStatus]:
        """Changes in the life of instruments, in the order of receipt."""
        return self._table(InstrumentStatus, asked("instrument_status", feed, symbol, start, end))

    def bars(
        self,
        feed: Words = None,
        symbol: Words = None,
        start: Moment | None = None,
        end: Moment | None = None,
        *,
        interval: str = "1m",
    ) -> Table[Bar]:
        """Open, high, low, close and volume of the trades received from ``start`` to ``end``, by
        feed, symbol and exchange time; ``interval`` such as 1s, 5m, 1h, 1d."""
        return self._table(Bar, asked("bars", feed, symbol, start, end, interval))

    def gaps(
        self, feed: Words = None, start: Moment | None = None, end: Moment | None = None
    ) -> Table[Gap]:
        """What is known to be missing, and why."""
        return self._table(Gap, asked("gaps", feed, None, start, end))

    def coverage(
        self, feed: Words = None, start: Moment | None = None, end: Moment | None = None
    ) -> Table[Coverage]:
        """How much of each feed and day there is, verified and clean."""
        return self._table(Coverage, asked("coverage", feed, None, start, end))

    def feeds(self) -> Table[Feed]:
        """The feeds at a glance."""
        return Table(
            Plan(name="feeds", read=self._source.feeds, kind=Feed, columns=COLUMNS["feeds"])
        )

    def _table(self, kind: type[T], wanted: Asked) -> Table[T]:
        columns = COLUMNS[wanted.table]
        return Table(
            Plan(
                name=wanted.table,
                read=lambda: self._source.table(wanted),
                kind=kind,
                columns=columns,
                span=(wanted.start_ns, wanted.end_ns) if "nats_seq" in columns else None,
                progress=self._progress,
            )
        )


def _source(where: str | Path, key: str | None, env: str | None, patience_s: float) -> Source:
    # Imported late, each: aiohttp and DuckDB take tenths of a second.
    if isinstance(where, str) and where.split(":", 1)[0].lower() in ("http", "https"):
        from ssmd.client.remote import Remote

        if env is not None:
            raise BadRequest("a server has one environment", hint="leave env out")
        return Remote(where, os.environ.get("SSMD_API_KEY") if key is None else key, patience_s)
    from ssmd.client.local import Local, archive_at

    if key is not None:
        raise BadRequest(f"{where} takes no key", hint="a URL begins with http:// or https://")
    return Local(archive_at(Path(where), env))
