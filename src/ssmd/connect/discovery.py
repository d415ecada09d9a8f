"""Which instruments: by list, or from the exchange's REST list through the feed's filter."""

from collections.abc import AsyncIterator
from decimal import Decimal
from fnmatch import fnmatchcase

from ssmd.config import ResolvedFeed
from ssmd.connect.rest import Rest
from ssmd.errors import ExchangeError
from ssmd.exchanges.base import Exchange, Request
from ssmd.instrument import Instrument

MAX_PAGES = 2_000
NO_VOLUME = Decimal(-1)


async def symbols(exchange: Exchange, feed: ResolvedFeed, rest: Rest) -> list[str]:
    """The symbols that the feed wants now. Raises ExchangeError."""
    wanted = feed.instruments
    if wanted.symbols:
        return list(dict.fromkeys(wanted.symbols))
    listed = instruments(exchange, feed, rest)
    found = [instrument async for instrument in listed if instrument.active]
    if wanted.match is not None:
        found = [instrument for instrument in found if fnmatchcase(instrument.sym, wanted.match)]
    if wanted.limit is not None:
        found.sort(key=lambda i: NO_VOLUME if i.volume is None else i.volume, reverse=True)
        found = found[: wanted.limit]
    return list(dict.fromkeys(instrument.sym for instrument in found))


async def instruments(
    exchange: Exchange, feed: ResolvedFeed, rest: Rest
) -> AsyncIterator[Instrument]:
    """Every instrument that the exchange lists for the feed's filter, page by page."""
    request: Request | None = exchange.instruments_request(feed.instruments.filter)
    for _ in range(MAX_PAGES):
        if request is None:
            return
        page = exchange.instruments_page(request, await rest.get(request))
        for instrument in page.instruments:
            yield instrument
        request = page.next
    raise ExchangeError(
        f"{feed.rest_endpoint} has more than {MAX_PAGES} pages", hint="narrow the feed's filter"
    )
