"""The same answers from segments as from Parquet, whatever the history."""

import shutil
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archives import ENV, MS
from histories import NOW_NS, archived
from ssmd.archive.compact import compact
from ssmd.dataset import Archive, Day
from ssmd.exchanges import EXCHANGES
from ssmd.query.rows import record_row
from ssmd.query.scope import VIEWS, Scope
from ssmd.query.session import opened
from ssmd.query.tables import TABLE_OF, TABLES

Answer = dict[str, list[tuple[Any, ...]]]


def ask(root: Path, scope: Scope, *, parquet: bool) -> Answer:
    """Every row of every view."""
    with opened(Archive(root, ENV), scope) as query:
        assert query.holes == []
        assert bool(query.compacted) is parquet
        found = {name: query.table(name).fetchall() for name in TABLES}
        for name in ("instruments", "gaps"):
            found[name] = sorted(query.table(name).fetchall(), key=repr)
        found["bars"] = query.bars("10ms").fetchall()
        return found


def assert_equal(some: Answer, others: Answer) -> None:
    """``vwap`` is a double: equal to 12 digits, in whatever order it was summed up."""
    bars, other_bars = some.pop("bars"), others.pop("bars")
    assert some == others
    assert [(*row[:8], *row[9:]) for row in bars] == [(*row[:8], *row[9:]) for row in other_bars]
    assert [row[8] for row in bars] == pytest.approx([row[8] for row in other_bars], rel=1e-12)


def compacted(day: Path) -> None:
    assert compact(Day(day), lambda _: None, memory="256MB").state == "compacted"


@settings(max_examples=8)
@given(
    exchange=st.sampled_from(sorted(EXCHANGES)),
    seed=st.integers(0, 10_000),
    span=st.none() | st.tuples(st.integers(0, 150), st.integers(0, 150)),
    pick=st.booleans(),
)
def test_equal_both_ways(
    exchange: str, seed: int, span: tuple[int, int] | None, pick: bool
) -> None:
    root = Path(tempfile.mkdtemp())
    try:
        day = archived(root, exchange, seed=seed, steps=150)
        scope = Scope(feeds=(exchange,), symbols=_symbols(day) if pick else None)
        if span is not None:
            start, length = span
            scope = Scope(
                feeds=(exchange,),
                start_ns=NOW_NS + start * MS,
                end_ns=NOW_NS + (start + length) * MS,
                symbols=scope.symbols,
            )
        before = ask(root, scope, parquet=False)
        compacted(day)
        assert_equal(ask(root, scope, parquet=True), before)
    finally:
        shutil.rmtree(root)


def _symbols(day: Path) -> frozenset[str]:
    """Two that records are about."""
    found = {record.sym for record in Day(day).records(day.parent.name)}
    return frozenset(sorted(found)[:2])


@pytest.mark.parametrize("exchange", sorted(EXCHANGES))
def test_every_record_and_every_message_is_a_row(exchange: str, tmp_path: Path) -> None:
    day = Day(archived(tmp_path, exchange))
    wanted = dict.fromkeys(TABLES, 0)
    wanted["messages"] = sum(1 for _ in day.lines())
    for record in day.records(exchange):
        wanted[TABLE_OF[str(record.__struct_config__.tag)]] += 1
        assert "unfit" not in record_row(record, 1, 0)
    assert wanted["trades"]
    assert wanted["book_deltas"]
    found = ask(tmp_path, Scope(feeds=(exchange,)), parquet=False)
    assert {name: len(found[name]) for name in TABLES} == wanted


def test_part_from_parquet_and_part_from_segments(tmp_path: Path) -> None:
    first = archived(tmp_path, "kalshi", seed=1)
    archived(tmp_path, "kraken", seed=2)
    scope = Scope()
    before = ask(tmp_path, scope, parquet=False)
    compacted(first)
    assert_equal(ask(tmp_path, scope, parquet=True), before)


def test_a_table_that_is_not_wanted_is_not_made(tmp_path: Path) -> None:
    archived(tmp_path, "kraken")
    with opened(Archive(tmp_path, ENV), Scope(tables=frozenset({"trades"}))) as query:
        names = {row[0] for row in query.connection.execute("SHOW TABLES").fetchall()}
    assert names == {"staged_trades", "trades"}
    assert set(VIEWS) > {"trades"}
