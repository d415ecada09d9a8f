"""What is known of the books of one connection, and which of them need a new snapshot.

``unsynced`` (not asked for) -> ``snapshotting`` (asked for) -> ``synced`` -> ``stale`` (known to be
wrong, or no longer known to be right) -> ``recovering`` (asked for again) -> ``synced``. Each turn
is a ``_book`` message.
"""

import logging
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any, Final, Literal

from msgspec import Struct

from ssmd.connect.gaps import Gap, Gaps
from ssmd.connect.tape import Tape
from ssmd.exchanges.base import Verdict
from ssmd.message import Header

log = logging.getLogger(__name__)

State = Literal["unsynced", "snapshotting", "synced", "stale", "recovering"]

RETRIES: Final = 5
"""Snapshots asked for in quick succession; after them, one each ``PATIENCE_S``."""
PATIENCE_S: Final = 300.0
FIRST_RETRY_S: Final = 1.0


class Book(Struct):
    """One instrument. Times are monotonic seconds."""

    sym: str
    state: State = "unsynced"
    cause: str | None = None
    due: float = 0.0
    """When to ask for a snapshot (stale), or to give up waiting for it."""
    attempts: int = 0
    synced: float = 0.0
    """When it last became right."""
    last: float = 0.0
    """When data came last."""
    pace_s: float = 0.0
    """Mean time between data, smoothed."""
    checked: float = 0.0
    """When the market was last found to be quiet, so that no data is no fault."""
    calm: int = 0
    """How often in a row it was."""


class Books:
    """The books that one connection carries, over all its WebSockets."""

    def __init__(self, gaps: Gaps, snapshot_s: float) -> None:
        self._gaps = gaps
        self._snapshot_s = snapshot_s
        self._books: dict[str, Book] = {}

    def __contains__(self, sym: str) -> bool:
        return sym in self._books

    def __iter__(self) -> Iterator[Book]:
        return iter(self._books.values())

    @property
    def settled(self) -> bool:
        """Every book is synced."""
        return all(book.state == "synced" for book in self._books.values())

    def want(self, tape: Tape, symbols: Iterable[str], now: float) -> None:
        """A subscription to these books goes out."""
        for sym in symbols:
            book = self._books.setdefault(sym, Book(sym))
            book.due = now + self._snapshot_s
            book.last = now
            self._turn(tape, book, "snapshotting")

    def drop(self, tape: Tape, symbols: Iterable[str], outcome: str = "dropped") -> None:
        """These books are wanted no longer, or the exchange refuses them."""
        for sym in symbols:
            if self._books.pop(sym, None) is not None:
                self._gaps.settle(tape, sym, outcome)

    def hear(self, tape: Tape, header: Header, verdict: Verdict, now: float) -> None:
        """What one message of market data, or an ack, says of the books."""
        if verdict.touched:
            for sym in verdict.touched:
                self._alive(sym, now)
        elif header.sym is not None:
            self._alive(header.sym, now)
        for sym in verdict.synced:
            self._synced(tape, sym, now)
        for sym in verdict.voided:
            self._void(tape, sym, now)
        for fault in verdict.faults:
            books = [sym for sym in fault.books if sym in self._books]
            facts = {"grp": fault.grp, "first_seq": fault.first_seq, "last_seq": fault.last_seq}
            if books:
                self.doubt(tape, books, fault.cause, now, sym=fault.sym, **facts)
            else:
                self._gaps.lost(tape, fault.cause, sym=fault.sym, **facts)

    def doubt(
        self,
        tape: Tape,
        symbols: Iterable[str],
        cause: str,
        now: float,
        **facts: Any,
    ) -> Gap:
        """These books can no longer be trusted: a gap opens, and snapshots are due."""
        books = [self._books[sym] for sym in symbols if sym in self._books]
        gap = self._gaps.begin(tape, cause, books=[book.sym for book in books], **facts)
        for book in books:
            if book.state == "synced" and now - book.synced > PATIENCE_S:
                book.attempts = 0  # it was right for long: this is a new trouble
            self._turn(tape, book, "stale", cause)
            book.due = self._retry_at(book, now)
        return gap

    def due(self, tape: Tape, now: float) -> list[str]:
        """Books to ask a snapshot for at this moment; they are taken as asked for."""
        late = [book for book in self._books.values() if book.due <= now]
        unanswered = [b.sym for b in late if b.state in ("snapshotting", "recovering")]
        if unanswered:
            self._unanswered(tape, unanswered, now)
        asked = [book for book in late if book.state == "stale" and book.due <= now]
        for book in asked:
            book.attempts += 1
            book.due = now + self._snapshot_s
            self._turn(tape, book, "recovering")
        return [book.sym for book in asked]

    def _unanswered(self, tape: Tape, symbols: list[str], now: float) -> None:
        """Snapshots that did not come in time; a gap that waits for one already goes on."""
        known = {sym for gap in self._gaps.open.values() for sym in gap.books}
        fresh = [sym for sym in symbols if sym not in known]
        if fresh:
            self.doubt(tape, fresh, "no_snapshot", now)
        for sym in symbols:
            book = self._books[sym]
            self._turn(tape, book, "stale", "no_snapshot")
            book.due = self._retry_at(book, now)

    def _retry_at(self, book: Book, now: float) -> float:
        """At once the first time, then later and later."""
        if book.attempts == 0:
            return now
        if book.attempts < RETRIES:
            return now + FIRST_RETRY_S * float(2 ** (book.attempts - 1))
        if book.attempts == RETRIES:
            log.warning("the book of %s does not come right; asking for it less often", book.sym)
        return now + PATIENCE_S

    def _alive(self, sym: str, now: float) -> None:
        book = self._books.get(sym)
        if book is not None:
            book.pace_s += (now - book.last - book.pace_s) * 0.05
            book.last = now

    def _synced(self, tape: Tape, sym: str, now: float) -> None:
        book = self._books.get(sym)
        if book is None:
            return
        book.due = float("inf")
        if book.state != "synced":
            book.synced = now
            self._turn(tape, book, "synced")
            self._gaps.settle(tape, sym)

    def _void(self, tape: Tape, sym: str, now: float) -> None:
        """No fault: but if the new snapshot does not come by itself, it is asked for."""
        book = self._books.get(sym)
        if book is not None and book.state == "synced":
            book.due = now + self._snapshot_s
            self._turn(tape, book, "snapshotting", "new_epoch")

    def _turn(self, tape: Tape, book: Book, state: State, cause: str | None = None) -> None:
        if book.state == state:
            return
        facts = {"sym": book.sym, "state": state, "was": book.state, "cause": cause}
        book.state, book.cause = state, cause
        tape.note("_book", {key: value for key, value in facts.items() if value}, book.sym)

    def as_dict(self) -> dict[str, int]:
        """How many books are in each state."""
        return dict(Counter(book.state for book in self._books.values()))
