"""Which pairs the simulated Kraken lists, and what each of its names for them is."""

import re
from typing import Any, Final, NamedTuple

from ssmd.sim.market import Listing, text

MOST_PAIRS: Final = 1_000
LEVELS: Final = 60
"""More than the smaller depths show, so that levels fall out of them and come up again."""


class Pair(NamedTuple):
    """``price`` is where the market starts, in units of its last digit."""

    sym: str
    price_decimals: int
    size_decimals: int
    price: int


_KNOWN: Final = (
    Pair("BTC/USD", 1, 8, 600_000),
    Pair("ETH/USD", 2, 8, 250_000),
    Pair("SOL/USD", 2, 8, 15_000),
    Pair("XRP/USD", 5, 8, 60_000),
    Pair("DOGE/USD", 7, 8, 1_200_000),
    Pair("ADA/USD", 6, 8, 450_000),
    Pair("LTC/USD", 2, 8, 9_000),
    Pair("BTC/EUR", 1, 8, 550_000),
    Pair("ETH/EUR", 2, 8, 230_000),
    Pair("ETH/BTC", 5, 8, 4_000),
)
_INDEX: Final = {pair.sym: index for index, pair in enumerate(_KNOWN)}
_MADE: Final = re.compile(r"SIM(\d{3})/USD")
_REST_NAMES: Final = {"BTC": "XBT", "DOGE": "XDG"}


def pair(index: int) -> Pair:
    if index < len(_KNOWN):
        return _KNOWN[index]
    return Pair(f"SIM{index:03d}/USD", 2 + index % 4, 8, 10_000 + 100 * index)


def index_of(name: str) -> int | None:
    match = _MADE.fullmatch(name)
    if match is not None and len(_KNOWN) <= int(match[1]) < MOST_PAIRS:
        return int(match[1])
    return _INDEX.get(name)


def listing(index: int) -> Listing:
    found = pair(index)
    return Listing(
        sym=found.sym,
        grid=range(1, 2 * found.price),
        mid=found.price,
        price_decimals=found.price_decimals,
        size_decimals=found.size_decimals,
        lot=1_234_567,
        levels=LEVELS,
    )


def rest_name(sym: str) -> str:
    """What REST calls a pair: ``XBTUSD``."""
    return "".join(_REST_NAMES.get(asset, asset) for asset in sym.split("/"))


def index_of_rest(name: str, size: int) -> int | None:
    """The pair that a REST query means, by any of its names."""
    for index in range(size):
        sym = pair(index).sym
        if name in (sym, rest_name(sym)):
            return index
    return None


def described(index: int) -> dict[str, Any]:
    """As in the instrument channel."""
    found = pair(index)
    base, _, quote = found.sym.partition("/")
    return {
        "symbol": found.sym,
        "base": base,
        "quote": quote,
        "status": "online",
        "price_precision": found.price_decimals,
        "qty_precision": found.size_decimals,
        "price_increment": 10.0**-found.price_decimals,
    }


def asset_pair(index: int) -> tuple[str, dict[str, Any]]:
    """As in REST's AssetPairs."""
    found = pair(index)
    base, _, quote = (_REST_NAMES.get(asset, asset) for asset in found.sym.partition("/"))
    return f"{base}{quote}", {
        "altname": f"{base}{quote}",
        "wsname": f"{base}/{quote}",
        "aclass_base": "currency",
        "base": base,
        "aclass_quote": "currency",
        "quote": quote,
        "lot": "unit",
        "cost_decimals": 5,
        "pair_decimals": found.price_decimals,
        "lot_decimals": found.size_decimals,
        "lot_multiplier": 1,
        "leverage_buy": [],
        "leverage_sell": [],
        "fees": [[0, 0.4], [10000, 0.35], [10000000, 0.1]],
        "fees_maker": [[0, 0.25], [10000, 0.2], [10000000, 0.0]],
        "fee_volume_currency": "ZUSD",
        "margin_call": 80,
        "margin_stop": 40,
        "ordermin": "0.0001",
        "costmin": "0.5",
        "tick_size": text(1, found.price_decimals),
        "status": "online",
    }
