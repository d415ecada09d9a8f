"""Kraken spot, WebSocket v2. Facts from docs.kraken.com and krakenfx/api-specs, as of 2026-11.

Limits and quirks: one acknowledgement per symbol; no sequence on the book but a CRC32 over its best
ten levels; ``trade_id`` rises by one per book; a heartbeat about every second when idle.
"""

import json
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

import msgspec
from msgspec import UNSET, Raw, Struct

from ssmd import message as wire
from ssmd.book import Book
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
from ssmd.exchanges.times import rfc3339_ns
from ssmd.instrument import Instrument, PriceRange
from ssmd.message import (
    AnyRecord,
    BookDelta,
    BookSnapshot,
    Header,
    InstrumentStatus,
    Level,
    Message,
    Quote,
    Trade,
)

SYMBOLS_PER_COMMAND: Final = 100
DEFAULT_DEPTH: Final = 10
CHECKED_LEVELS: Final = 10
_IDLE = frozenset({"heartbeat", "status"})
_SYMBOL_CHANNELS = ("ticker", "trade", "book")
_NO_DATA: tuple[Any, ...] = ()


class _Entry(Struct, gc=False):
    symbol: str | None = None
    timestamp: str | None = None
    trade_id: int | None = None


class _Frame(Struct, gc=False):
    channel: str | None = None
    method: str | None = None
    data: list[_Entry] | Raw | None = None


class _Loose(Struct, gc=False):
    channel: Any = None
    method: Any = None


class _LevelEntry(Struct, gc=False):
    price: Decimal
    qty: Decimal


class _BookEntry(Struct, gc=False):
    symbol: str
    bids: list[_LevelEntry] = []
    asks: list[_LevelEntry] = []
    checksum: int | None = None
    timestamp: str | None = None


class _BookFrame(Struct, gc=False):
    type: str
    data: list[_BookEntry]


class _TradeEntry(Struct, gc=False):
    symbol: str
    side: str
    price: Decimal
    qty: Decimal
    trade_id: int
    timestamp: str | None = None


class _TradeFrame(Struct, gc=False):
    type: str
    data: list[_TradeEntry]


class _TickerEntry(Struct, gc=False):
    symbol: str
    bid: Decimal | None = None
    bid_qty: Decimal | None = None
    ask: Decimal | None = None
    ask_qty: Decimal | None = None
    last: Decimal | None = None
    timestamp: str | None = None


class _TickerFrame(Struct, gc=False):
    data: list[_TickerEntry]


class _Pair(Struct, gc=False):
    symbol: str
    status: str
    price_increment: Decimal | None = None


class _Pairs(Struct, gc=False):
    pairs: list[_Pair] = []


class _InstrumentFrame(Struct, gc=False):
    data: _Pairs


class _AckResult(Struct, gc=False):
    channel: str | None = None
    symbol: str | None = None
    depth: int | None = None


class _Ack(Struct, gc=False):
    method: str | None = None
    success: bool = True
    error: str | None = None
    symbol: str | None = None
    req_id: int | None = None
    result: _AckResult | None = None


class _AssetPair(Struct, gc=False):
    wsname: str | None = None
    altname: str = ""
    base: str = ""
    quote: str = ""
    pair_decimals: int | None = None
    lot_decimals: int | None = None
    tick_size: Decimal | None = None
    status: str = "online"


class _AssetPairs(Struct, gc=False):
    error: list[str] = []
    result: dict[str, _AssetPair] = {}


_frame = msgspec.json.Decoder(_Frame).decode
_loose = msgspec.json.Decoder(_Loose).decode
_book = msgspec.json.Decoder(_BookFrame).decode
_trades = msgspec.json.Decoder(_TradeFrame).decode
_ticker = msgspec.json.Decoder(_TickerFrame).decode
_instrument = msgspec.json.Decoder(_InstrumentFrame).decode
_ack = msgspec.json.Decoder(_Ack).decode
_asset_pairs = msgspec.json.Decoder(_AssetPairs).decode


class Kraken:
    name = "kraken"
    endpoint = "wss://ws.kraken.com/v2"
    rest_endpoint = "https://api.kraken.com/0/public"
    keepalive: Keepalive | None = Keepalive(30.0, b'{"method":"ping"}')
    channels: tuple[str, ...] = ("instrument", "ticker", "trade", "book")
    key_fields: tuple[str, ...] = ()
    max_symbols_per_connection = 400
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
            [channel for channel in channels if channel in _SYMBOL_CHANNELS],
            [channel for channel in channels if channel not in _SYMBOL_CHANNELS],
            symbols,
            per_connection or self.max_symbols_per_connection,
            depth=depth or DEFAULT_DEPTH,
        )

    def subscribe(self, subscription: Subscription, request_id: int) -> list[Command]:
        return self._commands("subscribe", subscription, request_id)

    def unsubscribe(
        self, subscription: Subscription, request_id: int, grp: str | None = None
    ) -> list[Command]:
        return self._commands("unsubscribe", subscription, request_id)

    def _commands(self, method: str, subscription: Subscription, request_id: int) -> list[Command]:
        commands: list[Command] = []
        symbols = subscription.symbols
        for first in range(0, max(len(symbols), 1), SYMBOLS_PER_COMMAND):
            some = symbols[first : first + SYMBOLS_PER_COMMAND]
            params: dict[str, Any] = {"channel": subscription.channel}
            if some:
                params["symbol"] = list(some)
            if subscription.channel == "book":
                params["depth"] = subscription.depth or DEFAULT_DEPTH
            if method == "subscribe":
                params["snapshot"] = True
            body = {"method": method, "params": params, "req_id": request_id + len(commands)}
            part = Subscription(subscription.channel, some, subscription.depth)
            commands.append(Command(json.dumps(body).encode(), part))
        return commands

    def classify(self, frame: bytes) -> Header:
        try:
            head = _frame(frame)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return _classify_loosely(frame)
        if not head.channel:
            if not head.method:
                return Header(wire.UNKNOWN, kind="idle")
            return Header(head.method, kind="idle" if head.method == "pong" else "ack")
        if head.channel in _IDLE:
            return Header(head.channel, kind="idle")
        if not isinstance(head.data, list) or not head.data:
            return Header(head.channel)
        first = head.data[0]
        sym = first.symbol
        if any(entry.symbol != sym for entry in head.data):
            sym = None
        stamp = head.data[-1].timestamp
        return Header(head.channel, sym, rfc3339_ns(stamp) if stamp else None)

    def answers(self, frame: bytes) -> list[Answer]:
        try:
            ack = _ack(frame)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return []
        if ack.method not in ("subscribe", "unsubscribe"):
            return []
        result = ack.result or _AckResult()
        symbol = result.symbol or ack.symbol
        return [
            Answer(
                outcome="ok" if ack.success else "error",
                request_id=ack.req_id,
                channel=result.channel,
                symbols=(symbol,) if symbol else (),
                message=ack.error,
                fatal=not ack.success and "not supported" in (ack.error or ""),
            )
        ]

    def records(self, message: Message) -> Iterable[AnyRecord]:
        if message.raw is UNSET:
            return ()
        try:
            return list(_records(message, bytes(message.raw)))
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise ContractError(f"not a kraken {message.type} message: {error}") from error

    def continuity(self) -> Continuity:
        return KrakenContinuity()

    def instruments_request(self, filter: Mapping[str, str]) -> Request:
        return Request("/AssetPairs", dict(filter))

    def instruments_page(self, request: Request, body: bytes) -> Page:
        try:
            answer = _asset_pairs(body)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise ExchangeError(f"kraken AssetPairs: unexpected answer: {error}") from error
        if answer.error:
            raise ExchangeError(f"kraken AssetPairs: {', '.join(answer.error)}")
        return Page([_to_instrument(key, pair) for key, pair in answer.result.items()])


def _classify_loosely(frame: bytes) -> Header:
    """A frame whose fields are not of the documented types: kept under what it calls itself."""
    try:
        head = _loose(frame)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return Header(wire.TEXT if wire.is_utf8(frame) else wire.BINARY, kind="idle")
    name = head.channel if isinstance(head.channel, str) else head.method
    return Header(name if isinstance(name, str) and name else wire.UNKNOWN, kind="idle")


def _levels(entries: Sequence[_LevelEntry]) -> list[Level]:
    return [(entry.price, entry.qty) for entry in entries]


def _records(message: Message, raw: bytes) -> Iterator[AnyRecord]:
    facts: dict[str, Any] = {
        "feed": message.feed,
        "recv_ns": message.recv_ns,
        "conn": message.conn,
        "n": message.n,
        "part": message.part or 0,
    }
    if message.type == "book":
        frame = _book(raw)
        for entry in frame.data:
            yield _book_record(frame.type, entry, facts)
    elif message.type == "trade":
        for trade in _trades(raw).data:
            yield Trade(
                **facts,
                sym=trade.symbol,
                ts_ns=rfc3339_ns(trade.timestamp or ""),
                price=trade.price,
                size=trade.qty,
                side="buy" if trade.side == "buy" else "sell",
                trade_id=str(trade.trade_id),
            )
    elif message.type == "ticker":
        for tick in _ticker(raw).data:
            yield Quote(
                **facts,
                sym=tick.symbol,
                ts_ns=rfc3339_ns(tick.timestamp or ""),
                bid=tick.bid,
                bid_size=tick.bid_qty,
                ask=tick.ask,
                ask_size=tick.ask_qty,
                last=tick.last,
            )
    elif message.type == "instrument":
        for pair in _instrument(raw).data.pairs:
            yield InstrumentStatus(
                **facts, sym=pair.symbol, status=pair.status, tick_size=pair.price_increment
            )


def _book_record(kind: str, entry: _BookEntry, facts: dict[str, Any]) -> BookSnapshot | BookDelta:
    common = {
        **facts,
        "sym": entry.symbol,
        "ts_ns": rfc3339_ns(entry.timestamp) if entry.timestamp else None,
        "bids": _levels(entry.bids),
        "asks": _levels(entry.asks),
        "checksum": entry.checksum,
    }
    return BookSnapshot(**common) if kind == "snapshot" else BookDelta(op="set", **common)


def _to_instrument(key: str, pair: _AssetPair) -> Instrument:
    base, _, quote = (pair.wsname or pair.altname).partition("/")
    sym = f"{_v2(base)}/{_v2(quote)}" if quote else pair.altname
    aliases = (key, pair.altname, *((pair.wsname,) if pair.wsname else ()))
    step = pair.tick_size
    grid = (PriceRange(Decimal(0), Decimal("Infinity"), step),) if step else ()
    return Instrument(
        exchange="kraken",
        sym=sym,
        status=pair.status,
        active=pair.status == "online",
        base=_v2(base),
        quote=_v2(quote),
        price_precision=pair.pair_decimals,
        size_precision=pair.lot_decimals,
        grid=grid,
        aliases=tuple(dict.fromkeys(alias for alias in aliases if alias != sym)),
    )


def _v2(asset: str) -> str:
    """The asset's name on WebSocket v2: REST and v1 say XBT and XDG."""
    return {"XBT": "BTC", "XDG": "DOGE"}.get(asset, asset)


def checksum(bids: Sequence[Level], asks: Sequence[Level]) -> int:
    """Kraken's CRC32 of a book: best ten asks, then best ten bids, best first, as
    digits without the point and leading zeros (docs.kraken.com, "Book checksum v2")."""
    parts = []
    for price, size in (*asks[:CHECKED_LEVELS], *bids[:CHECKED_LEVELS]):
        parts.append(f"{price:f}".replace(".", "").lstrip("0"))
        parts.append(f"{size:f}".replace(".", "").lstrip("0"))
    return zlib.crc32("".join(parts).encode())


class KrakenContinuity:
    """Book checksums, crossed books and trade ids of one connection."""

    def __init__(self) -> None:
        self._books: dict[str, Book] = {}
        self._depths: dict[str, int] = {}
        self._trade_ids: dict[str, int] = {}

    def check(self, header: Header, frame: bytes) -> Verdict:
        if header.type == "book":
            return self._check_book(frame)
        if header.type == "trade":
            return self._check_trades(frame)
        if header.type == "subscribe":
            self._learn_depth(frame)
        return UNVERIFIED

    def _learn_depth(self, frame: bytes) -> None:
        """The depth stands in the acknowledgement, and not in the book's messages."""
        result = _ack(frame).result
        if result is not None and result.symbol and result.depth:
            self._depths[result.symbol] = result.depth

    def _check_book(self, frame: bytes) -> Verdict:
        decoded = _book(frame)
        verdict = UNVERIFIED
        for entry in decoded.data:
            verdict = self._check_entry(decoded.type, entry)
            if verdict.state == "broken":
                break
        return verdict

    def _check_entry(self, kind: str, entry: _BookEntry) -> Verdict:
        sym = entry.symbol
        book = self._books.get(sym)
        if book is None:
            book = self._books[sym] = Book()
        if kind == "snapshot":
            # A snapshot on another depth follows a new subscription: its own size is the floor.
            book.depth = max(self._depths.get(sym, DEFAULT_DEPTH), len(entry.bids))
        elif not book.synced:
            return UNVERIFIED
        facts = {"feed": "", "recv_ns": 0, "conn": "", "n": 0, "part": 0}
        book.apply(_book_record(kind, entry, facts))
        if entry.checksum is None:
            return UNVERIFIED
        bids, asks = book.top(CHECKED_LEVELS)
        if bids and asks and bids[0][0] >= asks[0][0]:
            book.clear()
            return Verdict("broken", "crossed", sym=sym)
        if checksum(bids, asks) != entry.checksum:
            book.clear()
            return Verdict("broken", "checksum", sym=sym)
        return VERIFIED

    def _check_trades(self, frame: bytes) -> Verdict:
        decoded = _trades(frame)
        verdict = UNVERIFIED
        for trade in decoded.data:
            last = self._trade_ids.get(trade.symbol)
            self._trade_ids[trade.symbol] = trade.trade_id
            if last is None or decoded.type == "snapshot":
                continue
            if trade.trade_id != last + 1:
                return Verdict(
                    "broken", "sequence", last + 1, trade.trade_id - 1, trade.symbol, "trade"
                )
            verdict = VERIFIED
        return verdict


KRAKEN = Kraken()
