"""Polymarket events -> records."""

from collections.abc import Iterator
from decimal import Decimal
from typing import Any, Literal

import msgspec
from msgspec import UNSET, Struct

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


class _Level(Struct, gc=False):
    price: Decimal
    size: Decimal


class BookEvent(Struct, gc=False):
    asset_id: str
    bids: list[_Level] = []
    asks: list[_Level] = []
    buys: list[_Level] = []
    sells: list[_Level] = []
    timestamp: str | int | None = None
    hash: str | None = None


class Change(Struct, gc=False):
    asset_id: str
    price: Decimal
    size: Decimal
    side: Literal["BUY", "SELL"]
    hash: str | None = None
    best_bid: Decimal | None = None
    best_ask: Decimal | None = None


class _PriceChange(Struct, gc=False):
    price_changes: list[Change]


class _Trade(Struct, gc=False):
    asset_id: str
    price: Decimal
    size: Decimal
    side: str | None = None
    transaction_hash: str | None = None


class _Best(Struct, gc=False):
    asset_id: str
    best_bid: Decimal | None = None
    best_ask: Decimal | None = None


class _Tick(Struct, gc=False):
    asset_id: str
    new_tick_size: Decimal


class _Assets(Struct, gc=False):
    asset_id: str | None = None
    assets_ids: list[str] = []


class _NewMarket(Struct, gc=False):
    assets_ids: list[str] = []
    order_price_min_tick_size: Decimal | None = None


class _Resolved(Struct, gc=False):
    assets_ids: list[str] = []
    winning_asset_id: str | None = None


decode_book = msgspec.json.Decoder(BookEvent).decode
_price_change = msgspec.json.Decoder(_PriceChange).decode
_trade = msgspec.json.Decoder(_Trade).decode
_best = msgspec.json.Decoder(_Best).decode
_tick = msgspec.json.Decoder(_Tick).decode
_new_market = msgspec.json.Decoder(_NewMarket).decode
_assets = msgspec.json.Decoder(_Assets).decode
_resolved = msgspec.json.Decoder(_Resolved).decode


def records(message: Message, raw: bytes) -> Iterator[AnyRecord]:
    """The records of one event; raises msgspec's errors where fields are not as documented."""
    facts: dict[str, Any] = {
        "feed": message.feed,
        "recv_ns": message.recv_ns,
        "conn": message.conn,
        "n": message.n,
        "part": message.part or 0,
        "ts_ns": None if message.ts_ns is UNSET else message.ts_ns,
    }
    kind = message.type
    if kind == "price_change":
        for change in decode_changes(raw):
            yield _delta(change, facts)
    elif kind == "book":
        book = decode_book(raw)
        bids, asks = sides(book)
        yield BookSnapshot(**facts, sym=book.asset_id, bids=bids, asks=asks, hash=book.hash)
    elif kind == "last_trade_price":
        trade = _trade(raw)
        yield Trade(
            **facts,
            sym=trade.asset_id,
            price=_finite(trade.price),
            size=_finite(trade.size),
            side="buy" if trade.side == "BUY" else "sell" if trade.side == "SELL" else None,
            trade_id=trade.transaction_hash,
        )
    elif kind == "best_bid_ask":
        best = _best(raw)
        yield Quote(
            **facts, sym=best.asset_id, bid=_claim(best.best_bid), ask=_claim(best.best_ask)
        )
    else:
        yield from _status(kind, raw, facts)


def _delta(change: Change, facts: dict[str, Any]) -> BookDelta:
    level = [(change.price, change.size)]
    buy = change.side == "BUY"
    return BookDelta(
        **facts,
        sym=change.asset_id,
        op="set",
        bids=level if buy else (),
        asks=() if buy else level,
        hash=change.hash,
        best_bid=change.best_bid,
        best_ask=change.best_ask,
    )


def _status(kind: str, raw: bytes, facts: dict[str, Any]) -> Iterator[InstrumentStatus]:
    if kind == "tick_size_change":
        tick = _tick(raw)
        yield InstrumentStatus(
            **facts, sym=tick.asset_id, status=kind, tick_size=tick.new_tick_size
        )
    elif kind == "new_market":
        created = _new_market(raw)
        for asset in created.assets_ids:
            yield InstrumentStatus(
                **facts, sym=asset, status=kind, tick_size=created.order_price_min_tick_size
            )
    elif kind == "market_resolved":
        resolved = _resolved(raw)
        for asset in resolved.assets_ids:
            result = "won" if asset == resolved.winning_asset_id else "lost"
            yield InstrumentStatus(**facts, sym=asset, status=kind, result=result)


# --- for the checks -------------------------------------------------------------------------------


def decode_changes(raw: bytes) -> list[Change]:
    """The entries of a price change, with numbers that are numbers."""
    changes = _price_change(raw).price_changes
    for change in changes:
        _finite(change.price)
        _finite(change.size)
        _claim(change.best_bid)
        _claim(change.best_ask)
    return changes


def sides(book: BookEvent) -> tuple[list[Level], list[Level]]:
    """Bids and asks; their keys were ``buys`` and ``sells`` once."""
    bids = [(_finite(level.price), _finite(level.size)) for level in book.bids or book.buys]
    return bids, [(_finite(level.price), _finite(level.size)) for level in book.asks or book.sells]


def assets_of(raw: bytes) -> tuple[str, ...]:
    """The assets that an event other than a price change is about."""
    event = _assets(raw)
    return (event.asset_id,) if event.asset_id is not None else tuple(event.assets_ids)


def _finite(number: Decimal) -> Decimal:
    if not number.is_finite():
        raise msgspec.ValidationError(f"{number} is no price and no size")
    return number


def _claim(number: Decimal | None) -> Decimal | None:
    return None if number is None else _finite(number)
