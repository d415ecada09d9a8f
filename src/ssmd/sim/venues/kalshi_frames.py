"""The messages of the simulated Kalshi, field by field in the order of its recordings."""

import time
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import msgspec

from ssmd.sim.market import Change, Life, Market, Trade
from ssmd.sim.venues.kalshi_listing import (
    EVENT_SIZE,
    PRICES,
    SERIES,
    STRUCTURES,
    event_ticker,
    market_id,
    size_text,
    structure,
    uuid,
)

encode = msgspec.json.encode
_WHOLE = 10_000


class Facts:
    """What stands in every message of a market; kept in ``Market.extra``."""

    __slots__ = ("id", "names")

    def __init__(self, market: Market, seed: int) -> None:
        self.id = market_id(seed, market.index)
        self.names = f'"market_ticker":"{market.sym}","market_id":"{self.id}"'


def facts(market: Market, seed: int) -> Facts:
    if market.extra is None:
        market.extra = Facts(market, seed)
    assert isinstance(market.extra, Facts)
    return market.extra


@lru_cache(maxsize=2)
def _second(seconds: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))


def stamp(ts_ns: int) -> str:
    """RFC 3339 with microseconds."""
    seconds, rest = divmod(ts_ns, 1_000_000_000)
    return f"{_second(seconds)}.{rest // 1000:06d}Z"


def delta(change: Change, names: str, sid: int, seq: int, yes_price: bool) -> bytes:
    if change.side == "bid":
        side, price = "yes", change.price
    else:
        side, price = "no", change.price if yes_price else _WHOLE - change.price
    units = change.delta
    size = f"{'-' if units < 0 else ''}{abs(units) // 100}.{abs(units) % 100:02d}"
    return (
        f'{{"type":"orderbook_delta","sid":{sid},"seq":{seq},"msg":{{{names},'
        f'"price_dollars":"{PRICES[price]}","delta_fp":"{size}","side":"{side}",'
        f'"ts":"{stamp(change.ts_ns)}","ts_ms":{change.ts_ns // 1_000_000}}}}}'
    ).encode()


def snapshot(
    market: Market, names: str, sid: int, seq: int, yes_price: bool, request: int = 0
) -> bytes:
    """Levels ascending, so that the best is the last; a side without levels is absent."""
    bids, asks = market.book.top(1_000_000)
    sides = []
    for key, levels in (
        ("yes_dollars_fp", [(price, size) for price, size in reversed(bids)]),
        ("no_dollars_fp", [(p if yes_price else _WHOLE - p, size) for p, size in reversed(asks)]),
    ):
        if levels:
            pairs = ",".join(f'["{PRICES[price]}","{size_text(size)}"]' for price, size in levels)
            sides.append(f',"{key}":[{pairs}]')
    head = f'"id":{request},' if request else ""
    return (
        f'{{{head}"type":"orderbook_snapshot","sid":{sid},"seq":{seq},'
        f'"msg":{{{names}{"".join(sides)}}}}}'
    ).encode()


def trade(event: Trade, sid: int, seq: int) -> bytes:
    taker, book_side = ("yes", "bid") if event.taker == "buy" else ("no", "ask")
    ts_ms = event.ts_ns // 1_000_000
    return (
        f'{{"type":"trade","sid":{sid},"seq":{seq},"msg":{{'
        f'"trade_id":"{trade_id(event)}","market_ticker":"{event.market.sym}",'
        f'"yes_price_dollars":"{PRICES[event.price]}",'
        f'"no_price_dollars":"{PRICES[_WHOLE - event.price]}",'
        f'"count_fp":"{size_text(event.size)}","taker_side":"{taker}",'
        f'"taker_outcome_side":"{taker}","taker_book_side":"{book_side}",'
        f'"ts":{ts_ms // 1000},"ts_ms":{ts_ms}}}}}'
    ).encode()


def trade_id(event: Trade) -> str:
    return uuid(f"{event.market.extra.id}:{event.number}")


def ticker(market: Market, market_facts: Facts, sid: int, ts_ns: int) -> bytes:
    book = market.book
    bid, ask = book.best_bid, book.best_ask
    ts_ms = ts_ns // 1_000_000
    volume = size_text(market.volume)
    dollars = market.turnover // 1_000_000
    return (
        f'{{"type":"ticker","sid":{sid},"msg":{{{market_facts.names},'
        f'"price_dollars":"{PRICES[market.last or 0]}",'
        f'"yes_bid_dollars":"{PRICES[bid or 0]}",'
        f'"yes_ask_dollars":"{PRICES[_WHOLE if ask is None else ask]}",'
        f'"yes_bid_size_fp":"{size_text(book.bids[bid] if bid else 0)}",'
        f'"yes_ask_size_fp":"{size_text(book.asks[ask] if ask else 0)}",'
        f'"last_trade_size_fp":"{size_text(market.last_size)}","volume_fp":"{volume}",'
        f'"open_interest_fp":"{volume}","dollar_volume":{dollars},'
        f'"dollar_open_interest":{dollars},"ts":{ts_ms // 1000},"ts_ms":{ts_ms}}}}}'
    ).encode()


def lifecycle(life: Life, sid: int, seq: int, began_s: int) -> list[bytes]:
    """The frames of a step in a market's life, numbered from ``seq`` on."""
    index, now_s = life.market.index, life.ts_ns // 1_000_000_000
    messages: list[Mapping[str, Any]] = []
    head = {"market_ticker": life.market.sym}
    if life.status == "created":
        if index % EVENT_SIZE == 0:
            messages.append(_event(index))
        messages.append({"event_type": "created", **head, **_created(index, began_s, now_s)})
    elif life.status == "open":
        messages.append({"event_type": "activated", **head})
    elif life.status == "closed":
        messages.append({"event_type": "determined", **head, "determination_ts": now_s})
        messages[0] |= {"result": life.result}  # type: ignore[operator]
    else:
        value = "1.0000" if life.result == "yes" else "0.0000"
        messages.append({"event_type": "settled", **head, "settled_ts": now_s})
        messages[0] |= {"result": life.result, "settlement_value": value}  # type: ignore[operator]
    return [
        encode(
            {
                "type": "market_lifecycle_v2" if "event_type" in msg else "event_lifecycle",
                "sid": sid,
                "seq": number,
                "msg": msg,
            }
        )
        for number, msg in enumerate(messages, seq)
    ]


def price_ranges(index: int) -> list[dict[str, str]]:
    return [
        {"start": PRICES[start], "end": PRICES[end], "step": PRICES[step]}
        for start, end, step in STRUCTURES[structure(index)]
    ]


def close_s(index: int, began_s: int) -> int:
    """When a market is to close: a day to ten days after the simulation began, on the hour."""
    return began_s // 3600 * 3600 + 86_400 * (1 + index % 10)


def _event(index: int) -> dict[str, Any]:
    return {
        "event_ticker": event_ticker(index),
        "exchange_index": 0,
        "title": f"Simulated event {index // EVENT_SIZE}",
        "subtitle": "",
        "collateral_return_type": "MECNET",
        "series_ticker": SERIES,
    }


def _created(index: int, began_s: int, now_s: int) -> dict[str, Any]:
    return {
        "open_ts": now_s,
        "close_ts": close_s(index, began_s),
        "price_level_structure": structure(index),
        "price_ranges": price_ranges(index),
        "additional_metadata": {
            "name": f"Simulated market {index}",
            "title": f"Will simulated market {index} settle yes?",
            "yes_sub_title": "Yes",
            "no_sub_title": "No",
            "rules_primary": "Settles by the seed.",
            "rules_secondary": "",
            "can_close_early": True,
            "event_ticker": event_ticker(index),
            "expected_expiration_ts": close_s(index, began_s),
            "strike_type": "greater",
            "floor_strike": index % EVENT_SIZE,
        },
    }
