"""What a feed's capture counts, cheap enough for every message."""

from bisect import bisect_left
from collections import Counter
from typing import Any

from ssmd.exchanges.base import Verdict

_BOUNDS_MS = [0.0, *(0.1 * 1.3**power for power in range(60))]
"""Upper bounds of the age classes: to 30 %, from 0.1 ms to half an hour."""
_WINDOW = 20_000


class Ages:
    """Message age: receive time less exchange time, over the last so many messages."""

    def __init__(self) -> None:
        self._current = [0] * (len(_BOUNDS_MS) + 1)
        self._previous = list(self._current)
        self._count = 0
        self.negative = 0
        """Messages that seem to come from the future: one of the clocks is wrong."""

    def add(self, age_ns: int) -> None:
        if age_ns < 0:
            self.negative += 1
        self._current[bisect_left(_BOUNDS_MS, age_ns / 1e6)] += 1
        self._count += 1
        if self._count >= _WINDOW:
            self._previous, self._current = self._current, [0] * len(self._current)
            self._count = 0

    def quantile_ms(self, share: float) -> float | None:
        """The upper bound of the class that holds the quantile; None before the first message."""
        classes = [a + b for a, b in zip(self._current, self._previous, strict=True)]
        wanted = share * sum(classes)
        if not wanted:
            return None
        seen = 0
        for bound, count in zip(_BOUNDS_MS, classes, strict=False):
            seen += count
            if seen >= wanted:
                return round(bound, 2)
        return round(_BOUNDS_MS[-1], 2)


class Counts:
    """How many messages of market data were checked, and what came out."""

    def __init__(self) -> None:
        self.verified = 0
        self.unverified = 0
        self.broken = 0

    def judge(self, verdict: Verdict) -> None:
        if verdict.state == "verified":
            self.verified += 1
        elif verdict.state == "unverified":
            self.unverified += 1
        else:
            self.broken += 1

    def as_dict(self) -> dict[str, int]:
        return {
            "messages": self.verified + self.unverified + self.broken,
            "verified": self.verified,
            "unverified": self.unverified,
            "broken": self.broken,
        }


class Stats(Counts):
    """Totals of one feed since the process started."""

    def __init__(self) -> None:
        super().__init__()
        self.messages = 0
        self.bytes = 0
        self.by_type: Counter[str] = Counter()
        self.gaps = 0
        self.unreadable = 0
        """Messages that a check could not read: kept, but not what the exchange documents."""
        self.reconnects = 0
        self.ages = Ages()

    def as_dict(self) -> dict[str, Any]:
        return {
            **super().as_dict(),
            "messages": self.messages,
            "bytes": self.bytes,
            "age_ms_p50": self.ages.quantile_ms(0.50),
            "age_ms_p99": self.ages.quantile_ms(0.99),
            "negative_ages": self.ages.negative,
            "gaps": self.gaps,
            "unreadable": self.unreadable,
            "reconnects": self.reconnects,
            "types": dict(self.by_type),
        }
