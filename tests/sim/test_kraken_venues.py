"""The simulated Krakens through real sockets: all that can be verified is, as on the exchanges."""

from collections import Counter

import aiohttp
import pytest

from ssmd.exchanges import EXCHANGES
from ssmd.sim.server import SimOptions, Simulator

FRAMES = 5_000


@pytest.mark.parametrize("name", ["kraken", "kraken_futures"])
async def test_every_book_and_trade_of_a_market_verifies(name: str) -> None:
    exchange = EXCHANGES[name]
    request = exchange.instruments_request({})
    options = SimOptions(exchanges=(name,), rate=None)
    async with Simulator(options) as sim, aiohttp.ClientSession() as http:
        async with http.get(sim.rest_url(name) + request.path) as answer:
            listed = exchange.instruments_page(request, await answer.read()).instruments
        symbols = [instrument.sym for instrument in listed if instrument.active]
        found: Counter[tuple[str, str]] = Counter()
        async with http.ws_connect(sim.ws_url(name)) as socket:
            for subscription in exchange.plan(exchange.channels, symbols)[0].subscriptions:
                for command in exchange.subscribe(subscription, 1):
                    await socket.send_str(command.frame.decode())
            checks = exchange.continuity()
            for _ in range(FRAMES):
                frame = (await socket.receive_str()).encode()
                header = exchange.classify(frame)
                found[header.type, checks.check(header, frame).state] += 1
    assert not any(state == "broken" for _, state in found)
    assert found["book", "verified"] > FRAMES // 2
    assert found["book", "unverified"] == 0
    assert found["trade", "verified"] > 0
    # Only the first trade of a symbol has nothing to follow.
    assert found["trade", "unverified"] <= len(symbols)


@pytest.mark.parametrize(
    ("name", "symbol", "kind"), [("kraken", "FOO/USD", "error"), ("kraken_futures", "FOO", "error")]
)
async def test_unknown_symbols_are_refused(name: str, symbol: str, kind: str) -> None:
    exchange = EXCHANGES[name]
    options = SimOptions(exchanges=(name,))
    async with (
        Simulator(options) as sim,
        aiohttp.ClientSession() as http,
        http.ws_connect(sim.ws_url(name)) as socket,
    ):
        (plan,) = exchange.plan(["book"], [symbol])
        (command,) = exchange.subscribe(plan.subscriptions[0], 9)
        await socket.send_str(command.frame.decode())
        assert exchange.classify((await socket.receive_str()).encode()).kind in ("idle", "status")
        refusal = (await socket.receive_str()).encode()
        assert exchange.classify(refusal).kind == kind
        assert exchange.answers(refusal)[0].fatal
