"""State builders: what folds the records of one instrument into a state."""

from typing import Final

from msgspec import Struct


class Builder(Struct, frozen=True):
    """What folds records into a state; ``available`` where it can be used."""

    id: str
    description: str
    derived: tuple[str, ...]
    available: bool = False


BUILDERS: Final = (
    Builder(
        "orderbook",
        "the book of one instrument, from snapshots and deltas (planned for the agent)",
        ("spread", "bestBid", "bestAsk", "bidDepth", "askDepth", "midpoint"),
    ),
    Builder(
        "priceHistory",
        "prices of one instrument over a window of trades (planned for the agent)",
        ("last", "vwap", "returns", "high", "low", "volatility"),
    ),
    Builder(
        "volumeProfile",
        "volume of one instrument by taker side (planned for the agent)",
        ("buyVolume", "sellVolume", "totalVolume", "ratio", "average"),
    ),
)
