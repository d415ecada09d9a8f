"""What an operator is told of one day."""

from typing import Any

from msgspec import Struct

from ssmd.calendar import TradingDay
from ssmd.day import Day
from ssmd.errors import SsmdError
from ssmd.store.tally import rfc3339


def market(today: TradingDay, at_ns: int) -> str:
    """What a day's calendar says of a moment in it."""
    if today.is_open(at_ns):
        return "open"
    if any(first <= at_ns < last for first, last in today.pauses):
        return "paused"
    return today.holiday or "closed"


class Answer(Struct, frozen=True):
    """What came of it for one day; ``error`` where it is not as it was wanted."""

    feed: str
    trading: TradingDay
    exchange: str
    """What the calendar says of this moment: ``open``, ``paused``, ``closed`` or a holiday."""
    day: Day | None = None
    archiver: bool | None = None
    error: SsmdError | None = None

    @property
    def state(self) -> str:
        return self.day.state if self.day is not None else "PENDING"

    @property
    def date(self) -> str:
        return self.day.date if self.day is not None else self.trading.date

    def line(self) -> str:
        assert self.day is not None
        last = self.day.last
        parts = [f"{self.feed} {self.date}: {last.state}"]
        if last.state == "COMPLETE":
            parts.append(", ".join(f"{k} {v}" for k, v in last.stats.items()))
        return ": ".join([*parts, *(text for text in (last.reason, last.error) if text)])

    def cells(self) -> tuple[str, ...]:
        last = self.day.last if self.day is not None else None
        return (
            self.feed,
            self.date,
            self.state,
            rfc3339(last.at_ns)[:19] + "Z" if last else "–",
            self.exchange,
            "alive" if self.archiver else "not there",
            last.by if last else "–",
            (last.error if last else None) or "–",
        )

    def row(self) -> tuple[str, ...]:
        assert self.day is not None
        first, end = self.day.first("STARTING"), self.day.first("ENDING")
        stats = self.day.last.stats
        return (
            self.feed,
            self.date,
            self.state,
            *(rfc3339(change.at_ns)[:19] + "Z" if change else "–" for change in (first, end)),
            *(str(stats.get(key, "–")) for key in ("messages", "gaps", "report")),
            self.day.last.error or "–",
        )

    def facts(self) -> dict[str, Any]:
        """For ``--json``."""
        day = self.day
        return {
            "feed": self.feed,
            "date": self.date,
            "state": self.state,
            "start": rfc3339(self.trading.start_ns),
            "end": rfc3339(self.trading.end_ns),
            "exchange": self.exchange,
            "holiday": self.trading.holiday,
            "archiver": self.archiver,
            "forced": day.forced if day else False,
            "last": day.body(day.last) if day else None,
            "error": self.error.as_dict() if self.error else None,
        }

    def story(self) -> dict[str, Any]:
        """All changes of the day."""
        assert self.day is not None
        changes = [self.day.body(change) for change in self.day.changes]
        return {
            "feed": self.feed, "date": self.date, "state": self.state,
            "forced": self.day.forced, "changes": changes,
        }  # fmt: skip
