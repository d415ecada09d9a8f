"""``/schema`` and ``/builders``: what messages and records look like."""

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ssmd import observed
from ssmd.builders import BUILDERS, Builder
from ssmd.errors import NotFound
from ssmd.observed import Schema
from ssmd.serve.access import access_of
from ssmd.serve.answers import answer
from ssmd.serve.context import Context, context_of
from ssmd.serve.describe import describe
from ssmd.serve.params import FEED_IN_PATH, TYPE_IN_PATH


@describe(FEED_IN_PATH, TYPE_IN_PATH, answer=Schema)
async def schema(request: Request) -> Response:
    """Fields of a feed's messages of one type, and of the records derived from them."""
    context = context_of(request)
    feed = access_of(request).feed(FEED_IN_PATH.of(request))
    type_ = TYPE_IN_PATH.of(request)
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


@describe(answer=tuple[Builder, ...])
async def builders(request: Request) -> Response:
    """What folds records into a state of one instrument."""
    return answer(BUILDERS)


routes = [Route("/schema/{feed}/{type}", schema), Route("/builders", builders)]
