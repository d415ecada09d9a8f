"""What is seen of every request: counts, a log line, and an end to those that stall."""

import asyncio
import logging
import time
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from starlette.types import ASGIApp, Message, Receive, Scope, Send

log = logging.getLogger(__name__)

SEND_TIMEOUT_S: Final = 30.0
"""How long a reader may take nothing of its answer."""
_SECURITY: Final = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-store"),
)


class _Stalled(Exception):
    """The reader took nothing for too long."""


class Meters:
    """The reference's metrics, on a registry of the application's own."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        self.requests = Counter(
            "ssmd_data_http_requests", "Requests", ["method", "path", "status"], registry=registry
        )
        self.seconds = Histogram(
            "ssmd_data_http_request_duration_seconds", "Time to answer", ["path"], registry=registry
        )
        self.running = Gauge(
            "ssmd_data_http_requests_in_progress", "Requests running", registry=registry
        )
        self.served = Counter("ssmd_data_records_served", "Messages handed out", registry=registry)
        self.scanned = Counter(
            "ssmd_data_datasets_scanned", "Datasets looked at", registry=registry
        )


class Watch:
    """One log line a request: method, path, status, time. Never the query, never a header."""

    def __init__(self, app: ASGIApp, meters: Meters) -> None:
        self._app = app
        self._meters = meters

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await self._app(scope, receive, _closing(scope, send))
            return
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        status = 500

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", ()), *_SECURITY]
            try:
                async with asyncio.timeout(SEND_TIMEOUT_S):
                    await send(message)
            except TimeoutError:
                raise _Stalled from None

        self._meters.running.inc()
        try:
            await self._app(scope, receive, watched)
        except _Stalled:
            log.warning("%s %r: the reader stalled", scope["method"], scope["path"])
        finally:
            self._meters.running.dec()
            self._count(scope, status, time.perf_counter() - started)

    def _count(self, scope: Scope, status: int, spent_s: float) -> None:
        # The route's pattern and known methods only: clients must not make up label values.
        path = getattr(scope.get("route"), "path", "other")
        method = scope["method"] if scope["method"] in ("GET", "HEAD", "POST") else "other"
        self._meters.requests.labels(method, path, str(status)).inc()
        self._meters.seconds.labels(path).observe(spent_s)
        log.info("%s %r %d %.1f ms", scope["method"], scope["path"], status, spent_s * 1000)


def _closing(scope: Scope, send: Send) -> Send:
    """The connection of a WebSocket that is refused is not used again: its client must know."""

    async def closing(message: Message) -> None:
        if message["type"] == "websocket.http.response.start":
            message["headers"] = [*message.get("headers", ()), *_SECURITY]
            if scope["http_version"] == "1.1":
                message["headers"].append((b"connection", b"close"))
        await send(message)

    return closing
