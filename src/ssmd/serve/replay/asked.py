"""What a replay is asked for: parameters, checked before anything is read."""

import base64
import math
import time
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import Final, Literal, get_args

import msgspec
from msgspec import Struct
from starlette.requests import HTTPConnection

from ssmd.apikey import ApiKey
from ssmd.errors import NotFound
from ssmd.exchanges import EXCHANGES
from ssmd.query.facts import exchange_of
from ssmd.serve.access import KEY, Access
from ssmd.serve.answers import BadRequest, feed_of, word_of
from ssmd.serve.context import Context
from ssmd.serve.replay.reading import days_of
from ssmd.span import NS_PER_DAY, Place, Window, date_of, day_ns

MAX_FEEDS: Final = 16
MAX_WORDS: Final = 1_000
MAX_SPEED: Final = 1_000_000.0
_MOST_CURSOR: Final = 16_384

Form = Literal["raw", "records"]
FORMS: Final = get_args(Form)


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
    query, access = connection.query_params, _access(connection)
    names = list(dict.fromkeys(feed_of(name) for name in query.getlist("feed")))
    if not 1 <= len(names) <= MAX_FEEDS:
        raise BadRequest(
            f"a replay is of 1 to {MAX_FEEDS} feeds, and not of {len(names)}",
            hint="such as feed=kraken&feed=kalshi; /v1/feeds lists them",
        )
    form = query.get("form", "raw")
    if form not in ("raw", "records"):
        raise BadRequest(f"form {form[:40]!r} is none", hint="raw or records")
    window = window_of(connection)
    feeds = {access.feed(name): exchange_name(context, name) for name in names}
    if form == "records" and None in feeds.values():
        raise BadRequest("a feed is of no known exchange", hint="form=raw needs none")
    sent = query.get("cursor") or connection.headers.get("last-event-id")
    return Asked(
        feeds=feeds,
        types=_words(query.getlist("type"), "type"),
        symbols=_words(query.getlist("symbol"), "symbol"),
        window=window,
        speed=speed_of(query.get("speed", "1")),
        form="records" if form == "records" else "raw",
        after=positions_of(sent, feeds) if sent else {},
    )


def _access(connection: HTTPConnection) -> Access:
    key = connection.scope.get(KEY)
    return Access(key if isinstance(key, ApiKey) else None)


def window_of(connection: HTTPConnection) -> Window:
    """``from`` (needed) and ``to``, within the days that the key allows. Raises BadRequest,
    Forbidden."""
    query, access = connection.query_params, _access(connection)
    start = query.get("from")
    if start is None:
        raise BadRequest("a replay needs from", hint="such as from=2026-11-23T12:00:00Z")
    end = query.get("to")
    start_ns = moment_of(start, "from")
    end_ns = time.time_ns() if end is None else moment_of(end, "to")
    if start_ns >= end_ns:
        raise BadRequest("from is not before to", hint="to is by default the present")
    first, last = access.bounds()
    from_ns = max(start_ns, 0 if first is None else day_ns(first))
    to_ns = min(end_ns, end_ns if last is None else day_ns(last) + NS_PER_DAY)
    if from_ns >= to_ns:
        access.day(date_of(start_ns))
        access.day(date_of(end_ns - 1))
    return Window(from_ns, to_ns)


def moment_of(text: str, name: str) -> int:
    """RFC 3339, a date, or ns since 1970. Raises BadRequest."""
    try:
        if text.isascii() and text.isdigit() and len(text) <= 19 and int(text) < 2**63:
            return int(text)
        moment = datetime.fromisoformat(text)
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        found = int(moment.timestamp()) * 10**9 + moment.microsecond * 1000
        if not 0 <= found < 2**63:
            raise ValueError
        return found
    except (ValueError, OverflowError):
        raise BadRequest(
            f"{name} {text[:40]!r} is no time", hint="such as 2026-11-23T12:00:00Z"
        ) from None


def speed_of(text: str) -> float:
    """0 is as fast as the reader reads. Raises BadRequest."""
    try:
        speed = float(text) if len(text) <= 20 else math.nan
    except ValueError:
        speed = math.nan
    if not 0 <= speed <= MAX_SPEED or 0 < speed < 1 / MAX_SPEED:
        raise BadRequest(
            f"speed {text[:40]!r} is none",
            hint=f"1 is as it was, N is N times as fast (to {MAX_SPEED:.0f}), 0 as you read",
        )
    return speed


def _words(texts: Sequence[str], name: str) -> Sequence[str]:
    found = [word for text in texts if (word := word_of(text, name))]
    if len(found) > MAX_WORDS:
        raise BadRequest(f"more than {MAX_WORDS} of {name}", hint="ask in several replays")
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
    exchange = connection.path_params["exchange"]
    window = window_of(connection)
    speed = speed_of(connection.query_params.get("speed", "1"))
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
    named = connection.query_params.get("feed")
    if named is not None:
        feed = access.feed(feed_of(named))
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
