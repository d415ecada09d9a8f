"""A connector in this process, on a simulated exchange and a real nats-server."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from ssmd import keys, message
from ssmd.bus import Bus, connect
from ssmd.config import Transport, load
from ssmd.config.model import Instruments
from ssmd.connect.feed import FeedCapture
from ssmd.connect.shard import Shard
from ssmd.message import Message
from ssmd.sim.faults import Fault
from ssmd.sim.floor import Floor
from ssmd.sim.server import SimOptions, Simulator

PATIENCE_S = 60.0
"""For whatever must happen, on however busy a machine."""
MARKETS = 10


class Capture:
    """One exchange, captured from entry to exit."""

    def __init__(self, sim: Simulator, bus: Bus, feed: FeedCapture, exchange: str) -> None:
        self.sim = sim
        self.bus = bus
        self.feed = feed
        self.exchange = exchange

    @property
    def floor(self) -> Floor:
        return self.sim.floors[self.exchange]

    @property
    def messages(self) -> int:
        return self.feed.channel.stats.messages if self.feed.channel else 0

    async def until(self, holds: Callable[[], Any], what: str) -> None:
        """Wait for something that is seen from outside only; fails with what was waited for."""
        try:
            async with asyncio.timeout(PATIENCE_S):
                while not holds():
                    await asyncio.sleep(0.01)
        except TimeoutError:
            pytest.fail(f"{self.exchange}: not within {PATIENCE_S:g} s: {what}: {self.state()}")

    async def well(self) -> None:
        """Until data comes, every book is right and no gap is open."""
        await self.until(
            lambda: self.feed.ill() is None and all(c.well for c in self.feed.connections),
            "all is well",
        )

    async def more(self, count: int) -> None:
        aim = self.messages + count
        await self.until(lambda: self.messages >= aim, f"{count} more messages")

    def state(self) -> dict[str, Any]:
        return {"ill": self.feed.ill(), **self.feed.status()}

    async def stored(self, type_: str) -> list[Message]:
        """The messages of a type that JetStream has, in order."""
        assert self.feed.channel is not None
        async with asyncio.timeout(PATIENCE_S):
            await self.feed.channel.outbox.stored()
        env, feed = self.feed.channel.env, self.feed.channel.feed
        pattern = message.subject(env, feed, type_, "x").removesuffix("x") + ">"
        name = message.stream_name(env, feed)
        return [message.decode(found.payload) async for found in self.bus.messages(name, pattern)]

    async def notes(self, type_: str) -> list[dict[str, Any]]:
        """What our own messages of a type say."""
        return [msgspec.json.decode(found.payload) for found in await self.stored(type_)]


@asynccontextmanager
async def capturing(
    exchange: str,
    folder: Path,
    *,
    rate: float | None = 300.0,
    stale_after_s: float = 60.0,
    markets: int = MARKETS,
    faults: tuple[Fault, ...] = (),
    listed: bool = False,
) -> AsyncIterator[Capture]:
    """Capture a generated market of the exchange with all its channels. ``listed``: the instruments
    are looked up, also where the feed names its own."""
    secret, public = keys.make(folder / "keys")
    options = SimOptions(
        exchanges=(exchange,),
        rate=rate,
        markets=markets,
        lifecycle_every=0,
        faults=faults,
        kalshi_public_key=public.read_bytes(),
    )
    async with (
        Simulator(options) as sim,
        connect(Transport(url="embedded"), name="test", data=folder) as bus,
    ):
        feed = _feed(bus, sim, exchange, secret, stale_after_s, folder, listed)
        stop = asyncio.Event()
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(feed.run(stop))
            capture = Capture(sim, bus, feed, exchange)
            try:
                await capture.until(lambda: feed.connections, "connections")
                await capture.well()
                yield capture
            finally:
                stop.set()
                async with asyncio.timeout(PATIENCE_S):
                    await running


def _feed(
    bus: Bus,
    sim: Simulator,
    exchange: str,
    secret: Path,
    stale_after_s: float,
    folder: Path,
    listed: bool,
) -> FeedCapture:
    name = exchange.replace("_", "-")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KALSHI_API_KEY", "test")
        patch.setenv("KALSHI_PRIVATE_KEY_FILE", str(secret))
        config = load("demo", feeds=(name,))
        given = config.feeds[name]
        resolved = msgspec.structs.replace(
            given,
            instruments=Instruments() if listed else given.instruments,
            endpoint=sim.ws_url(exchange),
            rest_endpoint=sim.rest_url(exchange),
            rest_stands_in=True,
            rate_limit_per_second=None,
            stale_after_s=stale_after_s,
        )
        feed = FeedCapture(bus, config, resolved, Shard(), folder)
        assert feed.check_key()
    return feed
