"""``/health``, ``/live``, ``/ready`` and ``/metrics``: for probes, without a key."""

import os
from pathlib import Path
from typing import Final, Literal

from msgspec import Struct
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ssmd import __version__
from ssmd.dataset import Archive
from ssmd.serve.answers import answer
from ssmd.serve.context import Context, context_of
from ssmd.serve.describe import describe
from ssmd.serve.keyring import BusState

FULL_BYTES: Final = 32 << 20
"""A disk with less left is full; a small one with less than a fiftieth."""


class Storage(Struct, frozen=True):
    """``fault`` says why it cannot be served from; ``empty`` that nothing is archived yet."""

    fault: str | None = None
    empty: bool = False


class Health(Struct, frozen=True):
    """``detail`` says what is not well, or not there yet. Without the bus (``degraded``) the
    archive is served, and no more."""

    status: Literal["ok", "degraded", "unhealthy"]
    detail: str | None
    version: str
    storage: Literal["ok", "empty", "unhealthy"]
    bus: BusState


class Ready(Struct, frozen=True):
    """``detail`` says why there is nothing to serve."""

    status: Literal["ready", "not_ready"]
    detail: str | None


class Live(Struct, frozen=True):
    status: Literal["alive"]


def look(archive: Archive, seen: bool) -> Storage:
    """Blocks. ``seen``: there was something once."""
    try:
        room = os.statvfs(_existing(archive.folder))
        with os.scandir(archive.folder) as found:
            for entry in found:
                if entry.is_dir():
                    with os.scandir(entry.path) as days:
                        next(days, None)
    except FileNotFoundError:
        return Storage("the archive is gone" if seen else None, empty=True)
    except OSError as error:
        return Storage(f"the archive cannot be read: {error.strerror}")
    left, size = room.f_bavail * room.f_frsize, room.f_blocks * room.f_frsize
    if left < min(FULL_BYTES, size // 50):
        return Storage(f"the disk of the archive is full: {left >> 10} KiB are left")
    return Storage(empty=not archive.feeds())


def _existing(folder: Path) -> Path:
    return next(place for place in (folder, *folder.parents) if place.exists())


async def _look(context: Context) -> Storage:
    found = await run_in_threadpool(look, context.archive, context.archive_seen)
    context.archive_seen |= not found.empty
    return found


@describe(answer=Health, also={503: Health}, open=True)
async def health(request: Request) -> Response:
    """Whether the archive can be read and written, and the bus reached.

    An archive may still be empty. A full disk is no fault of the server, and is one of what it
    serves: 503, as for an archive that cannot be read. Without the bus the answer is 200.
    """
    context = context_of(request)
    storage, bus = await _look(context), context.keyring.bus
    details = [
        storage.fault,
        "nothing is archived yet" if storage.empty and not storage.fault else None,
        context.keyring.detail or (_NO_BUS if bus == "away" else None),
    ]
    return answer(
        Health(
            status="unhealthy" if storage.fault else "degraded" if bus == "away" else "ok",
            detail="; ".join(detail for detail in details if detail) or None,
            version=__version__,
            storage="unhealthy" if storage.fault else "empty" if storage.empty else "ok",
            bus=bus,
        ),
        503 if storage.fault else 200,
    )


_NO_BUS: Final = "NATS is away: what is not archived yet is not served"


@describe(answer=Live, open=True)
async def live(request: Request) -> Response:
    """The process answers: for who restarts it, which helps against no full disk."""
    return answer(Live("alive"))


@describe(answer=Ready, also={503: Ready}, open=True)
async def ready(request: Request) -> Response:
    """There is something to serve."""
    found = await _look(context_of(request))
    detail = found.fault or ("nothing is archived yet" if found.empty else None)
    content = Ready("ready" if detail is None else "not_ready", detail)
    return answer(content, 200 if detail is None else 503)


@describe(formats=("text/plain",), open=True)
async def metrics(request: Request) -> Response:
    """Counters and gauges for Prometheus."""
    body = generate_latest(context_of(request).meters.registry)
    return Response(body, headers={"Content-Type": CONTENT_TYPE_LATEST})


routes = [
    Route("/health", health),
    Route("/live", live),
    Route("/ready", ready),
    Route("/metrics", metrics),
]
