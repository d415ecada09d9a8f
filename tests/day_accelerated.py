"""A day of an exchange in the simulation, on a clock that goes on when there is nothing more to
wait for, with a crash of the archiver in each state."""

import asyncio
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec

from day_stage import assert_told, legal, simulated
from ssmd.archive.day import DayKeeper
from ssmd.archive.feed import FeedArchive
from ssmd.archive.verify import verify
from ssmd.bus import Bus, connect
from ssmd.config import Config, Rotation, load
from ssmd.dataset import Archive
from ssmd.day import Day, Ledger

STATES = ("STARTING", "ACTIVE", "ENDING")
DAY_NS = 86_400 * 1_000_000_000
PATIENCE_S = 120


class Crashing:
    """The archiver of one feed in this process, which ends at once in each state of a day, once."""

    def __init__(self, bus: Bus, config: Config, feed: str, root: Path) -> None:
        self.left = list(STATES)
        self.now_ns = time.time_ns()
        self._bus = bus
        self._config = config
        self._feed = feed
        self._root = root

    async def run(self) -> None:
        """Until it has crashed in each state, and one more day is complete after that."""
        ledger = await Ledger.open(self._bus, self._config.env)
        while self.left:
            await self._live(lambda: self._crash(ledger))
        begun = {day.date for day in await self.days(ledger)}
        await self._live(lambda: self._next_day(ledger, begun))

    async def _live(self, until: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """The archiver until then; as in a process that dies, nothing of it works on after that."""
        loop, threads = asyncio.get_running_loop(), ThreadPoolExecutor()
        loop.set_default_executor(threads)
        feed = FeedArchive(self._bus, self._config, self._feed, self._root)
        keeper = DayKeeper(
            self._bus, self._config, feed, self._root, now=lambda: self.now_ns, every_s=0.02
        )
        stop = asyncio.Event()
        try:
            async with asyncio.TaskGroup() as tasks:
                running = [tasks.create_task(one.run(stop)) for one in (feed, keeper)]
                await until()
                for task in running:
                    task.cancel()
        finally:
            threads.shutdown()
            loop.set_default_executor(ThreadPoolExecutor())
            if feed.writer is not None and not feed.writer._lock.closed:
                feed.writer.close()

    async def _crash(self, ledger: Ledger) -> None:
        """Until a day is in a state that is left. A state that was over too soon is met on the next
        day: that begins when this one has nothing more to show."""
        while True:
            days = await self.days(ledger)
            states = [day.state for day in days]
            for state in self.left:
                if state in states:
                    self.left.remove(state)
                    return
            if states and set(states) <= {"ACTIVE", "COMPLETE"} and states[-1] == "ACTIVE":
                self.now_ns += DAY_NS
            await asyncio.sleep(0)

    async def _next_day(self, ledger: Ledger, begun: set[str]) -> None:
        """Until all that was begun is complete, and a whole day after it."""
        while True:
            days = await self.days(ledger)
            done = {day.date for day in days if day.state == "COMPLETE"}
            if begun < done:
                return
            if days[-1].state == "ACTIVE" and all(day.date in done for day in days[:-1]):
                self.now_ns += DAY_NS
            await asyncio.sleep(0.01)

    async def days(self, ledger: Ledger) -> list[Day]:
        return [kept.day for kept in await ledger.days(self._feed)]


async def days_with_a_crash_in_each_state(feed: str, data: Path) -> None:
    """Run them, and prove what they leave behind."""
    config = load("demo")
    env = msgspec.structs.replace(config.env, rotation=Rotation(flush_s=0.05))
    config = msgspec.structs.replace(config, env=env)
    root = data / "archive"
    async with (
        simulated(data, feed) as roles,
        connect(config.env.transport, name="test", data=data) as bus,
    ):
        await roles.start("connect")
        archiver = Crashing(bus, config, feed, root)
        async with asyncio.timeout(PATIENCE_S):
            await archiver.run()
        await roles.stop("connect")
        ledger = await Ledger.open(bus, config.env)
        for kept in await ledger.days(feed):
            await ledger.tell(kept)
        stop = asyncio.Event()
        stop.set()
        await FeedArchive(bus, config, feed, root).run(stop)
        days = await archiver.days(ledger)
    assert archiver.left == []
    assert all(legal([c.state for c in day.changes]) for day in days)
    assert sum(day.state == "COMPLETE" for day in days) >= 2
    assert all(day.failed != "ENDING" for day in days)
    archive = Archive(root, "demo")
    messages = [m for d in archive.days(feed) for m in archive.day(feed, d).messages()]
    assert_told(messages, days)
    for day in days:
        if day.state == "COMPLETE":
            assert (root / str(day.last.stats["report"])).exists()
    found = verify(root / "demo", [feed], (), deep=True, tell=print, progress=lambda _: None)
    assert found.ok
