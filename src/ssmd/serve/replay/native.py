"""A client of an exchange, talked to in that exchange's protocol over the archive."""

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from typing import Final

from starlette.concurrency import run_in_threadpool

from ssmd.dataset import Archive
from ssmd.exchanges import EXCHANGES
from ssmd.serve.replay.asked import AskedNative
from ssmd.serve.replay.ear import Ear
from ssmd.serve.replay.holes import Holes
from ssmd.serve.replay.kalshi import KalshiReplay
from ssmd.serve.replay.kraken import KrakenReplay
from ssmd.serve.replay.kraken_futures import FuturesReplay
from ssmd.serve.replay.pace import Pace
from ssmd.serve.replay.polymarket import PolymarketReplay
from ssmd.serve.replay.reading import Entry, merged
from ssmd.serve.replay.socket import ENDED, GOING_AWAY, POLICY, Closed, Socket
from ssmd.serve.replay.stock import SLICE_S, Stock
from ssmd.serve.replay.venue import Open
from ssmd.serve.replay.warm import warm_from
from ssmd.span import Window

VENUES: Final[Mapping[str, Open]] = {
    "kalshi": KalshiReplay,
    "polymarket": PolymarketReplay,
    "kraken": KrakenReplay,
    "kraken_futures": FuturesReplay,
}
SETTLE_S: Final = 0.5
"""A client subscribes in several commands: the replay begins so long after the last of them."""
TICK_S: Final = 1.0
UNSUBSCRIBED_S: Final = 300.0
"""Who subscribes to nothing is sent away."""
MOST_COMMANDS: Final = 10_000
MOST_AT_ONCE: Final = 64


class Native:
    """One connection: what was archived before the window makes the books, the rest is played."""

    def __init__(self, archive: Archive, asked: AskedNative) -> None:
        self._archive = archive
        self._asked = asked
        self._venue = VENUES[asked.exchange](asked.symbols)
        self._ear = Ear(EXCHANGES[asked.exchange], self._venue)
        self._pace = Pace(asked.speed, time.monotonic)
        self._holes = Holes()
        self._inbox: deque[str] = deque()
        self._changed = asyncio.Event()
        self._opened_s = self._tick_s = time.monotonic()
        self._settled_s = 0.0
        self._sent = 0

    async def serve(self, socket: Socket) -> None:
        self._socket = socket
        await socket.converse(self._hear, self._talk)

    def _hear(self, text: str) -> None:
        if len(self._inbox) >= MOST_COMMANDS:
            raise Closed(POLICY, "too many commands")
        self._inbox.append(text)
        self._changed.set()

    async def _talk(self) -> None:
        await self._send(self._venue.greet())
        stock = await self._warm()
        while True:
            self._changed.clear()
            now = time.monotonic()
            if self._inbox:
                await self._send(self._venue.obey(self._inbox.popleft()))
                self._settled_s = now + SETTLE_S
            elif now >= self._tick_s:
                await self._tick(now)
            elif not self._venue.started:
                await self._wait(self._tick_s)
            elif now < self._settled_s and not self._pace.began:
                await self._wait(min(self._settled_s, self._tick_s))
            elif not stock.ready and not stock.over:
                await stock.more()
            elif not stock.ready:
                raise Closed(ENDED, self._farewell())
            elif (due := self._due(stock.ready[0])) > now:
                await self._wait(min(due, self._tick_s))
            else:
                await self._play(stock.ready, now)

    def _due(self, entry: Entry) -> float:
        return self._pace.due(entry.due_ns) if entry.hole is None else 0.0

    async def _play(self, ready: deque[Entry], now: float) -> None:
        """What is due, some at a time, so that commands are heard in between."""
        for _ in range(min(MOST_AT_ONCE, len(ready))):
            if self._due(ready[0]) > now:
                break
            entry = ready.popleft()
            await self._send(self._heard(entry))
        await asyncio.sleep(0)

    def _heard(self, entry: Entry) -> Iterable[bytes]:
        if entry.hole is None:
            return self._ear.hear(entry.line)
        self._holes.add(entry.hole)
        return ()

    async def _tick(self, now: float) -> None:
        if not self._venue.started and now > self._opened_s + UNSUBSCRIBED_S:
            raise Closed(GOING_AWAY, "no subscription")
        self._tick_s = now + TICK_S
        await self._send(self._venue.tick())

    async def _wait(self, until: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, until - time.monotonic())):
                await self._changed.wait()

    async def _send(self, frames: Iterable[bytes]) -> None:
        for frame in frames:
            await self._socket.send(frame)
            self._sent += 1

    def _farewell(self) -> str:
        damaged = f", {len(self._holes.named)} stretches unreadable" if self._holes.named else ""
        return f"end of the replay: {self._sent} frames{damaged}"

    # --- before the window ------------------------------------------------------------------------

    async def _warm(self) -> Stock[Entry]:
        """Hear all that the books of the window's start follow from; what comes after."""
        start_ns, end_ns = self._asked.window
        feed = self._asked.feed
        since_ns = await run_in_threadpool(warm_from, self._archive, feed, start_ns)
        entries = merged(self._archive, (feed,), Window(since_ns, end_ns))
        head: list[Entry] = []
        while await run_in_threadpool(self._slice, entries, start_ns, head):
            pass
        return Stock(chain(head, entries), lambda entry: entry, lambda entry: len(entry.line))

    def _slice(self, entries: Iterator[Entry], start_ns: int, head: list[Entry]) -> bool:
        """Hear for a moment; whether there is more to hear. The first of the window is the head."""
        until = time.monotonic() + SLICE_S
        for entry in entries:
            if entry.due_ns >= start_ns:
                head.append(entry)
                return False
            deque(self._heard(entry), maxlen=0)
            if time.monotonic() > until:
                return True
        return False
