"""What the simulated Kalshi lists, as its REST tells it: markets, events, series, fees."""

from datetime import UTC, datetime
from typing import Any, Final

from ssmd.sim.market import Market, draw
from ssmd.sim.venues.kalshi_frames import close_s, price_ranges, stamp
from ssmd.sim.venues.kalshi_listing import (
    EVENT_SIZE,
    PRICES,
    SERIES,
    event_ticker,
    size_text,
    structure,
    ticker,
)
from ssmd.sim.world import World

NS_PER_S: Final = 1_000_000_000
_WHOLE: Final = 10_000
_DAY_NS: Final = 86_400 * NS_PER_S
_STATUS: Final = {
    "created": "initialized",
    "open": "active",
    "closed": "determined",
    "settled": "finalized",
}


def market_object(world: World, index: int) -> dict[str, Any]:
    """A market as listed. One that nobody has looked at is known by its opening prices."""
    market = world.peek(index)
    if market is None:
        listing = world.venue.listing(index, world.seed)
        bid, ask, last = listing.grid[listing.mid - 1], listing.grid[listing.mid + 1], 0
    else:
        found = market.book.best_ask
        bid, ask = market.book.best_bid or 0, _WHOLE if found is None else found
        last = market.last or 0
    volume = draw(world.seed, index, 10_000_000, "volume") + (market.volume if market else 0)
    closes = seconds(close_s(index, world.began_ns // NS_PER_S))
    created = stamp(world.created_ns(index))
    return {
        "ticker": ticker(index),
        "event_ticker": event_ticker(index),
        "market_type": "binary",
        "status": _STATUS[world.status(index)],
        "open_time": created,
        "created_time": created,
        "updated_time": stamp(world.updated_ns(index)),
        "close_time": closes,
        "expected_expiration_time": closes,
        "expiration_time": closes,
        "latest_expiration_time": closes,
        "title": f"Will simulated market {index} settle yes?",
        "yes_sub_title": "Yes",
        "no_sub_title": "No",
        "rules_primary": "Settles by the seed.",
        "rules_secondary": "",
        "settlement_timer_seconds": 1,
        "price_level_structure": structure(index),
        "price_ranges": price_ranges(index),
        "yes_bid_dollars": PRICES[bid],
        "yes_ask_dollars": PRICES[ask],
        "no_bid_dollars": PRICES[_WHOLE - ask],
        "no_ask_dollars": PRICES[_WHOLE - bid],
        "last_price_dollars": PRICES[last],
        "volume_fp": size_text(volume),
        "volume_24h_fp": size_text(volume),
        "open_interest_fp": size_text(volume),
        "notional_value_dollars": "1.0000",
        "can_close_early": True,
        "strike_type": "greater",
        "floor_strike": index % EVENT_SIZE,
        "exchange_index": 0,
        "result": (market.result if market else None) or "",
        **_settled(world, index, market),
    }


def _settled(world: World, index: int, market: Market | None) -> dict[str, str]:
    if market is None or market.status != "settled":
        return {"expiration_value": ""}
    won = market.result == "yes"
    return {
        "expiration_value": "1" if won else "0",
        "settlement_value_dollars": PRICES[_WHOLE if won else 0],
        "settlement_ts": stamp(world.updated_ns(index)),
    }


def event_object(number: int) -> dict[str, Any]:
    return {
        "event_ticker": f"{SERIES}-E{number:05d}",
        "series_ticker": SERIES,
        "title": f"Simulated event {number}",
        "sub_title": "",
        "category": "Simulation",
        "mutually_exclusive": False,
        "collateral_return_type": "MECNET",
        "exchange_index": 0,
    }


def series_object() -> dict[str, Any]:
    return {
        "ticker": SERIES,
        "title": "Simulated markets",
        "category": "Simulation",
        "frequency": "custom",
        "tags": ["Simulation"],
        "fee_type": "quadratic",
        "fee_multiplier": 1,
        "settlement_sources": [{"name": "The seed", "url": "https://example.com/seed"}],
        "contract_url": "https://example.com/SIM.pdf",
        "contract_terms_url": "https://example.com/SIM-terms.pdf",
        "additional_prohibitions": None,
    }


def fee_changes(world: World, *, past: bool) -> list[dict[str, Any]]:
    """One that came into force a month before the simulation began, where past ones are asked for,
    and one that will a week after."""
    changes = ((-30, "quadratic", 1), (7, "quadratic_with_maker_fees", 2))
    return [
        {
            "id": str(number),
            "series_ticker": SERIES,
            "fee_type": kind,
            "fee_multiplier": multiplier,
            "scheduled_ts": seconds((world.began_ns + days * _DAY_NS) // NS_PER_S),
        }
        for number, (days, kind, multiplier) in enumerate(changes, 1)
        if past or days > 0
    ]


def seconds(at_s: int) -> str:
    return datetime.fromtimestamp(at_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
