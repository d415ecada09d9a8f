"""Kraken Futures messages and REST answers -> records and instruments."""

from collections.abc import Iterator
from decimal import Decimal
from typing import Any, Literal

import msgspec
from msgspec import Struct

from ssmd.exchanges.kraken_records import SIDES
from ssmd.exchanges.times import ms_ns, rfc3339_ns
from ssmd.instrument import Instrument, PriceRange
from ssmd.message import AnyRecord, BookDelta, BookSnapshot, Level, Message, Quote, Trade


class Ack(Struct, gc=False):
    event: str | None = None
    feed: str | None = None
    product_ids: list[str] = []
    message: str | None = None


class LevelEntry(Struct, gc=False):
    price: Decimal
    qty: Decimal


class Snapshot(Struct, gc=False):
    product_id: str
    seq: int
    bids: list[LevelEntry] = []
    asks: list[LevelEntry] = []


class Delta(Struct, gc=False):
    product_id: str
    side: Literal["buy", "sell"]
    seq: int
    price: Decimal
    qty: Decimal


class _Trade(Struct, gc=False):
    product_id: str
    side: str
    seq: int
    price: Decimal
    qty: Decimal
    time: int | None = None
    uid: str | None = None


class TradeSnapshot(Struct, gc=False):
    product_id: str
    trades: list[_Trade] = []


class _Ticker(Struct, gc=False):
    product_id: str
    bid: Decimal | None = None
    bid_size: Decimal | None = None
    ask: Decimal | None = None
    ask_size: Decimal | None = None
    last: Decimal | None = None


class Product(Struct, gc=False):
    symbol: str
    type: str = ""
    tickSize: Decimal | None = None
    tradeable: bool = True
    openingDate: str | None = None
    lastTradingTime: str | None = None
    base: str | None = None
    quote: str | None = None
    pair: str | None = None
    underlying: str | None = None
    contractValueTradePrecision: int | None = None


class _Products(Struct, gc=False):
    result: str = ""
    error: str | None = None
    instruments: list[Product] = []


decode_snapshot = msgspec.json.Decoder(Snapshot).decode
decode_delta = msgspec.json.Decoder(Delta).decode
_trade = msgspec.json.Decoder(_Trade).decode
_ticker = msgspec.json.Decoder(_Ticker).decode
decode_ack = msgspec.json.Decoder(Ack).decode
decode_trade_snapshot = msgspec.json.Decoder(TradeSnapshot).decode
decode_products = msgspec.json.Decoder(_Products).decode


def records(message: Message, raw: bytes) -> Iterator[AnyRecord]:
    """The records of one frame; raises msgspec's errors where fields are not as documented."""
    facts: dict[str, Any] = {
        "feed": message.feed,
        "recv_ns": message.recv_ns,
        "conn": message.conn,
        "n": message.n,
        "part": message.part or 0,
        "ts_ns": message.ts_ns or None,
    }
    if message.type == "book":
        delta = decode_delta(raw)
        level: list[Level] = [(delta.price, delta.qty)]
        bids, asks = (level, []) if delta.side == "buy" else ([], level)
        yield BookDelta(
            **facts, sym=delta.product_id, op="set", bids=bids, asks=asks, seq=delta.seq
        )
    elif message.type == "book_snapshot":
        book = decode_snapshot(raw)
        yield BookSnapshot(
            **facts,
            sym=book.product_id,
            bids=[(entry.price, entry.qty) for entry in book.bids],
            asks=[(entry.price, entry.qty) for entry in book.asks],
            seq=book.seq,
        )
    elif message.type == "trade":
        yield _to_trade(_trade(raw), facts)
    elif message.type == "trade_snapshot":
        for trade in decode_trade_snapshot(raw).trades:
            yield _to_trade(trade, facts)
    elif message.type in ("ticker", "ticker_lite"):
        tick = _ticker(raw)
        yield Quote(
            **facts,
            sym=tick.product_id,
            bid=tick.bid,
            bid_size=tick.bid_size,
            ask=tick.ask,
            ask_size=tick.ask_size,
            last=tick.last,
        )


def _to_trade(trade: _Trade, facts: dict[str, Any]) -> Trade:
    return Trade(
        **{**facts, "ts_ns": ms_ns(trade.time)},
        sym=trade.product_id,
        price=trade.price,
        size=trade.qty,
        side=SIDES.get(trade.side),
        trade_id=trade.uid,
        seq=trade.seq,
    )


def to_instrument(product: Product) -> Instrument:
    base, _, quote = (product.pair or "").partition(":")
    step = product.tickSize
    return Instrument(
        exchange="kraken_futures",
        sym=product.symbol.upper(),
        status="tradeable" if product.tradeable else "not tradeable",
        active=product.tradeable,
        group=product.underlying,
        name=product.type or None,
        base=product.base or base or None,
        quote=product.quote or quote or None,
        size_precision=product.contractValueTradePrecision,
        grid=(PriceRange(Decimal(0), Decimal("Infinity"), step),) if step else (),
        open_ns=rfc3339_ns(product.openingDate or ""),
        close_ns=rfc3339_ns(product.lastTradingTime or ""),
    )
