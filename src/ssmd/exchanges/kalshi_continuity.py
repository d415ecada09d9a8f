"""What can be checked on one Kalshi connection: sequences, the books' invariants, fills."""

from decimal import Decimal
from typing import Final

import msgspec

from ssmd.exchanges.base import UNVERIFIED, VERIFIED, Fault, Top, Verdict, broken
from ssmd.exchanges.kalshi_answers import decode_ack
from ssmd.exchanges.kalshi_book import ONE, KalshiBook
from ssmd.exchanges.kalshi_fills import Fills
from ssmd.exchanges.kalshi_records import (
    decode_book,
    decode_delta,
    decode_trade,
    taker,
    trade_size,
    yes_price,
)
from ssmd.message import Header

RESTART_AFTER: Final = 8
"""So many dense numbers below the last one are not repeats: the numbering began again, or the last
one was wrong."""
_UNREADABLE = (msgspec.MsgspecError, ValueError, ArithmeticError, RecursionError)


class _Sid:
    """A subscription: its numbers, and the books it carries."""

    __slots__ = ("_behind", "_run", "acked", "books", "fills", "last")

    def __init__(self, last: int | None = None, *, acked: bool = False) -> None:
        self.last = last
        self.acked = acked
        """It was seen to begin."""
        self.books: dict[str, KalshiBook] = {}
        self.fills = Fills()
        self._behind = 0
        self._run = 0

    def spoil(self, but: str | None = None) -> tuple[str, ...]:
        """No book can be trusted, except the one that begins anew; the books."""
        for book in self.books.values():
            book.clear()
        self.fills = Fills()
        return tuple(sym for sym in self.books if sym != but)

    def restarts(self, seq: int) -> bool:
        """Whether a number below the last one goes on from where others did."""
        self._run = self._run + 1 if seq == self._behind + 1 else 1
        self._behind = seq
        return self._run >= RESTART_AFTER


class KalshiContinuity:
    """Sequences per sid; books neither negative nor crossed; a delta for each trade.

    A sid's numbers count all its markets: a hole in them spoils each of its books, and no other
    sid's. What comes again, or late, is not applied.
    """

    paused = False

    def __init__(self) -> None:
        self._sids: dict[str, _Sid] = {}
        self._homes: dict[str, _Sid] = {}
        """The sid that carries a market's book."""

    def top(self, sym: str) -> Top | None:
        home = self._homes.get(sym)
        book = home.books.get(sym) if home is not None else None
        return book.top() if book is not None and book.synced else None

    def check(self, header: Header, frame: bytes) -> Verdict:
        if header.kind != "data":
            return self._check_answer(header, frame)
        grp = header.grp
        if grp is None:
            return UNVERIFIED
        sid = self._sids.get(grp)
        if sid is None:
            sid = self._sids[grp] = _Sid()
        last, seq = sid.last, header.seq
        if last is not None and seq == last + 1:
            sid.last = seq
            verdict = VERIFIED
        else:
            verdict = self._check_jump(sid, header)
            if seq is not None and last is not None and seq <= last:
                return verdict
        if header.type == "orderbook_delta":
            return self._check_delta(sid, header, frame, verdict)
        if header.type == "trade":
            return self._check_trade(header, frame, verdict)
        if header.type == "orderbook_snapshot":
            return self._check_snapshot(sid, header, frame, verdict)
        return verdict

    # --- sequences ------------------------------------------------------------------------------

    def _check_jump(self, sid: _Sid, header: Header) -> Verdict:
        """A number that is not the next one."""
        last, seq, grp = sid.last, header.seq, header.grp
        if seq is None:
            return UNVERIFIED
        if last is None:
            sid.last = seq
            return UNVERIFIED
        if seq > last:
            sid.last = seq
            anew = header.sym if header.type == "orderbook_snapshot" else None
            books = sid.spoil(but=anew)
            return broken(
                Fault("sequence", None, grp, first_seq=last + 1, last_seq=seq - 1, books=books)
            )
        if sid.restarts(seq):
            sid.last = seq
            return broken(Fault("sequence", None, grp, books=sid.spoil()))
        return broken(Fault("sequence", None, grp))

    def _check_answer(self, header: Header, frame: bytes) -> Verdict:
        """Answers count as well, and tell which sids and markets begin and end."""
        sid = self._sids.get(header.grp or "")
        verdict = UNVERIFIED
        if sid is not None and header.seq is not None:
            if sid.last is not None and header.seq == sid.last + 1:
                sid.last = header.seq
                verdict = VERIFIED
            else:
                verdict = self._check_jump(sid, header)
        ack = decode_ack(frame)
        if ack is None or ack.grp is None:
            return verdict
        if ack.ends:
            self._forget(ack.grp)
        elif ack.type == "subscribed":
            self._begin(ack.grp)
        elif ack.type == "ok" and ack.msg is not None and ack.msg.market_tickers is not None:
            self._keep_only(ack.grp, set(ack.msg.market_tickers))
        return verdict

    def _begin(self, grp: str) -> None:
        sid = self._sids.get(grp)
        if sid is None:
            # The first number of a sid is 1.
            self._sids[grp] = _Sid(0, acked=True)
        elif not sid.acked:
            # Late messages of a sid that had ended: their numbers tell nothing of its next life.
            self._forget(grp)
            self._sids[grp] = _Sid(acked=True)

    def _forget(self, grp: str) -> None:
        sid = self._sids.pop(grp, None)
        if sid is not None:
            self._homes = {sym: home for sym, home in self._homes.items() if home is not sid}

    def _keep_only(self, grp: str, syms: set[str]) -> None:
        """``ok`` lists the markets that the sid has from then on."""
        sid = self._sids.get(grp)
        if sid is None:
            return
        for sym in [sym for sym in sid.books if sym not in syms]:
            del sid.books[sym]
            sid.fills.forget(sym)
            if self._homes.get(sym) is sid:
                del self._homes[sym]

    # --- books ----------------------------------------------------------------------------------

    def _check_snapshot(self, sid: _Sid, header: Header, frame: bytes, verdict: Verdict) -> Verdict:
        sym = header.sym
        if sym is None:
            return self._spoil(sid, None, header, "unreadable", verdict)
        book = sid.books.get(sym)
        if book is None:
            book = sid.books[sym] = KalshiBook()
        self._homes[sym] = sid
        sid.fills.forget(sym)
        try:
            cause = book.begin(*decode_book(frame))
        except _UNREADABLE:
            cause = "unreadable"
        if cause is not None:
            return self._spoil(sid, sym, header, cause, verdict)
        return Verdict(verdict.state, verdict.faults, synced=(sym,))

    def _check_delta(self, sid: _Sid, header: Header, frame: bytes, verdict: Verdict) -> Verdict:
        sym = header.sym
        if sym is None:
            return self._spoil(sid, None, header, "unreadable", verdict)
        book = sid.books.get(sym)
        if book is None or not book.synced:
            return verdict
        try:
            side, price, change = decode_delta(frame)
            cause = book.change(side == "yes", price, change)
        except _UNREADABLE:
            cause = "unreadable"
        if cause is not None:
            return self._spoil(sid, sym, header, cause, verdict)
        if header.ts_ns is not None:
            fills = sid.fills
            fills.delta(sym, header.ts_ns, side, price, change)
            if fills.waiting:
                return self._check_overdue(sid, header, verdict)
        return verdict

    def _spoil(
        self, sid: _Sid, sym: str | None, header: Header, cause: str, verdict: Verdict
    ) -> Verdict:
        """One book cannot be trusted, or, where its market is not known, none of the sid's."""
        if sym is None:
            books = sid.spoil()
        else:
            sid.books[sym].clear()
            sid.fills.forget(sym)
            books = (sym,)
        return broken(*verdict.faults, Fault(cause, sym, header.grp, books=books))

    # --- fills ----------------------------------------------------------------------------------

    def _check_trade(self, header: Header, frame: bytes, verdict: Verdict) -> Verdict:
        sym, ts_ns = header.sym, header.ts_ns
        if sym is None or ts_ns is None:
            return verdict
        home = self._homes.get(sym)
        if home is None or not home.books[sym].synced:
            return verdict
        if _take(home.fills, sym, ts_ns, frame) and verdict is UNVERIFIED:
            verdict = VERIFIED
        return self._check_overdue(home, header, verdict) if home.fills.waiting else verdict

    def _check_overdue(self, sid: _Sid, header: Header, verdict: Verdict) -> Verdict:
        faults = list(verdict.faults)
        for sym in sid.fills.overdue():
            book = sid.books.get(sym)
            if book is not None and book.synced:
                book.clear()
                sid.fills.forget(sym)
                faults.append(Fault("unmatched", sym, self._grp(sid), books=(sym,)))
        return verdict if len(faults) == len(verdict.faults) else broken(*faults)

    def _grp(self, sid: _Sid) -> str | None:
        return next((grp for grp, known in self._sids.items() if known is sid), None)


def _take(fills: Fills, sym: str, ts_ns: int, frame: bytes) -> bool:
    """Whether the trade's delta has come. Block trades are agreed off the book."""
    try:
        trade = decode_trade(frame)
        side = taker(trade)
        price, size = yes_price(trade), trade_size(trade)
    except _UNREADABLE:
        return False
    if side is None or trade.is_block_trade:
        return False
    if side == "sell":
        return fills.trade(sym, ts_ns, "yes", price, size, trade.trade_id)
    no_price: Decimal = trade.no_price_dollars if trade.no_price_dollars else ONE - price
    return fills.trade(sym, ts_ns, "no", no_price, size, trade.trade_id)
