"""Polymarket's market channel (docs.polymarket.com): books, changes, claimed tops."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal

import aiohttp

Book = dict[str, dict[Decimal, Decimal]]


@dataclass
class Seen:
    books: dict[str, Book] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)
    verified: int = 0
    pongs: int = 0
    counts: dict[str, int] = field(default_factory=dict)
    assets: set[str] = field(default_factory=set)
    frames: list[str] = field(default_factory=list)
    closed: int | None = None


async def run(
    session: aiohttp.ClientSession, url: str, assets: Sequence[str], *, features: bool = True
) -> Seen:
    """Subscribe, and verify until the server closes."""
    seen = Seen()
    async with session.ws_connect(url, max_msg_size=0) as socket:
        body = {"assets_ids": list(assets), "type": "market", "custom_feature_enabled": features}
        await socket.send_str(json.dumps(body))
        await socket.send_str("PING")
        async for message in socket:
            seen.frames.append(message.data)
            if message.data == "PONG":
                seen.pongs += 1
                continue
            found = json.loads(message.data)
            for event in found if isinstance(found, list) else [found]:
                hear(seen, event)
        seen.closed = socket.close_code
    return seen


def hear(seen: Seen, event: dict) -> None:
    kind = event.get("event_type", "book")
    seen.counts[kind] = seen.counts.get(kind, 0) + 1
    if kind == "book":
        seen.assets.add(event["asset_id"])
        seen.books[event["asset_id"]] = {
            side: {Decimal(level["price"]): Decimal(level["size"]) for level in event[name]}
            for side, name in (("BUY", "bids"), ("SELL", "asks"))
        }
    elif kind == "price_change":
        # Changes of one moment and hash belong together: the top holds after the last of them.
        for change in event["price_changes"]:
            _set(seen, change)
        for change in event["price_changes"]:
            _check(seen, change)


def _set(seen: Seen, change: dict) -> None:
    seen.assets.add(change["asset_id"])
    book = seen.books.get(change["asset_id"])
    if book is None:
        seen.wrong.append(f"{change['asset_id']}: a change before any book")
        return
    price, size = Decimal(change["price"]), Decimal(change["size"])
    if size:
        book[change["side"]][price] = size
    else:
        book[change["side"]].pop(price, None)


def _check(seen: Seen, change: dict) -> None:
    book = seen.books.get(change["asset_id"])
    if book is None:
        return
    own = max(book["BUY"], default=Decimal(0)), min(book["SELL"], default=Decimal(1))
    told = Decimal(change["best_bid"]), Decimal(change["best_ask"])
    if own == told:
        seen.verified += 1
    else:
        seen.wrong.append(f"{change['asset_id']}: {own} is not {told}")
