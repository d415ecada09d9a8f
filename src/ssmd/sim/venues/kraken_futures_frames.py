"""The messages of the simulated Kraken Futures."""

import uuid
from collections.abc import Iterable, Sequence

from ssmd.sim.market import Change, Market, Trade, text


def snapshot(market: Market, now_ns: int) -> bytes:
    bids, asks = market.book.top(1000)
    return (
        '{"feed":"book_snapshot","product_id":"%s","timestamp":%d,"seq":%d,"tickSize":null,'
        '"bids":[%s],"asks":[%s]}'
        % (
            market.sym,
            now_ns // 1_000_000,
            market.seq,
            _levels(market, bids),
            _levels(market, asks),
        )
    ).encode()


def delta(change: Change) -> bytes:
    listing = change.market.listing
    return (
        '{"feed":"book","product_id":"%s","side":"%s","seq":%d,"price":%s,"qty":%s,"timestamp":%d}'
        % (
            change.market.sym,
            "buy" if change.side == "bid" else "sell",
            change.seq,
            text(change.price, listing.price_decimals),
            text(change.size, listing.size_decimals),
            change.ts_ns // 1_000_000,
        )
    ).encode()


def trade(event: Trade) -> str:
    listing = event.market.listing
    return (
        '{"feed":"trade","product_id":"%s","uid":"%s","side":"%s","type":"fill","seq":%d,'
        '"time":%d,"qty":%s,"price":%s}'
        % (
            event.market.sym,
            uid(event),
            event.taker,
            event.number,
            event.ts_ns // 1_000_000,
            text(event.size, listing.size_decimals),
            text(event.price, listing.price_decimals),
        )
    )


def trade_snapshot(market: Market, latest: Iterable[Trade]) -> bytes:
    """Given and sent with the newest first."""
    entries = ",".join(map(trade, latest))
    return (
        f'{{"feed":"trade_snapshot","product_id":"{market.sym}","trades":[{entries}]}}'
    ).encode()


def ticker(market: Market, feed: str, now_ns: int) -> bytes:
    book, listing = market.book, market.listing
    bid, ask = book.best_bid or 0, book.best_ask or 0
    price, size = listing.price_decimals, listing.size_decimals
    return (
        '{"feed":"%s","time":%d,"product_id":"%s","funding_rate":-6.2604214e-11,'
        '"bid":%s,"ask":%s,"bid_size":%s,"ask_size":%s,"volume":%s,"last":%s,'
        '"suspended":false,"tag":"perpetual"}'
        % (
            feed,
            now_ns // 1_000_000,
            market.sym,
            text(bid, price),
            text(ask, price),
            text(book.bids.get(bid, 0), size),
            text(book.asks.get(ask, 0), size),
            text(market.volume, size),
            text(market.last or bid, price),
        )
    ).encode()


def uid(event: Trade) -> str:
    """The same on WebSocket and REST."""
    return str(uuid.UUID(int=event.market.index << 64 | event.number))


def _levels(market: Market, levels: Sequence[tuple[int, int]]) -> str:
    price, size = market.listing.price_decimals, market.listing.size_decimals
    return ",".join(f'{{"price":{text(p, price)},"qty":{text(s, size)}}}' for p, s in levels)
