"""What can be checked on one Kraken Futures connection: sequences of books and trades, and that no
book is crossed."""

from typing import Final

import msgspec

from ssmd.exchanges.base import UNVERIFIED, VERIFIED, Fault, Top, Verdict, broken
from ssmd.exchanges.kraken_futures_book import FuturesBook
from ssmd.exchanges.kraken_futures_records import (
    decode_ack,
    decode_delta,
    decode_snapshot,
    decode_trade_snapshot,
)
from ssmd.message import Header

_UNREADABLE: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, ArithmeticError)


class FuturesContinuity:
    """Book and trade sequences of one connection, each per product, and the books they lead to.

    A book that missed a delta is unverified until its next snapshot, though its sequence goes on.
    """

    def __init__(self) -> None:
        self._last: dict[str, int] = {}
        self._books: dict[str, FuturesBook] = {}
        """By group: those that follow from a snapshot without a hole."""

    paused = False

    def follow(self, sym: str) -> None:
        """There is no audit: a loss shows in the checks."""

    def top(self, sym: str) -> Top | None:
        book = self._books.get(f"{sym}:book")
        return None if book is None else book.top()

    def check(self, header: Header, frame: bytes) -> Verdict:
        group, seq = header.grp, header.seq
        if group is None or seq is None:
            if header.type == "trade_snapshot":
                return self._check_snapshot(frame)
            if header.kind == "ack":
                self._learn_end(frame)
            return UNVERIFIED
        if header.type == "trade":
            return self._check_trade(group, seq, header.sym)
        last = self._last.get(group)
        self._last[group] = seq
        if header.type == "book_snapshot":
            return self._begin_book(group, header.sym, frame)
        if last is None:
            return UNVERIFIED
        if seq == last + 1:
            return self._check_delta(group, header.sym, frame)
        self._books.pop(group, None)
        books = (header.sym or "",)
        if seq > last:
            return broken(Fault("sequence", header.sym, group, last + 1, seq - 1, books))
        return broken(Fault("sequence", header.sym, group, books=books))

    def _begin_book(self, group: str, sym: str | None, frame: bytes) -> Verdict:
        try:
            self._books[group] = FuturesBook(decode_snapshot(frame))
        except _UNREADABLE:
            return self._end_book("unreadable", group, sym)
        wrong = self._books[group].wrong
        return (
            self._end_book(wrong, group, sym) if wrong else Verdict("unverified", (), (sym or "",))
        )

    def _check_delta(self, group: str, sym: str | None, frame: bytes) -> Verdict:
        book = self._books.get(group)
        if book is None:
            return UNVERIFIED
        try:
            book.set(decode_delta(frame))
        except _UNREADABLE:
            return self._end_book("unreadable", group, sym)
        wrong = book.wrong
        return self._end_book(wrong, group, sym) if wrong else VERIFIED

    def _end_book(self, cause: str, group: str, sym: str | None) -> Verdict:
        self._books.pop(group, None)
        return broken(Fault(cause, sym, group, books=(sym or "",)))

    def _check_trade(self, group: str, seq: int, sym: str | None) -> Verdict:
        """A trade that the snapshot already held is no gap."""
        last = self._last.get(group)
        if last is not None and seq <= last:
            return UNVERIFIED
        self._last[group] = seq
        if last is None:
            return UNVERIFIED
        if seq != last + 1:
            return broken(Fault("sequence", sym, group, last + 1, seq - 1))
        return VERIFIED

    def _check_snapshot(self, frame: bytes) -> Verdict:
        """The latest trades, newest first, without holes in all recordings."""
        snapshot = decode_trade_snapshot(frame)
        sym = snapshot.product_id
        verdict = UNVERIFIED
        for seq in sorted(trade.seq for trade in snapshot.trades):
            found = self._check_trade(f"{sym}:trade", seq, sym)
            if found is not UNVERIFIED and verdict.state != "broken":
                verdict = found
        return verdict

    def _learn_end(self, frame: bytes) -> None:
        """What comes after a new subscription does not follow what came before the end."""
        ack = decode_ack(frame)
        if ack.event == "unsubscribed":
            for product in ack.product_ids:
                self._last.pop(f"{product}:{ack.feed}", None)
                self._books.pop(f"{product}:{ack.feed}", None)
