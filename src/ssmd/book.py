"""An order book, rebuilt from records."""

from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from heapq import nlargest, nsmallest

from ssmd.message import BookDelta, BookSnapshot, Level

ZERO = Decimal(0)
_Best = Callable[[int, Iterable[Decimal]], list[Decimal]]


class Book:
    """Price -> size on both sides, with the digits that the exchange sent.

    ``depth`` is the number of levels a side is cut to after each message, where the exchange sends
    no deletion for levels that fall out of the subscribed depth (Kraken).
    """

    def __init__(self, depth: int | None = None) -> None:
        self.depth = depth
        self.bids: dict[Decimal, Decimal] = {}
        self.asks: dict[Decimal, Decimal] = {}
        self.synced = False
        """A snapshot has been applied."""

    def clear(self) -> None:
        self.bids.clear()
        self.asks.clear()
        self.synced = False

    def apply(self, record: BookSnapshot | BookDelta) -> None:
        if isinstance(record, BookSnapshot):
            self.bids = {price: size for price, size in record.bids if size != ZERO}
            self.asks = {price: size for price, size in record.asks if size != ZERO}
            self.synced = True
        elif record.op == "set":
            _set(self.bids, record.bids)
            _set(self.asks, record.asks)
        else:
            _add(self.bids, record.bids)
            _add(self.asks, record.asks)
        if self.depth is not None:
            _cut(self.bids, self.depth, nlargest)
            _cut(self.asks, self.depth, nsmallest)

    @property
    def best_bid(self) -> Decimal | None:
        return max(self.bids) if self.bids else None

    @property
    def best_ask(self) -> Decimal | None:
        return min(self.asks) if self.asks else None

    @property
    def crossed(self) -> bool:
        """The best bid is at or above the best ask."""
        return bool(self.bids and self.asks) and max(self.bids) >= min(self.asks)

    @property
    def negative(self) -> bool:
        """A level has less than nothing: a message is missing or doubled."""
        return any(size < ZERO for side in (self.bids, self.asks) for size in side.values())

    def top(self, count: int) -> tuple[list[Level], list[Level]]:
        """The best levels of both sides, best first."""
        bids = [(price, self.bids[price]) for price in nlargest(count, self.bids)]
        asks = [(price, self.asks[price]) for price in nsmallest(count, self.asks)]
        return bids, asks


def _set(side: dict[Decimal, Decimal], levels: Sequence[Level]) -> None:
    for price, size in levels:
        if size == ZERO:
            side.pop(price, None)
        else:
            side[price] = size


def _add(side: dict[Decimal, Decimal], levels: Sequence[Level]) -> None:
    for price, change in levels:
        size = side.get(price, ZERO) + change
        if size == ZERO:
            side.pop(price, None)
        else:
            side[price] = size


def _cut(side: dict[Decimal, Decimal], depth: int, best: _Best) -> None:
    if len(side) > depth:
        kept = set(best(depth, side))
        for price in [price for price in side if price not in kept]:
            del side[price]
