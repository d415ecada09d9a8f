"""Gamma of the simulated Polymarket: its list of markets. Shapes from recordings of 2026."""

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from ssmd.sim.venues.base import Reply
from ssmd.sim.venues.polymarket_listing import condition, index_of, question, token
from ssmd.sim.world import World

_NUMBER: Final = re.compile(r"[0-9]{1,9}")
_END: Final = "2028-01-01T05:00:00Z"


def answer(world: World, path: str, query: Mapping[str, str]) -> Reply:
    match path:
        case "/markets/keyset":
            return _keyset(world, query)
        case "/markets":
            return _named(world, query)
    return Reply(404, b'{"error":"not found"}')


def _named(world: World, query: Mapping[str, str]) -> Reply:
    """The markets of a condition id; those that are closed where that is asked for, else those that
    are not."""
    index = index_of(query.get("condition_ids", ""))
    found = [] if index is None or not 0 <= index < world.size else [_describe(world, index)]
    wanted = query.get("closed") == "true"
    return Reply(200, msgspec.json.encode([one for one in found if one["closed"] == wanted]))


def _keyset(world: World, query: Mapping[str, str]) -> Reply:
    limit, after = query.get("limit", "100"), query.get("after_cursor") or "0"
    numbers = _NUMBER.fullmatch(limit) and _NUMBER.fullmatch(after)
    if not numbers or not 0 < int(limit) <= 100:
        return Reply(400, b'{"error":"bad request"}')
    if "offset" in query:
        return Reply(422, b'{"error":"offset is not supported"}')
    first = int(after)
    last = min(first + int(limit), world.size)
    page: dict[str, Any] = {"markets": [_describe(world, index) for index in range(first, last)]}
    if last < world.size:
        page["next_cursor"] = str(last)
    return Reply(200, msgspec.json.encode(page))


def _describe(world: World, index: int) -> dict[str, Any]:
    closed = world.status(index) in ("closed", "settled")
    return {
        "id": str(index),
        "question": question(index),
        "conditionId": condition(index),
        "slug": f"sim-{index}",
        "resolutionSource": "",
        "endDate": _END,
        "startDate": _at(world.created_ns(index)),
        "outcomes": '["Yes", "No"]',
        "active": True,
        "closed": closed,
        "createdAt": _at(world.created_ns(index)),
        "updatedAt": _at(world.updated_ns(index)),
        "archived": False,
        "questionID": f"0x{index + 1:064x}",
        "enableOrderBook": True,
        "orderPriceMinTickSize": 0.01,
        "orderMinSize": 5,
        "clobTokenIds": json.dumps([token(index, 0), token(index, 1)]),
        "acceptingOrders": not closed,
        "negRisk": False,
        "volumeNum": 1000.0,
        "feesEnabled": True,
        "feeType": "sports_fees_v2",
        "feeSchedule": {"exponent": 1, "rate": 0.03, "rebateRate": 0.25, "takerOnly": True},
        "makerBaseFee": 1000,
        "takerBaseFee": 1000,
        **(_resolved(world, index) if closed else {}),
    }


def _resolved(world: World, index: int) -> dict[str, str]:
    market = world.at(index)
    at = datetime.fromtimestamp(world.updated_ns(index) // 1_000_000_000, UTC)
    return {
        "outcomePrices": '["1", "0"]' if market.result == "yes" else '["0", "1"]',
        "closedTime": f"{at:%Y-%m-%d %H:%M:%S}+00",
        "umaEndDate": f"{at:%Y-%m-%dT%H:%M:%S}Z",
        "umaResolutionStatus": "resolved",
    }


def _at(ns: int) -> str:
    moment = datetime.fromtimestamp(ns // 1_000_000_000, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{ns // 1000 % 1_000_000:06d}Z"
