"""Kalshi messages -> records.

Prices are in YES terms. Formats before 2026 (integer cents, integer counts, ``side`` of a trade)
are read as well, and so are trades as REST lists them: the fields tell which is which.
"""

from collections.abc import Iterator
from decimal import Decimal
from typing import Any, Literal

import msgspec
from msgspec import UNSET, Struct

from ssmd.exchanges.times import ms_ns
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

Side = Literal["yes", "no"]


class Sides(Struct, gc=False):
    """A book's two sides, both of bids, in each of the forms they have had. Absent or null where
    a side is empty. REST calls the newer one ``yes_dollars``."""

    yes_dollars_fp: list[tuple[Decimal, Decimal]] | None = None
    no_dollars_fp: list[tuple[Decimal, Decimal]] | None = None
    yes_dollars: list[tuple[Decimal, Decimal]] | None = None
    no_dollars: list[tuple[Decimal, Decimal]] | None = None
    yes: list[tuple[int, Decimal]] | None = None
    no: list[tuple[int, Decimal]] | None = None


class _Delta(Struct, gc=False):
    side: Side
    price_dollars: Decimal | None = None
    delta_fp: Decimal | None = None
    price: int | None = None
    delta: Decimal | None = None


class TradeMsg(Struct, gc=False):
    trade_id: str | None = None
    yes_price_dollars: Decimal | None = None
    no_price_dollars: Decimal | None = None
    count_fp: Decimal | None = None
    yes_price: int | None = None
    count: Decimal | None = None
    taker_book_side: str | None = None
    taker_outcome_side: str | None = None
    taker_side: str | None = None
    side: str | None = None
    is_block_trade: bool | None = None


class _TickerMsg(Struct, gc=False):
    price_dollars: Decimal | None = None
    yes_bid_dollars: Decimal | None = None
    yes_ask_dollars: Decimal | None = None
    yes_bid_size_fp: Decimal | None = None
    yes_ask_size_fp: Decimal | None = None
    price: int | None = None
    last_price: int | None = None
    yes_bid: int | None = None
    yes_ask: int | None = None


class _LifecycleMsg(Struct, gc=False):
    event_type: str = "unknown"
    result: str | None = None
    open_ts: int | None = None
    close_ts: int | None = None


class _BookFrame(Struct, gc=False):
    msg: Sides


class _DeltaFrame(Struct, gc=False):
    msg: _Delta


class _SocketTrade(TradeMsg, gc=False):
    price: int | None = None
    """Cents, in the oldest form; REST's is a number of dollars."""


class _TradeFrame(Struct, gc=False):
    msg: _SocketTrade


class _Envelope(Struct, gc=False):
    msg: msgspec.Raw | msgspec.UnsetType = UNSET


class _TickerFrame(Struct, gc=False):
    msg: _TickerMsg


class _LifecycleFrame(Struct, gc=False):
    msg: _LifecycleMsg


# Prices and counts come as text, and are decimals here.
_book = msgspec.json.Decoder(_BookFrame, strict=False).decode
_delta = msgspec.json.Decoder(_DeltaFrame, strict=False).decode
_trade = msgspec.json.Decoder(_TradeFrame, strict=False).decode
_rest_trade = msgspec.json.Decoder(TradeMsg, strict=False).decode
_envelope = msgspec.json.Decoder(_Envelope).decode
_ticker = msgspec.json.Decoder(_TickerFrame, strict=False).decode
_lifecycle = msgspec.json.Decoder(_LifecycleFrame, strict=False).decode


def records(message: Message, raw: bytes) -> Iterator[AnyRecord]:
    """The records of one message; raises msgspec's errors where fields are not as documented."""
    facts: dict[str, Any] = {
        "feed": message.feed,
        "recv_ns": message.recv_ns,
        "conn": message.conn,
        "n": message.n,
        "part": message.part or 0,
        "ts_ns": _known(message.ts_ns),
        "sym": message.sym or "",
    }
    seq = _known(message.seq)
    if message.type == "orderbook_snapshot":
        bids, asks = levels(_book(raw).msg)
        yield BookSnapshot(**facts, bids=bids, asks=asks, seq=seq)
    elif message.type == "orderbook_delta":
        side, price, change = decode_delta(raw)
        bids, asks = ([(price, change)], []) if side == "yes" else ([], [(ONE - price, change)])
        yield BookDelta(**facts, op="add", bids=bids, asks=asks, seq=seq)
    elif message.type == "trade":
        trade = decode_trade(raw)
        yield Trade(
            **facts,
            price=yes_price(trade),
            size=trade_size(trade),
            side=taker(trade),
            trade_id=trade.trade_id,
            seq=seq,
        )
    elif message.type == "ticker":
        yield _quote(_ticker(raw).msg, facts)
    elif message.type == "market_lifecycle_v2":
        event = _lifecycle(raw).msg
        yield InstrumentStatus(
            **facts,
            status=event.event_type,
            result=event.result,
            open_ns=_seconds_ns(event.open_ts),
            close_ns=_seconds_ns(event.close_ts),
        )


def _quote(tick: _TickerMsg, facts: dict[str, Any]) -> Quote:
    return Quote(
        **facts,
        bid=_dollars(tick.yes_bid_dollars, tick.yes_bid),
        bid_size=_finite(tick.yes_bid_size_fp),
        ask=_dollars(tick.yes_ask_dollars, tick.yes_ask),
        ask_size=_finite(tick.yes_ask_size_fp),
        last=_dollars(
            tick.price_dollars, tick.price if tick.price is not None else tick.last_price
        ),
    )


# --- books ----------------------------------------------------------------------------------------


def decode_book(raw: bytes) -> tuple[list[Level], list[Level]]:
    """The YES and the NO bids of a snapshot, each at its own side's price."""
    return own_levels(_book(raw).msg)


def own_levels(sides: Sides) -> tuple[list[Level], list[Level]]:
    yes = _side(sides.yes_dollars_fp or sides.yes_dollars, sides.yes)
    return yes, _side(sides.no_dollars_fp or sides.no_dollars, sides.no)


def levels(sides: Sides) -> tuple[list[Level], list[Level]]:
    """Bids and asks in YES terms: a NO bid at p is an ask at 1 - p."""
    yes, no = own_levels(sides)
    return yes, [(ONE - price, size) for price, size in no]


def _side(dollars: list[Level] | None, cents: list[tuple[int, Decimal]] | None) -> list[Level]:
    found = dollars or [(price * CENT, size) for price, size in cents or ()]
    for price, size in found:
        if not (price.is_finite() and size.is_finite()):
            raise msgspec.ValidationError("a level that is no number")
    return found


def decode_delta(raw: bytes) -> tuple[Side, Decimal, Decimal]:
    """Side, price in that side's terms, and signed change of a delta."""
    delta = _delta(raw).msg
    price = delta.price_dollars
    if price is None:
        price = _dollars(None, delta.price)
    change = delta.delta_fp if delta.delta_fp is not None else delta.delta
    if price is None or change is None:
        raise msgspec.ValidationError("a delta without a price or a change")
    if not (price.is_finite() and change.is_finite()):
        raise msgspec.ValidationError("a delta that is no number")
    return delta.side, price, change


# --- trades ---------------------------------------------------------------------------------------


def decode_trade(raw: bytes) -> TradeMsg:
    """A trade of the socket or of REST."""
    if _envelope(raw).msg is UNSET:
        return _rest_trade(raw)
    trade = _trade(raw).msg
    if trade.yes_price is None:
        trade.yes_price = trade.price
    return trade


def yes_price(trade: TradeMsg) -> Decimal:
    price = _dollars(trade.yes_price_dollars, trade.yes_price)
    if price is None:
        raise msgspec.ValidationError("a trade without a price")
    return price


def trade_size(trade: TradeMsg) -> Decimal:
    size = _finite(trade.count_fp if trade.count_fp is not None else trade.count)
    if size is None:
        raise msgspec.ValidationError("a trade without a count")
    return size


def taker(trade: TradeMsg) -> Literal["buy", "sell"] | None:
    """What the taker did in YES terms: the newer field names the side of the book."""
    side = trade.taker_book_side or trade.taker_outcome_side or trade.taker_side or trade.side
    if side is None:
        return None
    return "buy" if side in ("bid", "yes") else "sell"


# --- numbers --------------------------------------------------------------------------------------


def _dollars(dollars: Decimal | None, cents: int | None) -> Decimal | None:
    if dollars is not None:
        return _finite(dollars)
    return None if cents is None else cents * CENT


def _finite(number: Decimal | None) -> Decimal | None:
    if number is not None and not number.is_finite():
        raise msgspec.ValidationError(f"{number} is no price and no size")
    return number


def _known(number: int | msgspec.UnsetType) -> int | None:
    return None if number is UNSET else number


def _seconds_ns(seconds: int | None) -> int | None:
    return None if seconds is None else ms_ns(seconds * 1000)
