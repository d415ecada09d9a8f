"""What is asked for, checked before anything is sent or read."""

import re
from collections.abc import Sequence
from typing import Final

from msgspec import Struct

from ssmd.client.errors import BadRequest
from ssmd.client.moments import Moment, span_of
from ssmd.errors import ConfigError
from ssmd.query.bars import interval_ns

Words = str | Sequence[str] | None
"""One, several, or all."""

MAX_SYMBOLS: Final = 1_000
_FEED: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
_WORD: Final = re.compile(r"[^\x00-\x1f\x7f]{1,256}")


class Asked(Struct, frozen=True, kw_only=True):
    """Rows of one table; () is every feed or symbol, and ``end_ns`` is not included."""

    table: str
    feeds: tuple[str, ...] = ()
    symbols: tuple[str, ...] = ()
    start_ns: int = 0
    end_ns: int = 0
    interval: str = ""


def asked(
    table: str,
    feed: Words,
    symbol: Words,
    start: Moment | None,
    end: Moment | None,
    interval: str = "",
) -> Asked:
    """Raises BadRequest."""
    start_ns, end_ns = span_of(start, end)
    return Asked(
        table=table,
        feeds=words(feed, "feed", _FEED),
        symbols=words(symbol, "symbol", _WORD),
        start_ns=start_ns,
        end_ns=end_ns,
        interval=_interval(interval) if table == "bars" else "",
    )


def words(named: Words, name: str, form: re.Pattern[str] = _WORD) -> tuple[str, ...]:
    """() for None. Raises BadRequest, for an empty list too: it was hardly meant to be all."""
    if named is None:
        return ()
    found = (named,) if isinstance(named, str) else tuple(dict.fromkeys(named))
    if not found:
        raise BadRequest(f"no {name} is named", hint=f"leave {name} out for all of them")
    if len(found) > MAX_SYMBOLS:
        raise BadRequest(f"more than {MAX_SYMBOLS} of {name}", hint="ask in several requests")
    for word in found:
        if not isinstance(word, str) or not form.fullmatch(word):
            raise BadRequest(f"{name} {word!r:.60} cannot be one", hint="client.feeds() lists them")
    return found


def feed_names(named: Words) -> tuple[str, ...]:
    """Raises BadRequest."""
    return words(named, "feed", _FEED)


def _interval(text: str) -> str:
    try:
        interval_ns(text)
    except (ConfigError, TypeError):
        raise BadRequest(f"{text!r} is no interval", hint="such as 1s, 5m, 1h or 1d") from None
    return text
