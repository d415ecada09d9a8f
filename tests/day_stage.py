"""A feed with an archiver of its own, a connector's signs of life, and a clock that can be put
forward: all that a trading day needs."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec

from archives import Capture, trades
from roles import FEEDS, Roles, variables
from ssmd import keys
from ssmd.archive.day import DayKeeper
from ssmd.archive.feed import FeedArchive
from ssmd.archive.verify import Summary, verify
from ssmd.bus import Bus, EmbeddedServer
from ssmd.bus.stream import request
from ssmd.calendar import TradingDays
from ssmd.config import Config, Rotation, Schedule, load
from ssmd.dataset import Archive
from ssmd.day import LEGAL, Day, Ledger
from ssmd.message import Archived, subject
from ssmd.sim.server import SimOptions, Simulator
from ssmd.store.manifest import DUPLICATE

FEED = "kalshi"
HOUR_NS = 3600 * 1_000_000_000


def configured(env: str = "demo", **schedule: Any) -> Config:
    found = load("demo", feeds=[FEED])
    changed = msgspec.structs.replace(
        found.env, name=env, rotation=Rotation(flush_s=0.05), schedule=Schedule(**schedule)
    )
    return msgspec.structs.replace(found, env=changed)


class Stage:
    def __init__(self, bus: Bus, config: Config, root: Path) -> None:
        self.bus = bus
        self.config = config
        self.root = root
        self.now_ns = time.time_ns()
        self.stop = asyncio.Event()
        self.days = TradingDays(config.env.schedule, config.feeds[FEED])
        self.feed = FeedArchive(bus, config, FEED, root)

    @property
    def env(self) -> str:
        return self.config.env.name

    def keeper(self, bus: Bus | None = None, **more: Any) -> DayKeeper:
        now = {"now": lambda: self.now_ns} | more
        return DayKeeper(bus or self.bus, self.config, self.feed, self.root, **now)

    async def ledger(self, bus: Bus | None = None) -> Ledger:
        return await Ledger.open(bus or self.bus, self.config.env)

    async def make_stream(self) -> None:
        await self.bus.ensure_stream(self.env, FEED, self.config.env.transport)

    async def delete_stream(self) -> None:
        """The stream with all that it holds: it reserves its bound on the disk."""
        await request(self.bus._nc, f"STREAM.DELETE.{self.env}_{FEED}".upper())

    async def live(self, conn: str = "c1") -> None:
        """A connector connects, captures and says that it lives."""
        capture = Capture(FEED, conn=conn, start_ns=time.time_ns())
        facts = {"exchange": FEED, "config_hash": self.config.hash}
        lines = [("_connect", capture.note("_connect", facts))]
        lines += [("trade", line) for frame in trades(20) for line in capture.frame(frame)]
        lines += [("_clock", capture.clock())]
        async with self.bus.publisher(f"{self.env}_{FEED}".upper()) as publisher:
            for number, (type_, line) in enumerate(lines):
                publisher.put(subject(self.env, FEED, type_, None), f"{conn}:{number}", line)
            await publisher.flush(60)

    @contextlib.asynccontextmanager
    async def archiving(self) -> AsyncIterator[None]:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.feed.run(self.stop))
            async with asyncio.timeout(60):
                while self.feed.state != "live":
                    await asyncio.sleep(0.01)
            try:
                yield
            finally:
                self.stop.set()

    async def day(self, date: str | None = None) -> Day:
        kept = await (await self.ledger()).get(FEED, date or self.days.at(self.now_ns).date)
        assert kept is not None
        return kept.day

    async def all_days(self) -> list[Day]:
        return [kept.day for kept in await (await self.ledger()).days(FEED)]

    def messages(self) -> list[Archived]:
        """What is archived, after the archiver has stopped."""
        archive = Archive(self.root, self.env)
        return [m for day in archive.days(FEED) for m in archive.day(FEED, day).messages()]

    def verify(self) -> Summary:
        return verify(
            self.root / self.env, [FEED], (), deep=True, tell=print, progress=lambda _: None
        )


def legal(states: list[Any]) -> bool:
    """Whether each state may follow on the one before it."""
    return all(to in LEGAL[of] for of, to in zip([None, *states], states, strict=False))


def assert_told(messages: list[Archived], days: list[Day]) -> None:
    """The archive tells each change of each day once, in order."""
    told: dict[str, list[Any]] = {}
    for message in messages:
        if message.type == "_day":
            facts = msgspec.json.decode(message.payload)
            told.setdefault(facts["date"], []).append(facts)
            assert message.id.endswith(f":0:{message.part}")
    assert all(m.type != DUPLICATE for m in messages)
    assert {day.date: [day.body(change) for change in day.changes] for day in days} == told
    for facts in told.values():
        assert legal([fact["state"] for fact in facts])


@contextlib.asynccontextmanager
async def simulated(data: Path, *feeds: str) -> AsyncIterator[Roles]:
    """The exchanges of these feeds (none: of all) simulated; which roles run is up to the test."""
    secret, public = keys.make(data / "keys")
    wanted = {name: feed for name, feed in FEEDS.items() if feed in feeds or not feeds}
    options = SimOptions(
        rate=100, seed=1, kalshi_public_key=public.read_bytes(), exchanges=tuple(wanted)
    )
    async with EmbeddedServer(data / "nats"), Simulator(options) as sim:
        roles = Roles(data, variables(sim, secret), tuple(wanted.values()))
        try:
            yield roles
        finally:
            for process in roles.running.values():
                if process.returncode is None:
                    process.kill()
                    await process.wait()
