"""Kalshi's REST answers -> instruments, books and trades."""

from collections.abc import Mapping
from decimal import Decimal
from urllib.parse import quote

import msgspec
from msgspec import Raw, Struct

from ssmd.exchanges.base import Page, Request, TradesPage
from ssmd.exchanges.kalshi_records import Sides, levels
from ssmd.exchanges.rest import read, unexpected
from ssmd.exchanges.times import NS_PER_S, rfc3339_ns
from ssmd.instrument import Instrument, PriceRange
from ssmd.message import BookSnapshot, Header


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
    markets: list[_Market] | None = None
    market: _Market | None = None
    """One market asked for by its ticker."""
    cursor: str | None = None


class _Books(Struct, gc=False):
    orderbook_fp: Sides | None = None
    orderbook: Sides | None = None
    """The form until early 2026."""


class _Trades(Struct, gc=False):
    trades: list[Raw] | None = None
    cursor: str | None = None


class _Trade(Struct, gc=False):
    ticker: str
    created_time: str


# Prices and counts come as text, and are decimals here.
_markets = msgspec.json.Decoder(_Markets, strict=False).decode
_books = msgspec.json.Decoder(_Books, strict=False).decode
_trades = msgspec.json.Decoder(_Trades).decode
_trade = msgspec.json.Decoder(_Trade).decode


def instruments_request(filter: Mapping[str, str]) -> Request:
    return Request("/markets", {"limit": "1000", **filter})


def instruments_page(request: Request, body: bytes) -> Page:
    """``GET /markets``, ``/markets/{ticker}`` and ``/events/{ticker}``; an empty cursor is the
    end."""
    answer = read("kalshi markets", _markets, body)
    found = answer.markets
    if found is None:
        if answer.market is None:
            raise unexpected("kalshi markets", body, "it lists no markets")
        found = [answer.market]
    return Page([_to_instrument(market) for market in found], _after(request, answer.cursor))


def book_request(symbol: str) -> Request:
    return Request(f"/markets/{quote(symbol, safe='')}/orderbook")


def book_answer(symbol: str, body: bytes) -> BookSnapshot:
    what = f"kalshi book of {symbol}"
    answer = read(what, _books, body)
    sides = answer.orderbook_fp or answer.orderbook
    if sides is None:
        raise unexpected(what, body, "it holds no book")
    try:
        bids, asks = levels(sides)
    except (msgspec.ValidationError, ArithmeticError) as error:
        raise unexpected(what, body, str(error)) from error
    return BookSnapshot(feed="", conn="", n=0, recv_ns=0, sym=symbol, bids=bids, asks=asks)


def trades_request(symbol: str, since_ns: int, until_ns: int) -> Request:
    """The exchange counts in whole seconds and says "after" and "before": a second more on either
    side is asked for, so that no trade of the span can be missing."""
    query = {
        "limit": "1000",
        "ticker": symbol,
        "min_ts": str(since_ns // NS_PER_S - 1),
        "max_ts": str(-(-until_ns // NS_PER_S) + 1),
    }
    return Request("/markets/trades", query)


def trades_answer(request: Request, body: bytes) -> TradesPage:
    """The latest first."""
    what = "kalshi trades"
    answer = read(what, _trades, body)
    if answer.trades is None:
        raise unexpected(what, body, "it lists no trades")
    trades = []
    for entry in answer.trades:
        raw = bytes(entry)
        trade = read(what, _trade, raw)
        trades.append((Header("trade", trade.ticker, rfc3339_ns(trade.created_time)), raw))
    return TradesPage(trades, _after(request, answer.cursor))


def _after(request: Request, cursor: str | None) -> Request | None:
    return Request(request.path, {**request.query, "cursor": cursor}) if cursor else None


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
