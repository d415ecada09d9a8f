"""``/v1/trades`` and its like: rows derived from the messages, and what is known of them."""

import base64
import csv
import io
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ssmd.errors import ConfigError
from ssmd.query.tables import FACTS_ORDER
from ssmd.serve.access import access_of
from ssmd.serve.answers import BadRequest, Deadline, answer
from ssmd.serve.context import Context, context_of
from ssmd.serve.describe import describe
from ssmd.serve.params import FEEDS, FROM, INTERVAL, SYMBOLS, TO, Param, choice, limit
from ssmd.serve.shapes import page_schema

if TYPE_CHECKING:
    from ssmd.query.engine import Relation
    from ssmd.query.session import Query

DERIVED: Final = (
    "trades", "quotes", "book_snapshots", "book_deltas", "instrument_status", "bars", "gaps",
    "coverage",
)  # fmt: skip
_RECEIPT: Final = ("recv_ns", "feed", "nats_seq", "nth")
_ORDER: Final[Mapping[str, Sequence[str]]] = {
    "bars": ("feed", "sym", "start_ns"), "gaps": (), "coverage": ()
}  # fmt: skip
"""Columns that a cursor goes by; where there are none, it counts rows."""
MAX_SYMBOLS: Final = 1_000
LESS: Final = "ask for less time with from and to, or compact closed days: ssmd archive compact"


class Wanted(NamedTuple):
    """What a request asks for, checked."""

    table: str
    feeds: tuple[str, ...]
    symbols: frozenset[str] | None
    start_ns: int
    end_ns: int
    limit: int
    interval: str
    cursor: tuple[Any, ...] | None

    @property
    def order(self) -> Sequence[str]:
        return _ORDER.get(self.table, _RECEIPT)


class Page(NamedTuple):
    rows: list[dict[str, Any]]
    next: str | None
    holes: list[dict[str, str]]


async def table(request: Request) -> Response:
    """Rows of a table.

    At most ``limit``, and a cursor for more. What of the time could not be read is named in
    ``holes``.
    """
    context = context_of(request)
    wanted = wanted_of(request)
    form = FORMATS[FORMAT.of(request)]
    async with context.readers.place():
        page = await run_in_threadpool(_read, context, wanted)
    context.meters.served.inc(len(page.rows))
    return form(page)


def wanted_of(request: Request) -> Wanted:
    """Raises BadRequest, Forbidden."""
    access, context = access_of(request), context_of(request)
    name = request.url.path.rpartition("/")[2]
    feeds = tuple(access.feed(name) for name in FEEDS.all_of(request))
    symbols = SYMBOLS.all_of(request)
    if len(symbols) > MAX_SYMBOLS:
        raise BadRequest(f"more than {MAX_SYMBOLS} symbols", hint="ask in several requests")
    first, last = access.bounds()
    since, until = FROM.of(request), TO.of(request)
    start_ns = max(_today_ns() if since is None else since, _day_ns(first, 0))
    end_ns = min(time.time_ns() if until is None else until, _day_ns(last, 1))
    return Wanted(
        table=name,
        feeds=feeds or tuple(access.feeds(context.archive.feeds())),
        symbols=frozenset(text for text in symbols if text) or None,
        start_ns=start_ns,
        end_ns=end_ns,
        limit=LIMIT.of(request),
        interval=INTERVAL.of(request) if name == "bars" else "",
        cursor=CURSOR.of(request),
    )


def _read(context: Context, wanted: Wanted) -> Page:
    # Imported late: DuckDB takes a tenth of a second.
    from ssmd.query import plain
    from ssmd.query.scope import Scope
    from ssmd.query.session import opened

    if wanted.start_ns >= wanted.end_ns or not wanted.feeds:
        return Page([], None, [])
    deadline = Deadline()
    scope = Scope(
        feeds=wanted.feeds,
        start_ns=wanted.start_ns,
        end_ns=wanted.end_ns,
        symbols=wanted.symbols,
        tables=frozenset({wanted.table}),
    )
    try:
        with opened(context.archive, scope, progress=lambda _: deadline.check(LESS)) as query:
            rows = _rows(query, wanted)
            found = list(plain.rows(query.connection, rows))
            holes = [msgspec.structs.asdict(hole) for hole in query.holes]
    except ConfigError as error:
        raise BadRequest(error.message, hint=error.hint) from None
    more = len(found) > wanted.limit
    found = found[: wanted.limit]
    return Page(found, _next(wanted, found[-1]) if more else None, holes)


def _rows(query: "Query", wanted: Wanted) -> "Relation":
    """One more than asked for: so it is known whether there are more. Raises BadRequest."""
    from ssmd.query import after

    rows = query.bars(wanted.interval) if wanted.table == "bars" else query.table(wanted.table)
    if wanted.table in FACTS_ORDER:
        offset = wanted.cursor[0] if wanted.cursor else 0
        if not isinstance(offset, int):
            raise _strange()
        return rows.order(FACTS_ORDER[wanted.table]).limit(wanted.limit + 1, offset)
    if wanted.cursor:
        kinds = [str if name in ("feed", "sym") else int for name in wanted.order]
        if list(map(type, wanted.cursor)) != kinds:
            raise _strange()
        rows = after.place(rows, wanted.order, wanted.cursor)
    return rows.limit(wanted.limit + 1)


def _next(wanted: Wanted, last: dict[str, Any]) -> str:
    values: list[Any] = [last[name] for name in wanted.order]
    if not values:
        values = [(wanted.cursor[0] if wanted.cursor else 0) + wanted.limit]
    return base64.urlsafe_b64encode(msgspec.json.encode(values)).decode()


# --- forms of answers -----------------------------------------------------------------------------


def _json(page: Page) -> Response:
    return answer({"rows": page.rows, "next": page.next, "holes": page.holes})


def _ndjson(page: Page) -> Response:
    """A line a row; what could not be read is named in lines with a ``_hole``."""
    lines = [*page.rows, *({"_hole": hole} for hole in page.holes)]
    body = b"".join(msgspec.json.encode(line) + b"\n" for line in lines)
    return Response(body, headers=_headers(page), media_type="application/x-ndjson")


def _csv(page: Page) -> Response:
    out = io.StringIO(newline="")
    names = list(dict.fromkeys(name for row in page.rows for name in row))
    writer = csv.DictWriter(out, names)
    writer.writeheader()
    for row in page.rows:
        writer.writerow({k: _cell(v) for k, v in row.items()})
    return Response(out.getvalue(), headers=_headers(page), media_type="text/csv")


def _cell(value: Any) -> Any:
    """No cell is a formula to a spreadsheet: symbols are an exchange's words."""
    if isinstance(value, list):
        return msgspec.json.encode(value).decode()
    unsafe = isinstance(value, str) and value[:1] in "=+@\t\r"
    return f"'{value}" if unsafe else value


def _headers(page: Page) -> dict[str, str]:
    found = {"X-Holes": str(len(page.holes))}
    return found | ({"X-Next-Cursor": page.next} if page.next else {})


FORMATS: Final = {"json": _json, "ndjson": _ndjson, "csv": _csv}


# --- parameters -----------------------------------------------------------------------------------


def _today_ns() -> int:
    return time.time_ns() // (86_400 * 10**9) * 86_400 * 10**9


def _day_ns(day: str | None, after: int) -> int:
    """When a day begins (or, ``after`` 1, is over); without one, no bound."""
    if day is None:
        return 2**63 - 1 if after else 0
    start = datetime.combine(date.fromisoformat(day), datetime.min.time(), UTC)
    return (int(start.timestamp()) + after * 86_400) * 10**9


def _cursor(text: str, _: str) -> tuple[Any, ...] | None:
    """Raises BadRequest."""
    try:
        found = msgspec.json.decode(base64.urlsafe_b64decode(text), type=list[str | int])
    except (ValueError, msgspec.MsgspecError):
        raise _strange() from None
    return tuple(found) or None


def _strange() -> BadRequest:
    return BadRequest("the cursor is none of ours", hint="send back `next` as it was")


LIMIT: Final = limit(1000)
FORMAT: Final = choice("format", "Form of the answer.", tuple(FORMATS))
CURSOR: Final[Param[tuple[Any, ...] | None]] = Param(
    name="cursor",
    text="`next` of the answer before: what comes after it.",
    parse=_cursor,
    schema={"type": "string"},
)
_ABOUT: Final = {
    "trades": "Trades, in the order of receipt",
    "quotes": "Best bid and ask as the exchange tells them, in the order of receipt",
    "book_snapshots": "Whole books, in the order of receipt",
    "book_deltas": "Changes of books, in the order of receipt",
    "instrument_status": "What exchanges say of their instruments, in the order of receipt",
    "bars": "Open, high, low, close, volume and vwap by interval of exchange time",
    "gaps": "What is known to be missing, and why",
    "coverage": "How much of each feed and day there is, verified and clean",
}


def _route(name: str) -> Route:
    params: list[Param[Any]] = [FEEDS, SYMBOLS, FROM, TO, LIMIT, FORMAT, CURSOR]
    if name == "bars":
        params.append(INTERVAL)
    described = describe(
        *params,
        summary=_ABOUT[name],
        answer=lambda: page_schema(name),
        missing=True,
        cost=5,
        formats=("application/x-ndjson", "text/csv"),
        headers={
            "X-Next-Cursor": "`next`, where the format is not JSON.",
            "X-Holes": "How many holes there are, where the format is not JSON.",
        },
    )
    return Route(f"/v1/{name}", described(table))


routes = [_route(name) for name in DERIVED]
