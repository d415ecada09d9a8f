"""Polymarket events and REST answers -> records, hashes and instruments."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

import msgspec
from msgspec import Struct, field

from ssmd.exchanges.times import rfc3339_ns
from ssmd.instrument import Instrument, PriceRange
from ssmd.message import (
    AnyRecord,
    BookDelta,
    BookSnapshot,
    InstrumentStatus,
    Message,
    Quote,
    Trade,
)


class _Level(Struct, gc=False):
    price: Decimal
    size: Decimal


class _Book(Struct, gc=False):
    asset_id: str
    bids: list[_Level] = []
    asks: list[_Level] = []
    buys: list[_Level] = []
    sells: list[_Level] = []
    hash: str | None = None


class _Change(Struct, gc=False):
    asset_id: str
    price: Decimal
    size: Decimal
    side: str
    hash: str | None = None
    best_bid: Decimal | None = None
    best_ask: Decimal | None = None


class _PriceChange(Struct, gc=False):
    price_changes: list[_Change]


class _Trade(Struct, gc=False):
    asset_id: str
    price: Decimal
    size: Decimal | None = None
    side: str | None = None
    transaction_hash: str | None = None


class _Best(Struct, gc=False):
    asset_id: str
    best_bid: Decimal | None = None
    best_ask: Decimal | None = None


class _Tick(Struct, gc=False):
    asset_id: str
    new_tick_size: Decimal


class _NewMarket(Struct, gc=False):
    assets_ids: list[str] = []
    order_price_min_tick_size: Decimal | None = None


class _Resolved(Struct, gc=False):
    assets_ids: list[str] = []
    winning_asset_id: str | None = None


class _Market(Struct, gc=False):
    condition_id: str | None = field(name="conditionId", default=None)
    tokens: str = field(name="clobTokenIds", default="[]")
    outcomes: str = "[]"
    question: str | None = None
    slug: str | None = None
    active: bool | None = None
    closed: bool | None = None
    accepting: bool | None = field(name="acceptingOrders", default=None)
    start: str | None = field(name="startDate", default=None)
    end: str | None = field(name="endDate", default=None)
    tick: Decimal | None = field(name="orderPriceMinTickSize", default=None)
    volume: Decimal | None = field(name="volumeNum", default=None)


class _Keyset(Struct, gc=False):
    markets: list[_Market] = []
    next_cursor: str | None = None


_book = msgspec.json.Decoder(_Book).decode
_price_change = msgspec.json.Decoder(_PriceChange).decode
_trade = msgspec.json.Decoder(_Trade).decode
_best = msgspec.json.Decoder(_Best).decode
_tick = msgspec.json.Decoder(_Tick).decode
_new_market = msgspec.json.Decoder(_NewMarket).decode
_resolved = msgspec.json.Decoder(_Resolved).decode
_markets = msgspec.json.Decoder(_Keyset | list[_Market]).decode
_texts = msgspec.json.Decoder(list[str]).decode


def records(message: Message, raw: bytes) -> Iterator[AnyRecord]:
    """The records of one event; raises msgspec's errors where fields are not as documented."""
    facts: dict[str, Any] = {
        "feed": message.feed,
        "recv_ns": message.recv_ns,
        "conn": message.conn,
        "n": message.n,
        "part": message.part or 0,
        "ts_ns": message.ts_ns or None,
    }
    kind = message.type
    if kind == "price_change":
        for change in _price_change(raw).price_changes:
            yield _delta(change, facts)
    elif kind == "book":
        book = _book(raw)
        yield BookSnapshot(
            **facts,
            sym=book.asset_id,
            bids=[(level.price, level.size) for level in book.bids or book.buys],
            asks=[(level.price, level.size) for level in book.asks or book.sells],
            hash=book.hash,
        )
    elif kind == "last_trade_price":
        trade = _trade(raw)
        yield Trade(
            **facts,
            sym=trade.asset_id,
            price=trade.price,
            size=trade.size or Decimal(0),
            side="buy" if trade.side == "BUY" else "sell" if trade.side == "SELL" else None,
            trade_id=trade.transaction_hash,
        )
    elif kind == "best_bid_ask":
        best = _best(raw)
        yield Quote(**facts, sym=best.asset_id, bid=best.best_bid, ask=best.best_ask)
    else:
        yield from _status(kind, raw, facts)


def _delta(change: _Change, facts: dict[str, Any]) -> BookDelta:
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


def asset_of(raw: bytes) -> str:
    """The asset of an event that names one."""
    return _tick(raw).asset_id


def book_hash(
    book: Mapping[str, Any],
    *,
    min_order_size: str | None = None,
    neg_risk: bool | None = None,
    last_trade_price: str | None = None,
    tick_size: str | None = None,
) -> str:
    """The exchange's hash of a book: SHA-1 of its compact JSON, keys in this order, ``hash`` empty.

    ``book`` is the event or REST answer with its texts as sent. Facts that WebSocket books lack can
    be given; a hash that differs without them proves nothing (py-clob-client-v2#117).
    """

    def side(name: str) -> list[dict[str, str]]:
        levels: Sequence[Mapping[str, str]] = book.get(name) or ()
        return [{"price": level["price"], "size": level["size"]} for level in levels]

    body = {
        "market": book["market"],
        "asset_id": book["asset_id"],
        "timestamp": book["timestamp"],
        "hash": "",
        "bids": side("bids"),
        "asks": side("asks"),
        "min_order_size": book.get("min_order_size", min_order_size),
        "tick_size": book.get("tick_size", tick_size),
        "neg_risk": book.get("neg_risk", neg_risk),
        "last_trade_price": book.get("last_trade_price", last_trade_price),
    }
    compact = json.dumps(body, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha1(compact.encode(), usedforsecurity=False).hexdigest()


def markets(raw: bytes) -> tuple[list[Instrument], str | None]:
    """The instruments of a page of Gamma's markets, two per market, and the next cursor."""
    page = _markets(raw)
    if isinstance(page, list):
        page = _Keyset(page)
    found = [asset for market in page.markets for asset in _to_instruments(market)]
    return found, page.next_cursor or None


def _to_instruments(market: _Market) -> Iterator[Instrument]:
    outcomes = _texts(market.outcomes)
    open_ = bool(market.active) and not market.closed and market.accepting is not False
    step = market.tick
    for number, token in enumerate(_texts(market.tokens)):
        outcome = outcomes[number] if number < len(outcomes) else str(number)
        yield Instrument(
            exchange="polymarket",
            sym=token,
            status="closed" if market.closed else "active" if open_ else "inactive",
            active=open_,
            group=market.condition_id,
            name=f"{market.question or market.slug or ''} [{outcome}]",
            base=outcome,
            quote="USDC",
            grid=(PriceRange(Decimal(0), Decimal(1), step),) if step else (),
            open_ns=rfc3339_ns(market.start or ""),
            close_ns=rfc3339_ns(market.end or ""),
            volume=market.volume,
        )
