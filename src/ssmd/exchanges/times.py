"""Exchange time -> ns UTC, exactly."""

from datetime import UTC, datetime
from functools import lru_cache

NS_PER_MS = 1_000_000
NS_PER_S = 1_000_000_000
_MOST = 2**63 - 1
"""Integers of the wire contract have 64 bits: a time beyond them is none."""


def rfc3339_ns(text: str) -> int | None:
    """ns of an RFC 3339 time with up to nine decimals; None where the text is no such time."""
    fraction = text[20:-1]
    if text[19:20] == "." and text[-1] == "Z" and fraction.isdecimal() and fraction.isascii():
        seconds = _seconds(text[:19])
        return None if seconds is None else _ns(seconds, fraction)
    return _any_rfc3339_ns(text)


@lru_cache(maxsize=64)
def _seconds(text: str) -> int | None:
    """Messages come by the thousand in the same second."""
    try:
        return int(datetime.fromisoformat(text + "+00:00").timestamp())
    except (ValueError, OverflowError, OSError):
        return None


def _any_rfc3339_ns(text: str) -> int | None:
    try:
        whole, _, rest = text.partition(".")
        digits = rest.rstrip("Z") if rest else ""
        offset = "+00:00"
        for sign in "+-":
            head, found, tail = digits.partition(sign)
            if found:
                digits, offset = head, sign + tail
        base = whole.removesuffix("Z")
        moment = datetime.fromisoformat(base if _has_offset(base) else base + offset)
        return _ns(int(moment.astimezone(UTC).timestamp()), digits)
    except (ValueError, OverflowError, OSError):
        return None


def _ns(seconds: int, fraction: str) -> int | None:
    found = seconds * NS_PER_S + int(fraction[:9].ljust(9, "0"))
    return found if -_MOST <= found <= _MOST else None


def _has_offset(text: str) -> bool:
    return "+" in text[10:] or "-" in text[10:]


def ms_ns(value: int | str | None) -> int | None:
    """ns of milliseconds, as a number or as its text; None where it is neither."""
    try:
        found = None if value is None else int(value) * NS_PER_MS
    except ValueError:
        return None
    return found if found is not None and -_MOST <= found <= _MOST else None
