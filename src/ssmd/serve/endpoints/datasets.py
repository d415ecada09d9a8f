"""``/datasets``: what there is, and a sample of it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ssmd.dataset import Summary
from ssmd.errors import NotFound
from ssmd.serve.answers import Deadline, answer, day_of, days_of, feed_of, limit_of, word_of
from ssmd.serve.context import Context, context_of
from ssmd.serve.sampling import Wanted, take


async def datasets(request: Request) -> Response:
    """Every dataset, or those of ``feed`` from ``from`` to ``to``, both inclusive."""
    context = context_of(request)
    name = request.query_params.get("feed")
    feed = feed_of(name) if name else None
    first, last = days_of(request)
    async with context.readers.place():
        found = await run_in_threadpool(_summaries, context, feed, first, last)
    context.meters.scanned.inc(len(found))
    return answer(found)


def _summaries(
    context: Context, feed: str | None, first: str | None, last: str | None
) -> list[Summary]:
    deadline = Deadline()
    found = []
    for name in [feed] if feed else context.archive.feeds():
        for day in context.archive.days(name):
            if (first is None or day >= first) and (last is None or day <= last):
                deadline.check("ask for fewer days with from and to, or ask again: it is quicker")
                # A day may go while the list is made: retention takes it.
                with contextlib.suppress(NotFound):
                    found.append(context.catalog.summary(name, day))
    return found


async def sample(request: Request) -> Response:
    """The first ``limit`` messages of a dataset, by ``ticker`` and ``type``, as stored.

    The segment being written is included, and for the newest day what is still on the bus.
    """
    context = context_of(request)
    wanted = Wanted(
        limit=limit_of(request),
        type=word_of(request.query_params.get("type"), "type"),
        sym=word_of(request.query_params.get("ticker"), "ticker"),
    )
    feed = feed_of(request.path_params["feed"])
    date = day_of(request.path_params["date"], "date")
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
