"""Kraken Futures WebSocket v1 (docs.kraken.com/api/docs/futures-api): ``seq`` of each product."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal

import aiohttp


@dataclass
class Seen:
    info: list[dict] = field(default_factory=list)
    acks: list[dict] = field(default_factory=list)
    errors: list[dict] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    seqs: dict[str, int] = field(default_factory=dict)
    trades: dict[str, list[int]] = field(default_factory=dict)
    books: dict[str, dict[str, dict[Decimal, Decimal]]] = field(default_factory=dict)
    verified: int = 0
    counts: dict[str, int] = field(default_factory=dict)
    frames: list[str] = field(default_factory=list)
    closed: int | None = None


async def run(
    session: aiohttp.ClientSession,
    url: str,
    products: Sequence[str],
    feeds: Sequence[str] = ("book", "trade", "ticker"),
) -> Seen:
    """Subscribe, and verify until the server closes."""
    seen = Seen()
    async with session.ws_connect(url, max_msg_size=0) as socket:
        for feed in feeds:
            body = {"event": "subscribe", "feed": feed, "product_ids": list(products)}
            await socket.send_str(json.dumps(body))
        async for message in socket:
            seen.frames.append(message.data)
            hear(seen, json.loads(message.data, parse_float=Decimal, parse_int=int))
        seen.closed = socket.close_code
    return seen


def hear(seen: Seen, frame: dict) -> None:
    if "event" in frame:
        kind = {"info": seen.info, "error": seen.errors}.get(frame["event"], seen.acks)
        kind.append(frame)
        return
    feed, product = frame["feed"], frame.get("product_id")
    seen.counts[feed] = seen.counts.get(feed, 0) + 1
    if feed == "book_snapshot":
        seen.seqs[product] = frame["seq"]
        seen.books[product] = {
            side: {Decimal(level["price"]): Decimal(level["qty"]) for level in frame[side]}
            for side in ("bids", "asks")
        }
    elif feed == "book":
        _delta(seen, frame)
    elif feed == "trade_snapshot":
        numbers = sorted(trade["seq"] for trade in frame["trades"])
        seen.trades.setdefault(product, []).extend(numbers)
    elif feed == "trade":
        seen.trades.setdefault(product, []).append(frame["seq"])


def _delta(seen: Seen, frame: dict) -> None:
    product = frame["product_id"]
    if product not in seen.books:
        seen.wrong.append(f"{product}: a delta before any snapshot")
        return
    if frame["seq"] != seen.seqs[product] + 1:
        seen.wrong.append(f"{product}: {frame['seq']} after {seen.seqs[product]}")
    seen.seqs[product] = frame["seq"]
    side = seen.books[product]["bids" if frame["side"] == "buy" else "asks"]
    price, qty = Decimal(frame["price"]), Decimal(frame["qty"])
    if qty:
        side[price] = qty
    elif side.pop(price, None) is None:
        seen.wrong.append(f"{product}: {price} is taken away, and was never there")
    seen.verified += 1
