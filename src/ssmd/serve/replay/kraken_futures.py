"""Kraken Futures, replayed: the exchange's own sequences, from snapshots of the archived books."""

from collections import deque
from collections.abc import Iterable, Iterator
from decimal import Decimal
from typing import Any, Final

import msgspec
from msgspec import Struct

from ssmd.serve.replay.levels import pairs
from ssmd.serve.replay.venue import Heard, Homes

FEEDS: Final = ("ticker", "ticker_lite", "trade", "book", "heartbeat")
FEED_OF: Final = {"book_snapshot": "book", "trade_snapshot": "trade"}
SNAPSHOT_TRADES: Final = 100


class _Level(Struct, gc=False):
    price: Decimal
    qty: Decimal


class _Snapshot(Struct, gc=False):
    seq: int
    timestamp: int | None = None
    bids: list[_Level] = []
    asks: list[_Level] = []


class _Delta(Struct, gc=False):
    side: str
    seq: int
    price: Decimal
    qty: Decimal
    timestamp: int | None = None


class _Trades(Struct, gc=False):
    trades: list[msgspec.Raw] = []


class _Numbered(Struct, gc=False):
    seq: int


_snapshot = msgspec.json.Decoder(_Snapshot).decode
_delta = msgspec.json.Decoder(_Delta).decode
_trades = msgspec.json.Decoder(_Trades).decode
_numbered = msgspec.json.Decoder(_Numbered).decode


class _Book(Struct):
    conn: str
    seq: int
    timestamp: int | None
    bids: dict[Decimal, Decimal]
    asks: dict[Decimal, Decimal]


class FuturesReplay:
    def __init__(self, symbols: frozenset[str]) -> None:
        self.started = False
        self._symbols = symbols
        self._held: dict[str, set[str]] = {feed: set() for feed in FEEDS}
        self._books: dict[str, _Book] = {}
        self._trades: dict[str, deque[tuple[int, bytes]]] = {}
        """The latest of each product, oldest first."""
        self._tickers: dict[tuple[str, str], bytes] = {}
        self._homes = Homes()
        self._ts_ns = 0

    def greet(self) -> Iterable[bytes]:
        yield b'{"event":"info","version":1}'

    def tick(self) -> Iterable[bytes]:
        if self._held["heartbeat"] and self._ts_ns:
            yield msgspec.json.encode({"feed": "heartbeat", "time": self._ts_ns // 1_000_000})

    # --- commands ---------------------------------------------------------------------------------

    def obey(self, text: str) -> Iterator[bytes]:
        event, feed, products = _command(text)
        if not isinstance(products, list):
            yield _error("Invalid request")
        elif event not in ("subscribe", "unsubscribe") or feed not in FEEDS:
            yield _error("Invalid feed")
        elif feed == "heartbeat":
            self._held[feed] = {""} if event == "subscribe" else set()
            self.started = True
            yield msgspec.json.encode({"event": f"{event}d", "feed": feed})
        else:
            for product in products:
                yield from self._one(event, feed, product)

    def _one(self, event: str, feed: str, product: Any) -> Iterator[bytes]:
        if not isinstance(product, str) or not self._knows(product):
            yield _error("Invalid product id")
            return
        yield msgspec.json.encode({"event": f"{event}d", "feed": feed, "product_ids": [product]})
        if event == "unsubscribe":
            self._held[feed].discard(product)
            return
        self._held[feed].add(product)
        self.started = True
        if feed == "book" and product in self._books:
            yield _book_snapshot(product, self._books[product])
        elif feed == "trade" and product in self._trades:
            yield _trade_snapshot(product, self._trades[product])
        elif (feed, product) in self._tickers:
            yield self._tickers[feed, product]

    def _knows(self, product: str) -> bool:
        return product in self._symbols or product in self._books

    # --- what was archived ------------------------------------------------------------------------

    def hear(self, heard: Heard) -> Iterator[bytes]:
        header = heard.header
        for spoilt in heard.spoilt:
            self._books.pop(spoilt, None)
        self._ts_ns = header.ts_ns or self._ts_ns
        feed, product = FEED_OF.get(header.type, header.type), header.sym
        if feed not in self._held or product is None or header.kind != "data":
            return
        if feed == "trade":
            yield from self._traded(product, heard)
        elif feed == "book":
            if product not in heard.spoilt and self._book(product, heard):
                yield from self._to_holder(feed, product, heard.payload)
        elif self._homes.owns(heard.conn, feed, product):
            self._tickers[feed, product] = heard.payload
            yield from self._to_holder(feed, product, heard.payload)

    def _to_holder(self, feed: str, product: str, frame: bytes) -> Iterator[bytes]:
        if product in self._held[feed]:
            yield frame

    def _book(self, product: str, heard: Heard) -> bool:
        book = self._books.get(product)
        if heard.header.type == "book_snapshot":
            if book is not None and heard.conn < book.conn:
                return False
            made = _snapshot(heard.payload)
            sides = _sizes(made.bids), _sizes(made.asks)
            self._books[product] = _Book(heard.conn, made.seq, made.timestamp, *sides)
            return True
        if book is None or heard.conn != book.conn:
            return False
        delta = _delta(heard.payload)
        side = book.bids if delta.side == "buy" else book.asks
        if delta.qty:
            side[delta.price] = delta.qty
        else:
            side.pop(delta.price, None)
        book.seq, book.timestamp = delta.seq, delta.timestamp
        return True

    def _traded(self, product: str, heard: Heard) -> Iterator[bytes]:
        """Trades that are new, one by one; to the client a later snapshot is no news."""
        known = self._trades.get(product)
        if heard.header.type == "trade":
            found = [heard.payload]
        else:
            found = sorted(map(bytes, _trades(heard.payload).trades), key=_seq)
        last = known[-1][0] if known else None
        fresh = [trade for trade in found if last is None or _seq(trade) > last]
        kept = self._trades.setdefault(product, deque(maxlen=SNAPSHOT_TRADES))
        kept.extend((_seq(trade), trade) for trade in fresh)
        if product not in self._held["trade"]:
            return
        if last is None and heard.header.type == "trade_snapshot":
            yield heard.payload
        else:
            yield from fresh

    def gone(self, conn: str) -> None:
        self._homes.gone(conn)
        self._books = {name: book for name, book in self._books.items() if book.conn != conn}


def _command(text: str) -> tuple[Any, Any, Any]:
    try:
        found = msgspec.json.decode(text)
        return found["event"], found["feed"], found.get("product_ids") or []
    except (msgspec.MsgspecError, KeyError, TypeError, AttributeError, RecursionError, ValueError):
        return None, None, None


def _error(message: str) -> bytes:
    return msgspec.json.encode({"event": "error", "message": message})


def _seq(trade: bytes) -> int:
    return _numbered(trade).seq


def _sizes(levels: Iterable[_Level]) -> dict[Decimal, Decimal]:
    return {level.price: level.qty for level in levels if level.qty}


def _book_snapshot(product: str, book: _Book) -> bytes:
    form = '{"price":%s,"qty":%s}'
    return (
        '{"feed":"book_snapshot","product_id":"%s","timestamp":%s,"seq":%d,"tickSize":null,'
        '"bids":%s,"asks":%s}'
        % (
            product,
            "null" if book.timestamp is None else book.timestamp,
            book.seq,
            pairs(sorted(book.bids.items(), reverse=True), form),
            pairs(sorted(book.asks.items()), form),
        )
    ).encode()


def _trade_snapshot(product: str, trades: Iterable[tuple[int, bytes]]) -> bytes:
    """Newest first."""
    latest = b",".join(trade for _, trade in reversed(list(trades)))
    head = b'{"feed":"trade_snapshot","product_id":%b,"trades":[' % msgspec.json.encode(product)
    return head + latest + b"]}"
