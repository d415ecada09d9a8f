"""A dataset as DuckDB views: feeds over [start, end), from Parquet and from segments alike."""

import contextlib
import tempfile
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import Final

import msgspec
from duckdb import ColumnExpression, ConstantExpression, FunctionExpression

from ssmd.config import Schedule
from ssmd.dataset import Archive, Day, types_of
from ssmd.errors import ContractError, NotFound
from ssmd.query import bars, engine, facts, parquet
from ssmd.query.engine import Connection, Loader, Relation
from ssmd.query.reading import lines
from ssmd.query.rows import Rows
from ssmd.query.scope import VIEWS, Scope
from ssmd.query.tables import FACTS, TABLES, order
from ssmd.span import Hole
from ssmd.store.manifest import Manifest

_INSTRUMENTS: Final = """
CREATE TEMP VIEW instruments AS
SELECT feed, sym,
    arg_max(status, moment) AS status, arg_max(result, moment) AS result,
    arg_max(open_ns, moment) AS open_ns, arg_max(close_ns, moment) AS close_ns,
    arg_max(tick_size, moment) AS tick_size,
    min(recv_ns) AS first_recv_ns, max(recv_ns) AS last_recv_ns
FROM (
    SELECT *, recv_ns::HUGEINT * 9223372036854775808 + nats_seq * 1048576 + nth AS moment
    FROM instrument_status
)
GROUP BY feed, sym
"""


class Query:
    """Views over one scope, on a database of its own. See ``opened``."""

    def __init__(self, connection: Connection, scope: Scope) -> None:
        self.connection = connection
        self.scope = scope
        self.holes: list[Hole] = []
        self.compacted: list[tuple[str, str]] = []
        """Feeds and days that are read from Parquet."""

    def table(self, name: str) -> Relation:
        """A view's rows in the order of receipt. Raises NotFound for a name that is no view."""
        if name not in self.scope.tables:
            raise NotFound(f"no table {name!r}", hint=f"one of: {', '.join(VIEWS)}")
        rows = self.connection.table(name)
        return rows.order(order(name)) if name in TABLES else rows

    def messages(self, type_: str) -> Relation:
        """Messages of one type, or of what one of ``dataset.ALIASES`` stands for."""
        kind = FunctionExpression("lower", ColumnExpression("message_type"))
        types = [ConstantExpression(one) for one in sorted(types_of(type_))]
        return self.table("messages").filter(kind.isin(*types))

    def bars(self, interval: str) -> Relation:
        """Bars by symbol and time. Raises ConfigError for what is no interval."""
        width = bars.interval_ns(interval)
        return self.connection.sql(
            "SELECT * FROM bars_of(?) WHERE start_ns >= ? - ? ORDER BY feed, sym, start_ns",
            params=[width, self.scope.start_ns, width - 1],
        )


@contextlib.contextmanager
def opened(
    archive: Archive,
    scope: Scope,
    *,
    schedule: Schedule | None = None,
    memory: str = engine.MEMORY,
    progress: Callable[[int], None] = lambda _: None,
) -> Iterator[Query]:
    """The views of ``scope.tables``. What is not compacted is read here, in bounded memory, into a
    temporary folder; ``progress`` takes bytes of it. Raises NotFound for a feed that is not
    archived, StorageError."""
    with tempfile.TemporaryDirectory(prefix="ssmd-query-") as name:
        folder = Path(name)
        with engine.opened(folder, memory=memory) as connection:
            query = Query(connection, scope)
            _Build(archive, query, folder, schedule or Schedule(), progress).all()
            yield query


class _Build:
    def __init__(
        self,
        archive: Archive,
        query: Query,
        folder: Path,
        schedule: Schedule,
        progress: Callable[[int], None],
    ) -> None:
        self._progress = progress
        self._archive = archive
        self._query = query
        self._scope = query.scope
        self._schedule = schedule
        self._tables = _needed(query.scope.tables)
        staged = {f"staged_{name}": TABLES[name] for name in self._tables}
        told = {name: FACTS[name] for name in FACTS if name in query.scope.tables}
        self._loader = Loader(query.connection, folder, staged | told)
        self._files: dict[str, list[Path]] = {name: [] for name in self._tables}
        self._repeats: list[int] = []

    def all(self) -> None:
        known = self._archive.feeds()
        for feed in self._scope.feeds or known:
            if feed not in known:
                raise NotFound(f"no feed {feed!r}", hint=f"one of: {', '.join(known) or 'none'}")
            for date in self._archive.days(feed):
                if self._scope.may_hold(date):
                    self._day(self._archive.day(feed, date))
        self._loader.finish()
        for name in self._tables:
            self._view(name)
        self._derived()

    def _day(self, day: Day) -> None:
        manifest = day.manifest
        found = parquet.current(day, manifest)
        self._tell(day, compacted=found is not None)
        if found is None:
            self._stage(day, manifest)
            return
        self._query.compacted.append((day.feed, day.date))
        self._repeats.append(found.repeats)
        for part in found.parts:
            if part.table in self._files:
                self._files[part.table].append(parquet.folder_of(day) / part.path)

    def _tell(self, day: Day, *, compacted: bool) -> None:
        """What its manifest says of the day, and of gaps in the scope's time."""
        wanted = self._scope.tables & FACTS.keys()
        if not wanted or not self._scope.covers(day.date):
            return
        manifest = facts.whole(day)
        if "coverage" in wanted:
            row = facts.coverage_row(manifest, self._schedule, compacted=compacted)
            self._loader.add("coverage", msgspec.json.encode(row))
        if "gaps" in wanted:
            for row in (*facts.gap_rows(manifest), *facts.damage_rows(day)):
                if facts.overlaps(row, self._scope):
                    self._loader.add("gaps", msgspec.json.encode(row))

    def _stage(self, day: Day, manifest: Manifest) -> None:
        """Read what is not compacted."""
        if not self._tables:
            return
        self._repeats.append(1)  # not known
        exchange = facts.exchange_of(day, manifest)
        if exchange is None and set(self._tables) - {"messages"}:
            what = "nobody knows which exchange this is: no records"
            self._hole(Hole(day.feed, day.date, what))
        rows = Rows(exchange, self._tables, self._scope.symbols)
        for line in lines(day, self._scope, self._hole, self._progress):
            try:
                for table, row in rows.of(line):
                    self._loader.add(f"staged_{table}", row)
            except ContractError as error:
                self._hole(Hole(day.feed, day.date, error.message))

    def _hole(self, hole: Hole) -> None:
        if hole not in self._query.holes[-10:]:
            self._query.holes.append(hole)

    def _view(self, name: str) -> None:
        rows = self._query.connection.table(f"staged_{name}")
        if self._files[name]:
            found = engine.parquet(self._query.connection, self._files[name])
            rows = engine.chosen(found, self._scope).union(rows)
        rows.create_view(name)

    def _derived(self) -> None:
        connection, wanted = self._query.connection, self._scope.tables
        if "bars" in wanted:
            connection.execute(bars.AS_TOLD if self._repeats == [0] else bars.ONCE)
            connection.execute(bars.MACRO)
            connection.execute("CREATE TEMP VIEW bars AS SELECT * FROM bars_of(60000000000)")
        if "instruments" in wanted:
            connection.execute(_INSTRUMENTS)


def _needed(wanted: Collection[str]) -> Sequence[str]:
    of = {"bars": "trades", "instruments": "instrument_status"}
    names = {of.get(name, name) for name in wanted}
    return [name for name in TABLES if name in names]
