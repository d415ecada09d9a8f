"""``/datasets``: what there is, and a sample of it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any, Final

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ssmd.dataset import Summary
from ssmd.errors import NotFound
from ssmd.serve.access import Access, access_of
from ssmd.serve.answers import Deadline, answer
from ssmd.serve.context import Context, context_of
from ssmd.serve.describe import describe
from ssmd.serve.params import (
    DATE_IN_PATH,
    FEED_IN_PATH,
    FROM_DAY,
    ONE_FEED,
    TICKER,
    TO_DAY,
    TYPE,
    days_of,
    limit,
)
from ssmd.serve.sampling import Wanted, take

LIMIT: Final = limit(10)


@describe(ONE_FEED, FROM_DAY, TO_DAY, answer=list[Summary])
async def datasets(request: Request) -> Response:
    """Every dataset, or those of ``feed`` from ``from`` to ``to``, both inclusive."""
    context = context_of(request)
    access = access_of(request)
    name = ONE_FEED.of(request)
    feed = access.feed(name) if name else None
    first, last = days_of(request)
    async with context.readers.place():
        found = await run_in_threadpool(_summaries, context, access, feed, first, last)
    context.meters.scanned.inc(len(found))
    return answer(found)


def _summaries(
    context: Context, access: Access, feed: str | None, first: str | None, last: str | None
) -> list[Summary]:
    deadline = Deadline()
    found = []
    for name in [feed] if feed else access.feeds(context.archive.feeds()):
        for day in context.archive.days(name):
            wanted = (first is None or day >= first) and (last is None or day <= last)
            if wanted and access.has(day):
                deadline.check("ask for fewer days with from and to, or ask again: it is quicker")
                # A day may go while the list is made: retention takes it.
                with contextlib.suppress(NotFound):
                    found.append(context.catalog.summary(name, day))
    return found


@describe(
    FEED_IN_PATH,
    DATE_IN_PATH,
    TICKER,
    TYPE,
    LIMIT,
    answer=list[dict[str, Any]],
    headers={
        "X-Ssmd-Records": "How many there are.",
        "X-Ssmd-Bus": "included, unavailable or not-needed: what is not archived yet.",
        "X-Ssmd-Cut": "Where the answer would have been too long.",
        "X-Ssmd-Damaged": "What of the archive could not be read.",
    },
)
async def sample(request: Request) -> Response:
    """The first ``limit`` messages of a dataset, by ``ticker`` and ``type``, as stored.

    The segment being written is included, and for the newest day what is still on the bus.
    """
    context = context_of(request)
    wanted = Wanted(limit=LIMIT.of(request), type=TYPE.of(request), sym=TICKER.of(request))
    access = access_of(request)
    feed = access.feed(FEED_IN_PATH.of(request))
    date = access.day(DATE_IN_PATH.of(request))
    async with context.readers.place():
        day = await run_in_threadpool(context.archive.day, feed, date)
        newest = date == (await run_in_threadpool(context.archive.days, feed))[-1]
        async with _while_connected(request) as deadline:
            found = await take(wanted, day, context.tail if newest else None, deadline)
    context.meters.scanned.inc()
    context.meters.served.inc(found.count)
    return found.answer()


@contextlib.asynccontextmanager
async def _while_connected(request: Request) -> AsyncIterator[Deadline]:
    """A deadline that passes at once when the client goes away."""
    deadline, failure = Deadline(), None

    async def watch() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass
        deadline.pass_now()

    async with asyncio.TaskGroup() as tasks:
        watching = tasks.create_task(watch())
        try:
            yield deadline
        except Exception as error:
            failure = error  # raised below: out of the group it would come wrapped, as a bug
        watching.cancel()
    if failure is not None:
        raise failure


routes = [
    Route("/datasets", datasets),
    Route("/datasets/{feed}/{date}/sample", sample),
]
