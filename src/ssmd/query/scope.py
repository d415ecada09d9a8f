"""What a query is about."""

from typing import Final

from msgspec import Struct

from ssmd import span
from ssmd.message import decode_capture
from ssmd.query.tables import FACTS, TABLES
from ssmd.span import FOREVER_NS, NS_PER_DAY

VIEWS: Final = (*TABLES, "bars", "instruments", *FACTS)


class Scope(Struct, frozen=True, kw_only=True):
    """What is asked for. Times are receive times, ``end_ns`` is not included."""

    feeds: tuple[str, ...] = ()
    """() is every feed."""
    start_ns: int = 0
    end_ns: int = FOREVER_NS
    symbols: frozenset[str] | None = None
    """Of the rows' column ``sym``; None is all, those without a symbol included."""
    tables: frozenset[str] = frozenset(VIEWS)

    def may_hold(self, date: str) -> bool:
        """Whether the folder of a day can hold messages of the scope: those of a day are there or,
        where they came late, in the next one."""
        return span.may_hold(date, self.start_ns, self.end_ns)

    def covers(self, date: str) -> bool:
        """Whether the day itself is in the scope's time, or a part of it."""
        first = span.day_ns(date)
        return first < self.end_ns and first + NS_PER_DAY > self.start_ns

    def wants(self, line: bytes) -> bool:
        """Whether a message's own symbol is asked for. Raises ContractError for no message."""
        return self.symbols is None or decode_capture(line).sym in self.symbols
