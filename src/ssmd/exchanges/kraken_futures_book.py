"""A Kraken Futures book as far as its checks need it: that it is neither crossed nor negative."""

from bisect import bisect_left, insort
from collections.abc import Iterable
from decimal import Decimal
from typing import Final

from ssmd.exchanges.base import Top
from ssmd.exchanges.kraken_futures_records import Delta, LevelEntry, Snapshot

ZERO: Final = Decimal(0)


class FuturesBook:
    """Price -> size of both sides, from a snapshot on."""

    __slots__ = ("_asks", "_bids", "_sides")

    def __init__(self, snapshot: Snapshot) -> None:
        self._bids = _Side(snapshot.bids)
        self._asks = _Side(snapshot.asks)
        self._sides = {"buy": self._bids, "sell": self._asks}

    def set(self, delta: Delta) -> None:
        self._sides[delta.side].set(delta.price, delta.qty)

    @property
    def wrong(self) -> str | None:
        """What cannot be in a right book; None where nothing is."""
        bids, asks = self._bids.prices, self._asks.prices
        if bids and asks and bids[-1] >= asks[0]:
            return "crossed"
        return "negative" if self._bids.negative or self._asks.negative else None

    def top(self) -> Top:
        return self._bids.level(-1), self._asks.level(0)


class _Side:
    __slots__ = ("_sizes", "negative", "prices")

    def __init__(self, levels: Iterable[LevelEntry]) -> None:
        self._sizes = {level.price: level.qty for level in levels if level.qty}
        self.prices = sorted(self._sizes)
        """Ascending: to keep them so costs less than to look for the best one again."""
        self.negative = any(size < ZERO for size in self._sizes.values())

    def set(self, price: Decimal, size: Decimal) -> None:
        """Sizes are whole ones, and 0 removes the level."""
        if size:
            if price not in self._sizes:
                insort(self.prices, price)
            self._sizes[price] = size
            self.negative = self.negative or size < ZERO
        elif self._sizes.pop(price, None) is not None:
            del self.prices[bisect_left(self.prices, price)]

    def level(self, at: int) -> tuple[Decimal, Decimal] | None:
        return (self.prices[at], self._sizes[self.prices[at]]) if self.prices else None
