"""Trades that passed in a gap, fetched over REST where the venue has them.

Each is a ``_backfill`` message with the gap's id, the trade in the bytes of the REST answer, and
its exchange time; ``_backfilled`` says that a gap is done. They never stand among the live trades.
Around a gap's edges a trade can be in both: its id tells.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable
from typing import Final

from msgspec import Raw

from ssmd.connect.gaps import Gap
from ssmd.connect.tape import Channel, Tape
from ssmd.errors import ExchangeError, ExchangeRefused
from ssmd.exchanges.base import Request, TradesPage
from ssmd.rest import Rest
from ssmd.runtime import backoff

log = logging.getLogger(__name__)

CAUSES: Final = frozenset({"disconnected", "killed", "lost", "overflow"})
"""Gaps in which whole subscriptions were not heard; in others the trades went on."""
MOST_GAPS: Final = 1_000
MOST_PAGES: Final = 500
"""Calls for one gap; what is not asked for then is named."""
ATTEMPTS: Final = 5
"""For one page, before the rest of the instrument's trades is given up."""
SLACK_NS: Final = 1_000_000_000
"""The exchange's clock and ours differ."""


class Backfill:
    """The gaps of one feed whose trades are still to be fetched, one after the other."""

    def __init__(
        self, channel: Channel, rest: Rest, tape: Tape, symbols: Callable[[], Iterable[str]]
    ) -> None:
        self._channel = channel
        self._exchange = channel.exchange
        self._rest = rest
        self._tape = tape
        self._symbols = symbols
        self._waiting: asyncio.Queue[tuple[Gap, int]] = asyncio.Queue(MOST_GAPS)

    def want(self, gap: Gap, to_ns: int) -> None:
        """A gap has ended; beyond ``MOST_GAPS`` waiting ones its trades stay missing."""
        if (gap.cause in CAUSES or _of_trades(gap)) and not self._waiting.full():
            self._waiting.put_nowait((gap, to_ns))

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            gap, to_ns = await self._waiting.get()
            await self._fill(gap, to_ns)

    async def _fill(self, gap: Gap, to_ns: int) -> None:
        symbols = [gap.sym] if gap.sym is not None else sorted(self._symbols())
        count, pages, failed = 0, 0, []
        for sym in symbols:
            found, asked, whole = await self._trades(gap, sym, to_ns, MOST_PAGES - pages)
            count, pages = count + found, pages + asked
            if not whole:
                failed.append(sym)
        if pages:
            facts = {"gap": gap.id, "trades": count, "symbols": len(symbols), "failed": failed}
            self._tape.note("_backfilled", facts)

    async def _trades(self, gap: Gap, sym: str, to_ns: int, most: int) -> tuple[int, int, bool]:
        """Fetch one instrument's; how many trades there were, in how many pages, and whether these
        are all."""
        first_ns, last_ns = gap.from_ns - SLACK_NS, to_ns + SLACK_NS
        request = self._exchange.trades_request(sym, first_ns, last_ns)
        count = pages = 0
        while request is not None and pages < most:
            pages += 1
            try:
                page = await self._page(request)
            except ExchangeError as error:
                log.info("%s: no trades of %s: %s", self._channel.feed, sym, error.message)
                break
            for header, payload in page.trades:
                if header.ts_ns is None or first_ns <= header.ts_ns <= last_ns:
                    trade = {"gap": gap.id, "ts_ns": header.ts_ns, "trade": Raw(payload)}
                    self._tape.note("_backfill", trade, header.sym or sym)
                    count += 1
            request = page.next
        return count, pages, request is None

    async def _page(self, request: Request) -> TradesPage:
        """One page, asked for again where that may help: to begin anew would double those before
        it. Raises ExchangeError."""
        for attempt, delay_s in enumerate(backoff(), 1):
            try:
                return self._exchange.trades_answer(request, await self._rest.get(request))
            except ExchangeError as error:
                if isinstance(error, ExchangeRefused) or attempt == ATTEMPTS:
                    raise
                log.info("%s: trades of a gap: %s", self._channel.feed, error.message)
                await asyncio.sleep(max(delay_s, error.retry_after_s))
        raise AssertionError  # the delays have no end


def _of_trades(gap: Gap) -> bool:
    return gap.cause == "sequence" and not gap.carried_books
