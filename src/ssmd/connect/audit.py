"""Holding books against REST, for losses that no check of messages can see.

Book after book, those first that were not looked at for the longest. A difference is a fault only
where the same level differs in two looks, and is not on its way: either the book has got messages
of a later time than the answer's, or none at all came between the looks.
"""

import asyncio
import logging
import time
from typing import Final

from msgspec import Struct

from ssmd.connect.books import Book, Books
from ssmd.connect.stats import Audited
from ssmd.connect.tape import Channel, Tape
from ssmd.errors import ExchangeError
from ssmd.exchanges.follow import Comparison, Follow
from ssmd.message import BookSnapshot
from ssmd.rest import Rest

log = logging.getLogger(__name__)

BATCH: Final = 20
"""Books that are looked at before those that differ are looked at again."""
SETTLE_S: Final = 2.0
"""What is on its way gets so long."""
IDLE_S: Final = 5.0


class _Look(Struct):
    """One book, and what REST told of it."""

    book: Book
    follow: Follow
    told: BookSnapshot
    again: BookSnapshot | None = None
    changes: int = 0
    """Changes of the book when REST told of it first."""

    @property
    def right(self) -> bool:
        return any(found is not None and not found.wrong for found in self.compared())

    def compared(self) -> list[Comparison | None]:
        told = filter(None, (self.told, self.again))
        return [self.follow.against(one) for one in told]


class Audit:
    """Goes round the books of one WebSocket."""

    def __init__(self, channel: Channel, books: Books, rest: Rest, tape: Tape) -> None:
        self._channel = channel
        self._exchange = channel.exchange
        self._books = books
        self._rest = rest
        self._tape = tape

    async def run(self) -> None:
        """Until cancelled; at once where the exchange asks for no audit."""
        every_s = self._exchange.audit_every_s
        while every_s is not None:
            due = self._due(time.monotonic(), every_s)
            if due:
                await self._look_at(due[:BATCH])
            else:
                await asyncio.sleep(min(IDLE_S, every_s / 4))

    def _due(self, now: float, every_s: float) -> list[Book]:
        if self._tape.paused or self._exchange.quiet(time.time_ns()):
            return []
        due = [b for b in self._books if b.state == "synced" and now >= _next_look(b, every_s)]
        return sorted(due, key=lambda book: book.audited)

    async def _look_at(self, books: list[Book]) -> None:
        looks = [look for book in books if (look := await self._first_look(book)) is not None]
        looks = await self._settled(looks)
        for look in looks:
            look.again = await self._told(look.book)
        for look in await self._settled(looks):
            self._close(look, _outcome(look))

    async def _settled(self, looks: list[_Look]) -> list[_Look]:
        """Those that still differ when what was on its way has come; the others are right."""
        if looks:
            await asyncio.sleep(SETTLE_S)
        left = []
        for look in looks:
            if look.right:
                self._close(look, "right")
            else:
                left.append(look)
        return left

    async def _first_look(self, book: Book) -> _Look | None:
        """None where there is nothing more to look at."""
        book.audited = time.monotonic()
        follow = self._tape.follow(book.sym)
        told = await self._told(book) if follow is not None else None
        if follow is None or told is None:
            self._tape.audited("open")
            return None
        look = _Look(book, follow, told, changes=follow.count)
        if look.right:
            self._close(look, "right")
            return None
        return look

    async def _told(self, book: Book) -> BookSnapshot | None:
        try:
            request = self._exchange.book_request(book.sym)
            return self._exchange.book_answer(book.sym, await self._rest.gently(request))
        except ExchangeError as error:
            log.info("%s: cannot audit %s: %s", self._channel.feed, book.sym, error.message)
            return None

    def _close(self, look: _Look, outcome: Audited) -> None:
        book = look.book
        self._tape.audited(outcome)
        look.follow.end()
        if outcome == "right":
            book.proved = book.audited
        elif outcome == "wrong" and book.sym in self._books and book.state == "synced":
            self._doubt(book, time.monotonic())

    def _doubt(self, book: Book, now: float) -> None:
        """All since it was last known to be right is in doubt."""
        wrong_s = now - max(book.proved, book.synced)
        log.warning("%s: REST tells another book of %s", self._channel.feed, book.sym)
        from_ns = time.time_ns() - int(wrong_s * 1e9)
        self._books.doubt(self._tape, [book.sym], "audit", now, sym=book.sym, from_ns=from_ns)


def _next_look(book: Book, every_s: float) -> float:
    """A repaired book is looked at at once: whether the repair brought the right one."""
    if book.attempts and book.audited < book.synced:
        return book.synced
    return max(book.audited, book.synced) + every_s


def _outcome(look: _Look) -> Audited:
    """Of two looks that both found a difference."""
    found = [one for one in look.compared() if one is not None]
    if len(found) < 2:
        return "open"
    lasting = found[0].wrong & found[1].wrong
    arrived = any(one.passed for one in found) or look.follow.count == look.changes
    return "wrong" if lasting and arrived else "open"
