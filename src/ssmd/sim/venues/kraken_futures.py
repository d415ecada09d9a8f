"""Kraken Futures v1, simulated: info at once, snapshots, sequences per product."""

import json
import uuid
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, Literal

import msgspec

from ssmd.sim.market import Change, Life, Listing, Market, Trade, text
from ssmd.sim.venues.base import Keys, Reply
from ssmd.sim.world import World

BASES: Final = ("XBT", "ETH", "SOL", "XRP", "DOGE", "ADA", "LTC", "DOT", "LINK", "AVAX")
PRODUCTS: Final = tuple(f"PF_{base}USD" for base in BASES)
INDEX: Final = {product: index for index, product in enumerate(PRODUCTS)}
FEEDS: Final = ("ticker", "ticker_lite", "trade", "book", "heartbeat")


class FuturesSession:
    def __init__(self, world: World) -> None:
        self._world = world
        self._held: dict[str, set[str]] = {feed: set() for feed in FEEDS}

    def greet(self) -> Iterable[bytes]:
        yield b'{"event":"info","version":1}'

    def rehearse(self, recorded: Sequence[bytes]) -> None:
        """A recording brings its own greeting and products."""

    def on_frame(self, frame: bytes) -> Iterable[bytes]:
        yield from self._obey(frame, True)

    def acks(self, frame: bytes) -> Iterable[bytes]:
        yield from self._obey(frame, False)

    def _obey(self, frame: bytes, whole: bool) -> Iterable[bytes]:
        try:
            command = json.loads(frame)
            event, feed = command["event"], command["feed"]
            products = command.get("product_ids") or []
        except (ValueError, KeyError, TypeError, AttributeError):
            yield b'{"event":"error","message":"Invalid request"}'
            return
        if event not in ("subscribe", "unsubscribe") or feed not in FEEDS:
            yield b'{"event":"error","message":"Invalid feed"}'
            return
        if feed == "heartbeat":
            self._held[feed] = {""} if event == "subscribe" else set()
            yield msgspec.json.encode({"event": f"{event}d", "feed": feed})
            return
        for product in products:
            market = self._world.market(product) if isinstance(product, str) else None
            if market is None and whole:
                yield b'{"event":"error","message":"Invalid product id"}'
                continue
            yield msgspec.json.encode(
                {"event": f"{event}d", "feed": feed, "product_ids": [product]}
            )
            if market is not None and whole:
                yield from self._take(event, feed, market)

    def _take(self, event: str, feed: str, market: Market) -> Iterable[bytes]:
        if event == "unsubscribe":
            self._held[feed].discard(market.sym)
            if not any(market.sym in held for held in self._held.values()):
                self._world.unwatch(self, market)
            return
        self._held[feed].add(market.sym)
        self._world.watch(self, market)
        if feed == "book":
            yield self._snapshot(market)
        elif feed == "trade":
            yield msgspec.json.encode(
                {"feed": "trade_snapshot", "product_id": market.sym, "trades": []}
            )
        else:
            yield self._ticker(market, feed)

    def _snapshot(self, market: Market) -> bytes:
        bids, asks = market.book.top(1000)
        return (
            '{"feed":"book_snapshot","product_id":"%s","timestamp":%d,"seq":%d,"tickSize":null,'
            '"bids":[%s],"asks":[%s]}'
            % (
                market.sym,
                self._world.now_ns() // 1_000_000,
                market.seq,
                _levels(market, bids),
                _levels(market, asks),
            )
        ).encode()

    def on_change(self, change: Change) -> Sequence[bytes]:
        market = change.market
        if market.sym not in self._held["book"]:
            return ()
        return [
            (
                '{"feed":"book","product_id":"%s","side":"%s","seq":%d,"price":%s,"qty":%s,'
                '"timestamp":%d}'
                % (
                    market.sym,
                    "buy" if change.side == "bid" else "sell",
                    change.seq,
                    text(change.price, market.listing.price_decimals),
                    text(change.size, market.listing.size_decimals),
                    change.ts_ns // 1_000_000,
                )
            ).encode()
        ]

    def on_trade(self, trade: Trade) -> Sequence[bytes]:
        market = trade.market
        frames: list[bytes] = []
        if market.sym in self._held["trade"]:
            frames.append(
                (
                    '{"feed":"trade","product_id":"%s","uid":"%s","side":"%s","type":"fill",'
                    '"seq":%d,"time":%d,"qty":%s,"price":%s}'
                    % (
                        market.sym,
                        uuid.UUID(int=market.index << 64 | trade.number),
                        trade.taker,
                        trade.number,
                        trade.ts_ns // 1_000_000,
                        text(trade.size, market.listing.size_decimals),
                        text(trade.price, market.listing.price_decimals),
                    )
                ).encode()
            )
        return [*frames, *self.on_change(trade.change)]

    def on_life(self, life: Life) -> Sequence[bytes]:
        return ()

    def on_tick(self) -> Sequence[bytes]:
        frames = []
        if self._held["heartbeat"]:
            now = self._world.now_ns() // 1_000_000
            frames.append(msgspec.json.encode({"feed": "heartbeat", "time": now}))
        for feed in ("ticker", "ticker_lite"):
            for product in sorted(self._held[feed]):
                market = self._world.market(product)
                if market is not None:
                    frames.append(self._ticker(market, feed))
        return frames

    def _ticker(self, market: Market, feed: str) -> bytes:
        book, listing = market.book, market.listing
        bid, ask = book.best_bid or 0, book.best_ask or 0
        price, size = listing.price_decimals, listing.size_decimals
        return (
            '{"feed":"%s","time":%d,"product_id":"%s","funding_rate":-6.2604214e-11,'
            '"bid":%s,"ask":%s,"bid_size":%s,"ask_size":%s,"volume":%s,"last":%s,'
            '"suspended":false,"tag":"perpetual"}'
            % (
                feed,
                self._world.now_ns() // 1_000_000,
                market.sym,
                text(bid, price),
                text(ask, price),
                text(book.bids.get(bid, 0), size),
                text(book.asks.get(ask, 0), size),
                text(market.volume, size),
                text(market.last or bid, price),
            )
        ).encode()


class FuturesVenue:
    name = "kraken_futures"
    ws_path = "/ws/v1"
    rest_path = "/derivatives/api/v3"
    tick_s = 1.0
    ping: bytes | None = None
    max_markets = len(PRODUCTS)
    lists_new = False

    def check(self, headers: Mapping[str, str], path: str, keys: Keys, now_ms: int) -> int:
        return 101

    def listing(self, index: int, seed: int) -> Listing:
        return Listing(
            sym=PRODUCTS[index],
            grid=range(1, 200_000),
            mid=20_000 + 9_000 * index,
            price_decimals=1,
            size_decimals=4,
            lot=1000,
            levels=25,
        )

    def find(self, name: str) -> int | None:
        return INDEX.get(name)

    def session(self, world: World, number: int) -> FuturesSession:
        return FuturesSession(world)

    def rest(
        self, world: World, path: str, query: Mapping[str, str], posted: bytes | None = None
    ) -> Reply:
        route = path.removeprefix(self.rest_path)
        listed = range(min(world.size, len(PRODUCTS)))
        body: dict[str, Any] = {"result": "success"}
        if route == "/instruments":
            body["instruments"] = [_describe(index) for index in listed]
        elif route == "/tickers":
            body["tickers"] = [{"symbol": PRODUCTS[index]} for index in listed]
        else:
            return Reply(404, b'{"result":"error","error":"notFound"}')
        return Reply(200, msgspec.json.encode(body))

    def command(self, frame: bytes) -> Literal["subscribe", "ping", "other"]:
        return "subscribe" if b'"subscribe"' in frame else "other"


def _levels(market: Market, levels: Sequence[tuple[int, int]]) -> str:
    price, size = market.listing.price_decimals, market.listing.size_decimals
    return ",".join(f'{{"price":{text(p, price)},"qty":{text(s, size)}}}' for p, s in levels)


def _describe(index: int) -> dict[str, Any]:
    return {
        "symbol": PRODUCTS[index],
        "type": "flexible_futures",
        "tickSize": 0.1,
        "contractSize": 1,
        "tradeable": True,
        "base": BASES[index],
        "quote": "USD",
        "pair": f"{BASES[index]}:USD",
        "contractValueTradePrecision": 4,
    }


KRAKEN_FUTURES = FuturesVenue()
