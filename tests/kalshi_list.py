"""A Kalshi that only lists: as many markets as one likes, page by page, over a real socket."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import msgspec
from aiohttp import web

SERIES = [
    {"ticker": "KXA", "category": "Arts", "fee_type": "quadratic", "fee_multiplier": 1},
    {"ticker": "KXB", "category": "Business", "fee_type": "flat", "fee_multiplier": 2},
]


class KalshiList:
    """``changed`` replaces fields of a market by its number; ``on_page`` is awaited before each
    page is answered, with its number, and may raise an HTTP error."""

    def __init__(self, count: int, page: int = 1000) -> None:
        self.count = count
        self.page = page
        self.pages = 0
        """How many pages of the list were asked for."""
        self.changed: dict[int, Any] = {}
        self.queries: list[dict[str, str]] = []
        self.on_page: Callable[[int], Awaitable[None]] | None = None
        self.url = ""

    def ticker(self, number: int) -> str:
        return f"KX{'AB'[number % 2]}-26NOV{number // 10:06d}-T{number:07d}"

    def market(self, number: int) -> Any:
        ticker = self.ticker(number)
        usual = {
            "ticker": ticker,
            "event_ticker": ticker.rpartition("-")[0],
            "market_type": "binary",
            "status": "active",
            "title": f"Will market {number} settle yes before it is too late for all of us?",
            "yes_sub_title": "Yes",
            "created_time": "2026-11-01T00:00:00.123456Z",
            "updated_time": "2026-11-02T00:00:00.123456Z",
            "open_time": "2026-11-03T00:00:00Z",
            "close_time": f"2026-12-{number % 28 + 1:02d}T00:00:00Z",
            "expected_expiration_time": "2027-01-01T00:00:00Z",
            "latest_expiration_time": "2027-01-02T00:00:00Z",
            "price_level_structure": "linear_cent",
            "price_ranges": [{"start": "0.0000", "end": "1.0000", "step": "0.0100"}],
            "notional_value_dollars": "1.0000",
            "strike_type": "greater",
            "floor_strike": number,
            "rules_primary": "If it does, it does. " * 20,
            "yes_bid_dollars": "0.4000",
            "yes_ask_dollars": "0.4200",
            "volume_fp": "1.00",
        }
        change = self.changed.get(number, {})
        return {**usual, **change} if isinstance(change, dict) else change

    @contextlib.asynccontextmanager
    async def serving(self) -> AsyncIterator["KalshiList"]:
        app = web.Application()
        app.router.add_get("/markets", self._markets)
        app.router.add_get("/series", self._series)
        app.router.add_get("/series/fee_changes", self._fees)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        try:
            site = web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
            yield self
        finally:
            await runner.cleanup()

    async def _series(self, _: web.Request) -> web.Response:
        return _json({"series": SERIES})

    async def _fees(self, _: web.Request) -> web.Response:
        return _json({"series_fee_change_arr": []})

    async def _markets(self, request: web.Request) -> web.Response:
        query = dict(request.query)
        self.queries.append(query)
        if "tickers" in query:
            numbers = [int(name.rpartition("-T")[2]) for name in query["tickers"].split(",")]
            return _json({"markets": [self.market(number) for number in numbers], "cursor": ""})
        self.pages += 1
        if self.on_page is not None:
            await self.on_page(self.pages)
        first = int(query.get("cursor") or 0)
        last = min(first + min(int(query["limit"]), self.page), self.count)
        listed = [self.market(number) for number in range(first, last)]
        wanted = [m for m in listed if query.get("status") != "open" or _is_open(m)]
        return _json({"markets": wanted, "cursor": str(last) if last < self.count else ""})


def _is_open(market: Any) -> bool:
    return not isinstance(market, dict) or market.get("status") == "active"


def _json(content: Any) -> web.Response:
    return web.Response(body=msgspec.json.encode(content), content_type="application/json")


async def never() -> None:
    await asyncio.Event().wait()
