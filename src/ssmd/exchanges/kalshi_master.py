"""Kalshi's markets for the security master: REST ``/markets``, ``/events/{ticker}``, ``/series``,
``/series/fee_changes``, and the channel ``market_lifecycle_v2`` (docs.kalshi.com, 2026-07 to 10;
recorded answers of 2026-01 and 2026-08)."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from functools import partial
from typing import Any, Final

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from ssmd.exchanges.base import Request
from ssmd.exchanges.kalshi_lifecycle import patches
from ssmd.exchanges.master import Context, Found, Listed, Patch, called, each, numbered, sha256
from ssmd.exchanges.rest import read, unexpected
from ssmd.exchanges.times import NS_PER_S, rfc3339_ns
from ssmd.instrument import PriceRange
from ssmd.message import Message
from ssmd.security import Fee, Links, Security, Strike

_CENT: Final = Decimal("0.01")
_ACTIVE: Final = frozenset({"active", "open"})
_BESIDE_UPDATED: Final = frozenset({"status", "limit", "mve_filter", "series_ticker"})
"""Filters that an incremental listing works beside; ``status`` is left out of it."""
_ASKED_AT_ONCE: Final = 100


class _Range(Struct, gc=False):
    start: Decimal
    end: Decimal
    step: Decimal


class _Leg(Struct, gc=False):
    market_ticker: str
    side: str = ""


class _Market(Struct, gc=False):
    ticker: str
    status: str
    market_type: str | None = None
    event_ticker: str | None = None
    title: str | None = None
    yes_sub_title: str | None = None
    created_time: str | None = None
    updated_time: str | None = None
    open_time: str | None = None
    close_time: str | None = None
    expected_expiration_time: str | None = None
    expiration_time: str | None = None
    latest_expiration_time: str | None = None
    settlement_ts: str | None = None
    result: str | None = None
    expiration_value: str | None = None
    settlement_value_dollars: Decimal | None = None
    settlement_value: Decimal | None = None
    notional_value_dollars: Decimal | None = None
    price_level_structure: str | None = None
    price_ranges: list[_Range] | None = None
    tick_size: int | None = None
    strike_type: str | None = None
    floor_strike: Decimal | None = None
    cap_strike: Decimal | None = None
    custom_strike: dict[str, Any] | None = None
    mve_collection_ticker: str | None = None
    mve_selected_legs: list[_Leg] | None = None


class _Event(Struct, gc=False):
    event_ticker: str
    series_ticker: str | None = None
    category: str | None = None
    markets: list[Raw] | None = None


class _Answer(Struct, gc=False):
    markets: list[Raw] | None = None
    market: Raw | UnsetType = UNSET
    event: _Event | None = None
    events: list[_Event] | None = None
    cursor: str | None = None


class _Series(Struct, gc=False):
    ticker: str
    category: str | None = None
    fee_type: str | None = None
    fee_multiplier: Decimal | None = None


class _AllSeries(Struct, gc=False):
    series: list[_Series] | None = None


class _FeeChange(Struct, gc=False):
    series_ticker: str
    fee_type: str
    scheduled_ts: str
    fee_multiplier: Decimal | None = None


class _FeeChanges(Struct, gc=False):
    series_fee_change_arr: list[_FeeChange] | None = None


# Prices and counts come as text, and are decimals here.
_answer = msgspec.json.Decoder(_Answer).decode
_market = msgspec.json.Decoder(_Market, strict=False).decode
_series = msgspec.json.Decoder(_AllSeries, strict=False).decode
_fee_changes = msgspec.json.Decoder(_FeeChanges, strict=False).decode
_name = called(str, "ticker")


class KalshiMaster:
    types: tuple[str, ...] = ("market_lifecycle_v2", "event_fee_update")

    def context(self) -> Sequence[Request]:
        return (Request("/series"), Request("/series/fee_changes", {"show_historical": "true"}))

    def learn(self, context: Context, request: Request, body: bytes) -> None:
        if request.path == "/series":
            found = read("kalshi series", _series, body).series
            if found is None:
                raise unexpected("kalshi series", body, "it lists no series")
            context["series"] = {series.ticker: series for series in found}
            return
        changes = read("kalshi fee changes", _fee_changes, body).series_fee_change_arr
        if changes is None:
            raise unexpected("kalshi fee changes", body, "it lists no changes")
        by_series = context["fee_changes"] = {}
        for change in changes:
            by_series.setdefault(change.series_ticker, []).append(change)

    def first(self, filter: Mapping[str, str], since_ns: int | None) -> Request | None:
        if since_ns is None:
            return Request("/markets", {"limit": "1000", **filter})
        if not _BESIDE_UPDATED.issuperset(filter):
            return None
        query = {key: value for key, value in filter.items() if key != "status"}
        since = str(since_ns // NS_PER_S)
        return Request("/markets", {"limit": "1000", **query, "min_updated_ts": since})

    def page(self, context: Context, request: Request, body: bytes) -> Listed:
        answer = read("kalshi markets", _answer, body)
        listed = Listed()
        if answer.cursor:
            listed.next = Request(request.path, {**request.query, "cursor": answer.cursor})
        for event, markets in _parts(answer, body):
            entries = numbered("market", markets, _name)
            each(listed, entries, partial(_found, context, event))
        return listed

    def again(self, gone: Sequence[Security]) -> Sequence[Request] | None:
        names = [security.sym for security in gone]
        return [
            Request(
                "/markets", {"limit": "1000", "tickers": ",".join(names[i : i + _ASKED_AT_ONCE])}
            )
            for i in range(0, len(names), _ASKED_AT_ONCE)
        ]

    def patches(self, message: Message) -> Iterable[Patch]:
        return patches(message)


def _parts(answer: _Answer, body: bytes) -> Iterator[tuple[_Event | None, Sequence[Raw]]]:
    """The markets of an answer, each list with the event that it came in."""
    if answer.event is not None:
        yield answer.event, answer.markets or answer.event.markets or ()
    elif answer.markets is not None:
        yield None, answer.markets
    elif answer.market is not UNSET:
        yield None, (answer.market,)
    elif answer.events is not None:
        for event in answer.events:
            yield event, event.markets or ()
    else:
        raise unexpected("kalshi markets", body, "it lists no markets")


def _found(context: Context, event: _Event | None, raw: bytes) -> Iterator[Found]:
    market = _market(raw)
    known: dict[str, _Series] = context.get("series", {})
    series = _series_of(market, event, known)
    kind = known.get(series or "")
    category = (event.category if event else None) or (kind.category if kind else None)
    silent = set() if category is not None else {"category"}
    silent |= set() if kind is not None else {"fees"}
    fees = _fees(kind, context.get("fee_changes", {}).get(series, ())) if kind else ()
    security = Security(
        exchange="kalshi",
        sym=market.ticker,
        status=market.status,
        active=market.status in _ACTIVE,
        kind=market.market_type,
        title=market.title,
        category=category,
        group=market.event_ticker,
        outcome=market.yes_sub_title or None,
        quote="USD",
        created_ns=_ns(market.created_time),
        open_ns=_ns(market.open_time),
        close_ns=_ns(market.close_time),
        expected_ns=_ns(market.expected_expiration_time),
        expire_ns=_ns(market.latest_expiration_time or market.expiration_time),
        settle_ns=_ns(market.settlement_ts),
        result=market.result or None,
        settlement=_settlement(market),
        basis=market.expiration_value or None,
        grid=_grid(market),
        grid_name=market.price_level_structure,
        contract_size=market.notional_value_dollars,
        strike=_strike(market),
        fees=fees,
        links=Links(
            event=market.event_ticker,
            series=series,
            collection=market.mve_collection_ticker or None,
            legs=tuple(f"{leg.market_ticker}:{leg.side}" for leg in market.mve_selected_legs or ()),
        ),
    )
    # Lifecycle messages tell when it was determined; the listing does not.
    yield Found(
        security,
        sha256(raw),
        _ns(market.updated_time),
        frozenset(silent | {"determined_ns"}),
    )


def _series_of(market: _Market, event: _Event | None, known: Mapping[str, _Series]) -> str | None:
    """The event's series: its ticker begins with the series' and a hyphen."""
    if event is not None and event.series_ticker:
        return event.series_ticker
    if not market.event_ticker:
        return None
    words = market.event_ticker.split("-")
    for count in range(len(words) - 1, 0, -1):
        name = "-".join(words[:count])
        if name in known:
            return name
    return words[0]


def _fees(series: _Series, changes: Sequence[_FeeChange]) -> tuple[Fee, ...]:
    """A series' fees over time: what holds, and what held or will hold by its list of changes."""
    dated = sorted((_ns(change.scheduled_ts) or 0, i) for i, change in enumerate(changes))
    fees = []
    for place, (from_ns, i) in enumerate(dated):
        until_ns = dated[place + 1][0] if place + 1 < len(dated) else None
        change = changes[i]
        fees.append(
            Fee(
                kind=change.fee_type,
                multiplier=change.fee_multiplier,
                from_ns=from_ns,
                until_ns=until_ns,
            )
        )
    if series.fee_type is None:
        return tuple(fees)
    if any((f.kind, f.multiplier) == (series.fee_type, series.fee_multiplier) for f in fees):
        return tuple(fees)
    until_ns = dated[0][0] if dated else None
    first = Fee(kind=series.fee_type, multiplier=series.fee_multiplier, until_ns=until_ns)
    return (first, *fees)


def _settlement(market: _Market) -> Decimal | None:
    if market.settlement_value_dollars is not None:
        return market.settlement_value_dollars
    return None if market.settlement_value is None else market.settlement_value * _CENT


def _grid(market: _Market) -> tuple[PriceRange, ...]:
    if market.price_ranges:
        return tuple(PriceRange(r.start, r.end, r.step) for r in market.price_ranges)
    if market.tick_size:  # cents: the form until early 2026
        return (PriceRange(Decimal(0), Decimal(1), market.tick_size * _CENT),)
    return ()


def _strike(market: _Market) -> Strike | None:
    found = Strike(
        kind=market.strike_type or None,
        floor=market.floor_strike,
        cap=market.cap_strike,
        custom=market.custom_strike or {},
    )
    return None if found == Strike() else found


def _ns(text: str | None) -> int | None:
    return rfc3339_ns(text) if text else None


KALSHI = KalshiMaster()
