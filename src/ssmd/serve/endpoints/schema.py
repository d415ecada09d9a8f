"""``/schema`` and ``/builders``: what messages and records look like."""

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ssmd import observed
from ssmd.builders import BUILDERS
from ssmd.errors import NotFound
from ssmd.observed import Schema
from ssmd.serve.answers import BadRequest, answer, feed_of, word_of
from ssmd.serve.context import Context, context_of


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

    def types(feed: str, day: str) -> set[str]:
        return context.catalog.facts(feed, day).types

    return observed.schema(context.archive, feed, type_, exchange, types)


async def builders(request: Request) -> Response:
    return answer(BUILDERS)


routes = [Route("/schema/{feed}/{type}", schema), Route("/builders", builders)]
