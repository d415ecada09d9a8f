"""Which markets the simulated Kalshi lists, by number, and how it writes prices and sizes."""

import re
from collections.abc import Sequence
from hashlib import md5
from typing import Final

from ssmd.sim.market import Listing, draw, text

EVENT_SIZE: Final = 10
"""Markets of one event."""
SERIES: Final = "KXSIM"
_TICKER: Final = re.compile(r"KXSIM-E(\d{5})-T(\d{6})")

Range = tuple[int, int, int]
STRUCTURES: Final[dict[str, tuple[Range, ...]]] = {
    "linear_cent": ((0, 10_000, 100),),
    "deci_cent": ((0, 10_000, 10),),
    "tapered_deci_cent": ((0, 1_000, 10), (1_000, 9_000, 100), (9_000, 10_000, 10)),
}
"""Price ranges (start, end, step) in units of 0.0001 dollars."""


def _grid(ranges: Sequence[Range]) -> tuple[int, ...]:
    prices = {price for start, end, step in ranges for price in range(start, end, step)}
    return tuple(sorted(prices - {0}))


_GRIDS: Final = {name: _grid(ranges) for name, ranges in STRUCTURES.items()}
PRICES: Final = tuple(text(units, 4) for units in range(10_001))
"""Every price as text."""


def size_text(units: int) -> str:
    return text(units, 2)


def structure(index: int) -> str:
    """Which price grid a market has: mostly whole cents."""
    cents = "linear_cent"
    return (cents, cents, cents, "deci_cent", "tapered_deci_cent")[index % 5]


def event_ticker(index: int) -> str:
    return f"{SERIES}-E{index // EVENT_SIZE:05d}"


def ticker(index: int) -> str:
    return f"{event_ticker(index)}-T{index:06d}"


def index_of(name: str) -> int | None:
    """The number in a ticker; None where the ticker is none of ours."""
    match = _TICKER.fullmatch(name)
    if match is None or int(match[1]) != int(match[2]) // EVENT_SIZE:
        return None
    return int(match[2])


def market_id(seed: int, index: int) -> str:
    return uuid(f"{seed}:{index}")


def uuid(what: str) -> str:
    """A text like a UUID that belongs to ``what``."""
    digits = md5(what.encode(), usedforsecurity=False).hexdigest()
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def listing(index: int, seed: int) -> Listing:
    name = structure(index)
    grid = _GRIDS[name]
    return Listing(
        sym=ticker(index),
        grid=grid,
        mid=len(grid) // 5 + draw(seed, index, len(grid) * 3 // 5, "mid"),
        price_decimals=4,
        size_decimals=2,
        lot=25 if name == "tapered_deci_cent" else 100,
        levels=20,
    )
