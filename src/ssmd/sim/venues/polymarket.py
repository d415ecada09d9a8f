"""Polymarket's market channel, simulated: no acks, no sequences, hashes, both outcomes a change."""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, Literal

import msgspec

from ssmd.exchanges.polymarket_hash import book_hash
from ssmd.sim.market import Change, Life, Listing, Market, Trade, draw, text
from ssmd.sim.venues import polymarket_gamma as gamma
from ssmd.sim.venues.base import Keys, Reply
from ssmd.sim.venues.polymarket_listing import TICK, condition, index_of, outcome, question, token
from ssmd.sim.world import World

MAX_ASSETS: Final = 500


class PolymarketSession:
    def __init__(self, world: World) -> None:
        self._world = world
        self._assets: set[str] = set()
        self._features = False

    def greet(self) -> Iterable[bytes]:
        return ()

    def rehearse(self, recorded: Sequence[bytes]) -> None:
        """There is nothing to acknowledge."""

    def acks(self, frame: bytes) -> Iterable[bytes]:
        return ()

    def on_frame(self, frame: bytes) -> Iterable[bytes]:
        if frame == b"PING":
            yield b"PONG"
            return
        try:
            command = json.loads(frame)
            assets = [asset for asset in command["assets_ids"] if isinstance(asset, str)]
        except (ValueError, KeyError, TypeError, RecursionError):
            yield b"INVALID OPERATION"
            return
        if command.get("operation") == "unsubscribe":
            self._assets.difference_update(assets)
            return
        self._features = bool(command.get("custom_feature_enabled", self._features))
        books = []
        for asset in assets:
            market = self._world.market(asset)
            if market is not None:
                self._assets.add(asset)
                self._world.watch(self, market)
                books.append(self._book(market, outcome(asset)))
        # Above the limit the exchange answers nothing, and says nothing of it.
        if len(self._assets) <= MAX_ASSETS:
            yield msgspec.json.encode(books)

    def _book(self, market: Market, side: int) -> dict[str, Any]:
        bids, asks = market.book.top(1000)
        if side:
            bids, asks = (
                [(market.mirror(price), size) for price, size in asks],
                [(market.mirror(price), size) for price, size in bids],
            )
        body = {
            "market": condition(market.index),
            "asset_id": token(market.index, side),
            "timestamp": str(self._world.now_ns() // 1_000_000),
            "hash": "",
            "bids": [_level(level) for level in reversed(bids)],
            "asks": [_level(level) for level in reversed(asks)],
            "tick_size": TICK,
            "event_type": "book",
            "last_trade_price": _price(market.last or market.mid),
        }
        body["hash"] = book_hash(body, min_order_size="5", neg_risk=False)
        return body

    def on_change(self, change: Change) -> Sequence[bytes]:
        market = change.market
        changes = [
            self._change(change, side)
            for side in (0, 1)
            if token(market.index, side) in self._assets
        ]
        if not changes:
            return ()
        body = {
            "market": condition(market.index),
            "price_changes": changes,
            "timestamp": str(change.ts_ns // 1_000_000),
            "event_type": "price_change",
        }
        return [msgspec.json.encode(body)]

    def _change(self, change: Change, side: int) -> dict[str, str]:
        market = change.market
        bid, ask = market.book.best_bid, market.book.best_ask
        price, buys = change.price, change.side == "bid"
        if side:
            price, buys = market.mirror(price), not buys
            bid, ask = (
                None if ask is None else market.mirror(ask),
                None if bid is None else market.mirror(bid),
            )
        seed = f"{market.sym}:{change.seq}:{side}"
        return {
            "asset_id": token(market.index, side),
            "price": _price(price),
            "size": text(change.size, 2),
            "side": "BUY" if buys else "SELL",
            "hash": hashlib.sha1(seed.encode(), usedforsecurity=False).hexdigest(),
            "best_bid": "0" if bid is None else _price(bid),
            "best_ask": "1" if ask is None else _price(ask),
        }

    def on_trade(self, trade: Trade) -> Sequence[bytes]:
        market = trade.market
        side = 0 if token(market.index, 0) in self._assets else 1
        asset = token(market.index, side)
        if asset not in self._assets:
            return ()
        buys = (trade.taker == "buy") is (side == 0)
        body = {
            "event_type": "last_trade_price",
            "market": condition(market.index),
            "asset_id": asset,
            "fee_rate_bps": "0",
            "price": _price(market.mirror(trade.price) if side else trade.price),
            "side": "BUY" if buys else "SELL",
            "size": text(trade.size, 2),
            "timestamp": str(trade.ts_ns // 1_000_000),
            "transaction_hash": f"0x{market.index:032x}{trade.number:032x}",
        }
        return [*self.on_change(trade.change), msgspec.json.encode(body)]

    def on_life(self, life: Life) -> Sequence[bytes]:
        index = life.market.index
        tokens = [token(index, 0), token(index, 1)]
        stamp = str(life.ts_ns // 1_000_000)
        if not self._features or life.status not in ("created", "settled"):
            return ()
        body: dict[str, Any] = {"id": str(index), "market": condition(index), "assets_ids": tokens}
        if life.status == "created":
            body |= {
                "event_type": "new_market",
                "question": question(index),
                "slug": f"sim-{index}",
            }
            body |= {"outcomes": ["Yes", "No"], "active": True, "clob_token_ids": tokens}
            body |= {"order_price_min_tick_size": TICK, "condition_id": condition(index)}
        else:
            won = 0 if life.result == "yes" else 1
            body |= {"event_type": "market_resolved", "winning_asset_id": tokens[won]}
            body |= {"winning_outcome": ("Yes", "No")[won]}
        return [msgspec.json.encode({**body, "timestamp": stamp})]

    def on_tick(self) -> Sequence[bytes]:
        return ()


class PolymarketVenue:
    name = "polymarket"
    ws_path = "/ws/market"
    rest_path = ""
    tick_s = 10.0
    ping: bytes | None = None
    max_markets = 100_000
    lists_new = True

    def check(self, headers: Mapping[str, str], path: str, keys: Keys, now_ms: int) -> int:
        return 101

    def listing(self, index: int, seed: int) -> Listing:
        return Listing(
            sym=condition(index),
            grid=range(1, 100),
            mid=20 + draw(seed, index, 60, "mid"),
            price_decimals=2,
            size_decimals=2,
            lot=100,
            levels=20,
        )

    def find(self, name: str) -> int | None:
        return index_of(name)

    def session(self, world: World, number: int) -> PolymarketSession:
        return PolymarketSession(world)

    def rest(
        self, world: World, path: str, query: Mapping[str, str], posted: bytes | None = None
    ) -> Reply:
        if path.startswith("/markets"):
            return gamma.answer(world, path, query)
        market = world.market(query.get("token_id", "")) if path == "/book" else None
        if market is None:
            return Reply(404, b'{"error":"not found"}')
        session = PolymarketSession(world)
        return Reply(200, msgspec.json.encode(session._book(market, outcome(query["token_id"]))))

    def command(self, frame: bytes) -> Literal["subscribe", "ping", "other"]:
        if frame == b"PING":
            return "ping"
        return "subscribe" if b"assets_ids" in frame and b"unsubscribe" not in frame else "other"


def _price(cents: int) -> str:
    return text(cents, 2)


def _level(level: tuple[int, int]) -> dict[str, str]:
    return {"price": _price(level[0]), "size": text(level[1], 2)}


POLYMARKET = PolymarketVenue()
