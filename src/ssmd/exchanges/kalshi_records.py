"""Kalshi messages and REST answers -> records and instruments.

Prices are in YES terms. Formats before 2026 (integer cents, integer counts) are read as well: the
fields tell which is which.
"""

from collections.abc import Iterator
from decimal import Decimal
from typing import Any, Literal

import msgspec
from msgspec import Struct

from ssmd.book import ZERO, Book
from ssmd.exchanges.times import NS_PER_S, rfc3339_ns
from ssmd.instrument import Instrument, PriceRange
from ssmd.message import (
    AnyRecord,
    BookDelta,
    BookSnapshot,
    InstrumentStatus,
    Level,
    Message,
    Quote,
    Trade,
)

ONE = Decimal(1)
CENT = Decimal("0.01")


class _Book(Struct, gc=False):
    yes_dollars_fp: list[tuple[Decimal, Decimal]] = []
    no_dollars_fp: list[tuple[Decimal, Decimal]] = []
    yes: list[tuple[int, Decimal]] = []
    no: list[tuple[int, Decimal]] = []


class _Delta(Struct, gc=False):
    side: str
    price_dollars: Decimal | None = None
    delta_fp: Decimal | None = None
    price: int | None = None
    delta: Decimal | None = None


class _TradeMsg(Struct, gc=False):
    market_ticker: str
    trade_id: str | None = None
    yes_price_dollars: Decimal | None = None
    count_fp: Decimal | None = None
    yes_price: int | None = None
    count: Decimal | None = None
    taker_book_side: str | None = None
    taker_outcome_side: str | None = None
    taker_side: str | None = None


class _TickerMsg(Struct, gc=False):
    market_ticker: str
    price_dollars: Decimal | None = None
    yes_bid_dollars: Decimal | None = None
    yes_ask_dollars: Decimal | None = None
    yes_bid_size_fp: Decimal | None = None
    yes_ask_size_fp: Decimal | None = None
    price: int | None = None
    yes_bid: int | None = None
    yes_ask: int | None = None


class _LifecycleMsg(Struct, gc=False):
    market_ticker: str
    event_type: str = "unknown"
    result: str | None = None
    open_ts: int | None = None
    close_ts: int | None = None


class _BookFrame(Struct, gc=False):
    msg: _Book


class _DeltaFrame(Struct, gc=False):
    msg: _Delta


class _TradeFrame(Struct, gc=False):
    msg: _TradeMsg
    seq: int | None = None


class _TickerFrame(Struct, gc=False):
    msg: _TickerMsg


class _LifecycleFrame(Struct, gc=False):
    msg: _LifecycleMsg


class _Range(Struct, gc=False):
    start: Decimal
    end: Decimal
    step: Decimal


class _Market(Struct, gc=False):
    ticker: str
    status: str = ""
    event_ticker: str | None = None
    title: str | None = None
    open_time: str | None = None
    close_time: str | None = None
    price_ranges: list[_Range] | None = None
    volume_fp: Decimal | None = None
    volume: Decimal | None = None


class _Markets(Struct, gc=False):
    markets: list[_Market] = []
    cursor: str | None = None


# Prices and counts come as text, and are decimals here.
_book = msgspec.json.Decoder(_BookFrame, strict=False).decode
_delta = msgspec.json.Decoder(_DeltaFrame, strict=False).decode
_trade = msgspec.json.Decoder(_TradeFrame, strict=False).decode
_ticker = msgspec.json.Decoder(_TickerFrame, strict=False).decode
_lifecycle = msgspec.json.Decoder(_LifecycleFrame, strict=False).decode
_markets = msgspec.json.Decoder(_Markets, strict=False).decode


def records(message: Message, raw: bytes) -> Iterator[AnyRecord]:
    """The records of one message; raises msgspec's errors where fields are not as documented."""
    facts: dict[str, Any] = {
        "feed": message.feed,
        "recv_ns": message.recv_ns,
        "conn": message.conn,
        "n": message.n,
        "part": message.part or 0,
        "ts_ns": message.ts_ns or None,
        "sym": message.sym or "",
    }
    seq = message.seq or None
    if message.type == "orderbook_snapshot":
        bids, asks = _sides(_book(raw).msg)
        yield BookSnapshot(**facts, bids=bids, asks=asks, seq=seq)
    elif message.type == "orderbook_delta":
        delta = _delta(raw).msg
        level = [(_yes_price(delta), _change(delta))]
        bids, asks = (level, []) if delta.side == "yes" else ([], level)
        yield BookDelta(**facts, op="add", bids=bids, asks=asks, seq=seq)
    elif message.type == "trade":
        trade = _trade(raw).msg
        yield Trade(
            **facts,
            price=_dollars(trade.yes_price_dollars, trade.yes_price) or ZERO,
            size=trade.count_fp if trade.count_fp is not None else trade.count or ZERO,
            side=_taker_side(trade),
            trade_id=trade.trade_id,
            seq=seq,
        )
    elif message.type == "ticker":
        tick = _ticker(raw).msg
        yield Quote(
            **facts,
            bid=_dollars(tick.yes_bid_dollars, tick.yes_bid),
            bid_size=tick.yes_bid_size_fp,
            ask=_dollars(tick.yes_ask_dollars, tick.yes_ask),
            ask_size=tick.yes_ask_size_fp,
            last=_dollars(tick.price_dollars, tick.price),
        )
    elif message.type == "market_lifecycle_v2":
        event = _lifecycle(raw).msg
        yield InstrumentStatus(
            **facts,
            status=event.event_type,
            result=event.result,
            open_ns=_seconds_ns(event.open_ts),
            close_ns=_seconds_ns(event.close_ts),
        )


def apply(book: Book, type_: str, raw: bytes) -> Decimal:
    """Bring a book up to a message without building records; the size of the level that changed."""
    if type_ == "orderbook_snapshot":
        bids, asks = _sides(_book(raw).msg)
        book.bids, book.asks, book.synced = dict(bids), dict(asks), True
        return ZERO
    delta = _delta(raw).msg
    side = book.bids if delta.side == "yes" else book.asks
    price = _yes_price(delta)
    size = side.get(price, ZERO) + _change(delta)
    if size == ZERO:
        side.pop(price, None)
    else:
        side[price] = size
    return size


def markets(raw: bytes) -> tuple[list[Instrument], str | None]:
    """The instruments of a page of ``GET /markets`` and its cursor, None at the end."""
    page = _markets(raw)
    return [_to_instrument(market) for market in page.markets], page.cursor or None


def _to_instrument(market: _Market) -> Instrument:
    return Instrument(
        exchange="kalshi",
        sym=market.ticker,
        status=market.status,
        active=market.status in ("active", "open"),
        group=market.event_ticker,
        name=market.title,
        quote="USD",
        grid=tuple(PriceRange(r.start, r.end, r.step) for r in market.price_ranges or ()),
        open_ns=rfc3339_ns(market.open_time or ""),
        close_ns=rfc3339_ns(market.close_time or ""),
        volume=market.volume_fp if market.volume_fp is not None else market.volume,
    )


def _sides(book: _Book) -> tuple[list[Level], list[Level]]:
    if book.yes_dollars_fp or book.no_dollars_fp:
        return list(book.yes_dollars_fp), [(ONE - p, size) for p, size in book.no_dollars_fp]
    bids = [(price * CENT, size) for price, size in book.yes]
    return bids, [(ONE - price * CENT, size) for price, size in book.no]


def _yes_price(delta: _Delta) -> Decimal:
    price = _dollars(delta.price_dollars, delta.price)
    if price is None:
        raise msgspec.ValidationError("a delta without a price")
    return price if delta.side == "yes" else ONE - price


def _change(delta: _Delta) -> Decimal:
    change = delta.delta_fp if delta.delta_fp is not None else delta.delta
    if change is None:
        raise msgspec.ValidationError("a delta without a change")
    return change


def _dollars(dollars: Decimal | None, cents: int | None) -> Decimal | None:
    if dollars is not None:
        return dollars
    return None if cents is None else cents * CENT


def _taker_side(trade: _TradeMsg) -> Literal["buy", "sell"] | None:
    """What the taker did in YES terms: the newer field names the side of the book."""
    side = trade.taker_book_side or trade.taker_outcome_side or trade.taker_side
    if side is None:
        return None
    return "buy" if side in ("bid", "yes") else "sell"


def _seconds_ns(seconds: int | None) -> int | None:
    return None if seconds is None else seconds * NS_PER_S
