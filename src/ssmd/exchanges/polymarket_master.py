"""Polymarket's markets for the security master: Gamma's ``/markets`` and ``/events``, and the
messages ``new_market``, ``market_resolved`` and ``tick_size_change`` (docs.polymarket.com, 2026;
recorded answers of 2026-03 and 2026-05). A market is one instrument for each of its outcomes."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from functools import partial
from typing import Any, Final

import msgspec
from msgspec import Raw, Struct, field

from ssmd.exchanges.base import Request
from ssmd.exchanges.master import Context, Found, Listed, Patch, called, each, numbered, sha256
from ssmd.exchanges.polymarket_lifecycle import grid, patches
from ssmd.exchanges.polymarket_rest import instruments_request
from ssmd.exchanges.rest import read, unexpected
from ssmd.exchanges.times import rfc3339_ns
from ssmd.message import Message
from ssmd.security import Fee, Links, Security

_RESULTS: Final = {Decimal(1): "won", Decimal(0): "lost"}


class _Schedule(Struct, gc=False, rename="camel"):
    exponent: Decimal | None = None
    rate: Decimal | None = None
    taker_only: bool | None = None
    rebate_rate: Decimal | None = None


class _Slug(Struct, gc=False):
    slug: str | None = None


class _Tag(Struct, gc=False):
    label: str | None = None


class _Event(Struct, gc=False, rename="camel"):
    slug: str | None = None
    category: str | None = None
    series: list[_Slug] | None = None
    tags: list[_Tag] | None = None
    markets: list[Raw] | None = None


class _Market(Struct, gc=False, rename="camel"):
    condition_id: str
    id: str | None = None
    tokens: str | list[str] = field(name="clobTokenIds", default="[]")
    outcomes: str | list[str] = "[]"
    outcome_prices: str | list[str] | None = None
    question: str | None = None
    slug: str | None = None
    category: str | None = None
    active: bool | None = None
    closed: bool | None = None
    archived: bool | None = None
    accepting_orders: bool | None = None
    created_at: str | None = None
    updated_at: str | None = None
    start_date: str | None = None
    end_date: str | None = None
    closed_time: str | None = None
    uma_end_date: str | None = None
    uma_resolution_status: str | None = None
    resolution_source: str | None = None
    tick: Decimal | None = field(name="orderPriceMinTickSize", default=None)
    order_min_size: Decimal | None = None
    question_id: str | None = field(name="questionID", default=None)
    neg_risk_market_id: str | None = field(name="negRiskMarketID", default=None)
    fees_enabled: bool | None = None
    fee_type: str | None = None
    fee_schedule: _Schedule | None = None
    maker_base_fee: Decimal | None = None
    taker_base_fee: Decimal | None = None
    events: list[_Event] | None = None


class _Answer(Struct, gc=False):
    markets: list[Raw] | None = None
    condition_id: str | None = field(name="conditionId", default=None)
    next_cursor: str | None = None


_answer = msgspec.json.Decoder(_Answer | list[Raw]).decode
_event = msgspec.json.Decoder(_Event).decode
_market = msgspec.json.Decoder(_Market, strict=False).decode
_texts = msgspec.json.Decoder(list[str]).decode
_name = called(str, "conditionId")


class PolymarketMaster:
    types: tuple[str, ...] = ("new_market", "market_resolved", "tick_size_change")

    def context(self) -> Sequence[Request]:
        return ()

    def learn(self, context: Context, request: Request, body: bytes) -> None:
        """There is nothing to learn."""

    def first(self, filter: Mapping[str, str], since_ns: int | None) -> Request | None:
        return instruments_request(filter) if since_ns is None else None

    def page(self, context: Context, request: Request, body: bytes) -> Listed:
        what = "polymarket markets"
        answer = read(what, _answer, body)
        listed = Listed()
        if isinstance(answer, list):
            _take(listed, None, answer)
            listed.next = _after_list(request, len(answer))
        elif answer.condition_id is not None:
            _take(listed, None, [Raw(body)])
        elif answer.markets is not None:
            event = read(what, _event, body)
            _take(listed, event if event.slug else None, answer.markets)
            if answer.next_cursor:
                query = {**request.query, "after_cursor": answer.next_cursor}
                listed.next = Request(request.path, query)
        else:
            raise unexpected(what, body, "it lists no markets")
        return listed

    def again(self, gone: Sequence[Security]) -> Sequence[Request] | None:
        conditions = dict.fromkeys(one.links.condition for one in gone if one.links.condition)
        return [
            Request("/markets", {"condition_ids": condition, "closed": "true"})
            for condition in conditions
        ]

    def patches(self, message: Message) -> Iterable[Patch]:
        return patches(message)


def _take(listed: Listed, event: _Event | None, entries: Sequence[Raw]) -> None:
    """Markets, or events with theirs in them."""
    plain = []
    for raw in entries:
        inner = _inner(raw)
        if inner is None:
            plain.append(raw)
        else:
            _take(listed, inner, inner.markets or ())
    each(listed, numbered("market", plain, _name), partial(_found, event))


def _inner(raw: Raw) -> _Event | None:
    try:
        event = _event(raw)
    except msgspec.MsgspecError:
        return None
    return event if event.markets is not None else None


def _after_list(request: Request, count: int) -> Request | None:
    """The next page by offset; a short one is the last."""
    limit, offset = request.query.get("limit", ""), request.query.get("offset", "0")
    if not (limit.isdecimal() and offset.isdecimal()) or count < max(int(limit), 1):
        return None
    return Request(request.path, {**request.query, "offset": str(int(offset) + count)})


def _found(event: _Event | None, raw: bytes) -> Iterator[Found]:
    market = _market(raw)
    event = event or (market.events[0] if market.events else None)
    tokens, outcomes = _list(market.tokens), _list(market.outcomes)
    names = [outcomes[i] if i < len(outcomes) else str(i) for i in range(len(tokens))]
    common, silent = _common(market, event, dict(zip(names, tokens, strict=True)))
    prices = _prices(market)
    digest, updated_ns = sha256(raw), _ns(market.updated_at)
    for number, token in enumerate(tokens):
        price = prices[number] if number < len(prices) else None
        security = Security(
            sym=token,
            outcome=names[number],
            base=names[number],
            result=None if price is None else _RESULTS.get(price, "split"),
            settlement=price,
            **common,
        )
        yield Found(security, digest, updated_ns, silent)


def _common(
    market: _Market, event: _Event | None, tokens: dict[str, str]
) -> tuple[dict[str, Any], frozenset[str]]:
    """What all outcomes share, and what the answer does not say."""
    trades = bool(market.active) and not market.closed and market.accepting_orders is not False
    resolved = bool(market.closed) and market.uma_resolution_status == "resolved"
    closed_ns, end_ns = _ns(market.closed_time), _ns(market.end_date)
    category = _category(market, event)
    series = event.series if event else None
    links = Links(
        market=market.id,
        event=event.slug if event else None,
        series=series[0].slug if series else None,
        collection=market.neg_risk_market_id or None,
        condition=market.condition_id,
        question=market.question_id or None,
        tokens=tokens,
        underlying=market.resolution_source or None,
    )
    facts = {
        "exchange": "polymarket",
        "status": _status(market, trades=trades, resolved=resolved),
        "active": trades,
        "kind": "binary" if len(tokens) == 2 else "categorical",
        "title": market.question or market.slug,
        "category": category,
        "group": market.condition_id,
        "quote": "USDC",
        "created_ns": _ns(market.created_at),
        "open_ns": _ns(market.start_date),
        "close_ns": closed_ns or end_ns,
        "expire_ns": end_ns,
        "determined_ns": _ns(market.uma_end_date) if resolved else None,
        "settle_ns": closed_ns if resolved else None,
        "grid": grid(market.tick),
        "min_size": market.order_min_size,
        "fees": _fees(market),
        "links": links,
        "aliases": (market.slug,) if market.slug else (),
    }
    return facts, frozenset() if category is not None else frozenset({"category"})


def _status(market: _Market, *, trades: bool, resolved: bool) -> str:
    if market.closed:
        return "resolved" if resolved else "closed"
    if market.archived:
        return "archived"
    return "active" if trades else "inactive"


def _category(market: _Market, event: _Event | None) -> str | None:
    if market.category:
        return market.category
    if event is None:
        return None
    labels = [tag.label for tag in event.tags or () if tag.label]
    return event.category or (labels[0] if labels else None)


def _fees(market: _Market) -> tuple[Fee, ...]:
    schedule = market.fee_schedule or _Schedule()
    fee = Fee(
        kind=market.fee_type or "base",
        rate=schedule.rate,
        exponent=schedule.exponent,
        taker_only=schedule.taker_only,
        rebate=schedule.rebate_rate,
        maker_bps=market.maker_base_fee,
        taker_bps=market.taker_base_fee,
    )
    return () if fee == Fee(kind="base") or market.fees_enabled is False else (fee,)


def _prices(market: _Market) -> list[Decimal]:
    """What each outcome pays; [] before it is known: prices of an open market are quotes."""
    if not market.closed or market.outcome_prices is None:
        return []
    prices = [Decimal(text) for text in _list(market.outcome_prices)]
    return prices if market.uma_resolution_status == "resolved" else []


def _list(value: str | list[str]) -> list[str]:
    """Gamma sends lists as JSON within a text."""
    return _texts(value) if isinstance(value, str) else value


def _ns(text: str | None) -> int | None:
    return rfc3339_ns(text) if text else None


POLYMARKET = PolymarketMaster()
