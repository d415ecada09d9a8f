"""A Kalshi book as far as its invariants need it."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Final

from ssmd.exchanges.base import Top
from ssmd.message import Level

ZERO: Final = Decimal(0)
ONE: Final = Decimal(1)


class _Side:
    """One side's bids. ``best`` may lie above the best bid while nobody has looked for it; ``room``
    is what a bid of the other side must stay below."""

    __slots__ = ("best", "room", "sizes")

    def __init__(self) -> None:
        self.sizes: dict[Decimal, Decimal] = {}
        self.raise_best(-ONE)

    def fill(self, levels: Sequence[Level]) -> None:
        self.sizes = {price: size for price, size in levels if size}
        self.find_best()

    def find_best(self) -> None:
        self.raise_best(max(self.sizes, default=-ONE))

    def raise_best(self, price: Decimal) -> None:
        self.best = price
        self.room = ONE - price


class KalshiBook:
    """Both sides are bids: the best YES bid and the best NO bid stay below 1 together."""

    __slots__ = ("_no", "_yes", "synced")

    def __init__(self) -> None:
        self._yes = _Side()
        self._no = _Side()
        self.synced = False

    def begin(self, yes: Sequence[Level], no: Sequence[Level]) -> str | None:
        """Start from a snapshot; the cause where it breaks an invariant."""
        self._yes.fill(yes)
        self._no.fill(no)
        self.synced = True
        if any(size < ZERO for side in (self._yes, self._no) for size in side.sizes.values()):
            return "negative"
        return "crossed" if self._yes.best >= self._no.room else None

    def change(self, yes: bool, price: Decimal, change: Decimal) -> str | None:
        """Add a signed change to a level; the cause where it breaks an invariant."""
        own, other = (self._yes, self._no) if yes else (self._no, self._yes)
        size = own.sizes.get(price, ZERO) + change
        if not size:
            own.sizes.pop(price, None)
            return None
        own.sizes[price] = size
        if size < ZERO:
            return "negative"
        if change > ZERO:
            if price > own.best:
                own.raise_best(price)
            if price >= other.room:
                # The best bid it stems from may be gone: look again before calling it crossed.
                other.find_best()
                if price >= other.room:
                    return "crossed"
        return None

    def top(self) -> Top:
        """Best bid and ask of YES: a NO bid at p is a YES ask at 1 - p."""
        yes, no = self._yes.sizes, self._no.sizes
        bid, ask = max(yes, default=None), max(no, default=None)
        return (
            None if bid is None else (bid, yes[bid]),
            None if ask is None else (ONE - ask, no[ask]),
        )

    def clear(self) -> None:
        self._yes.fill(())
        self._no.fill(())
        self.synced = False
