"""REST of the simulated Kalshi: the routes that discovery, audits and repairs use."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from ssmd.sim.market import Trade
from ssmd.sim.venues.base import Reply
from ssmd.sim.venues.kalshi_frames import encode, facts, stamp, trade_id
from ssmd.sim.venues.kalshi_listing import (
    EVENT_SIZE,
    PRICES,
    SERIES,
    event_ticker,
    index_of,
    size_text,
)
from ssmd.sim.venues.kalshi_objects import (
    NS_PER_S,
    event_object,
    fee_changes,
    market_object,
    series_object,
)
from ssmd.sim.world import World

_WHOLE: Final = 10_000
_FILTER: Final = {
    "unopened": {"created"},
    "open": {"open"},
    "paused": set[str](),
    "closed": {"closed"},
    "settled": {"settled"},
}
"""What the query calls a status is not what the answer calls it."""
_BESIDE_UPDATED: Final = frozenset(
    {"min_updated_ts", "limit", "cursor", "series_ticker", "mve_filter"}
)
"""Parameters that ``min_updated_ts`` works with (docs.kalshi.com, GET /markets)."""
Query = Mapping[str, str]


def answer(world: World, path: str, query: Query) -> Reply:
    parts = path.strip("/").split("/")
    try:
        match parts:
            case ["exchange", "status"]:
                return _ok({"exchange_active": True, "trading_active": True})
            case ["exchange", "schedule"]:
                return _ok({"schedule": {"standard_hours": [], "maintenance_windows": []}})
            case ["markets"]:
                return _markets(world, query)
            case ["markets", "trades"]:
                return _trades(world, query)
            case ["markets", "orderbooks"]:
                return _orderbooks(world, query)
            case ["markets", name]:
                return _market(world, name)
            case ["markets", name, "orderbook"]:
                return _orderbook(world, name, query)
            case ["series"]:
                return _series(query)
            case ["series", "fee_changes"]:
                return _fee_changes(world, query)
            case ["series", name]:
                return _ok({"series": series_object()}) if name == SERIES else _missing()
            case ["events"]:
                return _events(world, query)
            case ["events", name]:
                return _event(world, name)
    except ValueError:
        return Reply(400, b'{"error":{"code":"bad_request","message":"invalid parameter"}}')
    return _missing()


def _ok(content: Mapping[str, Any]) -> Reply:
    return Reply(200, encode(content))


def _missing() -> Reply:
    return Reply(404, b'{"error":{"code":"not_found","message":"not found"}}')


def _page(query: Query, most: int, usual: int) -> tuple[int, int]:
    """First number and length of a page; ValueError where the query is none."""
    limit = int(query.get("limit") or usual)
    if not 1 <= limit <= most:
        raise ValueError
    return int(query.get("cursor") or 0), limit


def _markets(world: World, query: Query) -> Reply:
    first, limit = _page(query, 1000, 100)
    page: list[dict[str, Any]] = []
    after = ""
    for index in _chosen(world, query, first):
        if len(page) == limit:
            after = str(index)
            break
        page.append(market_object(world, index))
    return _ok({"markets": page, "cursor": after})


def _chosen(world: World, query: Query, first: int) -> Iterator[int]:
    """The numbers of the markets that a query is after, from ``first`` on."""
    since_ns = _since_ns(query)
    wanted: set[str] = set()
    for name in filter(None, query.get("status", "").split(",")):
        if name not in _FILTER:
            raise ValueError
        wanted |= _FILTER[name]
    if query.get("series_ticker", SERIES) != SERIES:
        return
    indexes: Any = range(first, world.size)
    if query.get("tickers"):
        named = (index_of(name) for name in query["tickers"].split(","))
        indexes = sorted(index for index in named if index is not None and index in indexes)
    for index in indexes:
        if wanted and world.status(index) not in wanted:
            continue
        if since_ns and world.updated_ns(index) <= since_ns:
            continue
        if query.get("event_ticker", event_ticker(index)) == event_ticker(index):
            yield index


def _since_ns(query: Query) -> int:
    """Since when a market must have changed. Raises ValueError where that is asked for beside a
    filter that it does not work with."""
    if "min_updated_ts" not in query:
        return 0
    if not _BESIDE_UPDATED.issuperset(query):
        raise ValueError
    return int(query["min_updated_ts"]) * NS_PER_S


def _market(world: World, name: str) -> Reply:
    index = index_of(name)
    if index is None or index >= world.size:
        return _missing()
    return _ok({"market": market_object(world, index)})


def _orderbook(world: World, name: str, query: Query) -> Reply:
    depth = int(query.get("depth") or 0)
    book = _book(world, name, depth)
    return _missing() if book is None else _ok({"orderbook_fp": book})


def _orderbooks(world: World, query: Query) -> Reply:
    found = []
    for name in filter(None, query.get("tickers", "").split(",")):
        book = _book(world, name, 0)
        if book is not None:
            found.append({"ticker": name, "orderbook_fp": book})
    return _ok({"orderbooks": found})


def _book(world: World, name: str, depth: int) -> dict[str, list[list[str]]] | None:
    market = world.market(name)
    if market is None:
        return None
    bids, asks = market.book.top(depth or _WHOLE)
    return {
        "yes_dollars": [[PRICES[price], size_text(size)] for price, size in reversed(bids)],
        "no_dollars": [[PRICES[_WHOLE - price], size_text(size)] for price, size in reversed(asks)],
    }


def _trades(world: World, query: Query) -> Reply:
    """The latest first, as far back as the simulation remembers. The cursor is the number of the
    next trade, so that pages neither shift nor overlap while the market goes on trading."""
    before, limit = _page(query, 1000, 100)
    low, high = int(query.get("min_ts") or 0), int(query.get("max_ts") or 1 << 62)
    found, last = _remembered(world, query.get("ticker"))
    page: list[dict[str, Any]] = []
    cursor = ""
    for number, trade in zip(range(last, 0, -1), reversed(found), strict=False):
        if (before and number > before) or not low <= trade.ts_ns // 1_000_000_000 <= high:
            continue
        if len(page) == limit:
            cursor = str(number)
            break
        page.append(_trade_object(world, trade))
    return _ok({"trades": page, "cursor": cursor})


def _remembered(world: World, ticker: str | None) -> tuple[Sequence[Trade], int]:
    """The trades of a market or of all, and the number of the latest."""
    if ticker is None:
        return world.recent, world.traded
    market = world.market(ticker)
    return (market.history, market.trades) if market is not None else ((), 0)


def _trade_object(world: World, trade: Trade) -> dict[str, Any]:
    facts(trade.market, world.seed)
    taker = "yes" if trade.taker == "buy" else "no"
    return {
        "trade_id": trade_id(trade),
        "ticker": trade.market.sym,
        "yes_price_dollars": PRICES[trade.price],
        "no_price_dollars": PRICES[_WHOLE - trade.price],
        "count_fp": size_text(trade.size),
        "taker_side": taker,
        "taker_outcome_side": taker,
        "taker_book_side": "bid" if trade.taker == "buy" else "ask",
        "created_time": stamp(trade.ts_ns),
    }


def _series(query: Query) -> Reply:
    found = series_object()
    tags = set(filter(None, query.get("tags", "").split(",")))
    named = query.get("category", found["category"]) == found["category"]
    return _ok({"series": [found] if named and tags.issubset(found["tags"]) else []})


def _fee_changes(world: World, query: Query) -> Reply:
    named = query.get("series_ticker", SERIES) == SERIES
    past = query.get("show_historical") == "true"
    return _ok({"series_fee_change_arr": fee_changes(world, past=past) if named else []})


def _events(world: World, query: Query) -> Reply:
    first, limit = _page(query, 200, 100)
    count = (world.size + EVENT_SIZE - 1) // EVENT_SIZE
    nested = query.get("with_nested_markets") == "true"
    page = []
    for number in range(first, min(first + limit, count)):
        event = event_object(number)
        if nested:
            event["markets"] = _event_markets(world, number)
        page.append(event)
    return _ok({"events": page, "cursor": str(first + limit) if first + limit < count else ""})


def _event(world: World, name: str) -> Reply:
    head, _, digits = name.rpartition("-E")
    if head != SERIES or not digits.isdigit() or int(digits) * EVENT_SIZE >= world.size:
        return _missing()
    number = int(digits)
    return _ok({"event": event_object(number), "markets": _event_markets(world, number)})


def _event_markets(world: World, number: int) -> list[dict[str, Any]]:
    last = min((number + 1) * EVENT_SIZE, world.size)
    return [market_object(world, index) for index in range(number * EVENT_SIZE, last)]
