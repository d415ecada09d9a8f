"""``/schema`` and ``/builders``: what messages and records look like."""

import contextlib
from collections.abc import Iterable
from itertools import islice
from typing import Final, NamedTuple

from msgspec import Struct
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ssmd.dataset import ALIASES, types_of
from ssmd.errors import ContractError, CorruptArchive, NotFound
from ssmd.exchanges import EXCHANGES
from ssmd.message import (
    Archived,
    BookDelta,
    BookSnapshot,
    InstrumentStatus,
    Quote,
    Record,
    Trade,
    decode_archived,
)
from ssmd.serve import fields
from ssmd.serve.answers import BadRequest, answer, feed_of, word_of
from ssmd.serve.context import Context, context_of

RECORDS: Final[dict[str, tuple[type[Record], ...]]] = {
    "trade": (Trade,),
    "ticker": (Quote,),
    "orderbook": (BookSnapshot, BookDelta),
    "lifecycle": (InstrumentStatus,),
}
"""Word -> what messages of that kind become, where none is archived to tell."""

EXAMPLES: Final = 500
"""How many archived messages the fields are read off."""
DAYS: Final = 7


class Builder(Struct, frozen=True):
    """What folds records into a state; ``available`` where it can be used."""

    id: str
    description: str
    derived: tuple[str, ...]
    available: bool = False


BUILDERS: Final = (
    Builder(
        "orderbook",
        "the book of one instrument, from snapshots and deltas (planned for the agent)",
        ("spread", "bestBid", "bestAsk", "bidDepth", "askDepth", "midpoint"),
    ),
    Builder(
        "priceHistory",
        "prices of one instrument over a window of trades (planned for the agent)",
        ("last", "vwap", "returns", "high", "low", "volatility"),
    ),
    Builder(
        "volumeProfile",
        "volume of one instrument by taker side (planned for the agent)",
        ("buyVolume", "sellVolume", "totalVolume", "ratio", "average"),
    ),
)


class Schema(Struct, frozen=True):
    """``fields`` are paths into the archived line, ``records`` what ssmd derives from it."""

    feed: str
    type: str
    exchange: str | None
    message_types: list[str]
    """The exchange's own, that were found in the archive."""
    fields: dict[str, str]
    derived: list[str]
    records: dict[str, dict[str, str]]
    observed: int
    """How many archived messages the fields were read off; with none, they are the envelope's."""
    observed_on: str | None


class _Examples(NamedTuple):
    day: str | None
    lines: list[bytes]
    types: set[str]
    """Every message type of the newest days."""


async def schema(request: Request) -> Response:
    """Fields of a feed's messages of one type, and of the records derived from them."""
    context = context_of(request)
    feed = feed_of(request.path_params["feed"])
    type_ = word_of(request.path_params["type"], "type")
    if type_ is None:
        raise BadRequest("no type", hint="/schema/FEED/TYPE")
    async with context.readers.place():
        return answer(await run_in_threadpool(_schema, context, feed, type_))


def _schema(context: Context, feed: str, type_: str) -> Schema:
    feeds = context.known_feeds()
    if feed not in feeds:
        raise NotFound(f"unknown feed {feed!r}", hint=f"one of: {', '.join(feeds)}")
    exchange = context.feeds[feed].exchange if feed in context.feeds else None
    examples = _examples(context, feed, type_)
    _check_type(type_, exchange, examples)
    kinds = _derived(exchange, examples.lines) if examples.lines else RECORDS.get(_word(type_), ())
    records = {str(kind.__struct_config__.tag): fields.of_struct(kind) for kind in kinds}
    return Schema(
        feed=feed,
        type=type_,
        exchange=exchange,
        message_types=sorted(t for t in examples.types if t.lower() in types_of(type_)),
        fields=fields.of_lines(examples.lines) or fields.of_struct(Archived),
        derived=list(records),
        records=records,
        observed=len(examples.lines),
        observed_on=examples.day,
    )


def _examples(context: Context, feed: str, type_: str) -> _Examples:
    """Messages of that type, from the newest day that has any."""
    wanted, types = types_of(type_), set[str]()
    for day in reversed(context.archive.days(feed)[-DAYS:]):
        found = context.catalog.facts(feed, day).types
        types |= found
        if any(kind.lower() in wanted for kind in found):
            lines = list[bytes]()
            with contextlib.suppress(CorruptArchive, ContractError, OSError):
                lines.extend(islice(context.archive.day(feed, day).lines(type=type_), EXAMPLES))
            if lines:
                return _Examples(day, lines, types)
    return _Examples(None, [], types)


def _check_type(type_: str, exchange: str | None, examples: _Examples) -> None:
    known = {*ALIASES, *examples.types}
    if exchange in EXCHANGES:
        known |= {*EXCHANGES[exchange].channels}
    if not examples.types:
        known |= frozenset[str]().union(*ALIASES.values())
    if type_.lower() not in {kind.lower() for kind in known}:
        raise NotFound(
            f"unknown message type {type_!r}", hint=f"one of: {', '.join(sorted(known))}"
        )


def _derived(exchange: str | None, lines: Iterable[bytes]) -> tuple[type[Record], ...]:
    """Which records the messages become, in order of appearance."""
    kinds: dict[type[Record], None] = {}
    if exchange in EXCHANGES:
        derive = EXCHANGES[exchange].records
        for line in lines:
            with contextlib.suppress(ContractError):
                kinds.update(
                    dict.fromkeys(type(record) for record in derive(decode_archived(line)))
                )
    return tuple(kinds)


def _word(type_: str) -> str:
    """The seed's word for a message type."""
    lower = type_.lower()
    return next((word for word, types in ALIASES.items() if lower in {word, *types}), lower)


async def builders(request: Request) -> Response:
    return answer(BUILDERS)


routes = [Route("/schema/{feed}/{type}", schema), Route("/builders", builders)]
