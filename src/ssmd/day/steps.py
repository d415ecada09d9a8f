"""What can be asked of a day: each step reads where the day is, and asks for no more than is
missing. Asked again, by whomever, it changes nothing.

Who asks is an operator (``ssmd meta day``) or the archiver's own clock. STARTING and ENDING are
requests: the archiver answers them.
"""

from collections.abc import Awaitable, Callable
from datetime import date
from typing import Any, TypeVar

from ssmd.calendar import TradingDay, TradingDays
from ssmd.day.ledger import Kept, Ledger
from ssmd.day.state import OPEN
from ssmd.errors import Conflict, DayFault
from ssmd.store.tally import rfc3339

T = TypeVar("T")

MEETINGS = 10
"""How often someone else may be first before that is an error."""


async def settled(step: Callable[[], Awaitable[T]]) -> T:
    """A step, taken again where someone else changed the day in the middle of it."""
    for _ in range(MEETINGS):
        try:
            return await step()
        except Conflict as error:
            last = error
    raise last


async def start(
    ledger: Ledger,
    days: TradingDays,
    now_ns: int,
    *,
    by: str,
    date_: str | None = None,
    reason: str | None = None,
) -> Kept:
    """Begin the day of that date, else of this moment: STARTING, if it is not further on.

    Raises DayFault where it is over, or another day is open.
    """
    wanted = _day(days, now_ns, date_)
    known = await ledger.days(days.feed)
    _refuse_second(known, wanted)
    kept = _find(known, wanted.date)
    if kept is None:
        if wanted.end_ns <= now_ns:
            raise DayFault(
                f"{wanted.date} is over", hint=f"the day of {days.feed} is {days.at(now_ns).date}"
            )
        kept = await ledger.create(days.feed, wanted.date, by)
    day = kept.day
    if day.state == "PENDING" or day.failed == "STARTING":
        stats = await _opening(ledger, kept, wanted)
        return await ledger.move(kept, "STARTING", by=by, reason=reason, stats=stats)
    if day.state in ("STARTING", "ACTIVE"):
        return kept
    raise DayFault(
        f"{day.feed} {day.date} is {day.state}: it cannot be started again",
        hint="`ssmd meta day roll` starts the next day",
    )


async def end(
    ledger: Ledger,
    days: TradingDays,
    *,
    by: str,
    date_: str | None = None,
    reason: str | None = None,
    force: bool = False,
) -> Kept:
    """End the day of that date, else the one that is not over: ENDING, if it is not further on.

    Raises DayFault where no day has begun.
    """
    kept = _ending(await ledger.days(days.feed), days.feed, date_)
    if kept.day.state == "STARTING":
        error = "ended before its checks had passed"
        kept = await ledger.move(kept, "ERROR", by=by, error=error)
    if kept.day.state in ("ACTIVE", "ERROR"):
        stats = await _closing(ledger, kept)
        return await ledger.move(
            kept, "ENDING", by=by, reason=reason, stats=stats, forced=force
        )  # fmt: skip
    if kept.day.state == "ENDING" and force:
        return await ledger.force(kept)
    return kept


async def roll(
    ledger: Ledger, days: TradingDays, now_ns: int, *, by: str, force: bool = False
) -> tuple[Kept | None, Kept]:
    """End the day that is open and start the next one; both, the first None where none was open.

    A day that has not come yet by the calendar is not rolled: that was done already.
    """
    today = days.at(now_ns)
    known = await ledger.days(days.feed)
    latest = known[-1] if known else None
    if latest is not None and latest.day.date > today.date and latest.day.state in OPEN:
        return None, await start(ledger, days, now_ns, by=by, date_=latest.day.date)
    ended = None
    if any(kept.day.state in OPEN for kept in known):
        await _begin(ledger, days, now_ns, known, by)
        ended = await end(ledger, days, by=by, reason="roll", force=force)
    next_ = today
    if latest is not None and latest.day.date >= today.date:
        next_ = days.after(latest.day.date)
    return ended, await start(ledger, days, now_ns, by=by, date_=next_.date, reason="roll")


async def recover(ledger: Ledger, days: TradingDays, now_ns: int, *, by: str) -> list[Kept]:
    """Every day that is stuck, told and asked once more for what it lacks."""
    found = []
    for kept in await ledger.days(days.feed):
        if kept.day.state not in ("ACTIVE", "COMPLETE"):
            found.append(await _again(ledger, days, now_ns, await ledger.tell(kept), by))
        else:
            await ledger.tell(kept)
    return found


async def _again(ledger: Ledger, days: TradingDays, now_ns: int, kept: Kept, by: str) -> Kept:
    day, reason = kept.day, "recover"
    if day.state == "PENDING":
        stats = await _opening(ledger, kept, days.on(date.fromisoformat(day.date)))
        return await ledger.move(kept, "STARTING", by=by, reason=reason, stats=stats)
    if day.failed == "STARTING" and not is_over(days, day.date, now_ns):
        others = [one.day for one in await ledger.days(days.feed) if one.day.date != day.date]
        if not any(other.state in OPEN for other in others):
            return await start(ledger, days, now_ns, by=by, date_=day.date, reason=reason)
    if day.state == "ERROR":
        return await end(ledger, days, by=by, date_=day.date, reason=reason)
    return kept


def is_over(days: TradingDays, date_: str, now_ns: int) -> bool:
    """Whether the schedule has ended the day of that date."""
    return days.on(date.fromisoformat(date_)).close_ns <= now_ns


def _day(days: TradingDays, now_ns: int, date_: str | None) -> TradingDay:
    return days.at(now_ns) if date_ is None else days.on(date.fromisoformat(date_))


def _find(known: list[Kept], date_: str) -> Kept | None:
    return next((kept for kept in known if kept.day.date == date_), None)


def _refuse_second(known: list[Kept], wanted: TradingDay) -> None:
    for kept in known:
        if kept.day.state in OPEN and kept.day.date != wanted.date:
            raise DayFault(
                f"{kept.day.feed} {kept.day.date} is {kept.day.state}: end it first",
                hint="`ssmd meta day roll` ends it and starts the next",
            )


def _ending(known: list[Kept], feed: str, date_: str | None) -> Kept:
    """The day that is meant: that of the date; else the open one, the latest that is not
    COMPLETE, the latest."""
    begun = [kept for kept in known if kept.day.state != "PENDING"]
    if date_ is not None:
        begun = [kept for kept in begun if kept.day.date == date_]
    if not begun:
        what = f"{feed} has not begun {date_ or 'a day'}"
        raise DayFault(what, hint=f"`ssmd meta day start --feed {feed}` begins one")
    left = [kept for kept in begun if kept.day.state != "COMPLETE"]
    open_ = [kept for kept in left if kept.day.state in OPEN]
    return (open_ or left or begun)[-1]


async def _begin(
    ledger: Ledger, days: TradingDays, now_ns: int, known: list[Kept], by: str
) -> None:
    """A day that someone made and did not start can only be ended once it is started."""
    for kept in known:
        if kept.day.state == "PENDING":
            await start(ledger, days, now_ns, by=by, date_=kept.day.date)


async def _opening(ledger: Ledger, kept: Kept, day: TradingDay) -> dict[str, Any]:
    """From where the day goes, and when it is by the calendar."""
    facts = await ledger.facts(kept.day.feed)
    stats: dict[str, Any] = {
        "opening_seq": facts.last_seq,
        "stream_created": facts.created,
        "start": rfc3339(day.start_ns),
        "end": rfc3339(day.end_ns),
    }
    return stats | ({"holiday": day.holiday} if day.holiday else {})


async def _closing(ledger: Ledger, kept: Kept) -> dict[str, Any]:
    """Up to where the day goes: what its first end said, where this is not the first."""
    first = kept.day.first("ENDING")
    if first is not None:
        return {key: first.stats[key] for key in ("closing_seq", "stream_created")}
    facts = await ledger.facts(kept.day.feed)
    return {"closing_seq": facts.last_seq, "stream_created": facts.created}
