"""The archiver's part in the trading day of one feed, and its clock.

It answers STARTING with ACTIVE when all is there that a day needs, and ENDING with COMPLETE when
all of the day is in closed segments, proved and reported. Where the schedule rolls days by itself,
it also asks for both. Each step can be taken again: an archiver that was killed in the middle of
one takes it once more.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from datetime import date
from pathlib import Path

from ssmd.archive.closing import Closing, close
from ssmd.archive.feed import FeedArchive
from ssmd.bus import Bus
from ssmd.calendar import TradingDays
from ssmd.config import Config
from ssmd.day import Day, Kept, Ledger, checks, steps
from ssmd.day.state import OPEN, whoami
from ssmd.errors import BusError, Conflict, DayFault, SsmdError
from ssmd.runtime import unless, wait

log = logging.getLogger(__name__)

EVERY_S = 1.0
START_S = 60.0
"""A day whose checks do not pass for so long is in ERROR."""
RETRY_S = 10.0
"""How often the checks of such a day are looked at again."""
DRAIN_S = 120.0
"""What a day ends with is archived within, or the day is in ERROR."""
SCHEDULE = "schedule"


class Stopped(Exception):
    """The role was told to stop in the middle of a proof."""


class DayKeeper:
    """Keeps the days of one feed until the stop."""

    def __init__(
        self,
        bus: Bus,
        config: Config,
        feed: FeedArchive,
        root: Path,
        *,
        now: Callable[[], int] = time.time_ns,
        start_s: float = START_S,
        drain_s: float = DRAIN_S,
        every_s: float = EVERY_S,
    ) -> None:
        """``now`` is the clock that days are rolled by."""
        self._bus = bus
        self._config = config
        self._feed = feed
        self._root = root
        self._now = now
        self._start_s = start_s
        self._drain_s = drain_s
        self._every_s = every_s
        self._days = TradingDays(config.env.schedule, config.feeds[feed.feed])
        self._by = whoami("archive")
        self._looked = float("-inf")

    async def run(self, stop: asyncio.Event) -> None:
        """Days begin and end on time while an earlier one is still being proved."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._repeat(self.tick, stop))
            tasks.create_task(self._repeat(lambda ledger: self.finish(ledger, stop), stop))

    async def _repeat(self, step: Callable[[Ledger], Awaitable[None]], stop: asyncio.Event) -> None:
        """Take the step again and again. NATS may be away for a while: then it waits."""
        ledger: Ledger | None = None
        complaint = ""

        async def once() -> Ledger:
            found = ledger or await Ledger.open(self._bus, self._config.env)
            await step(found)
            return found

        while not stop.is_set():
            try:
                if self._feed.writer is not None:
                    ledger = await unless(stop, once())
                    complaint = ""
            except Conflict:
                continue  # an operator was first: look again
            except (BusError, DayFault) as error:
                ledger = None
                if error.message != complaint:
                    log.warning("%s: the trading day waits: %s", self._feed.feed, error.message)
                complaint = error.message
            await wait(stop, self._every_s)

    # --- the clock, and what is asked for -------------------------------------------------------

    async def tick(self, ledger: Ledger) -> None:
        """What is due now, except what takes long. Raises BusError, Conflict."""
        now_ns = self._now()
        for kept in await ledger.days(self._feed.feed):
            await ledger.tell(kept)
        if self._days.auto_roll:
            await self._end_due(ledger, now_ns)
            await self._start_due(ledger, now_ns)
        for kept in await ledger.days(self._feed.feed):
            if kept.day.state == "STARTING":
                await self._check(ledger, kept, now_ns)

    async def _end_due(self, ledger: Ledger, now_ns: int) -> None:
        for kept in await ledger.days(self._feed.feed):
            day = kept.day
            unfinished = day.state in OPEN or day.failed == "STARTING"
            if unfinished and steps.is_over(self._days, day.date, now_ns):
                if day.state == "PENDING":
                    await steps.start(ledger, self._days, now_ns, by=self._by, date_=day.date)
                await steps.end(
                    ledger, self._days, by=self._by, date_=day.date, reason=SCHEDULE
                )  # fmt: skip

    async def _start_due(self, ledger: Ledger, now_ns: int) -> None:
        today = self._days.at(now_ns)
        if not today.sessions or now_ns >= today.close_ns:
            return
        known = {kept.day.date: kept.day for kept in await ledger.days(self._feed.feed)}
        if any(day.state in OPEN for date_, day in known.items() if date_ != today.date):
            return
        day = known.get(today.date)
        if day is None or day.state == "PENDING" or await self._is_well_again(day.failed):
            await steps.start(ledger, self._days, now_ns, by=self._by, reason=SCHEDULE)

    async def _is_well_again(self, failed: str | None) -> bool:
        """What kept the day from starting is no more."""
        if failed != "STARTING" or time.monotonic() - self._looked < RETRY_S:
            return False
        self._looked = time.monotonic()
        return not (await self._look()).problems

    async def _look(self) -> checks.Opening:
        config = self._config
        return await checks.look(self._bus, config.env.name, self._feed.feed, config.hash)

    async def _check(self, ledger: Ledger, kept: Kept, now_ns: int) -> None:
        """ACTIVE when all is there; ERROR where it does not come in time."""
        found = await self._look()
        if self._feed.state != "live":
            found.problems.append(f"the archiver is {self._feed.detail or self._feed.state}")
        waited_s = (time.time_ns() - kept.day.last.at_ns) / 1e9
        over = self._days.auto_roll and steps.is_over(self._days, kept.day.date, now_ns)
        if not found.problems:
            stats = found.facts | {"archived_seq": self._feed.status().get("last_seq")}
            await ledger.move(kept, "ACTIVE", by=self._by, stats=stats)
            log.info("%s: the day %s is ACTIVE", self._feed.feed, kept.day.date)
        elif over or waited_s > self._start_s:
            error = "; ".join(found.problems)
            await ledger.move(kept, "ERROR", by=self._by, error=error)
            log.error("%s: the day %s did not start: %s", self._feed.feed, kept.day.date, error)

    # --- the end --------------------------------------------------------------------------------

    async def finish(self, ledger: Ledger, stop: asyncio.Event) -> None:
        """Drain, seal, prove and report what is ENDING. Raises BusError, Conflict."""
        for kept in await ledger.days(self._feed.feed):
            if kept.day.state != "ENDING":
                continue
            try:
                closing = await self._drain(kept.day) or await self._close(kept.day, stop)
            except Stopped:
                return
            latest = await ledger.get(kept.day.feed, kept.day.date)
            if latest is not None and latest.day.state == "ENDING":
                await self._end(ledger, latest, closing)

    async def _end(self, ledger: Ledger, kept: Kept, closing: Closing) -> None:
        day = kept.day
        if closing.error is None or day.forced:
            reason = "forced" if closing.error is not None else None
            await ledger.move(
                kept, "COMPLETE", by=self._by, reason=reason, error=closing.error,
                stats=closing.stats,
            )  # fmt: skip
            log.info("%s: the day %s is COMPLETE", day.feed, day.date)
        else:
            await ledger.move(
                kept, "ERROR", by=self._by, error=closing.error, stats=closing.stats
            )  # fmt: skip
            log.error("%s: the day %s is in ERROR: %s", day.feed, day.date, closing.error)

    async def _drain(self, day: Day) -> Closing | None:
        """Until all of the day is in closed segments; what went wrong where that takes too long."""
        facts = day.last.stats
        seq = int(facts["closing_seq"])
        try:
            async with asyncio.timeout(self._drain_s):
                await self._feed.sealed(str(facts["stream_created"]), seq)
        except TimeoutError:
            status = self._feed.status()
            why = status.get("detail") or f"it has archived {_up_to(status.get('last_seq'))}"
            return Closing(f"the archiver has not sealed up to {seq}: {why}", {})
        return None

    async def _close(self, day: Day, stop: asyncio.Event) -> Closing:
        def go_on(_: int) -> None:
            if stop.is_set():
                raise Stopped

        env, trading = self._config.env, self._days.on(date.fromisoformat(day.date))
        try:
            return await asyncio.to_thread(close, self._root, env, day, trading, go_on)
        except SsmdError as error:
            return Closing(error.message, {})
        except OSError as error:
            where = f"{error.filename}: " if error.filename else ""
            return Closing(f"{where}{error.strerror or error}", {})


def _up_to(seq: int | None) -> str:
    return f"up to {seq}" if seq else "nothing"
