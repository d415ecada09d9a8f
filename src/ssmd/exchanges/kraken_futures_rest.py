"""Kraken Futures' public REST answers -> books and trades (docs.kraken.com, "Get orderbook", "Get
trade history"; recorded answers of 2025)."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final

import msgspec
from msgspec import Raw, Struct

from ssmd.exchanges.base import Request, TradesPage
from ssmd.exchanges.rest import read, unexpected
from ssmd.exchanges.times import NS_PER_S, rfc3339_ns
from ssmd.message import BookSnapshot, Header

_PAGE: Final = 100
"""The newest so many trades before ``lastTime``."""


class _Sides(Struct, gc=False):
    bids: list[tuple[Decimal, Decimal]]
    asks: list[tuple[Decimal, Decimal]]


class _Book(Struct, gc=False, rename="camel"):
    result: str = ""
    error: Any = None
    order_book: _Sides | None = None


class _History(Struct, gc=False):
    result: str = ""
    error: Any = None
    history: list[Raw] | None = None


class _Trade(Struct, gc=False):
    time: str


_book = msgspec.json.Decoder(_Book).decode
_history = msgspec.json.Decoder(_History).decode
_trade = msgspec.json.Decoder(_Trade).decode


def book_request(symbol: str) -> Request:
    return Request("/orderbook", {"symbol": symbol})


def book_answer(symbol: str, body: bytes) -> BookSnapshot:
    what = f"kraken_futures orderbook of {symbol}"
    answer = read(what, _book, body)
    if answer.order_book is None:
        raise unexpected(what, body, "it holds no book")
    sides = answer.order_book
    return BookSnapshot(
        feed="", conn="", n=0, recv_ns=0, sym=symbol, bids=sides.bids, asks=sides.asks
    )


def trades_request(symbol: str, since_ns: int, until_ns: int) -> Request:
    """The newest come first: pages go back from the end. The symbol and the beginning travel
    along for the answer."""
    query = {"symbol": symbol, "lastTime": _rfc3339(until_ns)}
    return Request("/history", query, (symbol, str(since_ns)))


def trades_answer(request: Request, body: bytes) -> TradesPage:
    symbol, since_ns = request.context
    what = f"kraken_futures history of {symbol}"
    answer = read(what, _history, body)
    if answer.history is None:
        raise unexpected(what, body, "it lists no trades")
    trades = []
    for raw in answer.history:
        ts_ns = rfc3339_ns(read(what, _trade, bytes(raw)).time)
        trades.append((Header("trade", symbol, ts_ns), bytes(raw)))
    oldest = min((h.ts_ns for h, _ in trades if h.ts_ns is not None), default=0)
    before = _rfc3339(oldest)
    if len(trades) < _PAGE or oldest <= int(since_ns) or before == request.query["lastTime"]:
        return TradesPage(trades)
    after = Request(request.path, {**request.query, "lastTime": before}, request.context)
    return TradesPage(trades, after)


def _rfc3339(ns: int) -> str:
    seconds, rest = divmod(ns, NS_PER_S)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest // 1_000_000:03d}Z"
