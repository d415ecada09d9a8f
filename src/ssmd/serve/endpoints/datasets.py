"""``/datasets``: what there is, and a sample of it."""

from itertools import islice

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ssmd.dataset import Archive, Summary
from ssmd.serve.answers import answer, answer_lines, archive_of, date_of, limit_of


async def datasets(request: Request) -> Response:
    """Every dataset, or those of ``feed`` from ``from`` to ``to``, both inclusive."""
    archive = archive_of(request)
    feed = request.query_params.get("feed")
    first, last = date_of(request, "from"), date_of(request, "to")
    return answer(await run_in_threadpool(_summaries, archive, feed, first, last))


def _summaries(
    archive: Archive, feed: str | None, first: str | None, last: str | None
) -> list[Summary]:
    return [
        archive.day(name, day).summary()
        for name in ([feed] if feed else archive.feeds())
        for day in archive.days(name)
        if (first is None or day >= first) and (last is None or day <= last)
    ]


async def sample(request: Request) -> Response:
    """The first ``limit`` messages of a dataset, by ``ticker`` and ``type``, as stored."""
    limit = limit_of(request)
    day = archive_of(request).day(request.path_params["feed"], request.path_params["date"])
    lines = day.lines(
        type=request.query_params.get("type") or None,
        sym=request.query_params.get("ticker") or None,
    )
    found = await run_in_threadpool(lambda: list(islice(lines, limit)))
    request.app.state.served.inc(len(found))
    return answer_lines(found)


routes = [
    Route("/datasets", datasets),
    Route("/datasets/{feed}/{date}/sample", sample),
]
