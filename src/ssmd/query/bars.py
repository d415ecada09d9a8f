"""Bars out of trades: open, high, low, close, volume, by a fixed interval of exchange time."""

import re
from typing import Final

from ssmd.errors import ConfigError

_UNITS: Final = {"ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9, "d": 86_400 * 10**9}

MINUTE_NS: Final = 60 * 10**9

ONCE: Final = """
CREATE OR REPLACE TEMP VIEW trades_once AS
SELECT feed, sym, coalesce(ts_ns, recv_ns) AS time_ns, price, size, side,
    min(nats_seq * 1048576 + nth) AS place,
    CASE WHEN trade_id IS NULL THEN count(*) ELSE 1 END AS times
FROM trades
GROUP BY feed, sym, time_ns, trade_id, price, size, side
"""
"""A trade that is told again, with the same id, time, price and size, is one: exchanges repeat the
last ones when a connection opens."""

AS_TOLD: Final = """
CREATE OR REPLACE TEMP VIEW trades_once AS
SELECT feed, sym, coalesce(ts_ns, recv_ns) AS time_ns, price, size, side,
    nats_seq * 1048576 + nth AS place, 1 AS times
FROM trades
"""
"""The same where it is known that none is told again: a third quicker."""

REPEATS: Final = """
SELECT coalesce(sum(times - 1), 0)::BIGINT FROM (
    SELECT count(*) AS times FROM trades WHERE trade_id IS NOT NULL
    GROUP BY feed, sym, coalesce(ts_ns, recv_ns), trade_id, price, size, side
)
"""

MACRO: Final = """
CREATE OR REPLACE TEMP MACRO bars_of(width_ns) AS TABLE
SELECT
    feed, sym, time_ns - time_ns % width_ns AS start_ns,
    arg_min(price, moment) AS open, max(price) AS high, min(price) AS low,
    arg_max(price, moment) AS close,
    sum(size * times) AS volume,
    kahan_sum(price::DOUBLE * size::DOUBLE * times)
        / nullif(kahan_sum(size::DOUBLE * times), 0) AS vwap,
    sum(times)::BIGINT AS count,
    coalesce(sum(size * times) FILTER (side = 'buy'), 0) AS buy_volume,
    coalesce(sum(size * times) FILTER (side = 'sell'), 0) AS sell_volume
FROM (
    SELECT *, time_ns::HUGEINT * 9223372036854775808 + place AS moment FROM trades_once
    WHERE price IS NOT NULL AND size IS NOT NULL
)
GROUP BY feed, sym, time_ns - time_ns % width_ns
"""
"""Trades whose price or size no column can hold are in no bar. ``vwap`` is a double, the rest is
exact."""


def interval_ns(text: str) -> int:
    """``1s`` ... ``1d`` in ns. Raises ConfigError for what is no interval."""
    found = re.fullmatch(r"([1-9]\d{0,5})(ms|s|m|h|d)", text)
    if found is None:
        raise ConfigError(f"{text!r} is no interval", hint="such as 1s, 5m, 1h or 1d")
    return int(found[1]) * _UNITS[found[2]]
