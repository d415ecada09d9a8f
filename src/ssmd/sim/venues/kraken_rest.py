"""REST of the simulated Kraken. An error is an answer with status 200, as there."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from ssmd.sim.market import Market, Trade, text
from ssmd.sim.venues.base import Reply
from ssmd.sim.venues.kraken_frames import rfc3339
from ssmd.sim.venues.kraken_listing import asset_pair, index_of_rest, pair, rest_name
from ssmd.sim.world import World

_MOST_LEVELS: Final = 500
_MOST_TRADES: Final = 1_000
_SECONDS: Final = 10**12
"""A ``since`` below this is in seconds, else in nanoseconds."""
Query = Mapping[str, str]


def answer(world: World, route: str, query: Query) -> Reply:
    try:
        match route:
            case "/AssetPairs":
                return _ok(dict(asset_pair(index) for index in range(world.size)))
            case "/SystemStatus":
                return _ok({"status": "online", "timestamp": rfc3339(world.now_ns())})
            case "/Time":
                return _ok({"unixtime": world.now_ns() // 1_000_000_000})
            case "/Ticker":
                return _ok({rest_name(m.sym): _ticker(m) for m in _asked(world, query)})
            case "/Depth":
                return _depth(world, query)
            case "/Trades":
                return _trades(world, query)
    except LookupError:
        return _error("EQuery:Unknown asset pair")
    except ValueError:
        return _error("EGeneral:Invalid arguments")
    return Reply(404, b'{"error":["EGeneral:Unknown method"]}')


def _ok(result: Any) -> Reply:
    return Reply(200, msgspec.json.encode({"error": [], "result": result}))


def _error(what: str) -> Reply:
    return Reply(200, msgspec.json.encode({"error": [what]}))


def _asked(world: World, query: Query) -> list[Market]:
    """The markets that the query names, all where it names none. Raises LookupError."""
    names = [name for name in query.get("pair", "").split(",") if name]
    if not names:
        return [world.at(index) for index in range(world.size)]
    found = [index_of_rest(name, world.size) for name in names]
    if None in found:
        raise LookupError
    return [world.at(index) for index in found if index is not None]


def _only(world: World, query: Query) -> Market:
    if not query.get("pair"):
        raise ValueError
    return _asked(world, query)[0]


def _ticker(market: Market) -> dict[str, Any]:
    price, size = market.listing.price_decimals, market.listing.size_decimals
    bid, ask = market.book.best_bid or 0, market.book.best_ask or 0
    last, volume = text(market.last or bid, price), text(market.volume, size)
    return {
        "a": [text(ask, price), "1", text(market.book.asks.get(ask, 0), size)],
        "b": [text(bid, price), "1", text(market.book.bids.get(bid, 0), size)],
        "c": [last, text(market.last_size, size)],
        "v": [volume, volume],
        "p": [last, last],
        "t": [market.trades, market.trades],
        "l": [last, last],
        "h": [last, last],
        "o": text(pair(market.index).price, price),
    }


def _depth(world: World, query: Query) -> Reply:
    market, count = _only(world, query), int(query.get("count") or 100)
    if not 1 <= count <= _MOST_LEVELS:
        raise ValueError
    price, size = market.listing.price_decimals, market.listing.size_decimals
    now_s = world.now_ns() // 1_000_000_000
    bids, asks = (
        [[text(p, price), text(s, size), now_s] for p, s in levels]
        for levels in market.book.top(count)
    )
    return _ok({rest_name(market.sym): {"asks": asks, "bids": bids}})


def _trades(world: World, query: Query) -> Reply:
    """The oldest first: from ``since`` on (exclusive), or the latest."""
    market, count = _only(world, query), int(query.get("count") or _MOST_TRADES)
    if not 1 <= count <= _MOST_TRADES:
        raise ValueError
    since = int(query.get("since") or 0)
    if since < _SECONDS:
        since *= 1_000_000_000
    after = [trade for trade in market.history if trade.ts_ns > since]
    page = after[:count] if since else after[-count:]
    last = page[-1].ts_ns if page else since or world.now_ns()
    entries = [_trade(market, trade) for trade in page]
    return _ok({rest_name(market.sym): entries, "last": str(last)})


def _trade(market: Market, trade: Trade) -> list[Any]:
    seconds, rest = divmod(trade.ts_ns, 1_000_000_000)
    return [
        text(trade.price, market.listing.price_decimals),
        text(trade.size, market.listing.size_decimals),
        msgspec.Raw(f"{seconds}.{rest:09d}".encode()),
        "b" if trade.taker == "buy" else "s",
        "l",
        "",
        trade.number,
    ]
