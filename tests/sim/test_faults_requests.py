"""REST calls that go wrong, as a plain HTTP client meets them."""

import asyncio
import json

import aiohttp
import pytest

from sim.wire import simulated
from ssmd.exchanges import EXCHANGES
from ssmd.exchanges.base import Request
from ssmd.sim.faults import Fault
from ssmd.sim.server import Simulator

BOOK_OF = {
    "kalshi": "KXSIM-E00000-T000000",
    "polymarket": str(10**60),
    "kraken": "BTC/USD",
    "kraken_futures": "PF_XBTUSD",
}
everywhere = pytest.mark.parametrize("exchange", EXCHANGES)


def listing(sim: Simulator, exchange: str) -> tuple[str, dict[str, str]]:
    return address(sim, exchange, EXCHANGES[exchange].instruments_request({}))


def book(sim: Simulator, exchange: str) -> tuple[str, dict[str, str]]:
    return address(sim, exchange, EXCHANGES[exchange].book_request(BOOK_OF[exchange]))


def address(sim: Simulator, exchange: str, request: Request) -> tuple[str, dict[str, str]]:
    """URL and query; what has a host of its own is at the simulator, too."""
    path = request.path.partition("polymarket.com")[2] or request.path
    return sim.rest_url(exchange) + path, dict(request.query)


async def body(http: aiohttp.ClientSession, where: tuple[str, dict[str, str]]) -> bytes:
    async with http.get(where[0], params=where[1]) as answer:
        assert answer.status == 200
        return await answer.read()


@pytest.mark.parametrize(
    ("value", "status", "after"),
    [(None, 503, None), ("401", 401, None), ("429/3", 429, "3"), ("429", 429, None),
     ("500", 500, None), ("520", 520, None)],
)  # fmt: skip
@everywhere
async def test_status(exchange: str, value: str | None, status: int, after: str | None) -> None:
    fault = Fault(kind="rest", exchange=exchange, value=value, count=2, after=1)
    async with simulated(exchange, fault) as sim, aiohttp.ClientSession() as http:
        where = listing(sim, exchange)
        await body(http, where)
        for _ in range(2):
            async with http.get(where[0], params=where[1]) as answer:
                assert answer.status == status
                assert answer.headers.get("Retry-After") == after
        await body(http, where)
        assert [(e.fault, e.value) for e in sim.ledger.events] == [("rest", value)] * 2


@everywhere
async def test_malformed(exchange: str) -> None:
    fault = Fault(kind="rest", exchange=exchange, value="garbage")
    async with simulated(exchange, fault) as sim, aiohttp.ClientSession() as http:
        with pytest.raises(json.JSONDecodeError):
            json.loads(await body(http, listing(sim, exchange)))
        assert json.loads(await body(http, listing(sim, exchange)))


@everywhere
async def test_truncated(exchange: str) -> None:
    """Half of the body, of which the head tells the whole length."""
    fault = Fault(kind="rest", exchange=exchange, value="truncated", after=1)
    async with simulated(exchange, fault) as sim, aiohttp.ClientSession() as http:
        where = listing(sim, exchange)
        whole = await body(http, where)
        async with http.get(where[0], params=where[1]) as answer:
            assert answer.content_length == len(whole)
            with pytest.raises(aiohttp.ClientPayloadError):
                await answer.read()
        assert await body(http, where)


@everywhere
async def test_slow(exchange: str) -> None:
    """In pieces, whole, and the connection can be used again."""
    fault = Fault(kind="rest", exchange=exchange, value="slow/0.2", after=1)
    async with simulated(exchange, fault, rate=1.0) as sim, aiohttp.ClientSession() as http:
        where = book(sim, exchange)
        whole = await body(http, where)
        async with http.get(where[0], params=where[1]) as answer:
            pieces = [piece async for piece in answer.content.iter_any()]
        assert len(pieces) > 1
        assert len(b"".join(pieces)) == len(whole)
        assert json.loads(b"".join(pieces))
        await body(http, where)


async def test_a_request_behind_a_slow_one_is_answered_after_it() -> None:
    fault = Fault(kind="rest", exchange="kraken", value="slow/0.1")
    async with simulated("kraken", fault) as sim:
        reader, writer = await asyncio.open_connection("127.0.0.1", sim.port)
        ask = b"GET /kraken/0/public/%b HTTP/1.1\r\nHost: sim\r\nConnection: %b\r\n\r\n"
        writer.write(ask % (b"SystemStatus", b"keep-alive") + ask % (b"Time", b"close"))
        first, _, second = (await reader.read()).partition(b"}}HTTP/1.1 200")
        assert b"online" in first
        assert b"unixtime" in second
        writer.close()
        await writer.wait_closed()


@everywhere
async def test_hang(exchange: str) -> None:
    """No answer, while others get theirs."""
    fault = Fault(kind="rest", exchange=exchange, value="hang")
    async with simulated(exchange, fault) as sim, aiohttp.ClientSession() as http:
        hanging = asyncio.ensure_future(body(http, listing(sim, exchange)))
        (active,) = sim.faults
        await active.fired.wait()
        for _ in range(20):
            await body(http, listing(sim, exchange))
        assert not hanging.done()
        hanging.cancel()
        await asyncio.wait([hanging])


@everywhere
async def test_one_path(exchange: str) -> None:
    async with simulated(exchange) as sim, aiohttp.ClientSession() as http:
        path = book(sim, exchange)[0].removeprefix(f"http://127.0.0.1:{sim.port}/{exchange}")
        sim.inject(Fault(kind="rest", exchange=exchange, path=path, value="garbage", count=None))
        for _ in range(3):
            assert json.loads(await body(http, listing(sim, exchange)))
            assert not (await body(http, book(sim, exchange))).startswith(b"{")
        sim.clear()
        sim.inject(Fault(kind="rest", exchange=exchange, path="*/nowhere", count=None))
        assert json.loads(await body(http, book(sim, exchange)))


async def test_all_exchanges_where_none_is_named() -> None:
    async with (
        simulated("kraken", Fault(kind="rest")) as sim,
        aiohttp.ClientSession() as http,
        http.get(listing(sim, "kraken")[0]) as answer,
    ):
        assert answer.status == 503
