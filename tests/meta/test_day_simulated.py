"""A day of each exchange in the simulation: at accelerated time with a crash in each state, and
with every process real and the archiver killed."""

import asyncio
import contextlib
import os
import signal
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest

from command import ssmd
from day_stage import assert_told, legal, simulated
from roles import FEEDS
from ssmd.archive.day import DayKeeper
from ssmd.archive.feed import FeedArchive
from ssmd.archive.verify import verify
from ssmd.bus import Bus, connect
from ssmd.config import Config, Rotation, load
from ssmd.dataset import Archive
from ssmd.day import Day, Ledger

DAYS_OF = tuple(FEEDS.values()) if os.environ.get("SSMD_TEST_DAYS") == "all" else ("kraken",)
"""Feeds at accelerated time; the others run the same code, and wait for the same disk."""
STATES = ("STARTING", "ACTIVE", "ENDING")
DAY_NS = 86_400 * 1_000_000_000
DAY_TAKES_S = 3.0


def accelerated() -> int:
    """A clock on which a day takes three seconds."""
    return began_ns + int((time.monotonic() - began_s) / DAY_TAKES_S * DAY_NS)


began_ns, began_s = time.time_ns(), time.monotonic()


class Crashing:
    """The archiver of one feed in this process, which ends at once in each state of a day, once."""

    def __init__(self, bus: Bus, config: Config, feed: str, root: Path) -> None:
        self.left = list(STATES)
        self._bus = bus
        self._config = config
        self._feed = feed
        self._root = root

    async def run(self) -> None:
        """Until it has crashed in each state, and one more day is complete after that."""
        ledger = await Ledger.open(self._bus, self._config.env)
        done = 0
        while self.left or self._complete(await self.days(ledger)) < done + 1:
            if not self.left and not done:
                done = self._complete(await self.days(ledger))
            await self._live_a_while(ledger, done)
        stop = asyncio.Event()
        stop.set()
        await FeedArchive(self._bus, self._config, self._feed, self._root).run(stop)

    async def _live_a_while(self, ledger: Ledger, done: int) -> None:
        feed = FeedArchive(self._bus, self._config, self._feed, self._root)
        keeper = DayKeeper(
            self._bus, self._config, feed, self._root, now=accelerated, every_s=0.05
        )  # fmt: skip
        stop = asyncio.Event()
        running = asyncio.gather(feed.run(stop), keeper.run(stop))
        try:
            await self._watch(ledger, done)
        finally:
            running.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await running

    async def _watch(self, ledger: Ledger, done: int) -> None:
        while True:
            days = await self.days(ledger)
            if not self.left and self._complete(days) >= done + 1:
                return
            for day in days:
                if day.state in self.left:
                    self.left.remove(day.state)
                    return
            await asyncio.sleep(0.005)

    async def days(self, ledger: Ledger) -> list[Day]:
        return [kept.day for kept in await ledger.days(self._feed)]

    def _complete(self, days: list[Day]) -> int:
        return sum(day.state == "COMPLETE" for day in days)


@pytest.mark.timeout(240)
async def test_days_of_each_exchange_at_accelerated_time_with_a_crash_in_each_state(
    tmp_path: Path,
) -> None:
    config = load("demo")
    config = msgspec.structs.replace(
        config, env=msgspec.structs.replace(config.env, rotation=Rotation(flush_s=0.05))
    )
    root = tmp_path / "archive"
    async with (
        simulated(tmp_path) as roles,
        connect(config.env.transport, name="test", data=tmp_path) as bus,
    ):
        await roles.start("connect")
        archivers = [Crashing(bus, config, feed, root) for feed in DAYS_OF]
        async with asyncio.timeout(200), asyncio.TaskGroup() as tasks:
            for archiver in archivers:
                tasks.create_task(archiver.run())
        ledger = await Ledger.open(bus, config.env)
        for archiver, feed in zip(archivers, DAYS_OF, strict=True):
            days = await archiver.days(ledger)
            assert archiver.left == []
            assert all(legal([c.state for c in day.changes]) for day in days)
            assert sum(day.state == "COMPLETE" for day in days) >= 1
            assert all(day.failed != "ENDING" for day in days)
            await tell_all(ledger, feed)
            stop = asyncio.Event()
            stop.set()
            await FeedArchive(bus, config, feed, root).run(stop)
            archive = Archive(root, "demo")
            messages = [m for d in archive.days(feed) for m in archive.day(feed, d).messages()]
            assert_told(messages, await archiver.days(ledger))
            for day in days:
                if day.state == "COMPLETE":
                    assert (root / str(day.last.stats["report"])).exists()
    found = verify(root / "demo", list(DAYS_OF), (), deep=True, tell=print, progress=lambda _: None)
    assert found.ok


async def tell_all(ledger: Ledger, feed: str) -> None:
    for kept in await ledger.days(feed):
        await ledger.tell(kept)


class Commands:
    def __init__(self, data: Path) -> None:
        self._words = ("--env", "demo", "--data", str(data))

    async def types(self, *words: str, status: int = 0) -> Any:
        done = await asyncio.to_thread(ssmd, "meta", "day", *words, *self._words, "--json")
        assert done.returncode == status, done.stderr
        assert "Traceback" not in done.stderr
        return msgspec.json.decode(done.stdout)["days"]

    async def states(self) -> set[str]:
        return {day["state"] for day in await self.types("status")}


@pytest.mark.timeout(240)
async def test_an_archiver_killed_in_each_state_goes_on_from_there(tmp_path: Path) -> None:
    """Real processes and their real clock, which has begun the day by itself."""
    day = Commands(tmp_path)
    config = load("demo")
    async with (
        simulated(tmp_path) as roles,
        connect(config.env.transport, name="test", data=tmp_path),
    ):
        await roles.start("archive")
        async with asyncio.timeout(60):
            while await day.states() != {"STARTING"}:  # no connector yet: so it stays
                pass
        await roles.kill("archive")
        assert await day.states() == {"STARTING"}
        await roles.start("connect")
        await roles.start("archive")
        assert {one["state"] for one in await day.types("start")} == {"ACTIVE"}
        await roles.kill("archive")
        await roles.start("archive")
        assert await day.states() == {"ACTIVE"}
        roles.running["archive"].send_signal(signal.SIGSTOP)
        ending = await day.types("end", "--timeout", "0.2", status=1)
        assert {one["state"] for one in ending} == {"ENDING"}
        await roles.kill("archive")
        assert await day.states() == {"ENDING"}
        await roles.start("archive")
        ended = await day.types("recover")
        assert {one["state"] for one in ended} <= {"COMPLETE"}
        ended = await day.types("end")
        assert {one["state"] for one in ended} == {"COMPLETE"}
        for one in ended:
            assert (tmp_path / "archive" / one["last"]["stats"]["report"]).exists()
        for role in ("connect", "archive"):
            await roles.stop(role)
    done = await asyncio.to_thread(ssmd, "archive", "verify", "--deep", "--data", str(tmp_path))
    assert done.returncode == 0, done.stdout
