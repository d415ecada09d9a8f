"""Order books that trade and never cross, from a seed."""

import random
from collections.abc import Sequence
from typing import Literal, NamedTuple

Side = Literal["bid", "ask"]

FEWEST, MOST = 5, 14
"""Levels that a side is kept between."""


class Event(NamedTuple):
    """One change of a level, in ticks and lots; ``traded`` lots were executed against it."""

    side: Side
    tick: int
    size: int
    change: int
    traded: int = 0


class Market:
    """One book. Prices are whole ticks within [low, high], sizes whole lots."""

    def __init__(self, symbol: str, rng: random.Random, *, mid: int, low: int, high: int) -> None:
        self.symbol = symbol
        self.low, self.high = low, high
        self.bids: dict[int, int] = {}
        self.asks: dict[int, int] = {}
        self.last = mid
        self.volume = 0
        self.trades = 0
        self._rng = rng
        for depth in range(FEWEST + 3):
            if mid - 1 - depth >= low:
                self.bids[mid - 1 - depth] = rng.randint(1, 500)
            if mid + 1 + depth <= high:
                self.asks[mid + 1 + depth] = rng.randint(1, 500)

    def best(self) -> tuple[int | None, int | None]:
        return (max(self.bids) if self.bids else None, min(self.asks) if self.asks else None)

    def step(self) -> Event:
        """The next thing that happens."""
        draw = self._rng.random()
        side: Side = "bid" if self._rng.random() < 0.5 else "ask"
        levels = self.bids if side == "bid" else self.asks
        if len(levels) < FEWEST:
            return self._add(side)
        if len(levels) > MOST:
            return self._cancel(side, min(levels) if side == "bid" else max(levels))
        if draw < 0.15:
            return self._trade(side)
        if draw < 0.55:
            return self._add(side)
        return self._cancel(side, self._rng.choice(list(levels)))

    def _add(self, side: Side) -> Event:
        rng = self._rng
        bid, ask = self.best()
        if side == "bid":
            top = ask - 1 if ask is not None else self.high
            tick = max(self.low, top - rng.randint(0, 9))
        else:
            top = bid + 1 if bid is not None else self.low
            tick = min(self.high, top + rng.randint(0, 9))
        if (side == "bid" and ask is not None and tick >= ask) or (
            side == "ask" and bid is not None and tick <= bid
        ):
            # No room between the book and the edge of the grid: take something away instead.
            return self._trade("ask" if side == "bid" else "bid")
        return self._change(side, tick, rng.randint(1, 300))

    def _cancel(self, side: Side, tick: int) -> Event:
        size = (self.bids if side == "bid" else self.asks)[tick]
        gone = size if self._rng.random() < 0.6 else self._rng.randint(1, size)
        return self._change(side, tick, -gone)

    def _trade(self, side: Side) -> Event:
        """A taker hits the best level of ``side``."""
        levels = self.bids if side == "bid" else self.asks
        tick = max(levels) if side == "bid" else min(levels)
        lots = self._rng.randint(1, min(levels[tick], 60))
        event = self._change(side, tick, -lots)
        self.last = tick
        self.volume += lots
        self.trades += 1
        return event._replace(traded=lots)

    def _change(self, side: Side, tick: int, change: int) -> Event:
        levels = self.bids if side == "bid" else self.asks
        size = levels.get(tick, 0) + change
        if size:
            levels[tick] = size
        else:
            del levels[tick]
        return Event(side, tick, size, change)

    def ladder(self) -> tuple[Sequence[tuple[int, int]], Sequence[tuple[int, int]]]:
        """Bids and asks, best first."""
        return sorted(self.bids.items(), reverse=True), sorted(self.asks.items())
