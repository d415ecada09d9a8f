"""An order book, rebuilt from records."""

from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from heapq import nlargest, nsmallest
from operator import gt, lt

from ssmd.message import BookDelta, BookSnapshot, Level

ZERO = Decimal(0)
_Best = Callable[[int, Iterable[Decimal]], list[Decimal]]
_Better = Callable[[Decimal, Decimal], bool]


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
        self._best_bid: Decimal | None = None
        self._best_ask: Decimal | None = None
        # None: not known, or there is none. Looking through a side costs more than all the rest.

    def clear(self) -> None:
        self.bids.clear()
        self.asks.clear()
        self._best_bid = self._best_ask = None
        self.synced = False

    def apply(self, record: BookSnapshot | BookDelta) -> None:
        if isinstance(record, BookSnapshot):
            self.bids = {price: size for price, size in record.bids if size}
            self.asks = {price: size for price, size in record.asks if size}
            self._best_bid = self._best_ask = None
            self.synced = True
        else:
            add = record.op == "add"
            self._best_bid = _change(self.bids, record.bids, self._best_bid, gt, add=add)
            self._best_ask = _change(self.asks, record.asks, self._best_ask, lt, add=add)
        if self.depth is not None:
            _cut(self.bids, self.depth, nlargest)
            _cut(self.asks, self.depth, nsmallest)

    @property
    def best_bid(self) -> Decimal | None:
        if self._best_bid is None and self.bids:
            self._best_bid = max(self.bids)
        return self._best_bid

    @property
    def best_ask(self) -> Decimal | None:
        if self._best_ask is None and self.asks:
            self._best_ask = min(self.asks)
        return self._best_ask

    @property
    def crossed(self) -> bool:
        """The best bid is at or above the best ask."""
        bid, ask = self.best_bid, self.best_ask
        return bid is not None and ask is not None and bid >= ask

    @property
    def negative(self) -> bool:
        """A level has less than nothing: a message is missing or doubled."""
        return any(size < ZERO for side in (self.bids, self.asks) for size in side.values())

    def top(self, count: int) -> tuple[list[Level], list[Level]]:
        """The best levels of both sides, best first."""
        bids = [(price, self.bids[price]) for price in nlargest(count, self.bids)]
        asks = [(price, self.asks[price]) for price in nsmallest(count, self.asks)]
        return bids, asks


def _change(
    side: dict[Decimal, Decimal],
    levels: Sequence[Level],
    best: Decimal | None,
    better: _Better,
    *,
    add: bool,
) -> Decimal | None:
    """Set sizes, or add to them; returns the best price, None where it has to be looked for."""
    for price, size in levels:
        if add:
            size = side.get(price, ZERO) + size
        if size:
            side[price] = size
            if best is not None and better(price, best):
                best = price
        elif side.pop(price, None) is not None and price == best:
            best = None
    return best


def _cut(side: dict[Decimal, Decimal], depth: int, best: _Best) -> None:
    if len(side) > depth:
        kept = set(best(depth, side))
        for price in [price for price in side if price not in kept]:
            del side[price]
