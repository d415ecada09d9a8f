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
from ssmd.errors import ExchangeError, ExchangeRefused
from ssmd.exchanges.base import Exchange, Request
from ssmd.refusal import asked_s, explain_status, shown, shown_url

log = logging.getLogger(__name__)

TIMEOUT_S = 30.0
MAX_ANSWER_BYTES = 64 * 1024 * 1024
MAX_WAITS = 5
LONGEST_WAIT_S = 60.0
GENTLE_SHARE = 0.1
"""What calls that can wait take of the rate at most."""


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
        self._turn = _Turn(per_second)
        self._gentle_turn = _Turn(per_second and per_second * GENTLE_SHARE)

    async def gently(self, request: Request) -> bytes:
        """As ``get``, for what can wait."""
        await self._gentle_turn.wait()
        return await self.get(request)

    async def get(self, request: Request) -> bytes:
        """The answer's body. Raises ExchangeError; ExchangeRefused where asking again is no use."""
        url = self._url(request.path)
        where = shown_url(url)
        for wait in range(MAX_WAITS + 1):
            await self._turn.wait()
            try:
                async with self._session.get(
                    url, params=dict(request.query), allow_redirects=False
                ) as got:
                    if got.status == 200:
                        return await _read(got, where)
                    refusal = _refusal(where, got)
            except (aiohttp.InvalidURL, aiohttp.NonHttpUrlClientError) as error:  # texts: the URL
                raise ExchangeRefused(
                    f"{where} is no URL of REST", hint="see the feed's rest_endpoint"
                ) from error
            except TimeoutError as error:
                raise ExchangeError(f"{where} did not answer within {TIMEOUT_S:g} s") from error
            except (aiohttp.ClientError, OSError) as error:
                raise ExchangeError(f"cannot reach {where}: {_reason(error)}") from error
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


class _Turn:
    """So many calls a second, one after the other; None: no such limit."""

    def __init__(self, per_second: float | None) -> None:
        self._pause_s = 1 / per_second if per_second else 0.0
        self._next = 0.0
        self._lock = asyncio.Lock()

    async def wait(self) -> None:
        async with self._lock:
            await asyncio.sleep(max(0.0, self._next - time.monotonic()))
            self._next = time.monotonic() + self._pause_s


@contextlib.asynccontextmanager
async def open_rest(feed: ResolvedFeed, exchange: Exchange) -> AsyncIterator[Rest]:
    """The feed's REST client, from entry to exit."""
    timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
    async with aiohttp.ClientSession(timeout=timeout) as session:
        base = feed.rest_endpoint or exchange.rest_endpoint
        yield Rest(session, base, feed.rate_limit_per_second, stands_in=feed.rest_stands_in)


def _reason(error: Exception) -> str:
    # The text of an error of an answer holds the whole URL.
    text = error.message if isinstance(error, aiohttp.ClientResponseError) else str(error)
    return shown(text or type(error).__name__)


def _refusal(where: str, answer: aiohttp.ClientResponse) -> ExchangeError:
    after_s = asked_s(answer.headers.get("Retry-After"), datetime.now(UTC))
    return explain_status(where, answer.status, after_s, answer.headers.get("Location"))


async def _read(answer: aiohttp.ClientResponse, where: str) -> bytes:
    body = bytearray()
    async for piece in answer.content.iter_chunked(1 << 16):
        body += piece
        if len(body) > MAX_ANSWER_BYTES:
            raise ExchangeError(f"{where} answered more than {MAX_ANSWER_BYTES} bytes")
    return bytes(body)
