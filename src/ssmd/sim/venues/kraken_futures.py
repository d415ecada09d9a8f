"""Kraken Futures v1, simulated: info at once, snapshots, sequences per product."""

import json
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from typing import Final, Literal

import msgspec

from ssmd.sim.market import Change, Life, Listing, Market, Trade
from ssmd.sim.venues import kraken_futures_frames as frames
from ssmd.sim.venues import kraken_futures_rest
from ssmd.sim.venues.base import Keys, Reply
from ssmd.sim.venues.kraken_futures_rest import MOST_PRODUCTS, index_of, product
from ssmd.sim.world import World

FEEDS: Final = ("ticker", "ticker_lite", "trade", "book", "heartbeat")
SNAPSHOT_TRADES: Final = 100


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
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            event = feed = products = None
        if not isinstance(products, list):
            yield b'{"event":"error","message":"Invalid request"}'
            return
        if event not in ("subscribe", "unsubscribe") or feed not in FEEDS:
            yield b'{"event":"error","message":"Invalid feed"}'
            return
        if feed == "heartbeat":
            self._held[feed] = {""} if event == "subscribe" else set()
            yield msgspec.json.encode({"event": f"{event}d", "feed": feed})
            return
        for sym in products:
            market = self._world.market(sym) if isinstance(sym, str) else None
            if market is None and whole:
                yield b'{"event":"error","message":"Invalid product id"}'
                continue
            yield msgspec.json.encode({"event": f"{event}d", "feed": feed, "product_ids": [sym]})
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
            yield frames.snapshot(market, self._world.now_ns())
        elif feed == "trade":
            yield frames.trade_snapshot(market, islice(reversed(market.history), SNAPSHOT_TRADES))
        else:
            yield frames.ticker(market, feed, self._world.now_ns())

    def on_change(self, change: Change) -> Sequence[bytes]:
        return [frames.delta(change)] if change.market.sym in self._held["book"] else ()

    def on_trade(self, trade: Trade) -> Sequence[bytes]:
        told = self.on_change(trade.change)
        if trade.market.sym in self._held["trade"]:
            return [frames.trade(trade).encode(), *told]
        return told

    def on_life(self, life: Life) -> Sequence[bytes]:
        return ()

    def on_tick(self) -> Sequence[bytes]:
        now_ns = self._world.now_ns()
        told = []
        if self._held["heartbeat"]:
            told.append(msgspec.json.encode({"feed": "heartbeat", "time": now_ns // 1_000_000}))
        for feed in ("ticker", "ticker_lite"):
            for sym in sorted(self._held[feed]):
                market = self._world.market(sym)
                if market is not None:
                    told.append(frames.ticker(market, feed, now_ns))
        return told


class FuturesVenue:
    name = "kraken_futures"
    ws_path = "/ws/v1"
    rest_path = "/derivatives/api/v3"
    tick_s = 1.0
    ping: bytes | None = None
    max_markets = MOST_PRODUCTS
    lists_new = False

    def check(self, headers: Mapping[str, str], path: str, keys: Keys, now_ms: int) -> int:
        return 101

    def listing(self, index: int, seed: int) -> Listing:
        return Listing(
            sym=product(index),
            grid=range(1, 200_000),
            mid=20_000 + 9_000 * (index % 10) + index,
            price_decimals=1,
            size_decimals=4,
            lot=1000,
            levels=25,
        )

    def find(self, name: str) -> int | None:
        return index_of(name)

    def session(self, world: World, number: int) -> FuturesSession:
        return FuturesSession(world)

    def rest(
        self, world: World, path: str, query: Mapping[str, str], posted: bytes | None = None
    ) -> Reply:
        return kraken_futures_rest.answer(world, path.removeprefix(self.rest_path), query)

    def command(self, frame: bytes) -> Literal["subscribe", "ping", "other"]:
        return "subscribe" if b'"subscribe"' in frame else "other"


KRAKEN_FUTURES = FuturesVenue()
