"""``/v1/feeds``: the feeds, configured or archived, and how they do."""

import time
from typing import Final

from msgspec import Struct
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ssmd.serve.access import Access, access_of
from ssmd.serve.answers import answer, time_of
from ssmd.serve.catalog import Facts
from ssmd.serve.context import Context, context_of
from ssmd.serve.describe import describe
from ssmd.serve.replay.asked import exchange_name
from ssmd.serve.roles import Live

STEP_S: Final = 5
STEPS: Final = 60
_NS: Final = 1_000_000_000


class FeedFacts(Struct, frozen=True):
    """A feed at a glance; ``first`` and ``last`` are its archived days."""

    name: str
    exchange: str | None
    configured: bool
    days: int
    first: str | None
    last: str | None
    message_types: list[str]
    """Of the last day, as are ``records`` and ``gaps``."""
    records: int
    gaps: int
    last_message: str | None
    """When the newest archived message was received."""
    age_s: float | None
    """How long ago that was."""
    recent: list[int]
    """Messages archived in each of the last 60 stretches of 5 s, oldest first."""
    live: Live | None
    """None where no connector of this machine captures the feed."""


@describe(answer=list[FeedFacts])
async def feeds(request: Request) -> Response:
    """The feeds, configured or archived, and how they do."""
    context = context_of(request)
    live = await context.roles.feeds() if context.roles else {}
    async with context.readers.place():
        return answer(await run_in_threadpool(_feeds, context, access_of(request), live))


def _feeds(context: Context, access: Access, live: dict[str, Live]) -> list[FeedFacts]:
    now_ns = time.time_ns()
    names = access.feeds(context.known_feeds())
    return [_facts(context, name, live.get(name), now_ns) for name in names]


def _facts(context: Context, name: str, live: Live | None, now_ns: int) -> FeedFacts:
    configured = context.feeds.get(name)
    days = context.archive.days(name)
    # Early in a day the curve begins in the day before.
    newest = [context.catalog.facts(name, day) for day in days[-2:]]
    facts = newest[-1] if newest else Facts()
    last_ns = max((day.last_recv_ns for day in newest), default=0)
    return FeedFacts(
        name=name,
        exchange=exchange_name(context, name),
        configured=configured is not None,
        days=len(days),
        first=days[0] if days else None,
        last=days[-1] if days else None,
        message_types=sorted(facts.types),
        records=facts.records,
        gaps=facts.gaps,
        last_message=time_of(last_ns) if last_ns else None,
        age_s=round(max(now_ns - last_ns, 0) / _NS, 3) if last_ns else None,
        recent=_recent(newest, now_ns),
        live=live,
    )


def _recent(days: list[Facts], now_ns: int) -> list[int]:
    """Each flush is spread over the stretches in which its messages came."""
    begin_ns, step_ns = now_ns - STEPS * STEP_S * _NS, STEP_S * _NS
    counts = [0.0] * STEPS
    for start_ns, end_ns, records in (flush for day in days for flush in day.flow):
        for step in range((start_ns - begin_ns) // step_ns, (end_ns - begin_ns) // step_ns + 1):
            if 0 <= step < STEPS:
                from_ns = max(start_ns, begin_ns + step * step_ns)
                to_ns = min(end_ns, begin_ns + (step + 1) * step_ns)
                counts[step] += records * (to_ns - from_ns) / (end_ns - start_ns)
    return [round(count) for count in counts]


routes = [Route("/v1/feeds", feeds)]
