"""``/v1/feeds``: the feeds, configured or archived."""

from msgspec import Struct
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ssmd.serve.answers import answer
from ssmd.serve.context import Context, context_of


class FeedFacts(Struct, frozen=True):
    """A feed at a glance; ``first`` and ``last`` are its archived days."""

    name: str
    exchange: str | None
    configured: bool
    days: int
    first: str | None
    last: str | None
    message_types: list[str]
    """Of the last day."""


async def feeds(request: Request) -> Response:
    context = context_of(request)
    async with context.readers.place():
        return answer(await run_in_threadpool(_feeds, context))


def _feeds(context: Context) -> list[FeedFacts]:
    found = []
    for name in context.known_feeds():
        configured = context.feeds.get(name)
        days = context.archive.days(name)
        types = context.catalog.facts(name, days[-1]).types if days else set[str]()
        found.append(
            FeedFacts(
                name=name,
                exchange=configured.exchange if configured else None,
                configured=configured is not None,
                days=len(days),
                first=days[0] if days else None,
                last=days[-1] if days else None,
                message_types=sorted(types),
            )
        )
    return found


routes = [Route("/v1/feeds", feeds)]
