"""Kraken spot v2, simulated: status at once, an ack per symbol, snapshots, CRC32 of each book.

Prices and sizes are written with the pair's fixed digits, which the checksum is made of.
"""

import json
import zlib
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final, Literal

import msgspec

from ssmd.sim.market import Change, Life, Listing, Market, Trade, text
from ssmd.sim.venues.base import Keys, Reply
from ssmd.sim.world import World

PAIRS: Final = (
    ("BTC/USD", 1, 8, 600_000),
    ("ETH/USD", 2, 8, 250_000),
    ("SOL/USD", 2, 8, 15_000),
    ("XRP/USD", 5, 8, 60_000),
    ("DOGE/USD", 7, 8, 1_200_000),
    ("ADA/USD", 6, 8, 450_000),
    ("LTC/USD", 2, 8, 9_000),
    ("BTC/EUR", 1, 8, 550_000),
    ("ETH/EUR", 2, 8, 230_000),
    ("ETH/BTC", 5, 8, 4_000),
)
"""Symbol, price decimals, size decimals, price in units of the last digit."""
CHANNELS: Final = ("ticker", "trade", "book", "instrument")
DEPTHS: Final = (10, 25, 100, 500, 1000)
INDEX: Final = {pair[0]: index for index, pair in enumerate(PAIRS)}
REST_NAMES: Final = {"BTC": "XBT", "DOGE": "XDG"}


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
        except (ValueError, KeyError, TypeError, AttributeError):
            yield msgspec.json.encode({"error": "Malformed request", "success": False})
            return
        number = command.get("req_id")
        if method == "ping":
            yield self._stamped({"method": "pong"}, number)
        elif method not in ("subscribe", "unsubscribe") or params.get("channel") not in CHANNELS:
            refusal = {"method": method, "success": False, "error": "Unsupported method or channel"}
            yield self._stamped(refusal, number)
        elif params["channel"] == "instrument":
            yield from self._instrument(method, number, whole)
        else:
            for symbol in params.get("symbol") or ():
                yield from self._one(method, params, symbol, number, whole)

    def _one(
        self, method: str, params: Mapping[str, Any], symbol: str, number: int | None, whole: bool
    ) -> Iterable[bytes]:
        channel, depth = params["channel"], params.get("depth", 10)
        market = self._world.market(symbol) if isinstance(symbol, str) else None
        if market is None and whole:
            error = f"Currency pair not supported {symbol}"
            refusal = {"method": method, "success": False, "error": error, "symbol": symbol}
            yield self._stamped(refusal, number)
            return
        if channel == "book" and depth not in DEPTHS:
            refusal = {"method": method, "success": False, "error": "Depth not supported"}
            yield self._stamped({**refusal, "symbol": symbol}, number)
            return
        result = {"channel": channel, "symbol": symbol}
        if channel == "book":
            result["depth"] = depth
        if method == "subscribe":
            result["snapshot"] = True
        yield self._stamped({"method": method, "result": result, "success": True}, number)
        if market is None or not whole:
            return
        if method == "unsubscribe":
            self._subscribed[channel].pop(symbol, None)
            if not any(symbol in held for held in self._subscribed.values()):
                self._world.unwatch(self, market)
            return
        self._subscribed[channel][symbol] = depth
        self._world.watch(self, market)
        if channel == "book":
            yield self._book(market, "snapshot", *_ladder(market, depth), self._world.now_ns())
        elif channel == "ticker":
            yield self._ticker(market, "snapshot", self._world.now_ns())

    def _stamped(self, body: dict[str, Any], number: int | None) -> bytes:
        now = _rfc3339(self._world.now_ns())
        tail: dict[str, Any] = {} if number is None else {"req_id": number}
        return msgspec.json.encode({**body, "time_in": now, "time_out": now, **tail})

    def _instrument(self, method: str, number: int | None, whole: bool) -> Iterable[bytes]:
        result = {"channel": "instrument", "snapshot": True}
        yield self._stamped({"method": method, "result": result, "success": True}, number)
        if method == "subscribe" and whole:
            pairs = [_describe(index) for index in range(min(self._world.size, len(PAIRS)))]
            data = {"assets": [], "pairs": pairs}
            yield msgspec.json.encode({"channel": "instrument", "type": "snapshot", "data": data})

    def on_change(self, change: Change) -> Sequence[bytes]:
        depth = self._subscribed["book"].get(change.market.sym)
        if depth is None:
            return ()
        level = [(change.price, change.size)]
        bids, asks = (level, []) if change.side == "bid" else ([], level)
        return [self._book(change.market, "update", bids, asks, change.ts_ns)]

    def on_trade(self, trade: Trade) -> Sequence[bytes]:
        market = trade.market
        frames = []
        if market.sym in self._subscribed["trade"]:
            digits = market.listing
            frames.append(
                (
                    '{"channel":"trade","type":"update","data":[{"symbol":"%s","side":"%s",'
                    '"price":%s,"qty":%s,"ord_type":"limit","trade_id":%d,"timestamp":"%s"}]}'
                    % (
                        market.sym,
                        trade.taker,
                        text(trade.price, digits.price_decimals),
                        text(trade.size, digits.size_decimals),
                        trade.number,
                        _rfc3339(trade.ts_ns),
                    )
                ).encode()
            )
        frames += self.on_change(trade.change)
        if market.sym in self._subscribed["ticker"]:
            frames.append(self._ticker(market, "update", trade.ts_ns))
        return frames

    def on_life(self, life: Life) -> Sequence[bytes]:
        return ()

    def on_tick(self) -> Sequence[bytes]:
        return [b'{"channel":"heartbeat"}'] if any(self._subscribed.values()) else ()

    def _book(
        self,
        market: Market,
        kind: str,
        bids: Sequence[tuple[int, int]],
        asks: Sequence[tuple[int, int]],
        ts_ns: int,
    ) -> bytes:
        return (
            '{"channel":"book","type":"%s","data":[{"symbol":"%s","bids":[%s],"asks":[%s],'
            '"checksum":%d,"timestamp":"%s"}]}'
            % (
                kind,
                market.sym,
                _levels(market, bids),
                _levels(market, asks),
                checksum(market),
                _rfc3339(ts_ns),
            )
        ).encode()

    def _ticker(self, market: Market, kind: str, ts_ns: int) -> bytes:
        book, digits = market.book, market.listing
        bid, ask = book.best_bid or 0, book.best_ask or 0
        price = digits.price_decimals
        size = digits.size_decimals
        return (
            '{"channel":"ticker","type":"%s","data":[{"symbol":"%s","bid":%s,"bid_qty":%s,'
            '"ask":%s,"ask_qty":%s,"last":%s,"volume":%s,"timestamp":"%s"}]}'
            % (
                kind,
                market.sym,
                text(bid, price),
                text(book.bids.get(bid, 0), size),
                text(ask, price),
                text(book.asks.get(ask, 0), size),
                text(market.last or bid, price),
                text(market.volume, size),
                _rfc3339(ts_ns),
            )
        ).encode()


class KrakenVenue:
    name = "kraken"
    ws_path = "/v2"
    rest_path = "/0/public"
    tick_s = 1.0
    ping: bytes | None = None
    max_markets = len(PAIRS)
    lists_new = False

    def check(self, headers: Mapping[str, str], path: str, keys: Keys, now_ms: int) -> int:
        return 101

    def listing(self, index: int, seed: int) -> Listing:
        sym, price_decimals, size_decimals, price = PAIRS[index]
        return Listing(
            sym=sym,
            grid=range(1, 2 * price),
            mid=price,
            price_decimals=price_decimals,
            size_decimals=size_decimals,
            lot=1_234_567,
            levels=10,
        )

    def find(self, name: str) -> int | None:
        return INDEX.get(name)

    def session(self, world: World, number: int) -> KrakenSession:
        return KrakenSession(world)

    def rest(
        self, world: World, path: str, query: Mapping[str, str], posted: bytes | None = None
    ) -> Reply:
        route = path.removeprefix(self.rest_path)
        result: Any
        if route == "/AssetPairs":
            result = dict(_asset_pair(index) for index in range(min(world.size, len(PAIRS))))
        elif route == "/SystemStatus":
            result = {"status": "online", "timestamp": _rfc3339(world.now_ns())}
        elif route == "/Time":
            result = {"unixtime": world.now_ns() // 1_000_000_000}
        else:
            return Reply(404, b'{"error":["EGeneral:Unknown method"]}')
        return Reply(200, msgspec.json.encode({"error": [], "result": result}))

    def command(self, frame: bytes) -> Literal["subscribe", "ping", "other"]:
        if b'"subscribe"' in frame:
            return "subscribe"
        return "ping" if b'"ping"' in frame else "other"


def checksum(market: Market) -> int:
    """CRC32 of the best ten levels: digits without the point and leading zeros, asks first."""
    bids, asks = market.book.top(10)
    digits = [f"{number}" for level in (*asks, *bids) for number in level]
    return zlib.crc32("".join(digits).encode())


def _ladder(
    market: Market, depth: int
) -> tuple[Sequence[tuple[int, int]], Sequence[tuple[int, int]]]:
    return market.book.top(depth)


def _levels(market: Market, levels: Sequence[tuple[int, int]]) -> str:
    price, size = market.listing.price_decimals, market.listing.size_decimals
    return ",".join(f'{{"price":{text(p, price)},"qty":{text(s, size)}}}' for p, s in levels)


def _describe(index: int) -> dict[str, Any]:
    sym, price, size, _ = PAIRS[index]
    base, _, quote = sym.partition("/")
    return {
        "symbol": sym,
        "base": base,
        "quote": quote,
        "status": "online",
        "price_precision": price,
        "qty_precision": size,
        "price_increment": 10.0**-price,
    }


def _asset_pair(index: int) -> tuple[str, dict[str, Any]]:
    sym, price, size, _ = PAIRS[index]
    base, _, quote = (REST_NAMES.get(asset, asset) for asset in sym.partition("/"))
    return f"{base}{quote}", {
        "altname": f"{base}{quote}",
        "wsname": f"{base}/{quote}",
        "base": base,
        "quote": quote,
        "pair_decimals": price,
        "lot_decimals": size,
        "tick_size": text(1, price),
        "status": "online",
    }


def _rfc3339(ts_ns: int) -> str:
    seconds, rest = divmod(ts_ns, 1_000_000_000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest // 1000:06d}Z"


KRAKEN = KrakenVenue()
