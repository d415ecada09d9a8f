"""``/health``, ``/ready`` and ``/metrics``: for probes, without a key."""

import os
from typing import Literal

from msgspec import Struct
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ssmd import __version__
from ssmd.dataset import Archive
from ssmd.serve.answers import answer
from ssmd.serve.context import context_of
from ssmd.serve.describe import describe


class Health(Struct, frozen=True):
    """``detail`` says what is not well, or not there yet."""

    status: Literal["ok", "unhealthy"]
    detail: str | None
    version: str


class Ready(Struct, frozen=True):
    """``detail`` says why there is nothing to serve."""

    status: Literal["ready", "not_ready"]
    detail: str | None


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


@describe(answer=Health, also={503: Health}, open=True)
async def health(request: Request) -> Response:
    """The process answers and the archive can be read; it may still be empty."""
    context = context_of(request)
    readable, detail = await run_in_threadpool(_look, context.archive)
    status: Literal["ok", "unhealthy"] = "ok" if readable else "unhealthy"
    content = Health(status, detail or context.keyring.detail, __version__)
    return answer(content, 200 if readable else 503)


@describe(answer=Ready, also={503: Ready}, open=True)
async def ready(request: Request) -> Response:
    """There is something to serve."""
    _, detail = await run_in_threadpool(_look, context_of(request).archive)
    content = Ready("ready" if detail is None else "not_ready", detail)
    return answer(content, 200 if detail is None else 503)


@describe(formats=("text/plain",), open=True)
async def metrics(request: Request) -> Response:
    """Counters and gauges for Prometheus."""
    body = generate_latest(context_of(request).meters.registry)
    return Response(body, headers={"Content-Type": CONTENT_TYPE_LATEST})


routes = [
    Route("/health", health),
    Route("/ready", ready),
    Route("/metrics", metrics),
]
