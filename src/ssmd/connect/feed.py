"""One feed: its stream, its connections, and which instruments they carry."""

import asyncio
import contextlib
import logging
import os
import socket as sockets
import time
from collections.abc import Mapping
from typing import Any

import msgspec
from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

from ssmd import __version__, message
from ssmd.bus import Bus, Publisher
from ssmd.config import Config, ResolvedFeed, secrets
from ssmd.connect import discovery
from ssmd.connect.connection import Connection, Identity
from ssmd.connect.retry import delay_s
from ssmd.connect.socket import Socket
from ssmd.connect.tape import Channel, Tape, connection_id
from ssmd.errors import ContractError, ExchangeError, ExchangeRefused, KeyFault
from ssmd.exchanges import exchange as find_exchange
from ssmd.exchanges.base import Subscription
from ssmd.runtime import backoff, unless, wait

log = logging.getLogger(__name__)

DRAIN_S = 20.0
HANDSHAKE_SPACING_S = 0.2


class FeedCapture:
    """Captures one feed from ``run`` to its end."""

    def __init__(self, bus: Bus, config: Config, feed: ResolvedFeed) -> None:
        self.feed = feed
        self.exchange = find_exchange(feed.exchange)
        self.state = "connecting"
        self.detail: str | None = None
        self.connections: list[Connection] = []
        self.channel: Channel | None = None
        self._bus = bus
        self._config = config
        self._paused: set[Socket] = set()
        self._full = asyncio.Event()
        self._secrets: Mapping[str, str] = {}
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
        async with self._bus.publisher(facts.name, restore=self._restore) as publisher:
            self.channel = Channel(
                env.name, self.feed.name, self.exchange, publisher, self._bus.max_payload
            )
            control = self._control = Tape(self.channel, connection_id())
            await self._close_unfinished(facts.name, control)
            async with asyncio.TaskGroup() as tasks:
                watch = tasks.create_task(publisher.failed())
                resume = tasks.create_task(self._resume_when_room(publisher))
                await self._capture(stop)
                await publisher.flush(DRAIN_S)
                watch.cancel()
                resume.cancel()

    async def _restore(self) -> None:
        """Make the stream again where its store was lost, with what no archiver had taken."""
        env = self._config.env
        facts = await self._bus.ensure_stream(env.name, self.feed.name, env.transport)
        if facts.created == self._created or self._control is None:
            return
        log.warning("%s: the stream %s was lost; noted as a gap", self.feed.name, facts.name)
        self._control.gap("stream_lost", created_before=self._created, created=facts.created)
        self._created = facts.created

    async def _capture(self, stop: asyncio.Event) -> None:
        symbols = await self._discover_first(stop)
        if stop.is_set():
            return
        async with asyncio.TaskGroup() as tasks:
            for plan in self._plans(symbols):
                self._open(plan.subscriptions, tasks, stop)
                await wait(stop, HANDSHAKE_SPACING_S)
            await self._refresh(set(symbols), tasks, stop)
        self.state = "closed"

    # --- instruments ----------------------------------------------------------------------------

    async def _discover_first(self, stop: asyncio.Event) -> list[str]:
        for jitter_s in backoff(1.0, 60.0):
            try:
                found = await unless(stop, discovery.symbols(self.exchange, self.feed))
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

    async def _refresh(
        self, known: set[str], tasks: asyncio.TaskGroup, stop: asyncio.Event
    ) -> None:
        """Until the stop: subscribe what is listed newly, drop what no longer is."""
        fixed = bool(self.feed.instruments.symbols)
        asked_s = 0.0
        while not await wait(stop, 3600.0 if fixed else self.feed.instruments.refresh_s + asked_s):
            if fixed:
                continue
            asked_s = 0.0
            try:
                found = await unless(stop, discovery.symbols(self.exchange, self.feed))
            except ExchangeError as error:
                log.warning("%s: keeping its instruments: %s", self.feed.name, error.message)
                asked_s = error.retry_after_s
                continue
            if found is None:
                return
            await self._change(known, set(found), tasks, stop)
            known = set(found)

    async def _change(
        self, known: set[str], found: set[str], tasks: asyncio.TaskGroup, stop: asyncio.Event
    ) -> None:
        gone, fresh = known - found, sorted(found - known)
        if gone or fresh:
            log.info("%s: %d new instruments, %d gone", self.feed.name, len(fresh), len(gone))
        for connection in self.connections:
            if gone & connection.symbols:
                await connection.remove(gone & connection.symbols)
        limit = self.feed.max_symbols_per_connection or self.exchange.max_symbols_per_connection
        for connection in self.connections:
            room = limit - len(connection.symbols)
            some, fresh = fresh[: max(room, 0)], fresh[max(room, 0) :]
            if some:
                await connection.add(self._subscriptions(some))
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

    # --- earlier processes ----------------------------------------------------------------------

    async def _close_unfinished(self, stream: str, control: Tape) -> None:
        """Name the connections of a process that was killed: each may lack its last frames."""
        opened: dict[str, int] = {}
        for type_ in ("_connect", "_disconnect"):
            pattern = message.subject(self._config.env.name, self.feed.name, type_, None)
            async for delivery in self._bus.messages(stream, pattern):
                with contextlib.suppress(ContractError):
                    entry = message.decode(delivery.payload)
                    if type_ == "_connect":
                        opened[entry.conn] = entry.recv_ns
                    else:
                        opened.pop(_closed_conn(entry), None)
        for conn, opened_ns in opened.items():
            span: dict[str, Any] = {
                "conn": conn,
                "opened_ns": opened_ns,
                "found_ns": time.time_ns(),
            }
            control.note("_disconnect", {"cause": "killed", "clean": False, **span})
            control.gap("killed", **span)
            log.warning("%s: connection %s was cut off; noted as a gap", self.feed.name, conn)

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
                **self.channel.stats.as_dict(),
            }
        return content


def _closed_conn(entry: message.Message) -> str:
    """The connection that a ``_disconnect`` closes: its own, or the killed one that it names."""
    facts = msgspec.json.decode(entry.payload)
    named = facts.get("conn") if isinstance(facts, dict) else None
    return named if isinstance(named, str) else entry.conn


class FeedCollector:
    """The feeds' counters as Prometheus metrics, read when they are asked for."""

    def __init__(self, feeds: list[FeedCapture], registry: CollectorRegistry) -> None:
        self._feeds = feeds
        registry.register(self)

    def collect(self) -> list[Any]:
        messages = CounterMetricFamily(
            "ssmd_connector_messages", "Messages captured", labels=["feed", "type"]
        )
        gaps = CounterMetricFamily("ssmd_connector_gaps", "Gaps noted", labels=["feed"])
        checks = CounterMetricFamily(
            "ssmd_connector_checks", "Continuity checks by outcome", labels=["feed", "outcome"]
        )
        live = GaugeMetricFamily(
            "ssmd_connector_websocket_connected", "Live connections", labels=["feed"]
        )
        unacked = GaugeMetricFamily(
            "ssmd_connector_unacked", "Messages that JetStream has not acked", labels=["feed"]
        )
        reconnects = CounterMetricFamily(
            "ssmd_connector_reconnects", "Connections that ended", labels=["feed"]
        )
        for feed in self._feeds:
            name, status = feed.feed.name, feed.status()
            live.add_metric([name], status["live"])
            if feed.channel is None:
                continue
            for type_, count in feed.channel.stats.by_type.items():
                messages.add_metric([name, type_], count)
            gaps.add_metric([name], status["gaps"])
            for outcome in ("verified", "unverified", "broken"):
                checks.add_metric([name, outcome], status[outcome])
            unacked.add_metric([name], status["unacked"])
            reconnects.add_metric([name], status["reconnects"])
        return [messages, gaps, checks, live, unacked, reconnects]
