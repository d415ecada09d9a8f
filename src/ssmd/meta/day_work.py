"""Asking for a change of days, and waiting until the archiver has made it."""

import asyncio
import contextlib
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from datetime import date
from pathlib import Path
from typing import Literal

from msgspec import Struct

from ssmd import bus, runtime
from ssmd.calendar import TradingDays
from ssmd.config import Config, Environment
from ssmd.day import Day, Kept, Ledger, checks, steps
from ssmd.day.checks import ARCHIVER
from ssmd.day.state import whoami
from ssmd.errors import DayFault, NotFound, SsmdError
from ssmd.meta.day_answer import Answer, market

POLL_S = 0.2


class Want(Struct, frozen=True):
    """What is asked for."""

    what: Literal["status", "start", "end", "roll", "recover", "history"]
    date: str | None = None
    force: bool = False
    timeout_s: float = 60.0
    limit: int = 10


class Desk:
    """Where an operator asks: a configuration, and the folder of an embedded server."""

    def __init__(self, config: Config, data: Path) -> None:
        self.config = config
        self.data = data
        self.by = whoami("meta")

    @property
    def env(self) -> Environment:
        return self.config.env

    def days(self, feed: str) -> TradingDays:
        return TradingDays(self.env.schedule, self.config.feeds[feed])

    @contextlib.asynccontextmanager
    async def ledger(self) -> AsyncIterator[Ledger]:
        if self.env.transport.url == "embedded" and not (self.data / "nats").is_dir():
            raise NotFound(
                f"nothing has run in {self.data}",
                hint="choose the folder with --data, or start the roles with `ssmd up`",
            )
        async with bus.connect(self.env.transport, name="meta day", data=self.data) as connection:
            yield await Ledger.open(connection, self.env)


def run(desk: Desk, want: Want) -> list[Answer]:
    """Ask for all feeds at once; what went wrong with one is in its answer. Raises BusError,
    NotFound."""
    return runtime.run(_run(desk, want))


async def _run(desk: Desk, want: Want) -> list[Answer]:
    async with desk.ledger() as ledger, asyncio.TaskGroup() as tasks:
        with _patience(want):
            asked = [
                tasks.create_task(_answers(desk, ledger, feed, want)) for feed in desk.config.feeds
            ]
            await asyncio.wait(asked)
    return [answer for task in asked for answer in task.result()]


@contextlib.contextmanager
def _patience(want: Want) -> Iterator[None]:
    """A sign of life on a terminal, for as long as it takes."""
    if want.what in LOOKS or not sys.stderr.isatty():
        yield
        return
    from rich.console import Console  # late: a script need not wait for it

    with Console(stderr=True).status(f"{want.what}: waiting for the archiver"):
        yield


async def _answers(desk: Desk, ledger: Ledger, feed: str, want: Want) -> list[Answer]:
    days = desk.days(feed)
    try:
        if want.what in LOOKS:
            return await LOOKS[want.what](ledger, days, want)
        asked = await steps.settled(lambda: _ask(ledger, days, want, desk.by))
        return [await _wait(desk, ledger, days, kept, want) for kept in asked]
    except SsmdError as error:
        return [_answer(days, None, error=error)]


def _answer(
    days: TradingDays,
    day: Day | None,
    archiver: bool | None = None,
    error: SsmdError | None = None,
) -> Answer:
    now_ns = time.time_ns()
    today = days.at(now_ns)
    trading = days.on(date.fromisoformat(day.date)) if day is not None else today
    return Answer(days.feed, trading, market(today, now_ns), day, archiver, error)


async def _ask(ledger: Ledger, days: TradingDays, want: Want, by: str) -> list[Kept]:
    """The days that are to be waited for."""
    now_ns = time.time_ns()
    if want.what == "start":
        return [await steps.start(ledger, days, now_ns, by=by, date_=want.date)]
    if want.what == "end":
        return [await steps.end(ledger, days, by=by, date_=want.date, force=want.force)]
    if want.what == "recover":
        return await steps.recover(ledger, days, now_ns, by=by)
    ended, started = await steps.roll(ledger, days, now_ns, by=by, force=want.force)
    return [kept for kept in (ended, started) if kept is not None]


# --- waiting ------------------------------------------------------------------------------------


async def _wait(desk: Desk, ledger: Ledger, days: TradingDays, kept: Kept, want: Want) -> Answer:
    """Until the archiver has done its part, or the time is up."""
    feed, date_ = kept.day.feed, kept.day.date
    until = time.monotonic() + want.timeout_s
    while kept.day.state in ("STARTING", "ENDING") and time.monotonic() < until:
        await asyncio.sleep(POLL_S)
        kept = await ledger.get(feed, date_) or kept
    alive = await ledger.bus.is_read(ledger.stream(feed), ARCHIVER)
    if kept.day.state == "ENDING" and want.force and not alive:
        kept = await _end_alone(ledger, kept, desk.by)
    error = await _fault(desk, ledger, kept.day, want, alive)
    return _answer(days, kept.day, alive, error)


async def _end_alone(ledger: Ledger, kept: Kept, by: str) -> Kept:
    """Nobody seals or proves the day: COMPLETE because an operator says so."""
    reason = "forced: no archiver was there to seal and prove it"
    return await ledger.move(kept, "COMPLETE", by=by, reason=reason, stats={"proved": False})


async def _fault(desk: Desk, ledger: Ledger, day: Day, want: Want, alive: bool) -> DayFault | None:
    """Why the day is not where it was to be; None where it is."""
    env = desk.env.name
    if day.state == "ERROR":
        return DayFault(
            f"{day.feed} {day.date} is in ERROR: {day.last.error}",
            hint=f"mend the cause, then `ssmd meta day recover --env {env}`",
        )
    if day.state not in ("STARTING", "ENDING"):
        return None
    if not alive:
        or_else = "; or end it unproved with --force" if day.state == "ENDING" else ""
        return DayFault(
            f"{day.feed} {day.date} is still {day.state}: no archiver runs",
            hint=f"start one, it goes on from there: `ssmd archive --env {env}`{or_else}",
        )
    found = await checks.look(ledger.bus, env, day.feed, desk.config.hash)
    why = "; ".join(found.problems) if day.state == "STARTING" else ""
    return DayFault(
        f"{day.feed} {day.date} is still {day.state} after {want.timeout_s:g} s"
        + (f": {why}" if why else ""),
        hint=f"the archiver goes on: see `ssmd meta day status --env {env}`",
    )


# --- looking ------------------------------------------------------------------------------------


async def _status(ledger: Ledger, days: TradingDays, _: Want) -> list[Answer]:
    """The day of this moment, and every other that is not COMPLETE."""
    today = days.at(time.time_ns())
    alive = await ledger.bus.is_read(ledger.stream(days.feed), ARCHIVER)
    known = [kept.day for kept in await ledger.days(days.feed)]
    rows = [
        _answer(days, day, alive)
        for day in known
        if day.state != "COMPLETE" or day.date == today.date
    ]
    if all(row.date != today.date for row in rows):
        rows.append(_answer(days, None, alive))
    return sorted(rows, key=lambda row: row.date)


async def _history(ledger: Ledger, days: TradingDays, want: Want) -> list[Answer]:
    known = [kept.day for kept in await ledger.days(days.feed)]
    latest = known[::-1][: want.limit]
    return [_answer(days, day) for day in latest]


LOOKS: Mapping[str, Callable[[Ledger, TradingDays, Want], Awaitable[list[Answer]]]] = {
    "status": _status,
    "history": _history,
}
"""What asks for nothing."""
