"""``/schema`` and ``/builders``: what messages and records look like."""

from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ssmd.dataset import ALIASES
from ssmd.errors import NotFound
from ssmd.message import (
    Archived,
    BookDelta,
    BookSnapshot,
    InstrumentStatus,
    Quote,
    Record,
    Trade,
)
from ssmd.serve.answers import answer

RECORDS: dict[str, tuple[type[Record], ...]] = {
    "trade": (Trade,),
    "ticker": (Quote,),
    "orderbook": (BookSnapshot, BookDelta),
    "lifecycle": (InstrumentStatus,),
}
BUILDERS = [
    {
        "id": "orderbook",
        "description": "the book of one instrument, from snapshots and deltas",
        "derived": ["spread", "bestBid", "bestAsk", "bidDepth", "askDepth", "midpoint"],
    },
]
"""Builders that exist: ``ssmd.book.Book``."""


async def schema(request: Request) -> Response:
    """Fields of a feed's messages of one type, and of the records derived from them."""
    feed, type_ = request.path_params["feed"], request.path_params["type"].lower()
    feeds = request.app.state.feeds
    if feed not in feeds:
        raise NotFound(f"unknown feed {feed!r}", hint=f"one of: {', '.join(feeds)}")
    kind = type_ if type_ in RECORDS else next((k for k, v in ALIASES.items() if type_ in v), None)
    if kind is None:
        raise NotFound(f"unknown message type {type_!r}", hint=f"one of: {', '.join(RECORDS)}")
    content: dict[str, Any] = {
        "type": type_,
        "exchange": feeds[feed].exchange,
        "message_types": sorted(ALIASES[kind]),
        "fields": _fields(Archived),
        "records": {record.__struct_config__.tag: _fields(record) for record in RECORDS[kind]},
    }
    if kind == "orderbook":
        content["derived"] = BUILDERS[0]["derived"]
    elif kind == "ticker":
        content["derived"] = ["spread", "midpoint"]
    return answer(content)


def _fields(kind: type[msgspec.Struct]) -> dict[str, str]:
    """Name -> JSON type of a Struct's fields."""
    return {field.encode_name: _name(field.type) for field in msgspec.structs.fields(kind)}


def _name(kind: Any) -> str:
    names = [getattr(one, "__name__", str(one)) for one in getattr(kind, "__args__", (kind,))]
    words = {"str": "string", "int": "integer", "Decimal": "decimal as text", "Raw": "any JSON"}
    kept = [words.get(name, name) for name in names if name not in ("UnsetType", "NoneType")]
    return " or ".join(kept)


async def builders(request: Request) -> Response:
    return answer(BUILDERS)


routes = [Route("/schema/{feed}/{type}", schema), Route("/builders", builders)]
