"""A Kraken spot book as far as its CRC32 needs it."""

import zlib
from bisect import bisect_left, insort
from collections.abc import Sequence
from decimal import Decimal
from typing import Final

from ssmd.exchanges.base import Top
from ssmd.exchanges.kraken_records import BookEntry, LevelEntry
from ssmd.message import Level

DEPTHS: Final = (10, 25, 100, 500, 1000)
CHECKED_LEVELS: Final = 10
_MOST_DIGITS: Final = 60

Widths = tuple[int, int]
"""Decimals of prices and sizes."""


def checksum(bids: Sequence[Level], asks: Sequence[Level]) -> int:
    """Kraken's CRC32 of a book given best first: the best ten asks, then the best ten bids, as
    digits without the point and leading zeros (docs.kraken.com, "Book checksum v2")."""
    levels = (*asks[:CHECKED_LEVELS], *bids[:CHECKED_LEVELS])
    return zlib.crc32("".join(_digits(price, size, None) for price, size in levels).encode())


def _digits(price: Decimal, size: Decimal, widths: Widths | None) -> str:
    """A level's part of the checksum, with the digits as sent or with fixed decimals."""
    if widths is None:
        first, second = str(price), str(size)
        if "E" in first or "E" in second:
            first, second = _plain(price), _plain(size)
    else:
        first, second = _plain(price, widths[0]), _plain(size, widths[1])
    return first.replace(".", "").lstrip("0") + second.replace(".", "").lstrip("0")


def _plain(number: Decimal, width: int | None = None) -> str:
    """Without exponent. Raises ValueError where that would be a text of absurd length."""
    if abs(number.adjusted()) > _MOST_DIGITS:
        raise ValueError(f"{number} is no price and no size")
    return f"{number:f}" if width is None else f"{number:.{width}f}"


class _Side:
    """One side of a book, with what each level adds to the checksum."""

    __slots__ = ("_digits", "_part", "_reverse", "prices", "sizes")

    def __init__(self, *, reverse: bool) -> None:
        self.prices: list[Decimal] = []
        """Ascending."""
        self.sizes: dict[Decimal, Level] = {}
        """Price and size as sent: equal prices can differ in their zeros."""
        self._digits: dict[Decimal, str] = {}
        self._part: bytes | None = None
        self._reverse = reverse

    def update(self, levels: Sequence[LevelEntry], depth: int, widths: Widths | None) -> None:
        """Set levels, size 0 removing one, and cut to the subscribed depth: for levels that fall
        out of it no removal is sent."""
        if not levels:
            return
        prices, sizes = self.prices, self.sizes
        for level in levels:
            price, size = level.price, level.qty
            if size:
                if price not in sizes:
                    insort(prices, price)
                sizes[price] = (price, size)
                self._digits[price] = _digits(price, size, widths)
            elif price in sizes:
                del prices[bisect_left(prices, price)]
                del sizes[price], self._digits[price]
        while len(prices) > depth:
            gone = prices.pop(0 if self._reverse else -1)
            del sizes[gone], self._digits[gone]
        self._part = None

    def part(self) -> bytes:
        """What the side adds to the text that the checksum is made of."""
        if self._part is None:
            prices = self.prices
            best = prices[: -CHECKED_LEVELS - 1 : -1] if self._reverse else prices[:CHECKED_LEVELS]
            self._part = "".join(map(self._digits.__getitem__, best)).encode()
        return self._part

    def rewrite(self, widths: Widths | None) -> None:
        """Write all digits again, with other widths."""
        self._digits = {key: _digits(*level, widths) for key, level in self.sizes.items()}
        self._part = None

    def clear(self) -> None:
        self.prices.clear()
        self.sizes.clear()
        self._digits.clear()
        self._part = None


class ChecksumBook:
    """A book as far as its checksum needs it; ``synced`` while it follows from a snapshot."""

    __slots__ = ("asks", "bids", "depth", "synced", "widths")

    def __init__(self) -> None:
        self.bids = _Side(reverse=True)
        self.asks = _Side(reverse=False)
        self.depth = DEPTHS[0]
        self.synced = False
        self.widths: Widths | None = None
        """Set once the digits as sent turned out not to be all digits."""

    def apply(self, entry: BookEntry) -> None:
        self.bids.update(entry.bids, self.depth, self.widths)
        self.asks.update(entry.asks, self.depth, self.widths)

    def clear(self) -> None:
        self.bids.clear()
        self.asks.clear()
        self.synced = False

    @property
    def top(self) -> Top:
        bids, asks = self.bids, self.asks
        return (
            bids.sizes[bids.prices[-1]] if bids.prices else None,
            asks.sizes[asks.prices[0]] if asks.prices else None,
        )

    @property
    def crossed(self) -> bool:
        bids, asks = self.bids.prices, self.asks.prices
        return bool(bids and asks) and bids[-1] >= asks[0]

    def sums_to(self, expected: int) -> bool:
        return zlib.crc32(self.bids.part(), zlib.crc32(self.asks.part())) == expected

    def rewrite(self, widths: Widths | None) -> None:
        self.widths = widths
        self.bids.rewrite(widths)
        self.asks.rewrite(widths)

    def most_decimals(self) -> Widths:
        """The widths of the longest fractions in the book."""
        levels = [*self.bids.sizes.values(), *self.asks.sizes.values()]
        return (
            max((_decimals(price) for price, _ in levels), default=0),
            max((_decimals(size) for _, size in levels), default=0),
        )


def _decimals(number: Decimal) -> int:
    exponent = number.as_tuple().exponent
    return max(-exponent, 0) if isinstance(exponent, int) else 0


def offered(levels: int) -> int:
    """The smallest depth that can be subscribed and has so many levels."""
    return next((depth for depth in DEPTHS if depth >= levels), levels)
