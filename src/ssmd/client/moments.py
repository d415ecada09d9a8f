"""What a person writes for a moment -> nanoseconds since 1970."""

import re
import time
from datetime import UTC, date, datetime
from typing import Final

from ssmd.client.errors import BadRequest

Moment = date | datetime | str | int
"""A date is its first moment, UTC. Text is a date or RFC 3339, of UTC where it names no zone, to
the nanosecond. An int is nanoseconds since 1970. A datetime has to name its zone: without one,
Python takes it for the local time of whatever machine it runs on."""

NS_PER_DAY: Final = 86_400 * 10**9
_MOST: Final = 2**63 - 1
_TEXT: Final = re.compile(
    r"(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d(?::\d\d)?)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d)?)?", re.ASCII
)


def span_of(start: Moment | None, end: Moment | None) -> tuple[int, int]:
    """[start, end) in ns; from the beginning of today, UTC, until now where nothing is said.
    Raises BadRequest."""
    now_ns = time.time_ns()
    start_ns = now_ns // NS_PER_DAY * NS_PER_DAY if start is None else ns_of(start, "start")
    end_ns = max(now_ns, start_ns) if end is None else ns_of(end, "end")
    if start_ns > end_ns:
        raise BadRequest(f"start {start} is after end {end}", hint="swap them")
    return start_ns, end_ns


def ns_of(moment: Moment, name: str) -> int:
    """Raises BadRequest."""
    try:
        found = _ns(moment, name)
    except (ValueError, OverflowError):
        raise _strange(moment, name) from None
    if not 0 <= found <= _MOST:
        raise BadRequest(f"{name} {moment} is not between 1970 and 2262")
    return found


def _ns(moment: Moment, name: str) -> int:
    if isinstance(moment, bool):
        raise _strange(moment, name)
    if isinstance(moment, int):
        return moment
    if isinstance(moment, str):
        return _of_text(moment)
    if isinstance(moment, datetime):
        if moment.tzinfo is None:
            raise BadRequest(
                f"{name} {moment} names no zone", hint="such as datetime(2026, 11, 23, tzinfo=UTC)"
            )
        # A timestamp of pandas is a datetime, and finer.
        return _of_datetime(moment) + int(getattr(moment, "nanosecond", 0))
    if isinstance(moment, date):
        return _of_datetime(datetime(moment.year, moment.month, moment.day, tzinfo=UTC))
    raise _strange(moment, name)


def _of_text(text: str) -> int:
    found = _TEXT.fullmatch(text.strip())
    if found is None:
        raise ValueError
    day, clock, fraction, zone = found.groups()
    whole = datetime.fromisoformat(f"{day}T{clock or '00:00'}{zone or 'Z'}")
    return _of_datetime(whole) + int((fraction or "0").ljust(9, "0"))


def _of_datetime(moment: datetime) -> int:
    since = moment - datetime(1970, 1, 1, tzinfo=UTC)
    return (since.days * 86_400 + since.seconds) * 10**9 + since.microseconds * 1000


def _strange(moment: object, name: str) -> BadRequest:
    return BadRequest(
        f"{name} {moment!r:.60} is no moment",
        hint='a date, a datetime with its zone, "2026-11-23T12:00:00Z", or ns since 1970',
    )
