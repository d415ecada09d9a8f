"""How long what fails is tried again."""

import random
import time
from email.utils import parsedate_to_datetime
from typing import Final

from ssmd.errors import SsmdError

_FIRST_S: Final = 0.2
_MOST_S: Final = 5.0


class Again(Exception):
    """It failed in a way that may pass, at the earliest after so long."""

    def __init__(self, error: SsmdError, after_s: float = 0.0) -> None:
        super().__init__(error.message)
        self.error = error
        self.after_s = after_s


class Patience:
    """Counts from the first failure on; what succeeds in between makes it start anew."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self.renew()

    def renew(self) -> None:
        self._until: float | None = None
        self._next_s = _FIRST_S

    def pause_s(self, again: Again) -> float:
        """How long to wait before the next attempt, with full jitter, and never less than the
        server asked for. Raises the error where that is longer than patience lasts."""
        now = time.monotonic()
        if self._until is None:
            self._until = now + self._seconds
        jitter_s = random.uniform(0, self._next_s)  # noqa: S311 - no secret
        self._next_s = min(2 * self._next_s, _MOST_S)
        if now + again.after_s >= self._until:
            raise again.error
        return min(again.after_s + jitter_s, self._until - now)


def retry_after_s(text: str | None) -> float:
    """Of a header ``Retry-After``: seconds, or a date. 0 where it says nothing."""
    if not text:
        return 0.0
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - time.time())
    except (ValueError, OverflowError):
        return 0.0
