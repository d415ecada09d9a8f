"""Kraken Futures, WebSocket v1. Facts from docs.kraken.com (futures) and recordings, 2021 to 2026.

Book ``seq`` rises by one per product, from its snapshot on; trade ``seq`` rises by one per product,
from the trade snapshot on. The socket must see a ping at least every 60 s.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final, Literal

import msgspec
from msgspec import UNSET, Struct

from ssmd import message as wire
from ssmd.errors import ContractError, ExchangeError
from ssmd.exchanges.base import (
    UNVERIFIED,
    VERIFIED,
    Answer,
    Command,
    Continuity,
    Keepalive,
    Page,
    Plan,
    Request,
    Subscription,
    Verdict,
)
from ssmd.exchanges.packing import pack
from ssmd.exchanges.times import ms_ns, rfc3339_ns
from ssmd.instrument import Instrument, PriceRange
from ssmd.message import (
    AnyRecord,
    BookDelta,
    BookSnapshot,
    Header,
    Level,
    Message,
    Quote,
    Trade,
)

SYMBOLS_PER_COMMAND: Final = 100
_ACKS = frozenset({"subscribed", "unsubscribed", "subscribed_failed", "unsubscribed_failed"})
_BOOKS = frozenset({"book", "book_snapshot"})
_TRADES = frozenset({"trade", "trade_snapshot"})


class _Frame(Struct, gc=False):
    feed: str | None = None
    event: str | None = None
    product_id: str | None = None
    seq: int | None = None
    timestamp: int | None = None
    time: int | None = None


class _Loose(Struct, gc=False):
    feed: Any = None
    event: Any = None


class _LevelEntry(Struct, gc=False):
    price: Decimal
    qty: Decimal


class _Snapshot(Struct, gc=False):
    product_id: str
    seq: int
    bids: list[_LevelEntry] = []
    asks: list[_LevelEntry] = []


class _Delta(Struct, gc=False):
    product_id: str
    side: str
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


class _TradeSnapshot(Struct, gc=False):
    product_id: str
    trades: list[_Trade] = []


class _Ticker(Struct, gc=False):
    product_id: str
    bid: Decimal | None = None
    bid_size: Decimal | None = None
    ask: Decimal | None = None
    ask_size: Decimal | None = None
    last: Decimal | None = None


class _Ack(Struct, gc=False):
    event: str | None = None
    feed: str | None = None
    product_ids: list[str] = []
    message: str | None = None


class _Product(Struct, gc=False):
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
    instruments: list[_Product] = []


_frame = msgspec.json.Decoder(_Frame).decode
_loose = msgspec.json.Decoder(_Loose).decode
_snapshot = msgspec.json.Decoder(_Snapshot).decode
_delta = msgspec.json.Decoder(_Delta).decode
_trade = msgspec.json.Decoder(_Trade).decode
_trade_snapshot = msgspec.json.Decoder(_TradeSnapshot).decode
_ticker = msgspec.json.Decoder(_Ticker).decode
_ack = msgspec.json.Decoder(_Ack).decode
_products = msgspec.json.Decoder(_Products).decode


class KrakenFutures:
    name = "kraken_futures"
    endpoint = "wss://futures.kraken.com/ws/v1"
    rest_endpoint = "https://futures.kraken.com/derivatives/api/v3"
    keepalive: Keepalive | None = Keepalive(30.0)
    channels: tuple[str, ...] = ("ticker", "trade", "book")
    """``ticker_lite`` is a subset of ``ticker``: known, captured when a feed file asks for it."""
    key_fields: tuple[str, ...] = ()
    max_symbols_per_connection = 200
    max_frame_bytes = 64 * 1024 * 1024

    def handshake_headers(
        self, url: str, secrets: Mapping[str, str], now_ms: int
    ) -> dict[str, str]:
        return {}

    def plan(
        self,
        channels: Sequence[str],
        symbols: Sequence[str],
        *,
        depth: int | None = None,
        per_connection: int | None = None,
    ) -> list[Plan]:
        return pack(
            [channel for channel in channels if channel != "heartbeat"],
            [channel for channel in channels if channel == "heartbeat"],
            symbols,
            per_connection or self.max_symbols_per_connection,
        )

    def subscribe(self, subscription: Subscription, request_id: int) -> list[Command]:
        return self._commands("subscribe", subscription)

    def unsubscribe(
        self, subscription: Subscription, request_id: int, grp: str | None = None
    ) -> list[Command]:
        return self._commands("unsubscribe", subscription)

    def _commands(self, event: str, subscription: Subscription) -> list[Command]:
        commands = []
        symbols = subscription.symbols
        for first in range(0, max(len(symbols), 1), SYMBOLS_PER_COMMAND):
            some = symbols[first : first + SYMBOLS_PER_COMMAND]
            body: dict[str, Any] = {"event": event, "feed": subscription.channel}
            if some:
                body["product_ids"] = list(some)
            commands.append(
                Command(json.dumps(body).encode(), Subscription(subscription.channel, some))
            )
        return commands

    def classify(self, frame: bytes) -> Header:
        try:
            head = _frame(frame)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return _classify_loosely(frame)
        if head.event:
            kind: Literal["ack", "error", "idle"] = "idle"
            if head.event in _ACKS:
                kind = "ack"
            elif head.event in ("error", "alert"):
                kind = "error"
            return Header(head.event, kind=kind)
        feed, sym, seq = head.feed, head.product_id, head.seq
        if not feed:
            return Header(wire.UNKNOWN, kind="idle")
        if feed == "heartbeat":
            return Header(feed, kind="idle")
        stamp = head.timestamp if head.timestamp is not None else head.time
        group = None
        if seq is not None and sym is not None:
            group = f"{sym}:{'book' if feed in _BOOKS else 'trade'}"
        return Header(feed, sym, ms_ns(stamp), seq, group)

    def answers(self, frame: bytes) -> list[Answer]:
        try:
            ack = _ack(frame)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return []
        if ack.event not in _ACKS and ack.event not in ("error", "alert"):
            return []
        good = ack.event in ("subscribed", "unsubscribed")
        return [
            Answer(
                outcome="ok" if good else "error",
                channel=ack.feed,
                symbols=tuple(ack.product_ids),
                message=None if good else ack.message or ack.event,
                fatal=not good and "invalid" in (ack.message or "").lower(),
            )
        ]

    def records(self, message: Message) -> Iterable[AnyRecord]:
        if message.raw is UNSET:
            return ()
        try:
            return list(_records(message, bytes(message.raw)))
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise ContractError(f"not a kraken_futures {message.type} message: {error}") from error

    def continuity(self) -> Continuity:
        return FuturesContinuity()

    def instruments_request(self, filter: Mapping[str, str]) -> Request:
        return Request("/instruments", dict(filter))

    def instruments_page(self, request: Request, body: bytes) -> Page:
        try:
            answer = _products(body)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise ExchangeError(
                f"kraken_futures instruments: unexpected answer: {error}"
            ) from error
        if answer.result != "success":
            raise ExchangeError(f"kraken_futures instruments: {answer.error or answer.result}")
        return Page([_to_instrument(product) for product in answer.instruments])


def _classify_loosely(frame: bytes) -> Header:
    """A frame whose fields are not of the documented types: kept under what it calls itself."""
    try:
        head = _loose(frame)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return Header(wire.TEXT if wire.is_utf8(frame) else wire.BINARY, kind="idle")
    name = head.feed if isinstance(head.feed, str) else head.event
    return Header(name if isinstance(name, str) and name else wire.UNKNOWN, kind="idle")


def _records(message: Message, raw: bytes) -> Iterator[AnyRecord]:
    facts: dict[str, Any] = {
        "feed": message.feed,
        "recv_ns": message.recv_ns,
        "conn": message.conn,
        "n": message.n,
        "part": message.part or 0,
        "ts_ns": message.ts_ns or None,
    }
    if message.type == "book":
        delta = _delta(raw)
        level: list[Level] = [(delta.price, delta.qty)]
        bids, asks = (level, []) if delta.side == "buy" else ([], level)
        yield BookDelta(
            **facts, sym=delta.product_id, op="set", bids=bids, asks=asks, seq=delta.seq
        )
    elif message.type == "book_snapshot":
        book = _snapshot(raw)
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
        for trade in _trade_snapshot(raw).trades:
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
        side="buy" if trade.side == "buy" else "sell",
        trade_id=trade.uid,
        seq=trade.seq,
    )


def _to_instrument(product: _Product) -> Instrument:
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


class FuturesContinuity:
    """Book and trade sequences of one connection, each per product."""

    def __init__(self) -> None:
        self._last: dict[str, int] = {}

    def check(self, header: Header, frame: bytes) -> Verdict:
        if header.type == "trade_snapshot":
            self._learn_trades(frame)
            return UNVERIFIED
        group, seq = header.grp, header.seq
        if group is None or seq is None:
            return UNVERIFIED
        last = self._last.get(group)
        self._last[group] = seq
        if header.type == "book_snapshot" or last is None:
            return UNVERIFIED
        if seq != last + 1:
            return Verdict("broken", "sequence", last + 1, seq - 1, header.sym, group)
        return VERIFIED

    def _learn_trades(self, frame: bytes) -> None:
        snapshot = _trade_snapshot(frame)
        if snapshot.trades:
            newest = max(trade.seq for trade in snapshot.trades)
            self._last[f"{snapshot.product_id}:trade"] = newest


KRAKEN_FUTURES = KrakenFutures()
