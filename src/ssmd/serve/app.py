"""The application: routes, key, counting and errors, in the order in which they apply."""

import hmac
import logging
import time
from collections.abc import Mapping

from prometheus_client import CollectorRegistry, Counter
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ssmd.config import ResolvedFeed
from ssmd.dataset import Archive
from ssmd.errors import SsmdError
from ssmd.serve.answers import Unauthorized, error_answer, on_bug, on_error, on_http_error
from ssmd.serve.endpoints import datasets, health, schema

log = logging.getLogger(__name__)


def create_app(
    archive: Archive, feeds: Mapping[str, ResolvedFeed], *, key: str | None = None
) -> Starlette:
    """The ASGI application. With a key, all but health and metrics ask for it in X-API-Key."""
    registry = CollectorRegistry()
    requests = Counter(
        "ssmd_data_http_requests", "Requests by status", ["status"], registry=registry
    )
    app = Starlette(
        routes=[*health.routes, *datasets.routes, *schema.routes],
        middleware=[Middleware(AccessLog, requests=requests), Middleware(KeyGuard, key=key)],
        exception_handlers={SsmdError: on_error, HTTPException: on_http_error, Exception: on_bug},
    )
    app.state.archive = archive
    app.state.feeds = feeds
    app.state.key = key
    app.state.registry = registry
    app.state.served = Counter("ssmd_data_records_served", "Messages handed out", registry=registry)
    return app


class KeyGuard:
    """Lets a request through that carries the key, compared in constant time."""

    def __init__(self, app: ASGIApp, key: str | None) -> None:
        self._app = app
        self._key = key.encode() if key is not None else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or self._key is None or scope["path"] in health.OPEN:
            await self._app(scope, receive, send)
            return
        given = next((v for k, v in scope["headers"] if k.lower() == b"x-api-key"), b"")
        if hmac.compare_digest(given, self._key):
            await self._app(scope, receive, send)
            return
        error = Unauthorized("the key is missing or wrong", hint="send it as X-API-Key")
        await error_answer(error)(scope, receive, send)


class AccessLog:
    """One line a request: method, path, status, time. Never the query, never a header."""

    def __init__(self, app: ASGIApp, requests: Counter) -> None:
        self._app = app
        self._requests = requests

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        status = 500

        async def watch(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, watch)
        finally:
            self._requests.labels(status=str(status)).inc()
            spent_ms = (time.perf_counter() - started) * 1000
            log.info("%s %r %d %.1f ms", scope["method"], scope["path"], status, spent_ms)
