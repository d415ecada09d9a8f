"""The time that a request is about, within what its key allows."""

import time
from datetime import UTC, date, datetime
from typing import Final

from starlette.requests import HTTPConnection

from ssmd.serve.access import access_of

NS_PER_DAY: Final = 86_400 * 10**9


def span_of(request: HTTPConnection, since: int | None, until: int | None) -> tuple[int, int]:
    """``[start, end)`` in ns: from the beginning of today until now, where it is not said."""
    now_ns = time.time_ns()
    first, last = access_of(request).bounds()
    start_ns = now_ns // NS_PER_DAY * NS_PER_DAY if since is None else since
    end_ns = now_ns if until is None else until
    return max(start_ns, _day_ns(first, 0)), min(end_ns, _day_ns(last, 1))


def _day_ns(day: str | None, after: int) -> int:
    """When a day begins (or, ``after`` 1, is over); without one, no bound."""
    if day is None:
        return 2**63 - 1 if after else 0
    start = datetime.combine(date.fromisoformat(day), datetime.min.time(), UTC)
    return (int(start.timestamp()) + after * 86_400) * 10**9
