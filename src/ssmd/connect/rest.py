"""An exchange's REST API, asked no faster than the feed's file allows."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator

import aiohttp

from ssmd.config import ResolvedFeed
from ssmd.errors import ExchangeError, ExchangeRefused
from ssmd.exchanges.base import Exchange, Request

TIMEOUT_S = 30.0
MAX_ANSWER_BYTES = 64 * 1024 * 1024
MAX_WAITS = 5


class Rest:
    """One client per feed: its calls share one rate."""

    def __init__(self, session: aiohttp.ClientSession, base: str, per_second: float | None) -> None:
        self._session = session
        self._base = base.rstrip("/")
        self._pause_s = 1 / per_second if per_second else 0.0
        self._next = 0.0
        self._turn = asyncio.Lock()

    async def get(self, request: Request) -> bytes:
        """The answer's body. Raises ExchangeError; ExchangeRefused where asking again is no use."""
        url = request.path if "://" in request.path else self._base + request.path
        for _ in range(MAX_WAITS):
            await self._wait_turn()
            try:
                async with self._session.get(
                    url, params=dict(request.query), allow_redirects=False
                ) as got:
                    if got.status == 429:
                        await asyncio.sleep(_retry_after(got.headers.get("Retry-After")))
                        continue
                    if got.status != 200:
                        kind = ExchangeRefused if got.status in (301, 302, 401, 403, 404) else None
                        raise (kind or ExchangeError)(f"{url} answered {got.status}")
                    return await _read(got, url)
            except (aiohttp.ClientError, OSError, TimeoutError) as error:
                reason = str(error) or type(error).__name__
                raise ExchangeError(f"cannot reach {url}: {reason}") from error
        raise ExchangeError(
            f"{url} answered 429 {MAX_WAITS} times", hint="lower rate_limit_per_second"
        )

    async def _wait_turn(self) -> None:
        async with self._turn:
            await asyncio.sleep(max(0.0, self._next - time.monotonic()))
            self._next = time.monotonic() + self._pause_s


@contextlib.asynccontextmanager
async def open_rest(feed: ResolvedFeed, exchange: Exchange) -> AsyncIterator[Rest]:
    """The feed's REST client, from entry to exit."""
    timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
    async with aiohttp.ClientSession(timeout=timeout) as session:
        base = feed.rest_endpoint or exchange.rest_endpoint
        yield Rest(session, base, feed.rate_limit_per_second)


async def _read(answer: aiohttp.ClientResponse, url: str) -> bytes:
    body = bytearray()
    async for piece in answer.content.iter_chunked(1 << 16):
        body += piece
        if len(body) > MAX_ANSWER_BYTES:
            raise ExchangeError(f"{url} answered more than {MAX_ANSWER_BYTES} bytes")
    return bytes(body)


def _retry_after(value: str | None) -> float:
    """Seconds that the exchange asks to wait, at most a minute."""
    return min(float(value), 60.0) if value and value.isdigit() else 1.0
