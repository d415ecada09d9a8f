"""The application: routes, key, counting and errors, in the order in which they apply."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Collection, Mapping

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware

from ssmd.config import ResolvedFeed
from ssmd.dataset import Archive
from ssmd.errors import SsmdError
from ssmd.serve.answers import on_bug, on_error, on_http_error, on_unreadable
from ssmd.serve.auth import Guard
from ssmd.serve.context import Context
from ssmd.serve.endpoints import datasets, feeds, health, openapi, page, schema, tables
from ssmd.serve.keyring import Keyring
from ssmd.serve.limits import Limits
from ssmd.serve.rate import Rate
from ssmd.serve.roles import Roles
from ssmd.serve.tail import Tail
from ssmd.serve.watch import Watch


def create_app(
    archive: Archive,
    configured: Mapping[str, ResolvedFeed],
    *,
    key: str | None = None,
    tail: Tail | None = None,
    roles: Roles | None = None,
    key_required: bool = False,
    origins: Collection[str] = (),
    rate: Rate | None = None,
) -> Starlette:
    """The ASGI application. With ``key`` or ``key_required``, all but probes, metrics and the page
    ask for a key in X-API-Key; without, only this machine is answered to. Pages of ``origins`` may
    ask, too; each key may ask as much as ``rate`` lets it. ``tail`` and ``roles`` are closed with
    it."""
    keyring = Keyring(archive.folder.name, key, tail)
    context = Context(archive, configured, tail, roles, keyring, key_required or key is not None)

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        reading = asyncio.create_task(keyring.run(), name="keyring")
        yield
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
        if tail is not None:
            await tail.close()
        if roles is not None:
            await roles.close()

    app = Starlette(
        routes=[
            *page.routes,
            *health.routes,
            *feeds.routes,
            *datasets.routes,
            *schema.routes,
            *tables.routes,
            *openapi.routes,
        ],
        middleware=[
            Middleware(Watch, meters=context.meters),
            *([_cors(origins)] if origins else []),
            Middleware(
                Guard, keyring=keyring, required=key_required, limits=Limits(rate), origins=origins
            ),
        ],
        exception_handlers={
            SsmdError: on_error,
            HTTPException: on_http_error,
            OSError: on_unreadable,
            Exception: on_bug,
        },
        lifespan=lifespan,
    )
    # A redirect would name the host that the client claims.
    app.router.redirect_slashes = False
    app.state.context = context
    return app


def _cors(origins: Collection[str]) -> Middleware:
    """Before the guard: a browser asks without a key whether it may ask, and reads errors."""
    return Middleware(
        CORSMiddleware,
        allow_origins=list(origins),
        allow_methods=["GET", "HEAD", "POST", "DELETE"],
        allow_headers=["X-API-Key", "Last-Event-ID", "Range", "If-None-Match", "If-Range"],
        expose_headers=[
            "RateLimit", "RateLimit-Policy", "RateLimit-Limit", "RateLimit-Remaining",
            "RateLimit-Reset", "Retry-After", "ETag", "Content-Range", "X-Next-Cursor", "X-Holes",
            "X-Ssmd-Records", "X-Ssmd-Bus", "X-Ssmd-Cut", "X-Ssmd-Damaged",
        ],
    )  # fmt: skip
