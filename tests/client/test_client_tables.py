"""``Client`` over a server and over the archive on the disk: the same answers, exactly."""

import contextlib
import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import polars
import pyarrow as pa
import pytest

from archives import DATE, DAY, ENV, Capture, archive, put, trades, writer
from client_stage import served
from histories import archived
from ssmd.archive.compact import compact
from ssmd.archive.writer import NS_PER_DAY
from ssmd.client import Bar, Client, Incomplete, Table
from ssmd.dataset import Archive
from ssmd.exchanges import EXCHANGES
from ssmd.message import BookDelta, Trade
from ssmd.query import engine
from ssmd.query.scope import Scope
from ssmd.query.session import opened
from ssmd.store import manifest as manifests

START = DAY * NS_PER_DAY
SPAN = (START, START + NS_PER_DAY)
TABLES = ("trades", "quotes", "book_snapshots", "book_deltas", "instrument_status", "bars")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A day of each simulated exchange, one of them compacted; and of a feed with odd numbers."""
    root = tmp_path_factory.mktemp("archive")
    for exchange in EXCHANGES:
        archived(root, exchange, steps=150)
    compact(Archive(root, ENV).day("kraken", DATE), lambda _: None, memory=engine.MEMORY)
    with contextlib.closing(writer(root, "odd", exchange="kalshi")) as to:
        capture = Capture("kalshi", "odd")
        put(to, [*capture.session([*trades(9), *ODD]), capture.gap("sequence", sym="KX-1")])
        to.seal()
    return root


ODD = [
    b'{"type":"trade","sid":1,"seq":%d,"msg":{"trade_id":"o%d","market_ticker":"KX-1",'
    b'"yes_price_dollars":"%s","count_fp":"%s","taker_side":"no","ts_ms":1728000000000}}'
    % (10 + n, n, price, size)
    for n, (price, size) in enumerate(
        [
            (b"0.1234567890123456789", b"1"),
            (b"0.5", b"123456789012345678901234567890"),
            (b"1E-3", b"100000000000000.5"),
        ]
    )
]


@pytest.fixture(scope="module")
def clients(root: Path) -> Iterator[tuple[Client, Client]]:
    """Of a server, and of the disk."""
    with served(root) as server, Client(server.url) as remote, Client(root, env=ENV) as local:
        yield remote, local


def answers(client: Client, name: str) -> Table[Any]:
    if name == "feeds":
        return client.feeds()
    return getattr(client, name)(start=SPAN[0], end=SPAN[1])  # type: ignore[no-any-return]


@pytest.mark.parametrize("name", [*TABLES, "gaps", "coverage", "feeds"])
def test_a_server_and_the_disk_answer_the_same(clients: Any, name: str, tmp_path: Path) -> None:
    tables = [answers(client, name) for client in clients]
    remote, local = (list(table) for table in tables)
    assert [sure(row) for row in remote] == [sure(row) for row in local]
    assert len(remote) > 0
    frames = [table.arrow().to_pylist() for table in tables]
    assert [sure(row) for row in frames[0]] == [sure(row) for row in frames[1]]
    assert len(frames[0]) == len(remote)
    files = [tmp_path / f"{number}.ndjson" for number in range(2)]
    for table, file in zip(tables, files, strict=True):
        assert table.ndjson(file) == len(remote)
        assert table.holes == ()
    lines = [map(json.loads, file.read_bytes().splitlines()) for file in files]
    assert [sure(row) for row in lines[0]] == [sure(row) for row in lines[1]]


def sure(row: Any) -> Any:
    """The last digits of a sum of doubles depend on how it was divided among threads."""
    if isinstance(row, dict):
        return row | {"vwap": round(row["vwap"], 9)} if row.get("vwap") else row
    return msgspec.structs.replace(row, vwap=round(row.vwap, 9)) if isinstance(row, Bar) else row


@pytest.mark.parametrize("name", TABLES[:5])
def test_frames_are_the_tables_of_the_archive(clients: Any, root: Path, name: str) -> None:
    scope = Scope(start_ns=SPAN[0], end_ns=SPAN[1], tables=frozenset({name}))
    with opened(Archive(root, ENV), scope) as query:
        expected = pa.table(query.table(name))
    found = answers(clients[0], name).arrow()
    assert found.schema.names == expected.schema.names
    assert found.schema.types == expected.schema.types
    for column in found.schema.names:
        assert found[column].to_pylist() == expected[column].to_pylist(), column


def test_records_are_those_that_signals_get(clients: Any, root: Path) -> None:
    for client in clients:
        found = list(client.trades("kraken_futures", start=START, end=SPAN[1]))
        day = Archive(root, ENV).day("kraken_futures", DATE)
        known = [r for r in day.records("kraken_futures") if isinstance(r, Trade)]
        assert found == known
        deltas = list(client.book_deltas("kalshi", start=START, end=SPAN[1]))
        of_day = Archive(root, ENV).day("kalshi", DATE).records("kalshi")
        assert deltas == [r for r in of_day if isinstance(r, BookDelta)]


def test_numbers_that_no_column_holds_are_not_lost(clients: Any) -> None:
    for client in clients:
        table = client.trades("odd", start=START, end=SPAN[1])
        rows = list(table)[-3:]
        assert rows[0].price == Decimal("0.1234567890123456789")
        assert rows[1].size == Decimal("123456789012345678901234567890")
        assert (rows[2].price, rows[2].size) == (Decimal("0.001"), Decimal("100000000000000.5"))
        frame = table.to_polars()[-3:]
        assert frame["price"].to_list() == [None, Decimal("0.5"), Decimal("0.001")]
        unfit = [json.loads(text) if text else None for text in frame["unfit"]]
        assert unfit[0] == {"price": "0.1234567890123456789"}
        assert unfit[1] == {"size": "123456789012345678901234567890"}
        assert unfit[2] is None


def test_feeds_and_symbols_choose(clients: Any) -> None:
    for client in clients:
        every = list(client.trades(["kalshi", "kraken"], start=START, end=SPAN[1]))
        assert {trade.feed for trade in every} == {"kalshi", "kraken"}
        symbol = every[0].sym
        chosen = list(client.trades("kalshi", symbol, START, SPAN[1]))
        assert chosen == [t for t in every if (t.feed, t.sym) == ("kalshi", symbol)]
        assert list(client.trades("kalshi", ["none of them"], START, SPAN[1])) == []


def test_a_span_is_half_open_and_pages_hold_each_row_once(root: Path, clients: Any) -> None:
    trades = list(clients[1].trades("kalshi", start=START, end=SPAN[1]))
    first, last = trades[3].recv_ns, trades[-3].recv_ns
    for client in clients:
        found = list(client.trades("kalshi", None, first, last))
        assert found == [trade for trade in trades if first <= trade.recv_ns < last]


def test_many_pages_are_one_answer(tmp_path: Path) -> None:
    archive(tmp_path, Capture("kalshi").session(trades(23_000)), segments=2, member=5_000)
    with served(tmp_path) as server, Client(server.url) as client:
        ids = [trade.trade_id for trade in client.trades("kalshi", start=START, end=SPAN[1])]
    assert ids == [f"t{n}" for n in range(1, 23_001)]


def test_pandas_and_polars(clients: Any) -> None:
    table = clients[0].trades("kraken", start=START, end=SPAN[1])
    exact, frame = table.to_pandas(), table.to_pandas(floats=True, times=True)
    assert exact["price"].tolist() == [trade.price for trade in table]
    assert exact["recv_ns"].tolist() == [trade.recv_ns for trade in table]
    assert str(frame["price"].dtype) == "float64"
    assert str(frame["recv"].dtype) == "datetime64[ns, UTC]"
    assert frame["recv"].iloc[0].value == exact["recv_ns"].iloc[0]
    made = table.to_polars()
    assert made["price"].dtype == polars.Decimal(38, 18)
    assert made["price"].to_list() == exact["price"].tolist()
    shaped = table.to_polars(floats=True, times=True)
    assert shaped["price"].dtype == polars.Float64
    assert shaped["recv"].dtype == polars.Datetime("ns", "UTC")
    books = clients[0].book_snapshots("kraken", start=START, end=SPAN[1])
    assert books.to_pandas(floats=True)["bids"].iloc[0][0]["price"] > 0


def test_parquet_holds_what_the_frame_holds(clients: Any, tmp_path: Path) -> None:
    from pyarrow import parquet

    for name in ("trades", "book_deltas", "gaps"):
        table = answers(clients[1], name)
        count = table.save(tmp_path / f"{name}.parquet")
        found = parquet.read_table(tmp_path / f"{name}.parquet")
        assert found.equals(table.arrow())
        assert found.num_rows == count


def test_batches_are_the_frame_in_parts(clients: Any) -> None:
    for client in clients:
        table = client.trades(start=START, end=SPAN[1])
        assert pa.Table.from_batches(list(table.batches())).equals(table.arrow())


def test_what_is_empty_is_a_frame_of_the_same_columns(clients: Any) -> None:
    for client in clients:
        table = client.trades("kalshi", "none", START, SPAN[1])
        assert table.to_polars().columns == list(table.columns)
        assert table.to_pandas(floats=True).empty


def test_holes_are_named_and_warned_of(tmp_path: Path) -> None:
    day = archive(tmp_path, Capture("kalshi").session(trades(90)), segments=3, member=10)
    second = list(manifests.segments(day))[1]
    second.unlink()
    with served(tmp_path) as server, Client(server.url) as remote, Client(tmp_path) as local:
        for client in (remote, local):
            table = client.trades("kalshi", start=START, end=SPAN[1])
            assert table.holes == ()
            with pytest.warns(Incomplete, match=f"{second.name} is missing"):
                assert 50 < len(list(table)) < 90
            assert [hole.what for hole in table.holes] == [f"{second.name} is missing"]
            with pytest.warns(Incomplete):
                table.ndjson(tmp_path / "out.ndjson")
            last = (tmp_path / "out.ndjson").read_bytes().splitlines()[-1]
            assert json.loads(last)["_hole"]["what"] == f"{second.name} is missing"


def test_memory_is_bounded_by_pages(clients: Any) -> None:
    """A read that is left early asks for no more pages."""
    rows = iter(clients[1].trades(start=START, end=SPAN[1]))
    next(rows)
    rows.close()  # the database of the query goes with it
    assert engine.MEMORY
