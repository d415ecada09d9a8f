"""The tables of a dataset: their columns, in DuckDB's types.

Times are ns since 1970 in UTC, ``recv_ns`` our clock and ``ts_ns`` the exchange's. ``conn``, ``n``
and ``part`` name the message, ``nth`` tells its records apart. Decimals are exact: one that
``DECIMAL`` cannot hold is NULL, and stands in ``unfit``, a JSON object of column name -> text.
"""

from typing import Final

DIGITS_BEFORE: Final = 15
"""Of a decimal, before the point: five less than the column holds, so that sums of many fit."""
DIGITS_AFTER: Final = 18
DECIMAL: Final = "DECIMAL(38,18)"
LEVELS: Final = f"STRUCT(price {DECIMAL}, size {DECIMAL})[]"

_SOURCE: Final = {
    "feed": "VARCHAR", "sym": "VARCHAR", "recv_ns": "BIGINT", "ts_ns": "BIGINT",
    "conn": "VARCHAR", "n": "BIGINT", "part": "BIGINT", "nats_seq": "BIGINT",
}  # fmt: skip
_RECORD: Final = {**_SOURCE, "nth": "BIGINT"}
_BOOK: Final = {
    "bids": LEVELS, "asks": LEVELS, "seq": "BIGINT", "checksum": "BIGINT", "hash": "VARCHAR",
}  # fmt: skip

TABLES: Final[dict[str, dict[str, str]]] = {
    "messages": {
        **_SOURCE, "mono_ns": "BIGINT", "parts": "BIGINT", "message_type": "VARCHAR",
        "seq": "BIGINT", "grp": "VARCHAR",
        "raw": "VARCHAR", "text": "VARCHAR", "b64": "VARCHAR", "unfit": "VARCHAR",
    },
    "trades": {
        **_RECORD, "price": DECIMAL, "size": DECIMAL, "side": "VARCHAR", "trade_id": "VARCHAR",
        "seq": "BIGINT", "unfit": "VARCHAR",
    },
    "quotes": {
        **_RECORD, "bid": DECIMAL, "bid_size": DECIMAL, "ask": DECIMAL, "ask_size": DECIMAL,
        "last": DECIMAL, "unfit": "VARCHAR",
    },
    "book_snapshots": {**_RECORD, **_BOOK, "unfit": "VARCHAR"},
    "book_deltas": {
        **_RECORD, "op": "VARCHAR", **_BOOK, "best_bid": DECIMAL, "best_ask": DECIMAL,
        "unfit": "VARCHAR",
    },
    "instrument_status": {
        **_RECORD, "status": "VARCHAR", "result": "VARCHAR", "open_ns": "BIGINT",
        "close_ns": "BIGINT", "tick_size": DECIMAL, "unfit": "VARCHAR",
    },
}  # fmt: skip
"""What is read off every message; the same columns in Parquet and out of segments."""

TABLE_OF: Final = {
    "trade": "trades",
    "quote": "quotes",
    "book_snapshot": "book_snapshots",
    "book_delta": "book_deltas",
    "instrument_status": "instrument_status",
}
"""Record type -> its table."""

FACTS: Final[dict[str, dict[str, str]]] = {
    "gaps": {
        "feed": "VARCHAR", "date": "VARCHAR", "cause": "VARCHAR", "sym": "VARCHAR",
        "conn": "VARCHAR", "from_ns": "BIGINT", "to_ns": "BIGINT", "noted_ns": "BIGINT",
        "outcome": "VARCHAR", "first_seq": "BIGINT", "last_seq": "BIGINT", "missing": "BIGINT",
        "id": "VARCHAR", "facts": "VARCHAR",
    },
    "coverage": {
        "feed": "VARCHAR", "date": "VARCHAR", "messages": "BIGINT", "market_data": "BIGINT",
        "first_recv_ns": "BIGINT", "last_recv_ns": "BIGINT", "connections": "BIGINT",
        "captured_s": "DOUBLE", "coverage": "DOUBLE", "verified_share": "DOUBLE",
        "clean_share": "DOUBLE", "gaps": "BIGINT", "compacted": "BOOLEAN",
    },
}  # fmt: skip
"""What the manifests tell of each feed and day."""

FACTS_ORDER: Final = {
    "gaps": "date, feed, from_ns, noted_ns, id, cause, sym, conn, first_seq, facts",
    "coverage": "date, feed",
}
"""None left to chance: a cursor counts these rows."""

ORDER: Final = "recv_ns, feed, nats_seq"
"""The order of receipt; records of one message further by ``nth``."""


def order(table: str) -> str:
    """Columns that put a table's rows into the order of receipt, none left to chance."""
    return ORDER if table == "messages" else f"{ORDER}, nth"
