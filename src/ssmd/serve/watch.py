"""What is seen of every request: counts, a log line, and an end to those that stall."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Iterable, Mapping
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ssmd.serve.answers import Timeout, error_answer
from ssmd.serve.auth import CALLER

log = logging.getLogger(__name__)

START_TIMEOUT_S: Final = 90.0
"""How long an answer may take to begin; how long it then goes on is not bounded."""
SEND_TIMEOUT_S: Final = 30.0
"""How long a reader may take nothing of its answer."""
_USUAL: Final[Mapping[bytes, bytes]] = {
    b"x-content-type-options": b"nosniff",
    b"referrer-policy": b"no-referrer",
    b"cross-origin-resource-policy": b"same-origin",
    b"content-security-policy": b"default-src 'none'; frame-ancestors 'none'",
    b"cache-control": b"no-store",
}
"""Headers of every answer that does not say otherwise."""
_OF_HTTP_1: Final = frozenset({b"connection", b"upgrade"})
"""HTTP/2 has none of these."""


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
    """One log line a request: who, method, path, status, time. Never the query, never a header."""

    def __init__(self, app: ASGIApp, meters: Meters) -> None:
        self._app = app
        self._meters = meters

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        seen = _Seen(scope, send)
        self._meters.running.inc()
        try:
            await seen.run(self._app(scope, receive, seen.send))
        except _Stalled:
            log.warning("%s %r: the reader stalled", _method(scope), scope["path"])
        finally:
            self._meters.running.dec()
            self._count(scope, seen)

    def _count(self, scope: Scope, seen: "_Seen") -> None:
        # The route's pattern and known methods only: clients must not make up label values.
        path = getattr(scope.get("route"), "path", "other")
        method = _method(scope)
        spent_s = time.perf_counter() - seen.started
        self._meters.requests.labels(method, path, str(seen.status)).inc()
        if scope["type"] == "http":
            self._meters.seconds.labels(path).observe(spent_s)
        log.info(
            "%s %s %s %r %d %.1f ms", (scope.get("client") or ("-",))[0], scope.get(CALLER, "-"),
            method, scope["path"], seen.status, spent_s * 1000,
        )  # fmt: skip


def _method(scope: Scope) -> str:
    if scope["type"] == "websocket":
        return "WS"
    method: str = scope["method"]
    return method if method in ("GET", "HEAD", "POST", "DELETE") else "other"


class _Seen:
    """One request: when it began, and the status of its answer."""

    def __init__(self, scope: Scope, send: Send) -> None:
        self._scope = scope
        self._send = send
        self.started = time.perf_counter()
        self.status = 500
        self._begun = False
        self._starting = asyncio.timeout(START_TIMEOUT_S)

    async def run(self, answering: Awaitable[None]) -> None:
        try:
            async with self._starting:
                await answering
        except TimeoutError:
            if not self._starting.expired():
                raise
            error = Timeout("this takes longer than one request may", hint="ask for less")
            await error_answer(error)(self._scope, _nothing, self.send)

    async def send(self, message: Message) -> None:
        if message["type"] in _STARTS:
            self._begin(message)
        elif message["type"] == "websocket.close" and not self._begun:
            self.status = 403
        try:
            async with asyncio.timeout(SEND_TIMEOUT_S):
                await self._send(message)
        except TimeoutError:
            raise _Stalled from None

    def _begin(self, message: Message) -> None:
        self._begun = True
        self.status = message.get("status", 101)
        if not self._starting.expired():
            self._starting.reschedule(None)
        if message["type"] != "websocket.accept":
            message["headers"] = self._headers(message.get("headers", ()))

    def _headers(self, given: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
        named = {name.lower() for name, _ in given}
        headers = [*given, *(pair for pair in _USUAL.items() if pair[0] not in named)]
        if self._scope["http_version"] == "2":
            return [pair for pair in headers if pair[0].lower() not in _OF_HTTP_1]
        # The connection of a WebSocket that is refused is not used again: its client must know.
        closes = self._scope["type"] == "websocket" and b"connection" not in named
        return [*headers, (b"connection", b"close")] if closes else headers


_STARTS: Final = ("http.response.start", "websocket.http.response.start", "websocket.accept")


async def _nothing() -> Message:
    return {"type": "http.disconnect"}
