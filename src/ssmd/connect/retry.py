"""When to try again."""

import contextlib
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from ssmd.errors import ExchangeError, ExchangeRefused, KeyFault, SsmdError

REFUSED_RETRY_S = 60.0
"""A refusal may end (a key is allowed again, an address works again), but not soon."""
LONGEST_S = 3600.0
"""The longest ``Retry-After`` that is honoured: a nonsensical one must not end a feed."""


def asked_s(retry_after: str | None, now: datetime) -> float:
    """Seconds that a ``Retry-After`` header asks for, as a number or a date; 0 where it is none."""
    value = (retry_after or "").strip()
    asked = 0.0
    if value.isascii() and value.isdigit():
        asked = float(value[:10])
    elif value:
        with contextlib.suppress(ValueError, OverflowError):
            at = parsedate_to_datetime(value)
            asked = ((at if at.tzinfo else at.replace(tzinfo=UTC)) - now).total_seconds()
    return min(max(asked, 0.0), LONGEST_S)


def delay_s(error: SsmdError, jitter_s: float) -> float:
    """Seconds until the next attempt: never less than the exchange asked for."""
    least = error.retry_after_s if isinstance(error, ExchangeError) else 0.0
    if isinstance(error, ExchangeRefused | KeyFault):
        least = max(least, REFUSED_RETRY_S)
    return least + jitter_s
