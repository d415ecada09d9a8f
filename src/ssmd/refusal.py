"""What an HTTP answer other than the wanted one means, and when to ask again."""

import contextlib
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit, urlunsplit

from ssmd.errors import ExchangeError, ExchangeRefused

REFUSALS = frozenset({400, 401, 403, 404, 410})
"""Answers that the same request will get again."""
LONGEST_S = 3600.0
"""The longest ``Retry-After`` that is honoured: a nonsensical one must not end a feed."""
_SHOWN_CHARS = 200


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


def explain_status(where: str, status: int, after_s: float, target: str | None) -> ExchangeError:
    """What an HTTP answer other than the wanted one means; ``where`` as ``shown_url`` has it."""
    if 300 <= status < 400:
        elsewhere = shown_url(target) if target else "elsewhere"
        return ExchangeRefused(
            f"{where} redirects to {elsewhere} ({status}), which is not followed",
            hint="put the address it moved to into the feed's endpoint",
            retry_after_s=after_s,
        )
    if status in (401, 403):
        return ExchangeRefused(
            f"{where} refused us ({status})",
            hint="check the key of this feed, and the clock",
            retry_after_s=after_s,
        )
    if status in REFUSALS:
        return ExchangeRefused(
            f"{where} answered {status}", hint="see the feed's endpoint", retry_after_s=after_s
        )
    asks = f" and asks for {after_s:g} s of quiet" if after_s else ""
    return ExchangeError(f"{where} answered {status}{asks}", retry_after_s=after_s)


def shown_url(url: str) -> str:
    """Where a URL leads: a user, a password, a query can hold a secret."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "a URL that cannot be read"
    host = parts.netloc.rpartition("@")[2]
    return shown(urlunsplit((parts.scheme, host, parts.path, "", "")))


def shown(text: str) -> str:
    """Text of others, fit for one line of a log."""
    line = "".join(sign if sign.isprintable() else "?" for sign in text)
    return line if len(line) <= _SHOWN_CHARS else f"{line[:_SHOWN_CHARS]}…"
