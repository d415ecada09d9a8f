"""A book from the moment on at which REST was asked for it.

What REST tells is one of the states that the book went through since, or it lies behind or ahead,
or the book is wrong. Times tell which: messages of one book come in order, so a book that got one
of a later time than the answer's has got all that the answer holds.
"""

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Final, Literal

from msgspec import Struct

from ssmd.message import BookSnapshot, Level

ZERO: Final = Decimal(0)
MOST_CHANGES: Final = 20_000
"""Beyond so many a book is followed no longer."""

Side = Literal["bid", "ask"]
_Place = tuple[Side, Decimal]


class Wrong(Struct, frozen=True, gc=False):
    """A level that is not as REST tells it."""

    side: Side
    price: Decimal
    held: Decimal
    told: Decimal


class Comparison(Struct, frozen=True):
    """``wrong`` is empty where REST told a state that the book went through. ``passed``: the book
    has got a message of a later time, so what differs is not on its way."""

    wrong: frozenset[Wrong]
    passed: bool = False


class Follow:
    """The states of one book, oldest first."""

    def __init__(self, ts_ns: int | None, bids: Iterable[Level], asks: Iterable[Level]) -> None:
        """``ts_ns``: the exchange's time of the last message that the book holds."""
        self.over = False
        """The book is no more, or began anew: nothing can be told of it."""
        self._ts_ns = ts_ns
        self._levels = _levels(bids, asks)
        self._changes: list[tuple[int | None, _Place, Decimal]] = []

    @property
    def count(self) -> int:
        """How many changes there were."""
        return len(self._changes)

    def set(self, ts_ns: int | None, side: Side, price: Decimal, size: Decimal) -> None:
        """A level of the book became ``size``."""
        if len(self._changes) >= MOST_CHANGES:
            self.end()
        if not self.over:
            self._changes.append((ts_ns, (side, price), size))

    def end(self) -> None:
        self.over = True
        self._levels.clear()
        self._changes.clear()

    def against(self, told: BookSnapshot) -> Comparison | None:
        """How the book and the answer compare; None where that cannot be told."""
        if self.over:
            return None
        held, wanted = dict(self._levels), _levels(told.bids, told.asks)
        differing = {place for place in held.keys() | wanted.keys() if _off(held, wanted, place)}
        passed: frozenset[Wrong] | None = None
        for ts_ns, place, size in self._changes:
            if not differing:
                break
            if passed is None and _later(ts_ns, told.ts_ns):
                passed = _wrong(held, wanted, differing)
            held[place] = size
            (differing.add if _off(held, wanted, place) else differing.discard)(place)
        if not differing:
            return Comparison(frozenset())
        if _later(self._ts_ns, told.ts_ns):  # an answer out of some cache
            return None
        if passed is not None:
            return Comparison(passed, passed=True)
        return Comparison(_wrong(held, wanted, differing))


def _levels(bids: Iterable[Level], asks: Iterable[Level]) -> dict[_Place, Decimal]:
    found: dict[_Place, Decimal] = {("bid", price): size for price, size in bids if size}
    found |= {("ask", price): size for price, size in asks if size}
    return found


def _off(held: Mapping[_Place, Decimal], told: Mapping[_Place, Decimal], place: _Place) -> bool:
    return held.get(place, ZERO) != told.get(place, ZERO)


def _wrong(
    held: Mapping[_Place, Decimal], told: Mapping[_Place, Decimal], places: Iterable[_Place]
) -> frozenset[Wrong]:
    return frozenset(
        Wrong(side, price, held.get((side, price), ZERO), told.get((side, price), ZERO))
        for side, price in places
    )


def _later(ts_ns: int | None, than_ns: int | None) -> bool:
    return ts_ns is not None and than_ns is not None and ts_ns > than_ns
