"""One feed: its stream, what waits for it, its connections and how they are."""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from ssmd.bus import Bus, StreamFacts
from ssmd.config import Config, ResolvedFeed, secrets
from ssmd.connect import past
from ssmd.connect.backfill import Backfill
from ssmd.connect.clock import WallClock, ntp
from ssmd.connect.connection import Connection
from ssmd.connect.fleet import Fleet
from ssmd.connect.gaps import Gap
from ssmd.connect.outbox import Dropped, Outbox
from ssmd.connect.rest import open_rest
from ssmd.connect.shard import Shard
from ssmd.connect.socket import Socket
from ssmd.connect.spill import Spill
from ssmd.connect.tape import Channel, Tape, connection_id
from ssmd.errors import BusError, KeyFault
from ssmd.exchanges import exchange as find_exchange
from ssmd.runtime import backoff, unless, wait

log = logging.getLogger(__name__)

DRAIN_S = 20.0
HOLD_S = 1.0
"""The exchange is held back for so long before messages go to the spill: it drops slow readers."""
CLOCK_EVERY_S = 60.0
DOUBTFUL = frozenset({"stale", "recovering"})


class FeedCapture:
    """Captures one feed from ``run`` to its end."""

    def __init__(
        self, bus: Bus, config: Config, feed: ResolvedFeed, shard: Shard, data: Path
    ) -> None:
        self.feed = feed
        self.shard = shard
        self.exchange = find_exchange(feed.exchange)
        self.channel: Channel | None = None
        self._left_out: str | None = None
        self._fleet: Fleet | None = None
        self._bus = bus
        self._config = config
        self._data = data
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
            self._left_out = fault.message
            log.warning("%s is left out: %s (%s)", self.feed.name, fault.message, fault.hint)
            return False
        return True

    @property
    def connections(self) -> list[Connection]:
        return self._fleet.connections if self._fleet else []

    async def run(self, stop: asyncio.Event) -> None:
        env = self._config.env
        facts = await self._bus.ensure_stream(env.name, self.feed.name, env.transport)
        self._created = facts.created
        async with (
            self._bus.publisher(facts.name, restore=self._restore) as publisher,
            open_rest(self.feed, self.exchange) as rest,
        ):
            outbox = Outbox(publisher, self._spill(), env.transport.spill_max_bytes)
            self.channel = Channel(
                env.name, self.feed.name, self.exchange, outbox, self._bus.max_payload
            )
            control = self._control = Tape(self.channel, connection_id())
            self._fleet = Fleet(
                self.channel, self._config, self.feed, self.shard, self._secrets, rest, self._pause
            )
            outbox.on_room, outbox.on_damage = self._overflowed, self._damaged
            async with outbox.running(DRAIN_S), asyncio.TaskGroup() as tasks:
                watch = tasks.create_task(publisher.failed())
                resume = tasks.create_task(self._resume_when_room(outbox))
                backfill = Backfill(self.channel, rest, control, self._trading)
                self.channel.gaps.on_end = backfill.want
                fills = tasks.create_task(backfill.run())
                killed = await self._cut_off(facts, control, stop)
                watches = tasks.create_task(self._keep_watch(control, killed))
                await self._fleet.run(stop)
                for task in (watches, fills, watch, resume):
                    task.cancel()

    def _spill(self) -> Spill:
        """Where messages wait for NATS. Raises StorageError."""
        shard = "" if self.shard.count == 1 else f"-{self.shard.index}of{self.shard.count}"
        return Spill(self._data / "spill" / self._config.env.name / f"{self.feed.name}{shard}")

    async def _cut_off(self, facts: StreamFacts, control: Tape, stop: asyncio.Event) -> list[Gap]:
        """The gaps of an earlier process, read off the stream however often NATS goes away."""
        assert self.channel is not None
        # What an earlier process left in the spill may hold its connections' ends.
        if await unless(stop, self._stored()) is None:
            return []
        for pause_s in backoff():
            try:
                return await past.cut_off(self._bus, facts, self.channel, control, self.shard)
            except BusError as error:
                log.warning("%s: %s; trying again", self.feed.name, error.message)
            if await wait(stop, pause_s):
                break
        return []

    async def _stored(self) -> bool:
        assert self.channel is not None
        await self.channel.outbox.stored()
        return True

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

    # --- back-pressure --------------------------------------------------------------------------

    def _pause(self, socket: Socket) -> None:
        self._paused.add(socket)
        self._full.set()

    async def _resume_when_room(self, outbox: Outbox) -> None:
        while True:
            await self._full.wait()
            try:
                async with asyncio.timeout(HOLD_S):
                    await outbox.room()
            except TimeoutError:
                outbox.spill()
            self._full.clear()
            paused, self._paused = self._paused, set()
            for socket in paused:
                socket.resume()

    def _overflowed(self, dropped: dict[str, Dropped]) -> None:
        """Name the frames for which there was no room; their books need new snapshots."""
        assert self.channel is not None
        assert self._control is not None
        for conn, missing in dropped.items():
            facts = msgspec.structs.asdict(missing)
            owner = next((c for c in self.connections if c.conn == conn), None)
            if owner is None or not owner.overflowed(facts):
                self.channel.gaps.lost(self._control, "overflow", conn=conn, **facts)

    def _damaged(self, file: Path) -> None:
        assert self.channel is not None
        assert self._control is not None
        self.channel.gaps.lost(self._control, "spill_damaged", file=file.name)

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
        states = [connection.state for connection in self.connections]
        live = states.count("live")
        state, detail = "connecting", self._left_out
        if self._left_out:
            state = "left out"
        elif self._fleet is not None:
            state, detail = self._fleet.state, self._fleet.detail
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
                **self.channel.outbox.as_dict(),
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
