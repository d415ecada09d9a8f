"""Trading days: they tile time in every time zone, and know when an exchange is open."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo, available_timezones

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssmd.calendar import NS_PER_S, TradingDay, TradingDays, trading_day, utc_dates
from ssmd.config import Calendar, ResolvedFeed, Schedule, load

FEEDS = load("demo").feeds
NEW_YORK = ZoneInfo("America/New_York")
EQUITY = Calendar(timezone="America/New_York", holiday_calendar="us_equity")
HOUR_NS = 3600 * NS_PER_S

clocks = st.none() | st.builds("{:02d}:{:02d}".format, st.integers(0, 23), st.integers(0, 59))
schedules = st.builds(
    Schedule,
    timezone=st.sampled_from(sorted(available_timezones())),
    day_start=clocks,
    day_end=clocks,
)
calendars = st.builds(
    Calendar,
    timezone=st.sampled_from(["America/New_York", "Asia/Tokyo", "UTC"]),
    holiday_calendar=st.sampled_from(["us_equity", "crypto_247", "custom"]),
    open_time=clocks,
    close_time=clocks,
)
moments = st.integers(0, 4_000_000_000).map(lambda s: s * NS_PER_S)


def ns(text: str, zone: ZoneInfo | None = None) -> int:
    moment = datetime.fromisoformat(text)
    return int(moment.replace(tzinfo=zone or UTC).timestamp()) * NS_PER_S


def with_calendar(calendar: Calendar, feed: str = "kraken") -> ResolvedFeed:
    return msgspec.structs.replace(FEEDS[feed], calendar=calendar)


def day(text: str, schedule: Schedule, feed: ResolvedFeed) -> TradingDay:
    return TradingDays(schedule, feed).on(date.fromisoformat(text))


@given(schedules, calendars, moments)
def test_days_tile_time(schedule: Schedule, calendar: Calendar, at_ns: int) -> None:
    """Every moment is in one day, and where that ends the next one begins; what is said of the
    hours lies within the day."""
    days = TradingDays(schedule, with_calendar(calendar))
    found = days.at(at_ns)
    assert found.start_ns <= at_ns < found.end_ns
    assert found == TradingDays(schedule, with_calendar(calendar)).on(
        date.fromisoformat(found.date)
    )
    after, before = days.at(found.end_ns), days.at(found.start_ns - 1)
    assert (before.end_ns, found.end_ns) == (found.start_ns, after.start_ns)
    assert before.date < found.date < after.date
    assert found.start_ns <= found.close_ns <= found.end_ns
    for spans in (found.sessions, found.pauses):
        edges = [found.start_ns, *(edge for span in spans for edge in span), found.end_ns]
        assert edges[0] <= edges[1]
        assert edges[-2] <= edges[-1]
        assert all(first < last for first, last in spans)


@pytest.mark.parametrize(
    ("date_", "hours"), [("2026-03-08", 23), ("2026-11-01", 25), ("2026-11-23", 24)]
)
def test_a_day_of_new_york_is_as_long_as_it_is_there(date_: str, hours: int) -> None:
    found = day(date_, Schedule(timezone="America/New_York"), FEEDS["kraken"])
    assert found.end_ns - found.start_ns == hours * HOUR_NS


@pytest.mark.parametrize("hours", [{}, {"open_time": "08:00", "close_time": "20:00"}])
def test_a_custom_calendar_is_closed_on_its_holidays(hours: dict[str, str]) -> None:
    closed = [date(2026, 12, 25), date(2026, 12, 26)]
    calendar = Calendar(
        timezone="America/New_York", holiday_calendar="custom", holidays=closed, **hours
    )
    days = TradingDays(Schedule(timezone="America/New_York"), with_calendar(calendar))
    found = days.on(date(2026, 12, 25))
    assert (found.sessions, found.holiday) == ((), "holiday")
    assert days.on(date(2026, 12, 24)).holiday is None
    assert days.after("2026-12-24").date == "2026-12-27"
    assert len(days.on(date(2026, 12, 27)).sessions) == 1


def test_a_date_that_its_zone_skipped_has_no_length() -> None:
    days = TradingDays(Schedule(timezone="Pacific/Apia"), FEEDS["kraken"])
    skipped = days.on(date(2011, 12, 30))
    assert skipped.start_ns == skipped.end_ns
    assert skipped.sessions == ()
    assert days.after("2011-12-29").date == "2011-12-31"
    assert days.at(skipped.start_ns).date == "2011-12-31"


def test_days_begin_and_end_as_the_schedule_says() -> None:
    overnight = Schedule(timezone="America/New_York", day_start="18:00", day_end="17:00")
    found = trading_day(overnight, FEEDS["kraken"], ns("2026-11-24T16:00", NEW_YORK))
    assert found.date == "2026-11-23"
    assert found.start_ns == ns("2026-11-23T18:00", NEW_YORK)
    assert found.close_ns == ns("2026-11-24T17:00", NEW_YORK)
    assert found.end_ns == ns("2026-11-24T18:00", NEW_YORK)
    ten_past = Schedule(day_start="00:10", day_end="00:00")
    assert trading_day(ten_past, FEEDS["kraken"], ns("2026-11-24T00:05")).date == "2026-11-23"
    assert day("2026-11-23", ten_past, FEEDS["kraken"]).close_ns == ns("2026-11-24T00:00")


@pytest.mark.parametrize("feed", ["polymarket", "kraken", "kraken-futures"])
def test_crypto_never_rests(feed: str) -> None:
    days = TradingDays(Schedule(), FEEDS[feed])
    for shift in range(366):
        found = days.on(date(2026, 1, 1) + timedelta(days=shift))
        assert found.sessions == ((found.start_ns, found.end_ns),)
        assert (found.pauses, found.holiday) == ((), None)


def test_kalshi_pauses_on_thursdays_also_where_the_clock_moved() -> None:
    for thursday, hour in (("2026-07-02", 7), ("2026-11-26", 8)):
        found = day(thursday, Schedule(), FEEDS["kalshi"])
        pause = (ns(f"{thursday}T{hour:02d}:00"), ns(f"{thursday}T{hour + 2:02d}:00"))
        assert found.pauses == (pause,)
        assert not found.is_open(pause[0])
        assert found.is_open(pause[1])
    assert day("2026-11-25", Schedule(), FEEDS["kalshi"]).pauses == ()


def test_equities_have_hours_holidays_and_half_days() -> None:
    schedule = Schedule(timezone="America/New_York")
    feed = with_calendar(EQUITY)
    monday = day("2026-11-23", schedule, feed)
    assert monday.sessions == (
        (ns("2026-11-23T09:30", NEW_YORK), ns("2026-11-23T16:00", NEW_YORK)),
    )
    thanksgiving = day("2026-11-26", schedule, feed)
    assert (thanksgiving.sessions, thanksgiving.holiday) == ((), "Thanksgiving Day")
    friday = day("2026-11-27", schedule, feed)
    assert friday.sessions[0][1] == ns("2026-11-27T13:00", NEW_YORK)
    assert friday.holiday is not None
    days = TradingDays(schedule, feed)
    assert days.after("2026-11-25").date == "2026-11-27"
    assert days.after("2026-11-27").date == "2026-11-30"


def test_hours_that_are_given_are_kept() -> None:
    calendar = Calendar(timezone="Asia/Tokyo", open_time="09:00", close_time="15:30")
    found = day("2026-11-23", Schedule(), with_calendar(calendar))
    assert found.sessions == ((ns("2026-11-23T00:00"), ns("2026-11-23T06:30")),)


def test_utc_dates_of_a_span() -> None:
    start = ns("2026-11-23T00:00")
    assert utc_dates(start, start + 24 * HOUR_NS) == ["2026-11-23"]
    assert utc_dates(start, start + 24 * HOUR_NS + 1) == ["2026-11-23", "2026-11-24"]
    assert utc_dates(start - 1, start - 1) == ["2026-11-22"]
