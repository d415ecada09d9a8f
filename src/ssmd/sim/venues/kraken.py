"""Kraken spot v2, simulated: status at once, an ack per symbol, snapshots, CRC32 of each book."""

import json
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from typing import Any, Final, Literal

import msgspec

from ssmd.sim.market import Change, Life, Listing, Market, Trade
from ssmd.sim.venues import kraken_frames as frames
from ssmd.sim.venues import kraken_listing, kraken_rest
from ssmd.sim.venues.base import Keys, Reply
from ssmd.sim.world import World

CHANNELS: Final = ("ticker", "trade", "book", "instrument")
DEPTHS: Final = (10, 25, 100, 500, 1000)
SNAPSHOT_TRADES: Final = 50
Params = Mapping[str, Any]


class KrakenSession:
    def __init__(self, world: World) -> None:
        self._world = world
        self._subscribed: dict[str, dict[str, int]] = {channel: {} for channel in CHANNELS}

    def greet(self) -> Iterable[bytes]:
        status = {
            "version": "2.0.10",
            "system": "online",
            "api_version": "v2",
            "connection_id": 13834774380200032777,
        }
        yield msgspec.json.encode({"channel": "status", "type": "update", "data": [status]})

    def rehearse(self, recorded: Sequence[bytes]) -> None:
        """A recording brings its own status and symbols."""

    def on_frame(self, frame: bytes) -> Iterable[bytes]:
        yield from self._obey(frame, True)

    def acks(self, frame: bytes) -> Iterable[bytes]:
        yield from self._obey(frame, False)

    def _obey(self, frame: bytes, whole: bool) -> Iterable[bytes]:
        try:
            command = json.loads(frame)
            method, params = command["method"], command.get("params") or {}
            channel, symbols = params.get("channel"), params.get("symbol") or ()
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            yield msgspec.json.encode({"error": "Malformed request", "success": False})
            return
        number = command.get("req_id")
        if method == "ping":
            yield self._stamped({"method": "pong"}, number)
        elif method not in ("subscribe", "unsubscribe") or channel not in CHANNELS:
            yield self._refusal(method, "Unsupported method or channel", number)
        elif channel == "instrument":
            yield from self._instrument(method, number, whole)
        elif not isinstance(symbols, list):
            yield self._refusal(method, "Symbol(s) not found", number)
        else:
            for symbol in symbols:
                yield from self._one(method, params, symbol, number, whole)

    def _one(
        self, method: str, params: Params, symbol: str, number: int | None, whole: bool
    ) -> Iterable[bytes]:
        channel, depth = params["channel"], params.get("depth", DEPTHS[0])
        market = self._world.market(symbol) if isinstance(symbol, str) else None
        if market is None and whole:
            error = f"Currency pair not supported {symbol}"
            yield self._refusal(method, error, number, symbol=symbol)
            return
        if channel == "book" and depth not in DEPTHS:
            yield self._refusal(method, "Depth not supported", number, symbol=symbol)
            return
        result = {"channel": channel, "symbol": symbol}
        # Trades come without a snapshot unless one is asked for.
        snapshot = params.get("snapshot", channel != "trade") is True
        if channel == "book":
            result["depth"] = depth
        if method == "subscribe":
            result["snapshot"] = snapshot
        yield self._stamped({"method": method, "result": result, "success": True}, number)
        if market is None or not whole:
            return
        if method == "unsubscribe":
            self._end(channel, market)
            return
        self._subscribed[channel][symbol] = depth
        self._world.watch(self, market)
        if snapshot:
            yield self._snapshot(channel, market, depth)

    def _end(self, channel: str, market: Market) -> None:
        self._subscribed[channel].pop(market.sym, None)
        if not any(market.sym in held for held in self._subscribed.values()):
            self._world.unwatch(self, market)

    def _snapshot(self, channel: str, market: Market, depth: int) -> bytes:
        now_ns = self._world.now_ns()
        if channel == "book":
            return frames.book(market, "snapshot", *market.book.top(depth), now_ns)
        if channel == "ticker":
            return frames.ticker(market, "snapshot", now_ns)
        first = max(len(market.history) - SNAPSHOT_TRADES, 0)
        return frames.trades(market, "snapshot", islice(market.history, first, None))

    def _refusal(self, method: Any, error: str, number: int | None, **more: Any) -> bytes:
        return self._stamped({"method": method, "success": False, "error": error, **more}, number)

    def _stamped(self, body: dict[str, Any], number: int | None) -> bytes:
        now = frames.rfc3339(self._world.now_ns())
        tail: dict[str, Any] = {} if number is None else {"req_id": number}
        return msgspec.json.encode({**body, "time_in": now, "time_out": now, **tail})

    def _instrument(self, method: str, number: int | None, whole: bool) -> Iterable[bytes]:
        result = {"channel": "instrument", "snapshot": True}
        yield self._stamped({"method": method, "result": result, "success": True}, number)
        if method == "subscribe" and whole:
            pairs = [kraken_listing.described(index) for index in range(self._world.size)]
            data = {"assets": [], "pairs": pairs}
            yield msgspec.json.encode({"channel": "instrument", "type": "snapshot", "data": data})

    def on_change(self, change: Change) -> Sequence[bytes]:
        depth = self._subscribed["book"].get(change.market.sym)
        levels = () if depth is None else frames.seen(change, depth)
        if not levels:
            return ()
        bids, asks = (levels, ()) if change.side == "bid" else ((), levels)
        return [frames.book(change.market, "update", bids, asks, change.ts_ns)]

    def on_trade(self, trade: Trade) -> Sequence[bytes]:
        market = trade.market
        sent = []
        if market.sym in self._subscribed["trade"]:
            sent.append(frames.trades(market, "update", (trade,)))
        sent += self.on_change(trade.change)
        if market.sym in self._subscribed["ticker"]:
            sent.append(frames.ticker(market, "update", trade.ts_ns))
        return sent

    def on_life(self, life: Life) -> Sequence[bytes]:
        return ()

    def on_tick(self) -> Sequence[bytes]:
        return [b'{"channel":"heartbeat"}'] if any(self._subscribed.values()) else ()


class KrakenVenue:
    name = "kraken"
    ws_path = "/v2"
    rest_path = "/0/public"
    tick_s = 1.0
    ping: bytes | None = None
    max_markets = kraken_listing.MOST_PAIRS
    lists_new = False

    def check(self, headers: Mapping[str, str], path: str, keys: Keys, now_ms: int) -> int:
        return 101

    def listing(self, index: int, seed: int) -> Listing:
        return kraken_listing.listing(index)

    def find(self, name: str) -> int | None:
        return kraken_listing.index_of(name)

    def session(self, world: World, number: int) -> KrakenSession:
        return KrakenSession(world)

    def rest(
        self, world: World, path: str, query: Mapping[str, str], posted: bytes | None = None
    ) -> Reply:
        return kraken_rest.answer(world, path.removeprefix(self.rest_path), query)

    def command(self, frame: bytes) -> Literal["subscribe", "ping", "other"]:
        if b'"subscribe"' in frame:
            return "subscribe"
        return "ping" if b'"ping"' in frame else "other"


KRAKEN = KrakenVenue()
