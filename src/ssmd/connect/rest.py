"""An exchange's REST API, asked no faster than the feed's file allows."""

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from urllib.parse import urlsplit

import aiohttp

from ssmd.config import ResolvedFeed
from ssmd.connect.refusal import explain_status, shown
from ssmd.connect.retry import asked_s
from ssmd.errors import ExchangeError
from ssmd.exchanges.base import Exchange, Request

log = logging.getLogger(__name__)

TIMEOUT_S = 30.0
MAX_ANSWER_BYTES = 64 * 1024 * 1024
MAX_WAITS = 5
LONGEST_WAIT_S = 60.0


class Rest:
    """One client per feed: its calls share one rate."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        base: str,
        per_second: float | None,
        *,
        stands_in: bool = False,
    ) -> None:
        """``stands_in``: the base answers for every host that a request names."""
        self._session = session
        self._stands_in = stands_in
        self._base = base.rstrip("/")
        self._pause_s = 1 / per_second if per_second else 0.0
        self._next = 0.0
        self._turn = asyncio.Lock()

    async def get(self, request: Request) -> bytes:
        """The answer's body. Raises ExchangeError; ExchangeRefused where asking again is no use."""
        url = self._url(request.path)
        for wait in range(MAX_WAITS + 1):
            await self._wait_turn()
            try:
                async with self._session.get(
                    url, params=dict(request.query), allow_redirects=False
                ) as got:
                    if got.status == 200:
                        return await _read(got, url)
                    refusal = _refusal(url, got)
            except (aiohttp.ClientError, OSError, TimeoutError) as error:
                reason = shown(str(error) or type(error).__name__)
                raise ExchangeError(f"cannot reach {url}: {reason}") from error
            if got.status != 429 or refusal.retry_after_s > LONGEST_WAIT_S or wait == MAX_WAITS:
                break
            # Here, with the pages before it in hand: from the first it might never get through.
            log.info("%s", refusal.message)
            await asyncio.sleep(refusal.retry_after_s or 1.0)
        raise refusal

    def _url(self, path: str) -> str:
        if "://" not in path:
            return self._base + path
        return self._base + urlsplit(path).path if self._stands_in else path

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
        yield Rest(session, base, feed.rate_limit_per_second, stands_in=feed.rest_stands_in)


def _refusal(url: str, answer: aiohttp.ClientResponse) -> ExchangeError:
    after_s = asked_s(answer.headers.get("Retry-After"), datetime.now(UTC))
    return explain_status(url, answer.status, after_s, answer.headers.get("Location"))


async def _read(answer: aiohttp.ClientResponse, url: str) -> bytes:
    body = bytearray()
    async for piece in answer.content.iter_chunked(1 << 16):
        body += piece
        if len(body) > MAX_ANSWER_BYTES:
            raise ExchangeError(f"{url} answered more than {MAX_ANSWER_BYTES} bytes")
    return bytes(body)
