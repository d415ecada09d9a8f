"""One feed: its stream, its connections, and which instruments they carry."""

import asyncio
import logging
import os
import socket as sockets
import time
from collections import Counter
from collections.abc import Mapping
from typing import Any

from ssmd import __version__
from ssmd.bus import Bus, Publisher, StreamFacts
from ssmd.config import Config, ResolvedFeed, secrets
from ssmd.connect import discovery, past
from ssmd.connect.backfill import Backfill
from ssmd.connect.clock import WallClock, ntp
from ssmd.connect.connection import Connection, Identity
from ssmd.connect.gaps import Gap
from ssmd.connect.rest import Rest, open_rest
from ssmd.connect.retry import delay_s
from ssmd.connect.shard import Shard
from ssmd.connect.socket import Socket
from ssmd.connect.tape import Channel, Tape, connection_id
from ssmd.errors import BusError, ExchangeError, ExchangeRefused, KeyFault
from ssmd.exchanges import exchange as find_exchange
from ssmd.exchanges.base import Subscription
from ssmd.runtime import backoff, unless, wait

log = logging.getLogger(__name__)

DRAIN_S = 20.0
HANDSHAKE_SPACING_S = 0.2
CLOCK_EVERY_S = 60.0
REFRESH_S = 2.0
"""Instruments are looked up again no sooner, whatever the exchange lists."""
DOUBTFUL = frozenset({"stale", "recovering"})


class FeedCapture:
    """Captures one feed from ``run`` to its end."""

    def __init__(self, bus: Bus, config: Config, feed: ResolvedFeed, shard: Shard) -> None:
        self.feed = feed
        self.shard = shard
        self.exchange = find_exchange(feed.exchange)
        self.state = "connecting"
        self.detail: str | None = None
        self.connections: list[Connection] = []
        self.channel: Channel | None = None
        self._bus = bus
        self._config = config
        self._paused: set[Socket] = set()
        self._full = asyncio.Event()
        self._listed = asyncio.Event()
        """Something was listed or settled: the instruments are looked up again."""
        self._secrets: Mapping[str, str] = {}
        self._rest: Rest
        self._created = ""
        self._control: Tape | None = None

    def check_key(self) -> bool:
        """Whether the feed can run; raises KeyFault where its key is missing and required."""
        if not self.exchange.key_fields:
            return True
        key = self.feed.key
        try:
            if key is None:
                raise KeyFault(
                    f"{self.feed.name} needs a key",
                    hint=f"add keys.{self.feed.name} to environment {self._config.env.name}",
                )
            self._secrets = secrets(key)
            self.exchange.handshake_headers(self.feed.endpoint, self._secrets, 0)
        except KeyFault as fault:
            if key is None or key.required:
                raise KeyFault(
                    f"feed {self.feed.name}: {fault.message}", hint=fault.hint
                ) from fault
            self.state, self.detail = "left out", fault.message
            log.warning("%s is left out: %s (%s)", self.feed.name, fault.message, fault.hint)
            return False
        return True

    async def run(self, stop: asyncio.Event) -> None:
        env = self._config.env
        facts = await self._bus.ensure_stream(env.name, self.feed.name, env.transport)
        self._created = facts.created
        async with (
            self._bus.publisher(facts.name, restore=self._restore) as publisher,
            open_rest(self.feed, self.exchange) as rest,
        ):
            self._rest = rest
            self.channel = Channel(
                env.name, self.feed.name, self.exchange, publisher, self._bus.max_payload
            )
            control = self._control = Tape(self.channel, connection_id())
            killed = await self._cut_off(facts, control, stop)
            async with asyncio.TaskGroup() as tasks:
                watch = tasks.create_task(publisher.failed())
                resume = tasks.create_task(self._resume_when_room(publisher))
                backfill = Backfill(self.channel, rest, control, self._trading)
                self.channel.gaps.on_end = backfill.want
                fills = tasks.create_task(backfill.run())
                watches = tasks.create_task(self._keep_watch(control, killed))
                await self._capture(stop)
                watches.cancel()
                fills.cancel()
                await publisher.flush(DRAIN_S)
                watch.cancel()
                resume.cancel()

    async def _cut_off(self, facts: StreamFacts, control: Tape, stop: asyncio.Event) -> list[Gap]:
        """The gaps of an earlier process, read off the stream however often NATS goes away."""
        assert self.channel is not None
        for pause_s in backoff():
            try:
                return await past.cut_off(self._bus, facts, self.channel, control, self.shard)
            except BusError as error:
                log.warning("%s: %s; trying again", self.feed.name, error.message)
            if await wait(stop, pause_s):
                break
        return []

    async def _restore(self) -> None:
        """Make the stream again where its store was lost, with what no archiver had taken."""
        env = self._config.env
        facts = await self._bus.ensure_stream(env.name, self.feed.name, env.transport)
        if facts.created == self._created or self._control is None:
            return
        log.warning("%s: the stream %s was lost; noted as a gap", self.feed.name, facts.name)
        assert self.channel is not None
        self.channel.gaps.lost(
            self._control, "stream_lost", created_before=self._created, created=facts.created
        )
        self._created = facts.created

    async def _capture(self, stop: asyncio.Event) -> None:
        symbols = await self._discover_first(stop)
        if stop.is_set():
            return
        async with asyncio.TaskGroup() as tasks:
            await self._open_all(symbols, tasks, stop)
            await self._refresh(set(symbols), tasks, stop)
        self.state = "closed"

    async def _open_all(
        self, symbols: list[str], tasks: asyncio.TaskGroup, stop: asyncio.Event
    ) -> None:
        """The first connections. With no symbols a plan would be for all that the exchange has."""
        if not symbols:
            self.state, self.detail = "idle", "the exchange lists no instrument that is wanted"
            log.warning("%s: %s", self.feed.name, self.detail)
            return
        for plan in self._plans(symbols):
            # What takes no symbols is the first shard's.
            wanted = [w for w in plan.subscriptions if w.symbols or self.shard.index == 1]
            if wanted:
                self._open(wanted, tasks, stop)
            await wait(stop, HANDSHAKE_SPACING_S)

    # --- instruments ----------------------------------------------------------------------------

    async def _discover_first(self, stop: asyncio.Event) -> list[str]:
        for jitter_s in backoff(1.0, 60.0):
            try:
                found = await unless(stop, self._discover())
                if found is None:
                    break
                log.info("%s: %d instruments", self.feed.name, len(found))
                return found
            except ExchangeError as error:
                state = "refused" if isinstance(error, ExchangeRefused) else "backoff"
                if (state, error.message) != (self.state, self.detail):
                    log.warning("%s: %s; trying again", self.feed.name, error.message)
                self.state, self.detail = state, error.message
                delay = delay_s(error, jitter_s)
            if await wait(stop, delay):
                break
        return []

    async def _discover(self) -> list[str]:
        """The symbols of this shard. Raises ExchangeError."""
        found = await discovery.symbols(self.exchange, self.feed, self._rest)
        return [sym for sym in found if self.shard.has(sym)]

    async def _refresh(
        self, known: set[str], tasks: asyncio.TaskGroup, stop: asyncio.Event
    ) -> None:
        """Until the stop: subscribe what is listed newly, drop what no longer is."""
        if self.feed.instruments.symbols:
            await stop.wait()
        took_s = asked_s = 0.0
        while not stop.is_set():
            await self._next_refresh(max(REFRESH_S, 10 * took_s, asked_s), stop)
            if stop.is_set():
                break
            asked_s = 0.0
            began = time.monotonic()
            try:
                found = await unless(stop, self._discover())
                took_s = time.monotonic() - began
            except ExchangeError as error:
                log.warning("%s: keeping its instruments: %s", self.feed.name, error.message)
                asked_s = error.retry_after_s
                continue
            if found is None:
                return
            await self._change(known, set(found), tasks, stop)
            known = set(found)

    async def _next_refresh(self, least_s: float, stop: asyncio.Event) -> None:
        """Until instruments changed, but not before ``least_s``; or until the usual time."""
        self._listed.clear()
        until = time.monotonic() + self.feed.instruments.refresh_s
        await wait(stop, min(least_s, self.feed.instruments.refresh_s))
        while time.monotonic() < until and not (stop.is_set() or self._listed.is_set()):
            await wait(stop, 0.25)

    async def _change(
        self, known: set[str], found: set[str], tasks: asyncio.TaskGroup, stop: asyncio.Event
    ) -> None:
        if not self.connections:
            await self._open_all(sorted(found), tasks, stop)
            return
        gone, fresh = known - found, sorted(found - known)
        if gone or fresh:
            log.info("%s: %d new instruments, %d gone", self.feed.name, len(fresh), len(gone))
        for connection in self.connections:
            if gone & connection.commands.symbols:
                await connection.commands.remove(gone & connection.commands.symbols)
        limit = self.feed.max_symbols_per_connection or self.exchange.max_symbols_per_connection
        for connection in self.connections:
            room = limit - len(connection.commands.symbols)
            some, fresh = fresh[: max(room, 0)], fresh[max(room, 0) :]
            if some:
                await connection.commands.add(self._subscriptions(some))
        for first in range(0, len(fresh), limit):
            self._open(self._subscriptions(fresh[first : first + limit]), tasks, stop)

    def _plans(self, symbols: list[str]) -> list[Any]:
        return self.exchange.plan(
            self.feed.channels or self.exchange.channels,
            symbols,
            depth=self.feed.depth,
            per_connection=self.feed.max_symbols_per_connection,
        )

    def _subscriptions(self, symbols: list[str]) -> list[Subscription]:
        """For more symbols: the channels that take symbols."""
        plans = self._plans(symbols)
        return [wanted for plan in plans for wanted in plan.subscriptions if wanted.symbols]

    def _open(self, subscriptions: Any, tasks: asyncio.TaskGroup, stop: asyncio.Event) -> None:
        assert self.channel is not None
        connection = Connection(
            self.channel,
            self.feed.endpoint,
            subscriptions,
            self._secrets,
            self._identity(),
            self._pause,
            self._rest,
            self.feed.stale_after_s,
            self._listed.set,
        )
        self.connections.append(connection)
        tasks.create_task(connection.run(stop))

    def _identity(self) -> Identity:
        return Identity(
            {
                "feed": self.feed.name,
                "exchange": self.feed.exchange,
                "schema": self._config.env.schema,
                "config_hash": self._config.hash,
                "shard": str(self.shard),
                "ssmd_version": __version__,
                "host": sockets.gethostname(),
                "pid": os.getpid(),
            }
        )

    # --- back-pressure --------------------------------------------------------------------------

    def _pause(self, socket: Socket) -> None:
        self._paused.add(socket)
        self._full.set()

    async def _resume_when_room(self, publisher: Publisher) -> None:
        while True:
            await self._full.wait()
            await publisher.room()
            self._full.clear()
            paused, self._paused = self._paused, set()
            for socket in paused:
                socket.resume()

    async def _keep_watch(self, control: Tape, killed: list[Gap]) -> None:
        """End the gaps of an earlier process when all is well again; look at the clock."""
        assert self.channel is not None
        clock, looked = WallClock(), 0.0
        while True:
            if killed and self.connections and all(c.well for c in self.connections):
                for gap in killed:
                    self.channel.gaps.end(control, gap, "lost")
                killed = []
            step_ns = clock.step_ns()
            if step_ns or time.monotonic() - looked >= CLOCK_EVERY_S:
                looked = time.monotonic()
                control.note("_clock", {"step_ns": step_ns, **ntp()})
            await asyncio.sleep(0.5)

    def _trading(self) -> set[str]:
        """The instruments whose trades are captured."""
        return {sym for connection in self.connections for sym in connection.commands.symbols}

    # --- what others see ------------------------------------------------------------------------

    def status(self) -> dict[str, Any]:
        live = sum(connection.state == "live" for connection in self.connections)
        states = [connection.state for connection in self.connections]
        state = self.state
        detail = self.detail
        if states:
            state = "live" if live == len(states) else next(s for s in states if s != "live")
            detail = next((c.detail for c in self.connections if c.detail), None)
        content: dict[str, Any] = {
            "exchange": self.feed.exchange,
            "state": state,
            "detail": detail,
            "connections": len(states),
            "live": live,
        }
        if self.channel is not None:
            content |= {
                "unacked": self.channel.publisher.unacked,
                "acked": self.channel.publisher.acked,
                "books": self._books(),
                **self.channel.gaps.as_dict(),
                **self.channel.stats.as_dict(),
            }
        return content

    def _books(self) -> dict[str, int]:
        """How many books are in each state, over all connections."""
        states: Counter[str] = Counter()
        for connection in self.connections:
            states.update(connection.books.as_dict())
        return dict(states)

    def ill(self) -> str | None:
        """Why not all is well; None where it is."""
        status = self.status()
        if status["state"] != "live":
            return str(status["detail"] or status["state"])
        stale = [book for c in self.connections for book in c.books if book.state in DOUBTFUL]
        if stale:
            return f"{len(stale)} books are not right, {stale[0].sym} first ({stale[0].cause})"
        if status["open_gaps"]:
            return f"{status['open_gaps']} gaps are open: {', '.join(status['open_causes'])}"
        return None
