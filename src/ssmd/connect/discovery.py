"""Which instruments: by list, or from the exchange's REST list through the feed's filter."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from decimal import Decimal
from fnmatch import fnmatchcase

import aiohttp

from ssmd.config import ResolvedFeed
from ssmd.connect.refusal import explain_status, shown
from ssmd.connect.retry import asked_s
from ssmd.errors import ExchangeError
from ssmd.exchanges.base import Exchange, Request
from ssmd.instrument import Instrument

log = logging.getLogger(__name__)

REQUEST_TIMEOUT_S = 30.0
MAX_ANSWER_BYTES = 64 * 1024 * 1024
MAX_PAGES = 2_000
MAX_WAITS = 5
LONGEST_WAIT_S = 60.0
NO_VOLUME = Decimal(-1)


async def symbols(exchange: Exchange, feed: ResolvedFeed) -> list[str]:
    """The symbols that the feed wants now. Raises ExchangeError."""
    wanted = feed.instruments
    if wanted.symbols:
        return list(dict.fromkeys(wanted.symbols))
    found = [instrument async for instrument in instruments(exchange, feed) if instrument.active]
    if wanted.match is not None:
        found = [instrument for instrument in found if fnmatchcase(instrument.sym, wanted.match)]
    if wanted.limit is not None:
        found.sort(key=lambda i: NO_VOLUME if i.volume is None else i.volume, reverse=True)
        found = found[: wanted.limit]
    return list(dict.fromkeys(instrument.sym for instrument in found))


async def instruments(exchange: Exchange, feed: ResolvedFeed) -> AsyncIterator[Instrument]:
    """Every instrument that the exchange lists for the feed's filter, page by page."""
    request: Request | None = exchange.instruments_request(feed.instruments.filter)
    pause_s = 1 / feed.rate_limit_per_second if feed.rate_limit_per_second else 0.0
    timeout = aiohttp.ClientTimeout(total=REQUEST_TIMEOUT_S)
    base = feed.rest_endpoint or exchange.rest_endpoint
    async with aiohttp.ClientSession(timeout=timeout) as session:
        for _ in range(MAX_PAGES):
            if request is None:
                return
            started = time.monotonic()
            page = exchange.instruments_page(request, await _get(session, base, request))
            for instrument in page.instruments:
                yield instrument
            request = page.next
            await asyncio.sleep(max(0.0, pause_s - (time.monotonic() - started)))
    raise ExchangeError(f"{base} has more than {MAX_PAGES} pages", hint="narrow the feed's filter")


async def _get(session: aiohttp.ClientSession, base: str, request: Request) -> bytes:
    url = request.path if "://" in request.path else base.rstrip("/") + request.path
    waits = 0
    while True:
        try:
            async with session.get(url, params=dict(request.query), allow_redirects=False) as got:
                if got.status == 200:
                    return await _read(got, url)
                refusal = _refusal(url, got)
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            reason = shown(str(error) or type(error).__name__)
            raise ExchangeError(f"cannot reach {url}: {reason}") from error
        waits += 1
        if got.status != 429 or waits > MAX_WAITS or refusal.retry_after_s > LONGEST_WAIT_S:
            raise refusal
        # Here, with the pages before it in hand: from the first one it might never get through.
        log.info("%s", refusal.message)
        await asyncio.sleep(refusal.retry_after_s or 1.0)


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
