"""``/v1/messages`` and ``/v1/records``: what was captured, as it came and as it is understood."""

import contextlib
from typing import Any, Final

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ssmd.errors import NotFound
from ssmd.exchanges import EXCHANGES
from ssmd.exchanges.base import Exchange
from ssmd.query.facts import exchange_of
from ssmd.query.tables import TABLE_OF
from ssmd.serve.access import access_of
from ssmd.serve.answers import MAX_LIMIT, BadRequest, number_of, word_of
from ssmd.serve.bounds import span_of
from ssmd.serve.context import Context, context_of
from ssmd.serve.describe import describe
from ssmd.serve.history import choice, forms
from ssmd.serve.history.reading import Asked, Reading, Take
from ssmd.serve.params import FEEDS, FROM, SYMBOLS, TO, TYPES, Param
from ssmd.serve.params import choice as one_of
from ssmd.span import Place

MAX_SYMBOLS: Final = 100
DEFAULT_LIMIT: Final = 1000
LIMIT: Final[Param[int | None]] = Param(
    name="limit",
    text=f"How many at most, from 1 to {MAX_LIMIT}, in one page with a cursor for more. Without it "
    f"ndjson is all there is, and JSON a page of {DEFAULT_LIMIT}.",
    parse=number_of,
    schema={"type": "integer", "minimum": 1, "maximum": MAX_LIMIT},
    example=100,
)
FORMAT: Final = one_of("format", "Form of the answer.", ("json", "ndjson"))
CURSOR: Final[Param[dict[str, Place] | None]] = Param(
    name="cursor",
    text="`next` of the answer before: what comes after it.",
    parse=forms.places_of,
    schema={"type": "string"},
)
NAMES: Final[Param[str | None]] = Param(
    name="symbol",
    text="The exchange's own symbol, or a pattern of it with * and ?; several are several "
    "`symbol`s.",
    parse=word_of,
    schema=SYMBOLS.schema,
    example="BTC/*",
    many=True,
)
_KINDS: Final = one_of("type", "Type of record; several are several `type`s.", tuple(TABLE_OF))
KINDS: Final[Param[str]] = Param(
    name="type", text=_KINDS.text, parse=_KINDS.parse, schema=_KINDS.schema, example="trade",
    many=True,
)  # fmt: skip
HEADERS: Final = {
    "X-Next-Cursor": "`next` of a page of ndjson.",
    "X-Holes": "How many holes are named in a page of ndjson.",
    "X-Bus": "included, unavailable or not-needed: what is not archived yet.",
}


def _page_schema() -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {
            "rows": {"type": "array", "items": {"type": "object"}},
            "next": {"anyOf": [{"type": "string"}, {"type": "null"}]},
            "holes": {"type": "array", "items": {"type": "object"}},
            "bus": {"type": "string"},
        },
        "required": ["rows", "next", "holes", "bus"],
    }


@describe(
    FEEDS, TYPES, NAMES, FROM, TO, LIMIT, CURSOR, FORMAT,
    answer=_page_schema, formats=(forms.NDJSON,), headers=HEADERS,
    missing=True, cost=5,
)  # fmt: skip
async def messages(request: Request) -> Response:
    """Messages as they are archived, in the order of receipt.

    The segment that is being written is included, and what is on the bus only. What could not be
    read is named: in `holes`, or in lines with a `_hole`. With `format=ndjson` and no limit it is a
    stream of all lines, and ends in one with `_end`; without it the answer was cut off. With
    `Accept-Encoding: gzip` the bytes of the archive are then handed on as they lie.
    """
    types = [type_ for type_ in TYPES.all_of(request) if type_]
    take = choice.messages(types, _symbols(request))
    return await _answer(request, take, _feeds(request))


@describe(
    FEEDS, KINDS, NAMES, FROM, TO, LIMIT, CURSOR, FORMAT,
    answer=_page_schema, formats=(forms.NDJSON,), headers=HEADERS,
    missing=True, cost=10,
)  # fmt: skip
async def records(request: Request) -> Response:
    """What the messages mean, in terms shared by all exchanges, in the order of receipt.

    A page holds the records of whole messages, so it can be a little longer than its limit.
    """
    feeds = _feeds(request)
    context = context_of(request)
    exchanges = await run_in_threadpool(lambda: {feed: _exchange(context, feed) for feed in feeds})
    take = choice.records(exchanges, KINDS.all_of(request), _symbols(request))
    return await _answer(request, take, feeds)


async def _answer(request: Request, take: Take | None, feeds: tuple[str, ...]) -> Response:
    context = context_of(request)
    form, limit = FORMAT.of(request), LIMIT.of(request)
    if limit is None and form == "json":
        limit = DEFAULT_LIMIT
    start_ns, end_ns = span_of(request, FROM.of(request), TO.of(request))
    asked = Asked(
        feeds=feeds if start_ns < end_ns else (),
        start_ns=start_ns,
        end_ns=end_ns,
        take=take,
        limit=limit,
        max_bytes=None if limit is None else forms.MAX_PAGE_BYTES,
        places=CURSOR.of(request) or {},
    )
    reading = Reading(context, asked)
    if limit is not None:
        return await forms.page(reading, form)
    gzip = take is None and "gzip" in request.headers.get("Accept-Encoding", "")
    return forms.stream(reading, packed=gzip)


def _symbols(request: Request) -> list[str]:
    """Raises BadRequest."""
    found = [symbol for symbol in NAMES.all_of(request) if symbol]
    if len(found) > MAX_SYMBOLS:
        raise BadRequest(
            f"more than {MAX_SYMBOLS} symbols", hint="use a pattern, or ask in several requests"
        )
    return found


def _feeds(request: Request) -> tuple[str, ...]:
    """Raises BadRequest, Forbidden, NotFound."""
    access, context = access_of(request), context_of(request)
    known = context.known_feeds()
    named = [access.feed(name) for name in dict.fromkeys(FEEDS.all_of(request))]
    for feed in named:
        if feed not in known:
            raise NotFound(f"no feed {feed!r}", hint=f"one of: {', '.join(access.feeds(known))}")
    return tuple(named or access.feeds(known))


def _exchange(context: Context, feed: str) -> Exchange | None:
    if feed in context.feeds:
        return EXCHANGES[context.feeds[feed].exchange]
    with contextlib.suppress(NotFound, IndexError):
        day = context.archive.day(feed, context.archive.days(feed)[-1])
        return exchange_of(day, day.manifest)
    return None


routes = [Route("/v1/messages", messages), Route("/v1/records", records)]
