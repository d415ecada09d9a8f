"""Real recordings: every checksum, hash and sequence that can verify does."""

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssmd import message as wire
from ssmd.book import Book
from ssmd.exchanges import EXCHANGES
from ssmd.exchanges.base import Exchange
from ssmd.exchanges.polymarket_hash import book_hash
from ssmd.message import BookDelta, BookSnapshot, Message

REAL = Path(__file__).parents[3] / "shared" / "data" / "real"
needs_recordings = pytest.mark.skipif(not REAL.is_dir(), reason=f"no recordings at {REAL}")


def elements(file: str) -> Iterator[bytes]:
    for line in (REAL / file).read_bytes().split(b"\n"):
        if line:
            yield from wire.split_array(line) or [line]


def verdicts(exchange: Exchange, file: str) -> Counter[tuple[str, str]]:
    checks = exchange.continuity()
    found: Counter[tuple[str, str]] = Counter()
    for frame in elements(file):
        header = exchange.classify(frame)
        found[header.type, checks.check(header, frame).state] += 1
    return found


@needs_recordings
@pytest.mark.parametrize(
    ("file", "books"),
    [
        ("kraken_spot/mhadiamiri_btcusd_d10_20260719_A3.jsonl", 1254),
        ("kraken_spot/depthcharge_minagbp_d25_resync_20260818.jsonl", 19),
        ("kraken_spot/torquey66_gstusd_book_snapshot_2024.jsonl", 1),
    ],
)
def test_every_kraken_checksum_verifies(file: str, books: int) -> None:
    found = verdicts(EXCHANGES["kraken"], file)
    assert found["book", "verified"] == books
    assert not any(state == "broken" for _, state in found)


@needs_recordings
def test_kraken_futures_sequences_have_no_false_gap() -> None:
    found = verdicts(
        EXCHANGES["kraken_futures"], "kraken_futures/cryptofeed_futures_20210722.jsonl"
    )
    assert found["book", "verified"] == 7014
    assert not any(state == "broken" for _, state in found)


@needs_recordings
@pytest.mark.parametrize(
    "file",
    [
        "kalshi/zkiihne_KXGOLD15M-26AUG101900-00_full.jsonl",
        "kalshi/zkiihne_KXGOLD15M-26AUG102030-30_first9000_resync.jsonl",
    ],
)
def test_kalshi_books_never_go_negative_or_cross(file: str) -> None:
    exchange, book, changes = EXCHANGES["kalshi"], Book(), 0
    for frame in elements(file):
        header = exchange.classify(frame)
        facts = {"feed": "k", "conn": "c", "n": 1, "recv_ns": 1, "mono_ns": 1}
        entry = Message(**facts, type=header.type, sym=header.sym or "", raw=wire.one_line(frame))
        for record in exchange.records(entry):
            if isinstance(record, BookSnapshot | BookDelta):
                book.apply(record)
                changes += 1
                assert not book.crossed
                assert all(
                    size > 0 for level in record.bids for size in [book.bids.get(level[0], 1)]
                )
    assert changes > 8000
    assert not book.negative


@needs_recordings
def test_polymarket_books_hash_and_tops_agree() -> None:
    file = "polymarket/nslaughter_noreplay_reference_20261004.jsonl"
    opening = json.loads((REAL / file).read_bytes().split(b"\n")[0])
    known = {"min_order_size": "5", "neg_risk": True, "last_trade_price": "0.110"}
    assert [book_hash(book, **known) == book["hash"] for book in opening] == [True, True]
    books = json.loads(
        (REAL / "polymarket/trebuchet_fed-decision-june/clob-books.json").read_bytes()
    )
    assert all(book_hash(book) == book["hash"] for book in books)
    assert len(books) == 10
    found = verdicts(EXCHANGES["polymarket"], file)
    assert found["price_change", "verified"] == 8
    assert not any(state == "broken" for _, state in found)


@pytest.mark.parametrize("name", EXCHANGES)
@given(frame=st.binary(max_size=200))
def test_classify_takes_any_bytes(name: str, frame: bytes) -> None:
    assert EXCHANGES[name].classify(frame).type


@pytest.mark.parametrize("name", EXCHANGES)
@given(
    value=st.recursive(
        st.none() | st.integers() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(
                    [
                        "type",
                        "msg",
                        "seq",
                        "sid",
                        "channel",
                        "data",
                        "feed",
                        "event",
                        "event_type",
                        "market",
                        "timestamp",
                    ]
                ),
                inner,
            )
        ),
    )
)
def test_classify_takes_any_json(name: str, value: object) -> None:
    frame = json.dumps(value).encode()
    assert EXCHANGES[name].classify(frame).type
    EXCHANGES[name].answers(frame)
