"""All markets of one simulated exchange: which are listed, who watches them, what happens next.

What happens is a function of the seed and of what is watched, not of time: with ``start_ns`` given,
even the time stamps are. Nothing happens while nobody watches.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from random import Random
from typing import TYPE_CHECKING, Final, NamedTuple

from ssmd.sim import market as markets
from ssmd.sim.market import Change, Life, Market, Status, Trade

if TYPE_CHECKING:
    from ssmd.sim.venues.base import Session, Venue

HOT: Final = 200
"""How many markets trade for a client that asks for all of them."""

_RECENT: Final = 10_000


class Watcher(NamedTuple):
    """A session, and where the frames go that it makes."""

    session: "Session"
    push: Callable[[Sequence[bytes]], None]


class World:
    """The instruments 0 ... ``size`` - 1 of a venue. Only those that somebody looked at exist."""

    def __init__(
        self,
        venue: "Venue",
        *,
        seed: int,
        count: int,
        lifecycle_every: int = 5_000,
        start_ns: int | None = None,
        step_ns: int = 1_000_000,
    ) -> None:
        """``start_ns``: time begins there and moves by ``step_ns`` with each event; None: it is
        the clock's. ``lifecycle_every``: events from one opening or settlement to the next."""
        self.venue = venue
        self.seed = seed
        self.initial = count
        self.size = count
        self.began_ns = time.time_ns() if start_ns is None else start_ns
        self._lifecycle_every = lifecycle_every if venue.lists_new else 0
        self._logical_ns = start_ns
        self._shift_ns = 0
        self._step_ns = step_ns
        self._rng = Random(f"{venue.name}:{seed}")  # noqa: S311 - a market, not a secret
        self._markets: dict[int, Market] = {}
        self._watchers: dict[int, Watcher] = {}
        self.recent: deque[Trade] = deque(maxlen=_RECENT)
        """The latest trades of all markets, the oldest first."""
        self.traded = 0
        """How many trades there were: the number of the latest one."""
        self.awake = asyncio.Event()
        """Set while anything can happen: while an open market is watched."""
        self._created: dict[int, int] = {}
        self._updated: dict[int, int] = {}
        self._live: list[Market] = []
        self._places: dict[int, int] = {}
        self._events = 0
        self._oldest = 0

    # --- directory ------------------------------------------------------------------------------

    def market(self, name: str) -> Market | None:
        """The market with this symbol, None where none is listed."""
        index = self.venue.find(name)
        return None if index is None or not 0 <= index < self.size else self.at(index)

    def at(self, index: int) -> Market:
        """The market of that number; its book exists from now on."""
        found = self._markets.get(index)
        if found is None:
            rng = Random(f"{self.venue.name}:{self.seed}:{index}")  # noqa: S311
            found = Market(index, self.venue.listing(index, self.seed), rng, self.now_ns())
            self._markets[index] = found
        return found

    def peek(self, index: int) -> Market | None:
        """The market of that number if somebody looked at it: lists need no books."""
        return self._markets.get(index)

    def status(self, index: int) -> Status:
        found = self._markets.get(index)
        return "open" if found is None else found.status

    def created_ns(self, index: int) -> int:
        return self._created.get(index, self.began_ns)

    def updated_ns(self, index: int) -> int:
        """When the exchange last changed what it lists of the market, beside prices."""
        return self._updated.get(index, self.began_ns)

    def now_ns(self) -> int:
        now = time.time_ns() if self._logical_ns is None else self._logical_ns
        return now + self._shift_ns

    def shift(self, ns: int) -> None:
        """The exchange's clock is set."""
        self._shift_ns += ns

    # --- watchers -------------------------------------------------------------------------------

    def join(self, session: "Session", push: Callable[[Sequence[bytes]], None]) -> None:
        self._watchers[id(session)] = Watcher(session, push)

    def leave(self, session: "Session") -> None:
        del self._watchers[id(session)]
        for market in self._markets.values():
            self.unwatch(session, market)

    def watch(self, session: "Session", market: Market) -> None:
        """From now on the session is told what happens on the market."""
        if any(watcher.session is session for watcher in market.watchers):
            return
        market.watchers.append(self._watchers[id(session)])
        self._wake(market)

    def unwatch(self, session: "Session", market: Market) -> None:
        for watcher in market.watchers:
            if watcher.session is session:
                market.watchers.remove(watcher)
                if not market.watchers:
                    self._rest(market)
                return

    def _wake(self, market: Market) -> None:
        if market.watchers and market.status == "open" and market.index not in self._places:
            self._places[market.index] = len(self._live)
            self._live.append(market)
            self.awake.set()

    def _rest(self, market: Market) -> None:
        place = self._places.pop(market.index, None)
        if place is None:
            return
        last = self._live.pop()
        if last is not market:
            self._live[place] = last
            self._places[last.index] = place
        if not self._live:
            self.awake.clear()

    def watch_all(self, session: "Session") -> None:
        """Watch the first ``HOT`` markets: those that trade for clients that want everything."""
        for index in range(min(self.size, HOT)):
            self.watch(session, self.at(index))

    # --- events ---------------------------------------------------------------------------------

    def step(self) -> int:
        """Let one thing happen and tell those who watch; returns how many frames that made."""
        self._events += 1
        if self._logical_ns is not None:
            self._logical_ns += self._step_ns
        if self._lifecycle_every and self._events % self._lifecycle_every == 0:
            return self._turn_over()
        live = self._live
        market = live[int(self._rng.random() * len(live))]
        return self._tell(market, markets.step(market, self._rng, self.now_ns()))

    def _tell(self, market: Market, event: Change | Trade) -> int:
        total = 0
        traded = type(event) is Trade
        if traded:
            self.recent.append(event)  # type: ignore[arg-type]
            self.traded += 1
        for session, push in market.watchers:
            frames = session.on_trade(event) if traded else session.on_change(event)  # type: ignore[arg-type]
            if frames:
                push(frames)
                total += len(frames)
        return total

    def _tell_all(self, life: Life) -> int:
        total = 0
        for session, push in self._watchers.values():
            frames = session.on_life(life)
            push(frames)
            total += len(frames)
        return total

    def _turn_over(self) -> int:
        """Open a market and settle an old one by turns. Half of the first ones stay for ever, so
        that those who watch a fixed list go on seeing something happen."""
        if self._events // self._lifecycle_every % 2 and self.size < self.venue.max_markets:
            return self._open()
        while self._oldest < self.size:
            index = self._oldest
            self._oldest += 1
            if index % 2 or index >= self.initial:
                return self._settle(self.at(index))
        return 0

    def _open(self) -> int:
        self.size += 1
        market = self.at(self.size - 1)
        now = self._created[market.index] = self._updated[market.index] = self.now_ns()
        market.status = "created"
        told = self._tell_all(Life(market, "created", now))
        market.status = "open"
        self._wake(market)
        return told + self._tell_all(Life(market, "open", now))

    def _settle(self, market: Market) -> int:
        """Trading ends, what stands in the book is cancelled, the result is known."""
        now = self._updated[market.index] = self.now_ns()
        told = sum(self._tell(market, change) for change in markets.clear(market, now))
        self._rest(market)
        market.result = "yes" if market.mid * 2 >= len(market.listing.grid) else "no"
        ends: tuple[Status, Status] = ("closed", "settled")
        for status in ends:
            market.status = status
            told += self._tell_all(Life(market, market.status, now, market.result))
        return told
