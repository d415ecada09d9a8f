"""What can be checked on Kraken spot: CRC32 and top of each book, trade ids, per connection."""

from collections.abc import Sequence

import msgspec
from msgspec import Struct

from ssmd.exchanges.base import UNVERIFIED, VERIFIED, Fault, Top, Verdict, broken
from ssmd.exchanges.kraken_book import ChecksumBook, Widths, offered
from ssmd.exchanges.kraken_records import (
    BookEntry,
    TradeEntry,
    decode_book,
    decode_instruments,
    decode_status,
    decode_trades,
)
from ssmd.message import Header


class _Result(Struct, gc=False):
    channel: str | None = None
    symbol: str | None = None
    depth: int | None = None


class _Ack(Struct, gc=False):
    method: str
    success: bool = True
    result: _Result | None = None


_ack = msgspec.json.Decoder(_Ack).decode


class KrakenContinuity:
    """Book checksums, crossed books and trade ids of one connection.

    The checksum covers the best ten levels: with a greater depth, what lies below is verified only
    when it comes up. A book that broke is unverified until its next snapshot.
    """

    def __init__(self) -> None:
        self._books: dict[str, ChecksumBook] = {}
        self._depths: dict[str, int] = {}
        self._widths: dict[str, Widths] = {}
        self._trade_ids: dict[str, int] = {}
        self.paused = False

    def follow(self, sym: str) -> None:
        """There is no audit: a loss shows in the checks."""

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
            book = self._books[sym] = ChecksumBook()
            book.depth = self._depths.get(sym) or offered(max(len(entry.bids), len(entry.asks)))
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

    def _sums_filled(self, sym: str, book: ChecksumBook, expected: int) -> bool:
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


def _merged(verdicts: Sequence[Verdict]) -> Verdict:
    """One for the whole frame, with every fault: a gap goes before doubt, doubt before proof."""
    if len(verdicts) == 1:
        return verdicts[0]
    faults = tuple(fault for verdict in verdicts for fault in verdict.faults)
    if faults:
        return broken(*faults)
    return VERIFIED if verdicts and all(v is VERIFIED for v in verdicts) else UNVERIFIED
