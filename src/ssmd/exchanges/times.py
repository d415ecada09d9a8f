"""Exchange time -> ns UTC, exactly."""

from datetime import UTC, datetime

NS_PER_MS = 1_000_000
NS_PER_S = 1_000_000_000


def rfc3339_ns(text: str) -> int | None:
    """ns of an RFC 3339 time with up to nine decimals; None where the text is no such time."""
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
        return int(moment.astimezone(UTC).timestamp()) * NS_PER_S + int(digits[:9].ljust(9, "0"))
    except (ValueError, OverflowError, OSError):
        return None


def _has_offset(text: str) -> bool:
    return "+" in text[10:] or "-" in text[10:]


def ms_ns(value: int | str | None) -> int | None:
    """ns of milliseconds, as a number or as its text; None where it is neither."""
    try:
        return None if value is None else int(value) * NS_PER_MS
    except ValueError:
        return None
