"""A query over an archive with holes, odd feeds and odd days."""

import gzip
from decimal import Decimal
from pathlib import Path

import pytest

from archives import DATE, ENV, MS, Capture, archive, put, trades, writer
from histories import NOW_NS, archived
from ssmd.archive.compact import compact
from ssmd.dataset import Archive, Day
from ssmd.errors import ConfigError, NotFound
from ssmd.query import engine
from ssmd.query.scope import Scope
from ssmd.query.session import Query, opened
from ssmd.store import manifest as manifests
from ssmd.store.segment import PART


def open_(root: Path, **scope: object) -> "engine.contextlib.AbstractContextManager[Query]":
    return opened(Archive(root, ENV), Scope(**scope))  # type: ignore[arg-type]


def rows(query: Query, name: str) -> list[dict[str, object]]:
    found = query.table(name)
    return [dict(zip(found.columns, row, strict=True)) for row in found.fetchall()]


@pytest.fixture
def day(tmp_path: Path) -> Path:
    return archive(tmp_path, Capture("kalshi").session(trades(90)), segments=3, member=10)


def test_a_missing_segment_is_named_and_the_rest_served(day: Path, tmp_path: Path) -> None:
    second = list(manifests.segments(day))[1]
    second.unlink()
    with open_(tmp_path) as query:
        assert 55 <= len(rows(query, "trades")) < 90
        assert [hole.what for hole in query.holes] == [f"{second.name} is missing"]
        (gap,) = rows(query, "gaps")
        assert gap["cause"] == "segment_damaged"


def test_a_damaged_segment_is_named_and_the_rest_served(day: Path, tmp_path: Path) -> None:
    second = list(manifests.segments(day))[1]
    content = bytearray(second.read_bytes())
    content[-len(content) // 3] ^= 0xFF
    second.write_bytes(content)
    with open_(tmp_path) as query:
        assert 60 <= len(rows(query, "trades")) < 90
        (hole,) = query.holes
        assert second.name in hole.what
        assert (hole.feed, hole.date) == ("kalshi", DATE)


def test_lines_that_are_no_messages_are_named(day: Path, tmp_path: Path) -> None:
    odd = day / "235959-000000009999.jsonl.gz"
    odd.write_bytes(gzip.compress(b'{"hello":1}\nnot json\n'))
    with open_(tmp_path) as query:
        assert len(rows(query, "trades")) == 90
        assert len(query.holes) == 2


def test_what_is_being_written_is_included(tmp_path: Path) -> None:
    to = writer(tmp_path)
    capture = Capture("kalshi")
    put(to, [capture.note("_connect"), *(line for f in trades(20) for line in capture.frame(f))])
    with open_(tmp_path) as query:
        assert len(rows(query, "trades")) == 20
        (row,) = rows(query, "coverage")
        assert (row["messages"], row["market_data"], row["compacted"]) == (21, 20, False)
    to.seal()
    to.close()


def test_a_torn_tail_costs_nothing_that_was_whole(day: Path, tmp_path: Path) -> None:
    last = list(manifests.segments(day))[-1]
    content = last.read_bytes()
    (day / manifests.NAME).unlink()
    last.with_name(last.name + PART).write_bytes(content[:-20])
    last.unlink()
    with open_(tmp_path) as query:
        assert 60 < len(rows(query, "trades")) < 90
        assert query.holes == []


def test_a_day_with_gaps(tmp_path: Path) -> None:
    frames = trades(60)
    capture = Capture("kalshi")
    lines = capture.session(frames[:20] + frames[25:])
    archive(tmp_path, lines)
    with open_(tmp_path) as query:
        (gap,) = rows(query, "gaps")
        assert (gap["cause"], gap["first_seq"], gap["last_seq"]) == ("sequence", 21, 25)
        assert gap["missing"] == 5
        assert gap["to_ns"] is None
        (row,) = rows(query, "coverage")
        assert row["gaps"] == 1


def test_times_and_symbols(tmp_path: Path) -> None:
    archive(tmp_path, Capture("kalshi").session(trades(60)), segments=4)
    start, end = NOW_NS + 10 * MS, NOW_NS + 20 * MS
    with open_(tmp_path, start_ns=start, end_ns=end) as query:
        assert [row["recv_ns"] for row in rows(query, "trades")] == list(range(start, end, MS))
    with open_(tmp_path, symbols=frozenset({"KX-1"})) as query:
        assert len(rows(query, "trades")) == 60
    for odd in ("x", "KX-1' OR '1'='1", "%", ""):
        with open_(tmp_path, symbols=frozenset({odd})) as query:
            assert rows(query, "trades") == []


def test_bars(tmp_path: Path) -> None:
    """Against what a person counts; a trade that is told again is one."""
    frames = [
        b'{"type":"trade","sid":1,"seq":%d,"msg":{"trade_id":"%b","market_ticker":"KX-1",'
        b'"yes_price_dollars":"%b","count_fp":"%b","taker_side":"%b","ts_ms":%d}}'
        % (seq, trade_id, price, size, side, NOW_NS // MS + at_ms)
        for seq, (trade_id, price, size, side, at_ms) in enumerate(
            [
                (b"a", b"0.50", b"10", b"yes", 100),
                (b"b", b"0.70", b"1.5", b"no", 400),
                (b"b", b"0.70", b"1.5", b"no", 400),
                (b"c", b"0.40", b"2", b"yes", 900),
                (b"d", b"0.45", b"4", b"yes", 1000),
            ],
            1,
        )
    ]
    archive(tmp_path, Capture("kalshi").session(frames))
    for _ in range(2):
        with open_(tmp_path) as query:
            first, second = query.bars("1s").fetchall()
            assert first[:3] == ("kalshi", "KX-1", NOW_NS)
            assert first[3:8] == tuple(map(Decimal, ("0.50", "0.70", "0.40", "0.40", "13.5")))
            assert first[8] == pytest.approx((5 + 1.05 + 0.8) / 13.5)
            assert first[9:] == (3, Decimal(12), Decimal("1.5"))
            assert second[2] == NOW_NS + 10**9
            with pytest.raises(ConfigError, match="no interval"):
                query.bars("1 day; DROP TABLE trades")
        compact(Day(tmp_path / ENV / "kalshi" / DATE), lambda _: None, memory="256MB")


def test_a_feed_that_nobody_knows_has_messages_and_a_hole(tmp_path: Path) -> None:
    lines = Capture("kalshi", "mystery").session(trades(5))
    day = archive(tmp_path, lines, "mystery")
    for entry in (day / manifests.NAME,):
        entry.write_bytes(entry.read_bytes().replace(b'"kalshi"', b"null"))
    with open_(tmp_path) as query:
        assert len(rows(query, "messages")) == len(lines)
        assert rows(query, "trades") == []
        assert "no records" in query.holes[0].what


def test_folders_that_are_no_days(day: Path, tmp_path: Path) -> None:
    (day.parent / "2024-13-99").mkdir()
    (day.parent / "2024-10-05").mkdir()
    with open_(tmp_path) as query:
        assert len(rows(query, "trades")) == 90
        assert [row["date"] for row in rows(query, "coverage")] == [DATE, "2024-10-05"]


def test_names_that_are_none(day: Path, tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="no feed"), open_(tmp_path, feeds=("../etc",)):
        pass
    with open_(tmp_path) as query, pytest.raises(NotFound, match="no table"):
        query.table("sqlite_master")


def test_an_archive_in_an_odd_folder(tmp_path: Path) -> None:
    root = tmp_path / "a [b] *'\"? c"
    day = archived(root, "kraken")
    with open_(root) as query:
        before = query.table("quotes").fetchall()
    compact(Day(day), lambda _: None, memory="256MB")
    with open_(root) as query:
        assert query.compacted
        assert query.table("quotes").fetchall() == before


def test_facts_are_those_of_the_time_asked_for(tmp_path: Path) -> None:
    frames = trades(60)
    archive(tmp_path, Capture("kalshi").session(frames[:20] + frames[25:]))
    day = 86_400 * 10**9
    with open_(tmp_path, start_ns=NOW_NS, end_ns=NOW_NS + 10 * MS) as query:
        assert rows(query, "gaps") == []
        assert len(rows(query, "coverage")) == 1
    with open_(tmp_path, start_ns=NOW_NS - day, end_ns=NOW_NS) as query:
        assert rows(query, "coverage") == []
    with open_(tmp_path, start_ns=NOW_NS + 10 * MS) as query:
        assert len(rows(query, "gaps")) == 1
