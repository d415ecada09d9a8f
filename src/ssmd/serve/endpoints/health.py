"""``/health``, ``/ready`` and ``/metrics``: for probes, without a key."""

import os

from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ssmd import __version__
from ssmd.dataset import Archive
from ssmd.serve.answers import answer
from ssmd.serve.context import context_of


def _look(archive: Archive) -> tuple[bool, str | None]:
    """Whether the archive can be read, and why there is nothing to serve; None where there is."""
    try:
        with os.scandir(archive.folder) as found:
            for entry in found:
                if entry.is_dir():
                    with os.scandir(entry.path) as days:
                        next(days, None)
    except FileNotFoundError:
        return True, "nothing is archived yet"
    except OSError as error:
        return False, f"the archive cannot be read: {error.strerror}"
    return True, None if archive.feeds() else "nothing is archived yet"


async def health(request: Request) -> Response:
    """The process answers and the archive can be read; it may still be empty."""
    context = context_of(request)
    readable, detail = await run_in_threadpool(_look, context.archive)
    content = {
        "status": "ok" if readable else "unhealthy",
        "detail": detail or context.keyring.detail,
        "version": __version__,
    }
    return answer(content, 200 if readable else 503)


async def ready(request: Request) -> Response:
    """There is something to serve."""
    _, detail = await run_in_threadpool(_look, context_of(request).archive)
    content = {"status": "ready" if detail is None else "not_ready", "detail": detail}
    return answer(content, 200 if detail is None else 503)


async def metrics(request: Request) -> Response:
    body = generate_latest(context_of(request).meters.registry)
    return Response(body, headers={"Content-Type": CONTENT_TYPE_LATEST})


routes = [
    Route("/health", health),
    Route("/ready", ready),
    Route("/metrics", metrics),
]
