"""What answers are made of: typed rows. Those of trades, quotes and books are the records that
``ssmd.message`` defines, which signals and streams get too."""

from decimal import Decimal
from typing import Final

from msgspec import Raw, Struct

from ssmd.query.tables import DECIMAL, FACTS, TABLES


class Hole(Struct, frozen=True, omit_defaults=True):
    """What could not be read, and is not in the answer."""

    feed: str
    date: str
    what: str
    messages: int | None = None
    """How many; None where that is not known."""
    from_ns: int | None = None
    to_ns: int | None = None


class Page(Struct, frozen=True):
    """A part of an answer: rows as JSON, and what is missing of it."""

    rows: list[Raw]
    holes: list[Hole] = []


class Bar(Struct, kw_only=True, frozen=True):
    """Trades of one interval of exchange time; all but ``vwap`` is exact."""

    feed: str
    sym: str
    start_ns: int
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal
    vwap: float | None
    count: int
    buy_volume: Decimal
    sell_volume: Decimal


class Gap(Struct, kw_only=True, frozen=True):
    """A stretch that is known to be missing, and why; ``facts`` is JSON."""

    feed: str
    date: str
    cause: str
    sym: str | None = None
    conn: str | None = None
    from_ns: int | None = None
    to_ns: int | None = None
    """None for one that nobody closed."""
    noted_ns: int | None = None
    outcome: str | None = None
    first_seq: int | None = None
    last_seq: int | None = None
    missing: int | None = None
    id: str | None = None
    facts: str = "{}"


class Coverage(Struct, kw_only=True, frozen=True):
    """How much of a feed's day there is; shares are of 1, None where there is nothing to share."""

    feed: str
    date: str
    messages: int
    market_data: int
    first_recv_ns: int | None = None
    last_recv_ns: int | None = None
    connections: int
    captured_s: float
    coverage: float | None = None
    verified_share: float | None = None
    clean_share: float | None = None
    gaps: int
    compacted: bool


class Feed(Struct, kw_only=True, frozen=True):
    """A feed at a glance; ``message_types``, ``records`` and ``gaps`` are of its last day."""

    name: str
    exchange: str | None = None
    days: int = 0
    first: str | None = None
    last: str | None = None
    message_types: list[str] = []
    records: int = 0
    gaps: int = 0
    last_message: str | None = None


COLUMNS: Final[dict[str, dict[str, str]]] = {
    **{name: columns for name, columns in TABLES.items() if name != "messages"},
    **FACTS,
    "bars": {
        "feed": "VARCHAR", "sym": "VARCHAR", "start_ns": "BIGINT", "open": DECIMAL,
        "high": DECIMAL, "low": DECIMAL, "close": DECIMAL, "volume": DECIMAL, "vwap": "DOUBLE",
        "count": "BIGINT", "buy_volume": DECIMAL, "sell_volume": DECIMAL,
    },
    "feeds": {
        "name": "VARCHAR", "exchange": "VARCHAR", "days": "BIGINT", "first": "VARCHAR",
        "last": "VARCHAR", "message_types": "VARCHAR[]", "records": "BIGINT", "gaps": "BIGINT",
        "last_message": "VARCHAR",
    },
}  # fmt: skip
"""Table -> column -> type, in DuckDB's words."""
