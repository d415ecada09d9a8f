"""Kalshi WebSocket v2 (docs.kalshi.com): books from snapshots and signed changes, dense ``seq``."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal

import aiohttp

Side = dict[Decimal, Decimal]


@dataclass
class Seen:
    channels: dict[int, str] = field(default_factory=dict)
    """sid -> channel."""
    last: dict[int, int] = field(default_factory=dict)
    """sid -> seq."""
    wrong: list[str] = field(default_factory=list)
    books: dict[str, dict[str, Side]] = field(default_factory=dict)
    trades: list[str] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    errors: list[dict] = field(default_factory=list)
    frames: list[str] = field(default_factory=list)
    closed: int | None = None


async def run(
    session: aiohttp.ClientSession,
    url: str,
    tickers: Sequence[str],
    channels: Sequence[str] = ("orderbook_delta", "trade", "ticker"),
    late: Sequence[str] = (),
) -> Seen:
    """Subscribe, and verify until the server closes. ``late`` tickers are added to the books once
    their subscription is acknowledged."""
    seen = Seen()
    async with session.ws_connect(url, max_msg_size=0) as socket:
        params = {"channels": list(channels), "market_tickers": list(tickers)}
        await socket.send_str(json.dumps({"id": 1, "cmd": "subscribe", "params": params}))
        async for message in socket:
            seen.frames.append(message.data)
            frame = json.loads(message.data)
            hear(seen, frame)
            if late and frame.get("msg", {}).get("channel") == "orderbook_delta":
                more = {"sids": [frame["msg"]["sid"]], "market_tickers": list(late)}
                params = {**more, "action": "add_markets"}
                body = {"id": 2, "cmd": "update_subscription", "params": params}
                await socket.send_str(json.dumps(body))
        seen.closed = socket.close_code
    return seen


def hear(seen: Seen, frame: dict) -> None:
    kind = frame["type"]
    seen.counts[kind] = seen.counts.get(kind, 0) + 1
    if kind == "subscribed":
        seen.channels[frame["msg"]["sid"]] = frame["msg"]["channel"]
        return
    if kind == "error":
        seen.errors.append(frame["msg"])
        return
    _number(seen, frame)
    if kind == "orderbook_snapshot":
        msg = frame["msg"]
        seen.books[msg["market_ticker"]] = {
            side: {Decimal(p): Decimal(s) for p, s in msg.get(f"{side}_dollars_fp", ())}
            for side in ("yes", "no")
        }
    elif kind == "orderbook_delta":
        _change(seen, frame["msg"])
    elif kind == "trade":
        seen.trades.append(frame["msg"]["trade_id"])


def _number(seen: Seen, frame: dict) -> None:
    """docs: "seq: sequential number that should be checked", per sid, from 1."""
    sid = frame["sid"]
    if sid not in seen.channels:
        seen.wrong.append(f"sid {sid} was never acknowledged")
    if "seq" in frame:
        if frame["seq"] != seen.last.get(sid, 0) + 1:
            seen.wrong.append(f"sid {sid}: {frame['seq']} after {seen.last.get(sid, 0)}")
        seen.last[sid] = frame["seq"]


def _change(seen: Seen, msg: dict) -> None:
    book = seen.books.get(msg["market_ticker"])
    if book is None:
        seen.wrong.append(f"{msg['market_ticker']}: a change before any snapshot")
        return
    side, price = book[msg["side"]], Decimal(msg["price_dollars"])
    side[price] = side.get(price, Decimal(0)) + Decimal(msg["delta_fp"])
    if side[price] < 0:
        seen.wrong.append(f"{msg['market_ticker']}: {side[price]} at {price}")
    if not side[price]:
        del side[price]
    if book["yes"] and book["no"] and max(book["yes"]) + max(book["no"]) >= 1:
        seen.wrong.append(f"{msg['market_ticker']}: crossed")
