"""Kraken spot's public REST answers -> books and trades (docs.kraken.com, "Get Order Book", "Get
Recent Trades"; recorded answers of 2025)."""

from decimal import Decimal
from typing import Any, Final

import msgspec
from msgspec import Raw, Struct

from ssmd.exchanges.base import Request, TradesPage
from ssmd.exchanges.rest import read, unexpected
from ssmd.exchanges.times import NS_PER_S
from ssmd.message import BookSnapshot, Header

_REST_NAMES: Final = {"BTC": "XBT", "DOGE": "XDG"}
_PAGE: Final = 1000

_Entry = tuple[Decimal, Decimal, Any]
"""Price, size, time."""


class _Sides(Struct, gc=False):
    bids: list[_Entry]
    asks: list[_Entry]


class _Books(Struct, gc=False):
    error: list[str] = []
    result: dict[str, _Sides] | None = None


class _Trades(Struct, gc=False):
    error: list[str] = []
    result: dict[str, Raw] | None = None


# Prices and sizes come as text, and are decimals here.
_books = msgspec.json.Decoder(_Books, strict=False).decode
_trades = msgspec.json.Decoder(_Trades).decode
_rows = msgspec.json.Decoder(list[Raw]).decode
_row = msgspec.json.Decoder(list[Any], float_hook=Decimal).decode


def pair_of(symbol: str) -> str:
    """``BTC/USD`` -> ``XBTUSD``: REST keeps the names of before v2."""
    return "".join(_REST_NAMES.get(part, part) for part in symbol.split("/"))


def book_request(symbol: str) -> Request:
    return Request("/Depth", {"pair": pair_of(symbol), "count": "10"})


def book_answer(symbol: str, body: bytes) -> BookSnapshot:
    what = f"kraken Depth of {symbol}"
    answer = read(what, _books, body)
    if answer.error or not answer.result:
        raise unexpected(what, body, ", ".join(answer.error) or "it holds no book")
    sides = next(iter(answer.result.values()))
    return BookSnapshot(
        feed="",
        conn="",
        n=0,
        recv_ns=0,
        sym=symbol,
        bids=[(price, size) for price, size, _ in sides.bids],
        asks=[(price, size) for price, size, _ in sides.asks],
    )


def trades_request(symbol: str, since_ns: int, until_ns: int) -> Request:
    """``since`` is exclusive, in ns. The symbol and the end travel along for the answer."""
    query = {"pair": pair_of(symbol), "since": str(since_ns - 1), "count": str(_PAGE)}
    return Request("/Trades", query, (symbol, str(until_ns)))


def trades_answer(request: Request, body: bytes) -> TradesPage:
    """Rows of price, size, time, side, kind, misc, trade id; the oldest first. ``last`` is where
    the next page begins."""
    symbol, until_ns = request.context
    what = f"kraken Trades of {symbol}"
    answer = read(what, _trades, body)
    if answer.error or not answer.result:
        raise unexpected(what, body, ", ".join(answer.error) or "it lists no trades")
    last = read(what, msgspec.json.decode, bytes(answer.result.pop("last", Raw(b'""'))))
    trades = []
    for rows in answer.result.values():
        for raw in read(what, _rows, bytes(rows)):
            row = read(what, _row, bytes(raw))
            trades.append((Header("trade", symbol, _ts_ns(row)), bytes(raw)))
    ended = any(header.ts_ns is not None and header.ts_ns > int(until_ns) for header, _ in trades)
    if (
        ended
        or len(trades) < _PAGE
        or not str(last).isdigit()
        or str(last) == request.query["since"]
    ):
        return TradesPage(trades)
    after = Request(request.path, {**request.query, "since": str(last)}, request.context)
    return TradesPage(trades, after)


def _ts_ns(row: list[Any]) -> int | None:
    """Seconds with a fraction."""
    if len(row) < 3 or not isinstance(row[2], int | Decimal) or isinstance(row[2], bool):
        return None
    return int(Decimal(row[2]) * NS_PER_S)
