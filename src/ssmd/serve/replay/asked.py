"""What a replay is asked for: parameters, checked before anything is read."""

import base64
import time
from collections.abc import Collection, Mapping, Sequence
from typing import Final, Literal

import msgspec
from msgspec import Struct
from starlette.requests import HTTPConnection

from ssmd.apikey import ApiKey
from ssmd.errors import NotFound
from ssmd.exchanges import EXCHANGES
from ssmd.query.facts import exchange_of
from ssmd.serve.access import KEY, Access
from ssmd.serve.answers import BadRequest
from ssmd.serve.context import Context
from ssmd.serve.params import FEEDS, ONE_FEED, SYMBOLS, Param
from ssmd.serve.replay.parameters import CURSOR, EXCHANGE, FORM, FROM, SPEED, TO, TYPES
from ssmd.serve.replay.reading import days_of
from ssmd.span import NS_PER_DAY, Place, Window, date_of, day_ns

MAX_FEEDS: Final = 16
MAX_WORDS: Final = 1_000
_MOST_CURSOR: Final = 16_384

Form = Literal["raw", "records"]


class AskedNative(Struct, frozen=True):
    """A replay in the protocol of the feed's exchange."""

    feed: str
    exchange: str
    window: Window
    speed: float
    symbols: frozenset[str]
    """Those that the archive names in the window."""


class Asked(Struct, frozen=True):
    """A replay of several feeds."""

    feeds: Mapping[str, str | None]
    """Name -> exchange."""
    types: Sequence[str]
    symbols: Sequence[str]
    window: Window
    speed: float
    form: Form
    after: Mapping[str, Place]


def replay_of(connection: HTTPConnection, context: Context) -> Asked:
    """Blocks. Raises BadRequest, Forbidden, NotFound."""
    access = _access(connection)
    names = list(dict.fromkeys(FEEDS.all_of(connection)))
    if not 1 <= len(names) <= MAX_FEEDS:
        raise BadRequest(
            f"a replay is of 1 to {MAX_FEEDS} feeds, and not of {len(names)}",
            hint="such as feed=kraken&feed=kalshi; /v1/feeds lists them",
        )
    form = FORM.of(connection)
    window = window_of(connection)
    feeds = {access.feed(name): exchange_name(context, name) for name in names}
    if form == "records" and None in feeds.values():
        raise BadRequest("a feed is of no known exchange", hint="form=raw needs none")
    sent = CURSOR.of(connection) or connection.headers.get("last-event-id")
    return Asked(
        feeds=feeds,
        types=_words(TYPES, connection),
        symbols=_words(SYMBOLS, connection),
        window=window,
        speed=SPEED.of(connection),
        form="records" if form == "records" else "raw",
        after=positions_of(sent, feeds) if sent else {},
    )


def _access(connection: HTTPConnection) -> Access:
    key = connection.scope.get(KEY)
    return Access(key if isinstance(key, ApiKey) else None)


def window_of(connection: HTTPConnection) -> Window:
    """``from`` (needed) and ``to``, within the days that the key allows. Raises BadRequest,
    Forbidden."""
    access = _access(connection)
    start_ns, end_ns = FROM.of(connection), TO.of(connection)
    if start_ns is None:
        raise BadRequest("a replay needs from", hint="such as from=2026-11-23T12:00:00Z")
    end_ns = time.time_ns() if end_ns is None else end_ns
    if start_ns >= end_ns:
        raise BadRequest("from is not before to", hint="to is by default the present")
    first, last = access.bounds()
    from_ns = max(start_ns, 0 if first is None else day_ns(first))
    to_ns = min(end_ns, end_ns if last is None else day_ns(last) + NS_PER_DAY)
    if from_ns >= to_ns:
        access.day(date_of(start_ns))
        access.day(date_of(end_ns - 1))
    return Window(from_ns, to_ns)


def _words(param: Param[str | None], connection: HTTPConnection) -> Sequence[str]:
    found = [word for word in param.all_of(connection) if word]
    if len(found) > MAX_WORDS:
        raise BadRequest(f"more than {MAX_WORDS} of {param.name}", hint="ask in several replays")
    return found


def exchange_name(context: Context, feed: str) -> str | None:
    """Whose messages a feed holds; None where the archive does not say it. Blocks. Raises
    NotFound."""
    configured = context.feeds.get(feed)
    if configured is not None:
        return configured.exchange
    days = context.archive.days(feed)
    if not days:
        known = ", ".join(context.known_feeds())
        raise NotFound(f"no feed {feed}", hint=known or "nothing is archived yet")
    for name in reversed(days):
        day = context.archive.day(feed, name)
        found = exchange_of(day, day.manifest)
        if found is not None:
            return found.name
    return None


def native_of(connection: HTTPConnection, context: Context) -> AskedNative:
    """Blocks. Raises BadRequest, Forbidden, NotFound."""
    exchange = EXCHANGE.of(connection)
    window = window_of(connection)
    speed = SPEED.of(connection)
    feed = feed_of_exchange(connection, context, exchange)
    symbols: set[str] = set()
    for day in days_of(context.archive, feed, window):
        symbols |= context.catalog.facts(feed, day).tickers
    return AskedNative(feed, exchange, window, speed, frozenset(symbols))


def feed_of_exchange(connection: HTTPConnection, context: Context, exchange: str) -> str:
    """The feed of a native replay: the only one of the exchange, or the one named. Blocks. Raises
    BadRequest, Forbidden, NotFound."""
    if exchange not in EXCHANGES:
        raise NotFound(f"no exchange {exchange[:40]!r}", hint=f"one of: {', '.join(EXCHANGES)}")
    access = _access(connection)
    named = ONE_FEED.of(connection)
    if named is not None:
        feed = access.feed(named)
        if exchange_name(context, feed) != exchange:
            raise BadRequest(f"feed {feed} is not of {exchange}", hint="/v1/feeds lists the feeds")
        return feed
    archived = context.archive.feeds()
    found = [name for name in access.feeds(archived) if exchange_name(context, name) == exchange]
    if len(found) == 1:
        return found[0]
    if not found:
        raise NotFound(f"nothing of {exchange} is archived", hint="see /v1/feeds")
    raise BadRequest(
        f"several feeds are of {exchange}", hint=f"add feed=, one of: {', '.join(found)}"
    )


# --- cursors --------------------------------------------------------------------------------------


def cursor(positions: Mapping[str, Place]) -> str:
    """What was sent of each feed so far, as text."""
    facts = {feed: (place.date, place.created, place.seq) for feed, place in positions.items()}
    return base64.urlsafe_b64encode(msgspec.json.encode(facts)).decode()


def positions_of(text: str, feeds: Collection[str]) -> dict[str, Place]:
    """Raises BadRequest."""
    try:
        if len(text) > _MOST_CURSOR:
            raise ValueError
        content = base64.b64decode(text.encode("ascii"), altchars=b"-_", validate=True)
        found = msgspec.json.decode(content, type=dict[str, tuple[str, str, int]])
    except (ValueError, msgspec.MsgspecError):
        raise _strange() from None
    if not found.keys() <= set(feeds):
        raise _strange()
    return {feed: Place(*facts) for feed, facts in found.items()}


def _strange() -> BadRequest:
    return BadRequest(
        "the cursor is none of this replay", hint="send one back as it was, with the same feeds"
    )
