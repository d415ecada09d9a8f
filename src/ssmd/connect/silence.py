"""Telling a quiet market from a mute feed.

Three clocks: the last byte (a dead socket), the last data of the connection, and the last data of
each instrument. Bytes that carry no data, heartbeats and pongs, prove nothing. An instrument that
is silent for much longer than it uses to be is looked up over REST: where the book there is the
one we hold, the market is quiet; where it moved on without us, twice, the feed is mute.
"""

import asyncio
import logging
import time
from typing import Final

from ssmd.connect.books import Book, Books
from ssmd.connect.rest import Rest
from ssmd.connect.tape import Channel, Tape
from ssmd.errors import ExchangeError
from ssmd.exchanges.base import Top

log = logging.getLogger(__name__)

PACES: Final = 20.0
"""Silence of so many times the usual pause is looked into."""
PROBES: Final = 20
"""Instruments looked up in one round, those first that are silent for the most paces."""
MOST_DOUBLINGS: Final = 7
UNKNOWN_AFTER: Final = 5.0
"""Without REST: silence of so many times the limit counts as mute."""


class Silence:
    """Watches over the silent instruments of one WebSocket."""

    def __init__(
        self, channel: Channel, books: Books, rest: Rest, tape: Tape, stale_after_s: float
    ) -> None:
        self.dead: str | None = None
        """Why the connection as a whole is mute."""
        self.data_s = time.monotonic()
        """When market data came last, of any instrument."""
        self._channel = channel
        self._exchange = channel.exchange
        self._books = books
        self._rest = rest
        self._tape = tape
        self._stale_after_s = stale_after_s
        self._excused = 0.0

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await asyncio.sleep(min(self._stale_after_s / 4, 5.0))
            now = time.monotonic()
            if self._tape.paused or self._exchange.quiet(time.time_ns()):
                self._excused = now
                continue
            suspects = self._suspects(now)
            if suspects:
                await self._look_up(suspects[:PROBES])

    def _suspects(self, now: float) -> list[Book]:
        """Books that are silent for too long, the most unusual silence first."""
        found = [
            (silence / max(book.pace_s, 0.001), book)
            for book in self._books
            if book.state == "synced" and (silence := now - self._since(book)) > self._limit_s(book)
        ]
        return [book for _, book in sorted(found, key=lambda item: -item[0])]

    def _since(self, book: Book) -> float:
        return max(book.last, book.checked, self._excused)

    def _limit_s(self, book: Book) -> float:
        """Twice as long with each time that the market was found quiet since its last data."""
        if book.last > book.checked:
            book.calm = 0
        usual = max(self._stale_after_s, PACES * book.pace_s)
        return float(usual * 2 ** min(book.calm, MOST_DOUBLINGS))

    async def _look_up(self, suspects: list[Book]) -> None:
        began = time.monotonic()
        seen: dict[str, Top] = {}
        for book in suspects:
            top = await self._top(book)
            held = self._tape.top(book.sym)
            if top is not None and top == held:
                self._is_quiet(book)
            elif top is not None:
                seen[book.sym] = top if held is None else held
        # Data that is on its way, and answers that a cache holds, get their time.
        await asyncio.sleep(self._stale_after_s / 2)
        for book in suspects:
            if book.state != "synced" or book.last >= began or book.checked >= began:
                continue
            await self._look_again(book, seen.get(book.sym), began)

    async def _look_again(self, book: Book, before: Top | None, began: float) -> None:
        top = await self._top(book) if before is not None else None
        if top is not None and top == before:
            self._is_quiet(book)
        elif top is not None:
            self._is_mute(book, "mute", began)
        elif time.monotonic() - self._since(book) > UNKNOWN_AFTER * self._limit_s(book):
            self._is_mute(book, "mute_suspected", began)

    async def _top(self, book: Book) -> Top | None:
        """The best levels that REST tells; None where it does not."""
        try:
            request = self._exchange.book_request(book.sym)
            answer = self._exchange.book_answer(book.sym, await self._rest.get(request))
        except ExchangeError as error:
            log.info("%s: cannot look up %s: %s", self._channel.feed, book.sym, error.message)
            return None
        return (max(answer.bids, default=None), min(answer.asks, default=None))

    def _is_quiet(self, book: Book) -> None:
        book.checked = time.monotonic()
        book.calm += 1

    def _is_mute(self, book: Book, cause: str, began: float) -> None:
        """Redrive the instrument, or give up the connection where nothing came for any, neither
        before nor since it was looked up."""
        now = time.monotonic()
        silent_s = now - book.last
        if self.data_s < began and now - self.data_s > self._stale_after_s:
            self.dead = f"no data for {now - self.data_s:.0f} s, though {book.sym} moved"
            return
        log.warning("%s: nothing for %s for %.0f s", self._channel.feed, book.sym, silent_s)
        from_ns = time.time_ns() - int(silent_s * 1e9)
        self._books.doubt(self._tape, [book.sym], cause, now, sym=book.sym, from_ns=from_ns)
