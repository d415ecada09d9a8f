"""Kalshi: headers and records of each message type, in today's form and the older ones."""

from decimal import Decimal

import pytest

from exchanges.kalshi_wire import FACTS, REAL, encode, of
from ssmd import message as wire
from ssmd.errors import ContractError
from ssmd.exchanges.kalshi import KALSHI
from ssmd.message import (
    BookDelta,
    BookSnapshot,
    Header,
    InstrumentStatus,
    Message,
    Quote,
    Trade,
)

needs_recordings = pytest.mark.skipif(not REAL.is_dir(), reason=f"no recordings at {REAL}")
D = Decimal


def records(frame: bytes) -> list[wire.AnyRecord]:
    header = KALSHI.classify(frame)
    given = {"sym": header.sym, "ts_ns": header.ts_ns, "seq": header.seq, "grp": header.grp}
    known = {name: value for name, value in given.items() if value is not None}
    return list(
        KALSHI.records(
            Message(**FACTS, mono_ns=2, type=header.type, raw=wire.one_line(frame), **known)
        )
    )


# --- records --------------------------------------------------------------------------------------

TS = {"ts_ms": 1785901540722}
AT = 1785901540722000000

GOLDEN = [
    (
        of(
            "orderbook_snapshot",
            {"yes_dollars_fp": [["0.0100", "158.53"]], "no_dollars_fp": [["0.3200", "46.02"]]},
        ),
        BookSnapshot(
            **FACTS,
            sym="A",
            seq=4,
            bids=[(D("0.0100"), D("158.53"))],
            asks=[(D("0.6800"), D("46.02"))],
        ),
    ),
    (of("orderbook_snapshot", {}), BookSnapshot(**FACTS, sym="A", seq=4, bids=[], asks=[])),
    (
        of("orderbook_snapshot", {"yes": [[1, 158]], "no": [[32, 46]]}),
        BookSnapshot(
            **FACTS, sym="A", seq=4, bids=[(D("0.01"), D(158))], asks=[(D("0.68"), D(46))]
        ),
    ),
    (
        of(
            "orderbook_delta",
            {
                "price_dollars": "0.3200",
                "delta_fp": "-46.02",
                "side": "no",
                "ts": "2026-08-05T03:45:40.722003Z",
                **TS,
            },
        ),
        BookDelta(
            **FACTS, sym="A", seq=4, ts_ns=AT, op="add", bids=[], asks=[(D("0.6800"), D("-46.02"))]
        ),
    ),
    (
        of("orderbook_delta", {"price": 32, "delta": 5, "side": "yes"}),
        BookDelta(**FACTS, sym="A", seq=4, op="add", bids=[(D("0.32"), D(5))], asks=[]),
    ),
    (
        of(
            "trade",
            {
                "trade_id": "f1",
                "yes_price_dollars": "0.6800",
                "no_price_dollars": "0.3200",
                "count_fp": "46.02",
                "taker_side": "yes",
                "taker_outcome_side": "yes",
                "taker_book_side": "bid",
                "ts": 1785901540,
                **TS,
            },
        ),
        Trade(
            **FACTS,
            sym="A",
            seq=4,
            ts_ns=AT,
            price=D("0.6800"),
            size=D("46.02"),
            side="buy",
            trade_id="f1",
        ),
    ),
    (
        of(
            "trade",
            {"yes_price": 36, "no_price": 64, "count": 136, "taker_side": "no", "ts": 1669149841},
        ),
        Trade(
            **FACTS,
            sym="A",
            seq=4,
            ts_ns=1669149841000000000,
            price=D("0.36"),
            size=D(136),
            side="sell",
        ),
    ),
    (
        of("trade", {"price": 36, "count": 136, "side": "yes", "ts": 1669149841}),
        Trade(
            **FACTS,
            sym="A",
            seq=4,
            ts_ns=1669149841000000000,
            price=D("0.36"),
            size=D(136),
            side="buy",
        ),
    ),
    (
        of(
            "ticker",
            {
                "price_dollars": "0.4800",
                "yes_bid_dollars": "0.4500",
                "yes_ask_dollars": "0.5300",
                "yes_bid_size_fp": "300.00",
                "yes_ask_size_fp": "150.00",
                "ts": 1785901540,
                **TS,
            },
        ),
        Quote(
            **FACTS,
            sym="A",
            ts_ns=AT,
            bid=D("0.4500"),
            bid_size=D("300.00"),
            ask=D("0.5300"),
            ask_size=D("150.00"),
            last=D("0.4800"),
        ),
    ),
    (
        of("ticker", {"last_price": 48, "yes_bid": 45, "yes_ask": 53, "ts": 1669149841}),
        Quote(
            **FACTS,
            sym="A",
            ts_ns=1669149841000000000,
            bid=D("0.45"),
            ask=D("0.53"),
            last=D("0.48"),
        ),
    ),
    (
        of(
            "market_lifecycle_v2",
            {"event_type": "created", "open_ts": 1694635200, "close_ts": 1694721600},
        ),
        InstrumentStatus(
            **FACTS,
            sym="A",
            status="created",
            open_ns=1694635200000000000,
            close_ns=1694721600000000000,
        ),
    ),
    (
        of(
            "market_lifecycle_v2",
            {"event_type": "determined", "result": "no", "determination_ts": 1759350638},
        ),
        InstrumentStatus(**FACTS, sym="A", status="determined", result="no"),
    ),
]


@pytest.mark.parametrize(
    ("frame", "expected"),
    GOLDEN,
    ids=lambda x: type(x).__name__ if not isinstance(x, bytes) else "",
)
def test_golden_records(frame: bytes, expected: wire.AnyRecord) -> None:
    (found,) = records(frame)
    assert found == expected
    for name in ("price", "bid", "ask", "last"):
        assert str(getattr(found, name, None)) == str(getattr(expected, name, None))


@pytest.mark.parametrize(
    "frame",
    [
        b'{"type":"event_lifecycle","sid":1,"seq":1,"msg":{"event_ticker":"E","title":"t"}}',
        b'{"type":"event_fee_update","sid":1,"seq":1,"msg":{"event_ticker":"E"}}',
        b'{"type":"cfbenchmarks_value","sid":1,"msg":{"index_id":"BRTI","value":"1"}}',
        b'{"type":"subscribed","id":1,"msg":{"channel":"trade","sid":1}}',
    ],
)
def test_messages_without_a_record_give_none(frame: bytes) -> None:
    assert records(frame) == []


@needs_recordings
@pytest.mark.parametrize(
    "name", ["haripratiik_demo_frames_20260827.jsonl", "single_frames_lifecycle.jsonl"]
)
def test_recorded_single_frames(name: str) -> None:
    found = [
        type(record).__name__
        for line in (REAL / name).read_bytes().split(b"\n")
        if line
        for record in records(line)
    ]
    assert found in (
        ["BookSnapshot", "BookDelta", "Quote", "BookSnapshot"],
        ["InstrumentStatus"],
    )


def test_zero_is_a_number_and_no_absence() -> None:
    frame = encode(
        {
            "type": "trade",
            "sid": 0,
            "seq": 0,
            "msg": {
                "market_ticker": "A",
                "yes_price_dollars": "0.5",
                "count_fp": "0.00",
                "ts_ms": 0,
            },
        }
    )
    (trade,) = records(frame)
    assert isinstance(trade, Trade)
    assert (trade.seq, trade.ts_ns, trade.size) == (0, 0, D(0))
    assert KALSHI.classify(frame) == Header("trade", "A", 0, 0, "0")


@pytest.mark.parametrize(
    "frame",
    [
        of("trade", {"count_fp": "1"}),
        of("trade", {"yes_price_dollars": "0.5"}),
        of("trade", {"yes_price_dollars": "NaN", "count_fp": "1"}),
        of("trade", {"yes_price_dollars": "0.5", "count_fp": "Infinity"}),
        of("ticker", {"yes_bid_dollars": "sNaN"}),
        of("orderbook_delta", {"side": "yes", "price_dollars": "0.5"}),
        of("orderbook_delta", {"side": "left", "price_dollars": "0.5", "delta_fp": "1"}),
        of("orderbook_snapshot", {"yes_dollars_fp": [["0.5"]]}),
        b'{"type":"orderbook_snapshot","sid":1,"seq":1}',
    ],
)
def test_a_message_without_its_fields_is_refused(frame: bytes) -> None:
    with pytest.raises(ContractError, match="not a kalshi"):
        records(frame)


def test_times_beyond_64_bits_are_none() -> None:
    (found,) = records(of("market_lifecycle_v2", {"event_type": "created", "open_ts": 10**18}))
    assert isinstance(found, InstrumentStatus)
    assert found.open_ns is None
