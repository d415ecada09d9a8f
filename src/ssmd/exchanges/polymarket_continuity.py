"""What can be checked on one Polymarket connection: the top of each book, that none is crossed or
negative, and hashes of books.

There are no sequence numbers. Each entry of a price change claims the top of its asset's book after
all entries with the same time and hash, which can come in several frames (seen 2026-10-04). So a
top that differs is wrong only once the entries of that time and hash are over.
"""

from collections.abc import Sequence
from decimal import Decimal
from typing import Final

import msgspec

from ssmd.exchanges.base import UNVERIFIED, Fault, Top, Verdict
from ssmd.exchanges.follow import Follow
from ssmd.exchanges.polymarket_hash import hash_holds
from ssmd.exchanges.polymarket_records import (
    Change,
    assets_of,
    decode_book,
    decode_changes,
    sides,
)
from ssmd.message import Header, Level

ZERO: Final = Decimal(0)
ONE: Final = Decimal(1)
_UNREADABLE = (msgspec.MsgspecError, ValueError, ArithmeticError, RecursionError)
_ABOUT_ASSETS: Final = frozenset(
    {"last_trade_price", "best_bid_ask", "new_market", "market_resolved"}
)

_Batch = tuple[int | None, str | None]
"""The time and hash that the entries of one change of a book share."""


class _Book:
    """An asset's book, from its last snapshot on."""

    __slots__ = (
        "_asks",
        "_best_ask",
        "_best_bid",
        "_bids",
        "_follow",
        "_owed",
        "_ts_ns",
        "market",
        "negative",
    )

    def __init__(self, header: Header, bids: Sequence[Level], asks: Sequence[Level]) -> None:
        self.market = header.sym
        self._ts_ns = header.ts_ns
        self._follow: Follow | None = None
        self._bids = {price: size for price, size in bids if size}
        self._asks = {price: size for price, size in asks if size}
        self._best_bid = max(self._bids, default=None)
        self._best_ask = min(self._asks, default=None)
        self.negative = any(
            size < ZERO for side in (self._bids, self._asks) for size in side.values()
        )
        """A level has less than nothing."""
        self._owed: _Batch | None = None
        """The top was not the claimed one, and more entries of the same change may come."""

    def check(self, change: Change, batch: _Batch) -> bool | None:
        """Set a level, and whether the claimed top holds; None where that is not known yet."""
        if self._owed is not None and self._owed != batch:
            return False
        self._owed = None
        self._ts_ns = batch[0]
        self._set(change)
        if change.best_bid is None and change.best_ask is None:
            return None
        if _same(self._best_bid, change.best_bid, ZERO) and _same(
            self._best_ask, change.best_ask, ONE
        ):
            return True
        if batch == (None, None):
            return False
        self._owed = batch
        return None

    @property
    def wrong(self) -> str | None:
        """What cannot be in a right book; None where nothing is, or more is still to come."""
        bid, ask = self._best_bid, self._best_ask
        if self._owed is None and bid is not None and ask is not None and bid >= ask:
            return "crossed"
        return "negative" if self.negative else None

    def top(self) -> Top | None:
        """None while the rest of a change is still to come."""
        if self._owed is not None:
            return None
        bid, ask = self._best_bid, self._best_ask
        return (
            None if bid is None else (bid, self._bids[bid]),
            None if ask is None else (ask, self._asks[ask]),
        )

    def follow(self) -> Follow:
        self.end()
        self._follow = Follow(self._ts_ns, self._bids.items(), self._asks.items())
        return self._follow

    def end(self) -> None:
        """The book is no more, or followed no longer."""
        if self._follow is not None:
            self._follow.end()
            self._follow = None

    def _set(self, change: Change) -> None:
        price, size = change.price, change.size
        buys = change.side == "BUY"
        if self._follow is not None:
            self._follow.set(self._ts_ns, "bid" if buys else "ask", price, size)
        side, best = (self._bids, self._best_bid) if buys else (self._asks, self._best_ask)
        if size:
            side[price] = size
            self.negative = self.negative or size < ZERO
            if best is None or (price > best if buys else price < best):
                best = price
        elif side.pop(price, None) is not None and price == best:
            best = max(side, default=None) if buys else min(side, default=None)
        if buys:
            self._best_bid = best
        else:
            self._best_ask = best


def _same(own: Decimal | None, claimed: Decimal | None, empty: Decimal) -> bool:
    """An empty side is claimed as 0 (bid), as 1 or 0 (ask), or not at all."""
    if own is None:
        return claimed is None or claimed in (empty, ZERO)
    return claimed is None or own == claimed


class PolymarketContinuity:
    """Own top of book against the exchange's claims, and a book's hash where it can be told."""

    paused = False

    def __init__(self) -> None:
        self._books: dict[str, _Book] = {}

    def top(self, sym: str) -> Top | None:
        book = self._books.get(sym)
        return None if book is None else book.top()

    def follow(self, sym: str) -> Follow | None:
        book = self._books.get(sym)
        return None if book is None else book.follow()

    def check(self, header: Header, frame: bytes) -> Verdict:
        kind = header.type
        try:
            if kind == "price_change":
                return self._check_changes(header, frame)
            if kind == "book":
                return self._check_book(header, frame)
            if kind == "tick_size_change":
                return self._end_epoch(frame)
            if kind in _ABOUT_ASSETS:
                return Verdict("unverified", touched=assets_of(frame))
        except _UNREADABLE:
            books = self._spoil(header.sym) if kind not in _ABOUT_ASSETS else ()
            if not books:
                raise
            fault = Fault("unreadable", header.sym, books=books)
            return Verdict("broken", (fault,), touched=books)
        return UNVERIFIED

    def _check_changes(self, header: Header, frame: bytes) -> Verdict:
        faults, verified, touched = [], True, []
        for change in decode_changes(frame):
            asset = change.asset_id
            if asset not in touched:
                touched.append(asset)
            book = self._books.get(asset)
            holds = None if book is None else book.check(change, (header.ts_ns, change.hash))
            cause = "top" if holds is False else None if book is None else book.wrong
            if cause is not None:
                self._end(asset)
                faults.append(Fault(cause, asset, books=(asset,)))
            verified = verified and holds is True
        if faults:
            return Verdict("broken", tuple(faults), touched=tuple(touched))
        return Verdict("verified" if verified and touched else "unverified", touched=tuple(touched))

    def _check_book(self, header: Header, frame: bytes) -> Verdict:
        event = decode_book(frame)
        bids, asks = sides(event)
        asset = event.asset_id
        holds = hash_holds(frame)
        self._end(asset)
        book = _Book(header, bids, asks)
        cause = "hash" if holds is False else book.wrong
        if cause is not None:
            fault = Fault(cause, asset, books=(asset,))
            return Verdict("broken", (fault,), touched=(asset,))
        self._books[asset] = book
        return Verdict("verified" if holds else "unverified", synced=(asset,), touched=(asset,))

    def _end_epoch(self, frame: bytes) -> Verdict:
        """With a new tick size the old book is void until the next snapshot."""
        assets = assets_of(frame)
        for asset in assets:
            self._end(asset)
        return Verdict("unverified", touched=assets, voided=assets)

    def _spoil(self, market: str | None) -> tuple[str, ...]:
        """The books that an event which cannot be read may have been about."""
        spoilt = tuple(
            asset
            for asset, book in self._books.items()
            if market is None or book.market in (market, None)
        )
        for asset in spoilt:
            self._end(asset)
        return spoilt

    def _end(self, asset: str) -> None:
        book = self._books.pop(asset, None)
        if book is not None:
            book.end()
