"""The connections of one feed, and which instruments each carries."""

import asyncio
import logging
import os
import socket as sockets
import time
from collections.abc import Callable, Mapping
from typing import Any

from ssmd import __version__
from ssmd.config import Config, ResolvedFeed
from ssmd.connect import discovery
from ssmd.connect.connection import Connection, Identity
from ssmd.connect.rest import Rest
from ssmd.connect.retry import delay_s
from ssmd.connect.shard import Shard
from ssmd.connect.socket import Socket
from ssmd.connect.tape import Channel
from ssmd.errors import ExchangeError, ExchangeRefused
from ssmd.exchanges.base import Subscription
from ssmd.runtime import backoff, unless, wait

log = logging.getLogger(__name__)

HANDSHAKE_SPACING_S = 0.2
REFRESH_S = 2.0
"""Instruments are looked up again no sooner, whatever the exchange lists."""


class Fleet:
    """Finds the instruments and opens connections for them, until told to stop."""

    def __init__(
        self,
        channel: Channel,
        config: Config,
        feed: ResolvedFeed,
        shard: Shard,
        secrets: Mapping[str, str],
        rest: Rest,
        on_full: Callable[[Socket], None],
    ) -> None:
        self.state = "connecting"
        self.detail: str | None = None
        self.connections: list[Connection] = []
        self.channel = channel
        self.exchange = channel.exchange
        self.feed = feed
        self.shard = shard
        self._config = config
        self._secrets = secrets
        self._rest = rest
        self._pause = on_full
        self._listed = asyncio.Event()
        """Something was listed or settled: the instruments are looked up again."""

    async def run(self, stop: asyncio.Event) -> None:
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
