"""The products and REST of the simulated Kraken Futures. Shapes from docs.kraken.com (2026-11)."""

import re
from collections.abc import Mapping
from datetime import datetime
from itertools import islice
from typing import Any, Final

import msgspec

from ssmd.sim.market import Market, Trade, text
from ssmd.sim.venues.base import Reply
from ssmd.sim.venues.kraken_frames import rfc3339
from ssmd.sim.venues.kraken_futures_frames import uid
from ssmd.sim.world import World

MOST_PRODUCTS: Final = 1_000
_BASES: Final = ("XBT", "ETH", "SOL", "XRP", "DOGE", "ADA", "LTC", "DOT", "LINK", "AVAX")
_INDEX: Final = {base: index for index, base in enumerate(_BASES)}
_PRODUCT: Final = re.compile(r"PF_(?:SIM(\d{3})|([A-Z]+))USD")
_PAGE: Final = 100
_FEES: Final = "eef90775-995b-4596-9257-0917f6134766"
"""The one fee schedule, as products refer to it."""


def product(index: int) -> str:
    return f"PF_{_base(index)}USD"


def index_of(name: str) -> int | None:
    match = _PRODUCT.fullmatch(name)
    if match is None:
        return None
    if match[1] is None:
        return _INDEX.get(match[2])
    return int(match[1]) if int(match[1]) >= len(_BASES) else None


def _base(index: int) -> str:
    return _BASES[index] if index < len(_BASES) else f"SIM{index:03d}"


def answer(world: World, route: str, query: Mapping[str, str]) -> Reply:
    now = rfc3339(world.now_ns() // 1_000_000 * 1_000_000).replace("000Z", "Z")
    match route:
        case "/instruments":
            found: Any = {"instruments": [_instrument(i) for i in range(world.size)]}
        case "/feeschedules":
            found = {"feeSchedules": [_fees()]}
        case "/tickers":
            found = {"tickers": [_ticker(world.at(index)) for index in range(world.size)]}
        case "/orderbook" | "/history":
            market = world.market(query.get("symbol", ""))
            if market is None:
                return _failed(200, "invalidArgument: symbol")
            try:
                found = _book(market) if route == "/orderbook" else _history(market, query)
            except ValueError:
                return _failed(200, "invalidArgument: lastTime")
        case _:
            return _failed(404, "notFound")
    return Reply(200, msgspec.json.encode({"result": "success", **found, "serverTime": now}))


def _failed(status: int, error: str) -> Reply:
    return Reply(status, msgspec.json.encode({"result": "error", "error": error}))


def _instrument(index: int) -> dict[str, Any]:
    return {
        "symbol": product(index),
        "type": "flexible_futures",
        "tickSize": 0.1,
        "contractSize": 1,
        "tradeable": True,
        "impactMidSize": 1.0,
        "maxPositionSize": 1_000_000.0,
        "openingDate": "2022-03-22T13:18:45Z",
        "marginLevels": [
            {"numNonContractUnits": 0.0, "initialMargin": 0.02, "maintenanceMargin": 0.01}
        ],
        "fundingRateCoefficient": 24,
        "maxRelativeFundingRate": 0.0025,
        "contractValueTradePrecision": 4,
        "postOnly": False,
        "feeScheduleUid": _FEES,
        "mtf": False,
        "base": _base(index),
        "quote": "USD",
        "pair": f"{_base(index)}:USD",
    }


def _fees() -> dict[str, Any]:
    tiers = ((0.02, 0.05, 0.0), (0.015, 0.04, 100_000.0), (0.0, 0.01, 100_000_000.0))
    return {
        "uid": _FEES,
        "name": "Simulated",
        "tiers": [
            {"makerFee": maker, "takerFee": taker, "usdVolume": volume}
            for maker, taker, volume in tiers
        ],
    }


def _number(units: int, decimals: int) -> msgspec.Raw:
    return msgspec.Raw(text(units, decimals).encode())


def _ticker(market: Market) -> dict[str, Any]:
    price, size = market.listing.price_decimals, market.listing.size_decimals
    bid, ask = market.book.best_bid or 0, market.book.best_ask or 0
    return {
        "symbol": market.sym,
        "last": _number(market.last or bid, price),
        "tag": "perpetual",
        "pair": f"{_base(market.index)}:USD",
        "bid": _number(bid, price),
        "bidSize": _number(market.book.bids.get(bid, 0), size),
        "ask": _number(ask, price),
        "askSize": _number(market.book.asks.get(ask, 0), size),
        "vol24h": _number(market.volume, size),
        "lastSize": _number(market.last_size, size),
        "suspended": False,
        "postOnly": False,
    }


def _book(market: Market) -> dict[str, Any]:
    price, size = market.listing.price_decimals, market.listing.size_decimals
    bids, asks = (
        [[_number(p, price), _number(s, size)] for p, s in levels]
        for levels in market.book.top(1000)
    )
    return {"orderBook": {"bids": bids, "asks": asks}}


def _history(market: Market, query: Mapping[str, str]) -> dict[str, Any]:
    """A hundred trades until ``lastTime``, the newest first. Raises ValueError.

    Times have milliseconds: what happened in the last of them is told again, and not left out.
    """
    asked = query.get("lastTime")
    until_ms = datetime.fromisoformat(asked).timestamp() * 1e3 if asked else float("inf")
    found = (trade for trade in reversed(market.history) if trade.ts_ns // 1_000_000 <= until_ms)
    return {"history": [_trade(trade) for trade in islice(found, _PAGE)]}


def _trade(trade: Trade) -> dict[str, Any]:
    listing = trade.market.listing
    return {
        "time": rfc3339(trade.ts_ns // 1_000_000 * 1_000_000).replace("000Z", "Z"),
        "trade_id": trade.number,
        "price": _number(trade.price, listing.price_decimals),
        "size": _number(trade.size, listing.size_decimals),
        "side": trade.taker,
        "type": "fill",
        "uid": uid(trade),
    }
