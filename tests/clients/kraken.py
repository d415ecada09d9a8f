"""Kraken spot WebSocket v2 (docs.kraken.com/api/docs/websocket-v2): books with their CRC32."""

import json
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal

import aiohttp


@dataclass
class Book:
    """docs: "keep the book at the subscribed depth: remove qty 0, truncate after each update"."""

    depth: int
    bids: dict[Decimal, str] = field(default_factory=dict)
    asks: dict[Decimal, str] = field(default_factory=dict)
    texts: dict[Decimal, str] = field(default_factory=dict)

    def update(self, entry: dict) -> None:
        for name, side, descending in (("bids", self.bids, True), ("asks", self.asks, False)):
            for level in entry[name]:
                price = Decimal(level["price"])
                self.texts[price] = level["price"]
                if Decimal(level["qty"]) == 0:
                    side.pop(price, None)
                else:
                    side[price] = level["qty"]
            for price in sorted(side, reverse=descending)[self.depth :]:
                del side[price]

    def checksum(self) -> int:
        """docs, "Book checksum v2": ten asks ascending, ten bids descending; digits only."""
        asks = [(self.texts[p], self.asks[p]) for p in sorted(self.asks)[:10]]
        bids = [(self.texts[p], self.bids[p]) for p in sorted(self.bids, reverse=True)[:10]]
        digits = [number.replace(".", "").lstrip("0") for level in asks + bids for number in level]
        return zlib.crc32("".join(digits).encode())


@dataclass
class Seen:
    verified: int = 0
    snapshots: int = 0
    wrong: list[str] = field(default_factory=list)
    trades: dict[str, list[int]] = field(default_factory=dict)
    acks: list[dict] = field(default_factory=list)
    errors: list[dict] = field(default_factory=list)
    tickers: int = 0
    heartbeats: int = 0
    pairs: dict[str, dict] = field(default_factory=dict)
    status: list[dict] = field(default_factory=list)
    books: dict[str, Book] = field(default_factory=dict)
    frames: list[str] = field(default_factory=list)
    closed: int | None = None


async def run(
    session: aiohttp.ClientSession, url: str, symbols: Sequence[str], *, depth: int = 10
) -> Seen:
    """Subscribe to everything of the symbols, and verify until the server closes."""
    seen = Seen()
    async with session.ws_connect(url, max_msg_size=0) as socket:
        for number, params in enumerate(
            (
                {"channel": "instrument"},
                {"channel": "ticker", "symbol": list(symbols)},
                {"channel": "trade", "symbol": list(symbols), "snapshot": True},
                {"channel": "book", "symbol": list(symbols), "depth": depth},
            ),
            1,
        ):
            await socket.send_str(
                json.dumps({"method": "subscribe", "params": params, "req_id": number})
            )
        await socket.send_str(json.dumps({"method": "ping", "req_id": 99}))
        async for message in socket:
            seen.frames.append(message.data)
            # Numbers stay text: the checksum is made of their digits.
            hear(seen, json.loads(message.data, parse_float=str), depth)
        seen.closed = socket.close_code
    return seen


def hear(seen: Seen, frame: dict, depth: int) -> None:
    if "method" in frame:
        (seen.acks if frame.get("success", True) else seen.errors).append(frame)
    elif frame["channel"] == "heartbeat":
        seen.heartbeats += 1
    elif frame["channel"] == "status":
        seen.status += frame["data"]
    elif frame["channel"] == "instrument":
        seen.pairs |= {pair["symbol"]: pair for pair in frame["data"]["pairs"]}
    elif frame["channel"] == "ticker":
        seen.tickers += len(frame["data"])
    elif frame["channel"] == "trade":
        for trade in frame["data"]:
            seen.trades.setdefault(trade["symbol"], []).append(trade["trade_id"])
    elif frame["channel"] == "book":
        for entry in frame["data"]:
            _book(seen, frame["type"], {**entry, **_texts(entry)}, depth)


def _texts(entry: dict) -> dict:
    return {
        side: [{key: str(value) for key, value in level.items()} for level in entry[side]]
        for side in ("bids", "asks")
    }


def _book(seen: Seen, kind: str, entry: dict, depth: int) -> None:
    symbol = entry["symbol"]
    if kind == "snapshot":
        seen.snapshots += 1
        seen.books[symbol] = Book(depth)
    elif symbol not in seen.books:
        seen.wrong.append(f"{symbol}: an update before any snapshot")
        return
    book = seen.books[symbol]
    book.update(entry)
    if book.checksum() == entry["checksum"]:
        seen.verified += 1
    else:
        seen.wrong.append(f"{symbol}: checksum {book.checksum()} is not {entry['checksum']}")
