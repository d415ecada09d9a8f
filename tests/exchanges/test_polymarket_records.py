"""Polymarket: records of each event."""

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from ssmd import message as wire
from ssmd.errors import ContractError
from ssmd.exchanges.polymarket import POLYMARKET
from ssmd.message import BookDelta, BookSnapshot, InstrumentStatus, Message, Quote, Trade

REAL = Path(__file__).parents[3] / "shared" / "data" / "real" / "polymarket" / "nautilus_rust"
needs_recordings = pytest.mark.skipif(not REAL.is_dir(), reason=f"no recordings at {REAL}")
D = Decimal
FACTS: dict[str, Any] = {"feed": "p", "recv_ns": 1, "conn": "c", "n": 7}
YES = "71321045679252212594626385532706912750332728571942532289631379312455583992563"
NEW = (
    "76043073756653678226373981964075571318267289248134717369284518995922789326425",
    "31690934263385727664202099278545688007799199447969475608906331829650099442770",
)
BOOK_AT = 1703875200000 * 10**6
NEW_AT = 1766790415550 * 10**6


def records(frame: bytes) -> list[wire.AnyRecord]:
    header = POLYMARKET.classify(frame)
    stamp = {} if header.ts_ns is None else {"ts_ns": header.ts_ns}
    raw = wire.one_line(frame)
    return list(POLYMARKET.records(Message(**FACTS, mono_ns=2, type=header.type, raw=raw, **stamp)))


def level(price: str, size: str) -> tuple[Decimal, Decimal]:
    return D(price), D(size)


@needs_recordings
@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (
            "ws_market_book_msg.json",
            [
                BookSnapshot(
                    **FACTS,
                    sym=YES,
                    ts_ns=BOOK_AT,
                    bids=[level("0.50", "200.0"), level("0.49", "350.0")],
                    asks=[level("0.51", "150.0"), level("0.52", "250.0")],
                )
            ],
        ),
        (
            "ws_book_snapshot.json",
            [
                BookSnapshot(
                    **FACTS,
                    sym=YES,
                    ts_ns=BOOK_AT,
                    bids=[level("0.48", "500.0"), level("0.49", "350.0"), level("0.50", "200.0")],
                    asks=[level("0.53", "400.0"), level("0.52", "250.0"), level("0.51", "150.0")],
                )
            ],
        ),
        (
            "ws_market_price_change_msg.json",
            [
                BookDelta(
                    **FACTS,
                    sym=YES,
                    ts_ns=BOOK_AT + 10**9,
                    op="set",
                    bids=[level("0.51", "150.0")],
                    hash="0xhash001",
                    best_bid=D("0.51"),
                    best_ask=D("0.52"),
                )
            ],
        ),
        (
            "ws_market_last_trade_msg.json",
            [
                Trade(
                    **FACTS,
                    sym=YES,
                    ts_ns=BOOK_AT + 2 * 10**9,
                    price=D("0.51"),
                    size=D("25.0"),
                    side="buy",
                )
            ],
        ),
        (
            "ws_market_best_bid_ask_msg.json",
            [
                Quote(
                    **FACTS,
                    sym="85354956062430465315924116860125388538595433819574542752031640332592237464430",
                    ts_ns=1766789469958 * 10**6,
                    bid=D("0.73"),
                    ask=D("0.77"),
                )
            ],
        ),
        (
            "ws_market_tick_size_msg.json",
            [
                InstrumentStatus(
                    **FACTS,
                    sym=YES,
                    ts_ns=BOOK_AT + 10 * 10**9,
                    status="tick_size_change",
                    tick_size=D("0.01"),
                )
            ],
        ),
        (
            "ws_market_new_market_msg.json",
            [
                InstrumentStatus(
                    **FACTS, sym=sym, ts_ns=NEW_AT, status="new_market", tick_size=D("0.01")
                )
                for sym in NEW
            ],
        ),
        (
            "ws_market_resolved_msg.json",
            [
                InstrumentStatus(
                    **FACTS, sym=sym, ts_ns=NEW_AT, status="market_resolved", result=result
                )
                for sym, result in zip(NEW, ("won", "lost"), strict=True)
            ],
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_golden_records(name: str, expected: list[wire.AnyRecord]) -> None:
    assert records((REAL / name).read_bytes()) == expected


def test_a_sale_changes_the_asks_and_zero_is_a_time() -> None:
    entry = {"asset_id": "1", "price": "0.60", "size": "0", "side": "SELL"}
    body = {"event_type": "price_change", "price_changes": [entry], "timestamp": "0"}
    (found,) = records(json.dumps(body).encode())
    assert found == BookDelta(**FACTS, sym="1", ts_ns=0, op="set", asks=[level("0.60", "0")])


def test_the_older_names_of_the_sides_are_read() -> None:
    body = {"asset_id": "1", "buys": [{"price": "0.1", "size": "2"}], "sells": []}
    (found,) = records(json.dumps(body).encode())
    assert found == BookSnapshot(**FACTS, sym="1", bids=[level("0.1", "2")], asks=[])


@pytest.mark.parametrize(
    "body",
    [
        {"event_type": "book", "bids": []},
        {"event_type": "book", "asset_id": "1", "bids": [{"price": "NaN", "size": "1"}]},
        {"event_type": "price_change", "price_changes": [{"asset_id": "1"}]},
        {"event_type": "price_change"},
        {"event_type": "last_trade_price", "asset_id": "1", "price": "0.5"},
        {"event_type": "last_trade_price", "asset_id": "1", "price": "Infinity", "size": "1"},
        {"event_type": "best_bid_ask", "asset_id": "1", "best_bid": "sNaN"},
        {"event_type": "tick_size_change", "asset_id": "1"},
        {"event_type": "new_market", "assets_ids": [1]},
        {"event_type": "market_resolved", "assets_ids": "1"},
    ],
)
def test_an_event_without_its_fields_is_refused(body: dict[str, Any]) -> None:
    with pytest.raises(ContractError, match="not a polymarket"):
        records(json.dumps(body).encode())
