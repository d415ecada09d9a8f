"""Polymarket's REST answers -> instruments and books."""

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Final

import msgspec
from msgspec import Struct, field

from ssmd.exchanges.base import Page, Request
from ssmd.exchanges.polymarket_records import BookEvent, decode_book, sides
from ssmd.exchanges.rest import read, unexpected
from ssmd.exchanges.times import ms_ns, rfc3339_ns
from ssmd.instrument import Instrument, PriceRange
from ssmd.message import BookSnapshot

CLOB_ENDPOINT: Final = "https://clob.polymarket.com"
"""Books are not where the markets are listed."""
_USUAL_LIMIT: Final = "100"


class _Market(Struct, gc=False):
    condition_id: str = field(name="conditionId")
    tokens: str | list[str] = field(name="clobTokenIds", default="[]")
    outcomes: str | list[str] = "[]"
    question: str | None = None
    slug: str | None = None
    active: bool | None = None
    closed: bool | None = None
    accepting: bool | None = field(name="acceptingOrders", default=None)
    start: str | None = field(name="startDate", default=None)
    end: str | None = field(name="endDate", default=None)
    tick: Decimal | None = field(name="orderPriceMinTickSize", default=None)
    volume: Decimal | None = field(name="volumeNum", default=None)


class _Answer(Struct, gc=False):
    markets: list[_Market] | None = None
    condition_id: str | None = field(name="conditionId", default=None)
    """The answer is one market itself."""
    next_cursor: str | None = None


_answer = msgspec.json.Decoder(_Answer | list[_Market]).decode
_market = msgspec.json.Decoder(_Market).decode
_texts = msgspec.json.Decoder(list[str]).decode


def instruments_request(filter: Mapping[str, str]) -> Request:
    return Request("/markets/keyset", {"limit": _USUAL_LIMIT, "closed": "false", **filter})


def instruments_page(request: Request, body: bytes) -> Page:
    """``/markets/keyset``, its predecessor ``/markets`` (a list, paged by offset), one market of
    ``/markets/{id}``, or one event with its markets. Two instruments a market."""
    what = "polymarket markets"
    answer = read(what, _answer, body)
    if isinstance(answer, list):
        return Page(_instruments(answer), _after_list(request, len(answer)))
    if answer.markets is not None:
        cursor = answer.next_cursor
        after = Request(request.path, {**request.query, "after_cursor": cursor}) if cursor else None
        return Page(_instruments(answer.markets), after)
    if answer.condition_id is None:
        raise unexpected(what, body, "it lists no markets")
    return Page(_instruments([read(what, _market, body)]))


def _after_list(request: Request, count: int) -> Request | None:
    """The next page by offset; a short one is the last."""
    limit, offset = request.query.get("limit", ""), request.query.get("offset", "0")
    if not (limit.isdecimal() and offset.isdecimal()) or count < max(int(limit), 1):
        return None
    return Request(request.path, {**request.query, "offset": str(int(offset) + count)})


def _instruments(markets: list[_Market]) -> list[Instrument]:
    try:
        return [asset for market in markets for asset in _to_instruments(market)]
    except (msgspec.MsgspecError, RecursionError) as error:
        raise unexpected("polymarket markets", b"", str(error)) from error


def _to_instruments(market: _Market) -> Iterator[Instrument]:
    outcomes = _list(market.outcomes)
    open_ = bool(market.active) and not market.closed and market.accepting is not False
    step = market.tick
    for number, token in enumerate(_list(market.tokens)):
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


def _list(value: str | list[str]) -> list[str]:
    """Gamma sends lists as JSON within a text."""
    return _texts(value) if isinstance(value, str) else value


def book_request(symbol: str) -> Request:
    return Request(f"{CLOB_ENDPOINT}/book", {"token_id": symbol})


def book_answer(symbol: str, body: bytes) -> BookSnapshot:
    what = f"polymarket book of {symbol}"
    book: BookEvent = read(what, decode_book, body)
    if book.asset_id != symbol:
        raise unexpected(what, body, f"it is the book of {book.asset_id}")
    try:
        bids, asks = sides(book)
    except (msgspec.ValidationError, ArithmeticError, ValueError) as error:
        raise unexpected(what, body, str(error)) from error
    return BookSnapshot(
        feed="",
        conn="",
        n=0,
        recv_ns=0,
        sym=symbol,
        ts_ns=ms_ns(book.timestamp),
        bids=bids,
        asks=asks,
        hash=book.hash,
    )
