"""Any bytes from Kalshi and Polymarket: nothing but the documented errors, and nothing for ever."""

import contextlib
import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssmd import message as wire
from ssmd.errors import ContractError, ExchangeError, SsmdError
from ssmd.exchanges.base import Continuity, Exchange, Request, Verdict
from ssmd.exchanges.kalshi import KALSHI
from ssmd.exchanges.polymarket import POLYMARKET
from ssmd.message import Message

CAUGHT = (SsmdError, msgspec.MsgspecError, ArithmeticError, ValueError)
"""What the tape takes a message for that is not as documented."""
NUMBERS = [
    "0.5",
    "0.4999",
    "-1",
    "0",
    "1",
    "NaN",
    "sNaN",
    "Infinity",
    "1E+999999999",
    "1E-9999",
    "",
]
KALSHI_TYPES = [
    *("orderbook_snapshot", "orderbook_delta", "trade", "ticker", "market_lifecycle_v2"),
    *("subscribed", "unsubscribed", "ok", "error"),
]
POLYMARKET_TYPES = [
    *("book", "price_change", "last_trade_price", "best_bid_ask", "tick_size_change"),
    *("new_market", "market_resolved"),
]

scalars = (
    st.none()
    | st.booleans()
    | st.integers(-3, 12)
    | st.sampled_from([2**62, 2**63, -(2**70), 10**30, 1.5])
    | st.sampled_from([*NUMBERS, "A", "B", "yes", "no", "bid", "BUY", "SELL", "\ud800"])
)
pair = st.lists(st.sampled_from([*NUMBERS, 5]), min_size=2, max_size=2)
level = st.fixed_dictionaries({"price": st.sampled_from(NUMBERS), "size": st.sampled_from(NUMBERS)})


def some(fields: dict[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Objects with any of the fields, each as documented or something else."""
    return st.fixed_dictionaries(
        {}, optional={name: usual | scalars for name, usual in fields.items()}
    )


def choice(*values: Any) -> st.SearchStrategy[Any]:
    return st.sampled_from(values)


number = st.sampled_from(NUMBERS)
kalshi_msg = some(
    {
        "market_ticker": choice("A", "B"),
        "market_tickers": st.lists(choice("A", "B"), max_size=2),
        "ts_ms": st.integers(0, 40_000),
        "ts": st.integers(0, 40),
        "sid": st.integers(1, 3),
        "code": choice(10, 25, 14),
        "side": choice("yes", "no"),
        "price_dollars": number,
        "delta_fp": number,
        "yes_dollars_fp": st.lists(pair, max_size=3),
        "no_dollars_fp": st.lists(pair, max_size=3),
        "yes": st.lists(pair, max_size=2),
        "yes_price_dollars": number,
        "count_fp": number,
        "taker_outcome_side": choice("yes", "no"),
        "trade_id": choice("t1", "t2"),
        "yes_bid_dollars": number,
        "event_type": choice("created"),
        "open_ts": st.integers(),
    }
)
kalshi_frames = some(
    {
        "type": choice(*KALSHI_TYPES),
        "sid": st.integers(1, 3),
        "seq": st.integers(0, 12),
        "id": st.integers(0, 3),
        "msg": kalshi_msg,
    }
)
change = some(
    {
        "asset_id": choice("A", "B"),
        "price": number,
        "size": number,
        "side": choice("BUY", "SELL"),
        "hash": choice("h1", "h2"),
        "best_bid": number,
        "best_ask": number,
    }
)
polymarket_frames = some(
    {
        "event_type": choice(*POLYMARKET_TYPES),
        "market": choice("m", "n"),
        "asset_id": choice("A", "B"),
        "assets_ids": st.lists(choice("A", "B"), max_size=2),
        "timestamp": choice("1", "2", 3),
        "bids": st.lists(level, max_size=3),
        "asks": st.lists(level, max_size=3),
        "price_changes": st.lists(change, max_size=3),
        "price": number,
        "size": number,
        "best_bid": number,
        "new_tick_size": number,
        "hash": choice("h1", "0" * 40),
        "tick_size": choice("0.01"),
        "last_trade_price": number,
        "min_order_size": choice("5"),
        "neg_risk": st.booleans(),
    }
)
FRAMES = {"kalshi": kalshi_frames, "polymarket": polymarket_frames}
EXCHANGES: dict[str, Exchange] = {"kalshi": KALSHI, "polymarket": POLYMARKET}


def read(exchange: Exchange, checks: Continuity, frame: bytes) -> None:
    """All that the recorder does with a frame."""
    header = exchange.classify(frame)
    for value in (header.seq, header.ts_ns):
        assert value is None or -(2**63) <= value < 2**63
    exchange.answers(frame)
    known = {"sym": header.sym, "ts_ns": header.ts_ns, "seq": header.seq, "grp": header.grp}
    given_ = {name: value for name, value in known.items() if value is not None}
    if wire.is_json(frame):
        message = Message(
            feed="f",
            conn="c",
            n=1,
            recv_ns=1,
            mono_ns=1,
            type=header.type,
            raw=wire.one_line(frame),
            **given_,
        )
        with contextlib.suppress(ContractError):
            for record in exchange.records(message):
                msgspec.json.encode(record)
    if header.kind != "idle":
        with contextlib.suppress(*CAUGHT):
            assert isinstance(checks.check(header, frame), Verdict)


def feed(exchange: Exchange, checks: Continuity, *bodies: dict[str, Any]) -> list[Verdict]:
    frames = [json.dumps(body).encode() for body in bodies]
    return [checks.check(exchange.classify(frame), frame) for frame in frames]


@given(bodies=st.lists(kalshi_frames, max_size=12))
def test_kalshi_goes_on_after_anything(bodies: list[Any]) -> None:
    checks = KALSHI.continuity()
    for body in bodies:
        read(KALSHI, checks, json.dumps(body).encode())
    book = {"market_ticker": "A", "yes_dollars_fp": [["0.4", "5"]]}
    less = {"market_ticker": "A", "side": "yes", "price_dollars": "0.4", "delta_fp": "-6"}
    found = feed(
        KALSHI,
        checks,
        {"type": "unsubscribed", "sid": 9},
        {"type": "subscribed", "id": 1, "msg": {"channel": "orderbook_delta", "sid": 9}},
        {"type": "orderbook_snapshot", "sid": 9, "seq": 1, "msg": book},
        {"type": "orderbook_delta", "sid": 9, "seq": 2, "msg": less},
    )
    assert (found[2].state, found[2].synced) == ("verified", ("A",))
    assert [fault.cause for fault in found[3].faults] == ["negative"]


@given(bodies=st.lists(polymarket_frames, max_size=12))
def test_polymarket_goes_on_after_anything(bodies: list[Any]) -> None:
    checks = POLYMARKET.continuity()
    for body in bodies:
        read(POLYMARKET, checks, json.dumps(body).encode())
    bids = [{"price": "0.4", "size": "5"}]
    entry = {"asset_id": "A", "price": "0.41", "size": "1", "side": "BUY", "best_bid": "0.41"}
    wrong = entry | {"best_bid": "0.5"}
    found = feed(
        POLYMARKET,
        checks,
        {"event_type": "book", "market": "m", "asset_id": "A", "bids": bids, "asks": []},
        {"event_type": "price_change", "market": "m", "price_changes": [entry]},
        {
            "event_type": "price_change",
            "market": "m",
            "price_changes": [wrong],
        },
    )
    assert [verdict.state for verdict in found] == ["unverified", "verified", "broken"]


@pytest.mark.parametrize("name", EXCHANGES)
@given(data=st.data())
def test_a_frame_with_any_byte_changed_is_read_or_refused(name: str, data: st.DataObject) -> None:
    exchange = EXCHANGES[name]
    checks = exchange.continuity()
    frame = bytearray(json.dumps(data.draw(FRAMES[name])).encode())
    for _ in range(data.draw(st.integers(0, 3))):
        frame[data.draw(st.integers(0, len(frame) - 1))] = data.draw(st.integers(0, 255))
    read(exchange, checks, bytes(frame))


@pytest.mark.parametrize("name", EXCHANGES)
@given(frame=st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(name: str, frame: bytes) -> None:
    exchange = EXCHANGES[name]
    read(exchange, exchange.continuity(), frame)
    for answer in (
        lambda: exchange.instruments_page(Request("/markets"), frame),
        lambda: exchange.book_answer("A", frame),  # type: ignore[attr-defined]
        lambda: exchange.trades_answer(Request("/x"), frame),  # type: ignore[attr-defined]
    ):
        with contextlib.suppress(ExchangeError):
            answer()


@pytest.mark.parametrize("name", EXCHANGES)
@pytest.mark.parametrize(
    "frame",
    [
        b'{"type":"trade","event_type":"book","msg":' + b"[" * 100_000,
        b'{"type":"trade","event_type":"book","msg":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"type":"trade","seq":' + b"9" * 10_000 + b"}",
    ],
)
def test_deep_and_long_frames_are_kept(name: str, frame: bytes) -> None:
    exchange = EXCHANGES[name]
    read(exchange, exchange.continuity(), frame)
