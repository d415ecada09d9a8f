"""Trading days: when a feed's day begins and ends, when its exchange is open, and when it rests.

The environment's schedule says where one day ends and the next begins (``day_start`` in its time
zone), so days tile time; the feed's calendar says when the exchange is open within it. A day has
the date on which it begins. Spans are ``[start, end)`` in ns UTC.
"""

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from datetime import time as wall
from functools import cache
from typing import Final
from zoneinfo import ZoneInfo

from msgspec import Struct

from ssmd.config import Calendar, ResolvedFeed, Schedule
from ssmd.exchanges import exchange

NS_PER_S: Final = 1_000_000_000
NS_PER_MINUTE: Final = 60 * NS_PER_S
SATURDAY: Final = 5
HALF_DAY_CLOSE: Final = wall(13)
"""When NYSE closes on the days before and after some holidays (nyse.com, hours and calendars)."""

Span = tuple[int, int]


class TradingDay(Struct, frozen=True):
    """One day of one feed."""

    date: str
    """``YYYY-MM-DD``: the local date on which it begins."""
    start_ns: int
    end_ns: int
    """Where the next day begins."""
    close_ns: int
    """When the schedule ends the day: ``day_end``, else ``end_ns``."""
    sessions: tuple[Span, ...]
    """When the exchange's calendar says that it is open."""
    pauses: tuple[Span, ...]
    """When the exchange rests by its own weekly plan, to the minute."""
    holiday: str | None

    def is_open(self, at_ns: int) -> bool:
        """Whether trading is to be expected."""
        return _within(at_ns, self.sessions) and not _within(at_ns, self.pauses)


class TradingDays:
    """The days of one feed in one environment."""

    def __init__(self, schedule: Schedule, feed: ResolvedFeed) -> None:
        self.feed = feed.name
        self.auto_roll = schedule.auto_roll
        self._schedule = schedule
        self._calendar = feed.calendar
        self._quiet = exchange(feed.exchange).quiet
        self._zone = ZoneInfo(schedule.timezone)
        self._latest: TradingDay | None = None

    def at(self, at_ns: int) -> TradingDay:
        """The day that this moment belongs to."""
        latest = self._latest
        if latest is not None and latest.start_ns <= at_ns < latest.end_ns:
            return latest
        local = datetime.fromtimestamp(at_ns // NS_PER_S, self._zone).date()
        for shift in (0, -1, 1):
            start_ns, end_ns = self._bounds(local + timedelta(days=shift))
            if start_ns <= at_ns < end_ns:
                break
        self._latest = self.on(local + timedelta(days=shift))
        return self._latest

    def on(self, day: date) -> TradingDay:
        """The day of a date; of no length where its time zone skipped it."""
        start_ns, end_ns = self._bounds(day)
        name, _ = _holiday(self._calendar, day)
        return TradingDay(
            date=day.isoformat(),
            start_ns=start_ns,
            end_ns=end_ns,
            close_ns=self._close(day, start_ns, end_ns),
            sessions=tuple(_sessions(self._calendar, start_ns, end_ns)),
            pauses=tuple(_pauses(self._quiet, start_ns, end_ns)),
            holiday=name,
        )

    def after(self, day: str) -> TradingDay:
        """The next day on which the exchange is open."""
        following = date.fromisoformat(day) + timedelta(days=1)
        while not (found := self.on(following)).sessions:
            following += timedelta(days=1)
        return found

    def _bounds(self, day: date) -> Span:
        opens = _clock(self._schedule.day_start)
        start_ns = _ns(day, opens, self._zone)
        return start_ns, max(start_ns, _ns(day + timedelta(days=1), opens, self._zone))

    def _close(self, day: date, start_ns: int, end_ns: int) -> int:
        if self._schedule.day_end is None:
            return end_ns
        closes = _clock(self._schedule.day_end)
        shift = closes <= _clock(self._schedule.day_start)
        close_ns = _ns(day + timedelta(days=int(shift)), closes, self._zone)
        return min(max(close_ns, start_ns), end_ns)


def trading_day(schedule: Schedule, feed: ResolvedFeed, at_ns: int) -> TradingDay:
    """The day of a feed that this moment belongs to."""
    return TradingDays(schedule, feed).at(at_ns)


def utc_dates(start_ns: int, end_ns: int) -> list[str]:
    """The UTC dates, by which the archive is kept, that a span touches."""
    day = datetime.fromtimestamp(start_ns // NS_PER_S, UTC).date()
    last = datetime.fromtimestamp(max(end_ns - 1, start_ns) // NS_PER_S, UTC).date()
    return [(day + timedelta(days=n)).isoformat() for n in range((last - day).days + 1)]


def _sessions(calendar: Calendar, start_ns: int, end_ns: int) -> Iterator[Span]:
    """The exchange's hours of the local dates that the span touches, cut to the span."""
    hours = calendar.open_time, calendar.close_time
    holidays = calendar.holiday_calendar == "us_equity" or calendar.holidays
    if hours == (None, None) and not holidays:
        if end_ns > start_ns:
            yield start_ns, end_ns
        return
    zone = ZoneInfo(calendar.timezone)
    day = datetime.fromtimestamp(start_ns // NS_PER_S, zone).date() - timedelta(days=1)
    last = datetime.fromtimestamp(end_ns // NS_PER_S, zone).date()
    while day <= last:
        for first_ns, last_ns in _hours(calendar, day, zone):
            if first_ns < end_ns and last_ns > start_ns:
                yield max(first_ns, start_ns), min(last_ns, end_ns)
        day += timedelta(days=1)


def _hours(calendar: Calendar, day: date, zone: ZoneInfo) -> Iterator[Span]:
    equity = calendar.holiday_calendar == "us_equity"
    name, half = _holiday(calendar, day)
    if (equity and day.weekday() >= SATURDAY) or (name is not None and not half):
        return
    opens = _clock(calendar.open_time or ("09:30" if equity else None))
    closes = _clock(calendar.close_time or ("16:00" if equity else None))
    if half:
        closes = min(closes, HALF_DAY_CLOSE)
    over = day + timedelta(days=int(closes <= opens))
    yield _ns(day, opens, zone), _ns(over, closes, zone)


def _holiday(calendar: Calendar, day: date) -> tuple[str | None, bool]:
    """Its name, and whether the exchange opens for half of it."""
    if calendar.holiday_calendar != "us_equity":
        return "holiday" if day in calendar.holidays else None, False
    closed, half = (_nyse(category).get(day) for category in ("public", "half_day"))
    return closed or half, closed is None and half is not None


@cache
def _nyse(category: str) -> Mapping[date, str]:
    import holidays  # late: it takes a while, and only equities have any

    found: Mapping[date, str] = holidays.financial_holidays("NYSE", categories=(category,))
    return found


def _pauses(quiet: Callable[[int], bool], start_ns: int, end_ns: int) -> Iterator[Span]:
    since: int | None = None
    for at_ns in range(start_ns, end_ns, NS_PER_MINUTE):
        if quiet(at_ns):
            since = at_ns if since is None else since
        elif since is not None:
            yield since, at_ns
            since = None
    if since is not None:
        yield since, end_ns


def _within(at_ns: int, spans: tuple[Span, ...]) -> bool:
    return any(first <= at_ns < last for first, last in spans)


def _clock(text: str | None) -> wall:
    return wall.fromisoformat(text or "00:00")


def _ns(day: date, at: wall, zone: ZoneInfo) -> int:
    return int(datetime.combine(day, at, zone).timestamp()) * NS_PER_S
