"""What can be checked on Kraken spot: CRC32 and top of each book, trade ids, per connection."""

import zlib
from bisect import bisect_left, insort
from collections.abc import Sequence
from decimal import Decimal
from typing import Final

import msgspec
from msgspec import Struct

from ssmd.exchanges.base import UNVERIFIED, VERIFIED, Fault, Top, Verdict, broken
from ssmd.exchanges.kraken_records import (
    BookEntry,
    LevelEntry,
    TradeEntry,
    decode_book,
    decode_instruments,
    decode_status,
    decode_trades,
)
from ssmd.message import Header, Level

DEPTHS: Final = (10, 25, 100, 500, 1000)
CHECKED_LEVELS: Final = 10
_MOST_DIGITS: Final = 60

Widths = tuple[int, int]
"""Decimals of prices and sizes."""


class _Result(Struct, gc=False):
    channel: str | None = None
    symbol: str | None = None
    depth: int | None = None


class _Ack(Struct, gc=False):
    method: str
    success: bool = True
    result: _Result | None = None


_ack = msgspec.json.Decoder(_Ack).decode


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


class _Book:
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


class KrakenContinuity:
    """Book checksums, crossed books and trade ids of one connection.

    The checksum covers the best ten levels: with a greater depth, what lies below is verified only
    when it comes up. A book that broke is unverified until its next snapshot.
    """

    def __init__(self) -> None:
        self._books: dict[str, _Book] = {}
        self._depths: dict[str, int] = {}
        self._widths: dict[str, Widths] = {}
        self._trade_ids: dict[str, int] = {}
        self.paused = False

    def top(self, sym: str) -> Top | None:
        book = self._books.get(sym)
        return book.top if book is not None and book.synced else None

    def check(self, header: Header, frame: bytes) -> Verdict:
        if header.type == "book":
            return self._check_book(header, frame)
        if header.type == "trade":
            return self._check_trades(frame)
        if header.type == "instrument":
            self._learn_widths(frame)
        elif header.kind == "ack":
            self._learn_ack(frame)
        elif header.type == "status":
            self._learn_status(frame)
        return UNVERIFIED

    # --- what other messages tell ---------------------------------------------------------------

    def _learn_ack(self, frame: bytes) -> None:
        """The depth of a book stands in the acknowledgement, and not in the book's messages."""
        ack = _ack(frame)
        result = ack.result
        if result is None or result.symbol is None or not ack.success:
            return
        if ack.method == "unsubscribe":
            if result.channel == "book":
                self._books.pop(result.symbol, None)
                self._depths.pop(result.symbol, None)
            elif result.channel == "trade":
                self._trade_ids.pop(result.symbol, None)
        elif result.channel == "book" and result.depth:
            self._depths[result.symbol] = result.depth

    def _learn_status(self, frame: bytes) -> None:
        """While the system is not ``online`` (maintenance, cancel_only, post_only) little or
        nothing is to be expected."""
        for system in decode_status(frame).data:
            self.paused = system.system in ("maintenance", "cancel_only")

    def _learn_widths(self, frame: bytes) -> None:
        for pair in decode_instruments(frame).data.pairs:
            if pair.price_precision is not None and pair.qty_precision is not None:
                self._widths[pair.symbol] = (pair.price_precision, pair.qty_precision)

    # --- books ----------------------------------------------------------------------------------

    def _check_book(self, header: Header, frame: bytes) -> Verdict:
        try:
            decoded = decode_book(frame)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            spoilt = self._unreadable(header.sym)
            if not spoilt.faults:
                raise
            return spoilt
        entries = decoded.data
        verdict = _merged([self._check_entry(decoded.type, entry) for entry in entries])
        if decoded.type != "snapshot" and len(entries) == 1:
            return verdict
        synced = (
            [e.symbol for e in entries if self._books[e.symbol].synced]
            if (decoded.type == "snapshot")
            else []
        )
        touched = tuple(entry.symbol for entry in entries)
        return Verdict(verdict.state, verdict.faults, tuple(synced), touched=touched)

    def _unreadable(self, sym: str | None) -> Verdict:
        """A book message that cannot be applied; where not even its symbol is sure, any book may
        have missed it."""
        spoilt = tuple(
            name for name, book in self._books.items() if book.synced and sym in (None, name)
        )
        for name in spoilt:
            self._books[name].clear()
        return broken(Fault("unreadable", sym, books=spoilt)) if spoilt else UNVERIFIED

    def _check_entry(self, kind: str, entry: BookEntry) -> Verdict:
        sym = entry.symbol
        book = self._books.get(sym)
        if kind == "snapshot":
            book = self._books[sym] = _Book()
            book.depth = self._depths.get(sym) or _offered(max(len(entry.bids), len(entry.asks)))
            book.synced = True
        elif book is None or not book.synced:
            return UNVERIFIED
        try:
            book.apply(entry)
        except (ValueError, ArithmeticError):
            return self._unreadable(sym)
        if book.crossed:
            book.clear()
            return broken(Fault("crossed", sym, books=(sym,)))
        if entry.checksum is None:
            return UNVERIFIED
        if not book.sums_to(entry.checksum) and not self._sums_filled(sym, book, entry.checksum):
            book.clear()
            return broken(Fault("checksum", sym, books=(sym,)))
        return VERIFIED

    def _sums_filled(self, sym: str, book: _Book, expected: int) -> bool:
        """Whether the checksum holds once zeros are filled in that the numbers were sent without
        (1e-7, or 0.1 for 0.10). The sum itself proves that the widths are right."""
        for widths in (self._widths.get(sym), book.most_decimals(), None):
            if widths != book.widths:
                book.rewrite(widths)
                if book.sums_to(expected):
                    return True
        return False

    # --- trades ---------------------------------------------------------------------------------

    def _check_trades(self, frame: bytes) -> Verdict:
        decoded = decode_trades(frame)
        if decoded.type != "snapshot":
            return _merged([self._check_trade(trade) for trade in decoded.data])
        # The latest trades, in no promised order. Those that were here before prove nothing.
        trades = sorted(decoded.data, key=lambda trade: trade.trade_id)
        found = [self._check_trade(trade) for trade in trades]
        return _merged([verdict for verdict in found if verdict is not UNVERIFIED])

    def _check_trade(self, trade: TradeEntry) -> Verdict:
        sym, number = trade.symbol, trade.trade_id
        last = self._trade_ids.get(sym)
        if last is None or number > last:
            self._trade_ids[sym] = number
        if last is None or number <= last:
            return UNVERIFIED
        if number != last + 1:
            return broken(Fault("sequence", sym, "trade", last + 1, number - 1))
        return VERIFIED


def _offered(levels: int) -> int:
    """The smallest depth that can be subscribed and has so many levels."""
    return next((depth for depth in DEPTHS if depth >= levels), levels)


def _merged(verdicts: Sequence[Verdict]) -> Verdict:
    """One for the whole frame, with every fault: a gap goes before doubt, doubt before proof."""
    if len(verdicts) == 1:
        return verdicts[0]
    faults = tuple(fault for verdict in verdicts for fault in verdict.faults)
    if faults:
        return broken(*faults)
    return VERIFIED if verdicts and all(v is VERIFIED for v in verdicts) else UNVERIFIED
