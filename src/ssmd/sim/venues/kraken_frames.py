"""The messages of the simulated Kraken, with the pair's fixed digits that checksums are made of."""

import zlib
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from functools import lru_cache

from ssmd.sim.market import Change, Market, Trade, text

Levels = Sequence[tuple[int, int]]


def book(market: Market, kind: str, bids: Levels, asks: Levels, ts_ns: int) -> bytes:
    return (
        '{"channel":"book","type":"%s","data":[{"symbol":"%s","bids":[%s],"asks":[%s],'
        '"checksum":%d,"timestamp":"%s"}]}'
        % (
            kind,
            market.sym,
            _levels(market, bids),
            _levels(market, asks),
            checksum(market),
            rfc3339(ts_ns),
        )
    ).encode()


def seen(change: Change, depth: int) -> Levels:
    """What a subscriber of that depth is told: nothing of a level below it, and, with a level that
    goes, the one that comes up. Of a level that is pushed out nothing is said."""
    market = change.market
    if change.side == "bid":
        prices, sizes = market.book.bid_prices, market.book.bids
        better = len(prices) - bisect_right(prices, change.price)
        last = -depth
    else:
        prices, sizes = market.book.ask_prices, market.book.asks
        better = bisect_left(prices, change.price)
        last = depth - 1
    if better >= depth:
        return ()
    level = (change.price, change.size)
    if change.size or len(prices) < depth:
        return (level,)
    return (level, (prices[last], sizes[prices[last]]))


def checksum(market: Market) -> int:
    """CRC32 of the best ten levels: digits without the point and leading zeros, asks first."""
    bids, asks = market.book.top(10)
    digits = [f"{number}" for level in (*asks, *bids) for number in level]
    return zlib.crc32("".join(digits).encode())


def trades(market: Market, kind: str, found: Iterable[Trade]) -> bytes:
    price, size = market.listing.price_decimals, market.listing.size_decimals
    entries = ",".join(
        '{"symbol":"%s","side":"%s","price":%s,"qty":%s,"ord_type":"limit","trade_id":%d,'
        '"timestamp":"%s"}'
        % (
            market.sym,
            trade.taker,
            text(trade.price, price),
            text(trade.size, size),
            trade.number,
            rfc3339(trade.ts_ns),
        )
        for trade in found
    )
    return f'{{"channel":"trade","type":"{kind}","data":[{entries}]}}'.encode()


def ticker(market: Market, kind: str, ts_ns: int) -> bytes:
    bid, ask = market.book.best_bid or 0, market.book.best_ask or 0
    price, size = market.listing.price_decimals, market.listing.size_decimals
    return (
        '{"channel":"ticker","type":"%s","data":[{"symbol":"%s","bid":%s,"bid_qty":%s,'
        '"ask":%s,"ask_qty":%s,"last":%s,"volume":%s,"timestamp":"%s"}]}'
        % (
            kind,
            market.sym,
            text(bid, price),
            text(market.book.bids.get(bid, 0), size),
            text(ask, price),
            text(market.book.asks.get(ask, 0), size),
            text(market.last or bid, price),
            text(market.volume, size),
            rfc3339(ts_ns),
        )
    ).encode()


def rfc3339(ts_ns: int) -> str:
    seconds, rest = divmod(ts_ns, 1_000_000_000)
    return f"{_second(seconds)}.{rest // 1000:06d}Z"


@lru_cache(maxsize=2)
def _second(seconds: int) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}"


def _levels(market: Market, levels: Levels) -> str:
    price, size = market.listing.price_decimals, market.listing.size_decimals
    return ",".join(f'{{"price":{text(p, price)},"qty":{text(s, size)}}}' for p, s in levels)
