"""The simulated Krakens through real sockets: all that can be verified is, as on the exchanges."""

import json
from collections import Counter
from typing import Any

import aiohttp
import pytest

from sim.wire import HEARTBEAT, SYMBOLS, connected, simulated
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


SPOT, FUTURES = SYMBOLS["kraken"], SYMBOLS["kraken_futures"]


def spot(method: str, number: int = 5, **params: Any) -> bytes:
    return json.dumps({"method": method, "params": params, "req_id": number}).encode()


def futures(event: str, feed: str, *products: str) -> bytes:
    return json.dumps({"event": event, "feed": feed, "product_ids": products}).encode()


async def test_spot_greets_acks_each_symbol_and_begins_with_a_snapshot() -> None:
    async with simulated("kraken", rate=1e-9) as sim, connected(sim, "kraken") as client:
        (greeting,) = await client.take(1)
        assert json.loads(greeting)["data"][0]["system"] == "online"
        client.say(spot("subscribe", channel="book", symbol=list(SPOT), depth=25))
        frames = [json.loads(frame) for frame in await client.take(4)]
        assert [f.get("method", f.get("type")) for f in frames] == ["subscribe", "snapshot"] * 2
        assert frames[0]["result"] == {
            "channel": "book", "symbol": SPOT[0], "depth": 25, "snapshot": True
        }  # fmt: skip
        assert (frames[0]["success"], frames[0]["req_id"]) == (True, 5)
        assert [len(frames[1]["data"][0][side]) for side in ("bids", "asks")] == [25, 25]


@pytest.mark.parametrize(
    ("command", "error"),
    [
        (b"{", "Malformed request"),
        (b"[]", "Malformed request"),
        (spot("dance", channel="book", symbol=["BTC/USD"]), "Unsupported method or channel"),
        (spot("subscribe", channel="gossip"), "Unsupported method or channel"),
        (spot("subscribe", channel="book", symbol="BTC/USD"), "Symbol(s) not found"),
        (spot("subscribe", channel="book", symbol=["A/B"]), "Currency pair not supported A/B"),
        (spot("subscribe", channel="book", symbol=["BTC/USD"], depth=7), "Depth not supported"),
    ],
)
async def test_spot_says_what_is_wrong(command: bytes, error: str) -> None:
    async with simulated("kraken", rate=1e-9) as sim, connected(sim, "kraken") as client:
        await client.take(1)
        client.say(command)
        told = json.loads(await client.frame())
        assert (told["error"], told["success"]) == (error, False)


async def test_spot_ping_and_heartbeat() -> None:
    async with simulated("kraken", rate=1e-9) as sim, connected(sim, "kraken") as client:
        client.say(spot("ping", 9))
        _, pong = await client.take(2)
        assert (json.loads(pong)["method"], json.loads(pong)["req_id"]) == ("pong", 9)
        client.say(spot("subscribe", channel="ticker", symbol=["BTC/USD"]))
        while await client.frame() != HEARTBEAT:
            pass


@pytest.mark.parametrize("name", ["kraken", "kraken_futures"])
async def test_what_is_unsubscribed_falls_silent(name: str) -> None:
    gone, left = SYMBOLS[name]
    async with simulated(name) as sim, connected(sim, name) as client:
        client.subscribe("book", SYMBOLS[name])
        for _ in SYMBOLS[name]:
            await client.ack()
        client.say(
            spot("unsubscribe", channel="book", symbol=[gone])
            if name == "kraken"
            else futures("unsubscribe", "book", gone)
        )
        ack = json.loads(await client.ack())
        assert "unsubscribe" in (ack.get("method") or ack["event"])
        assert {client.header(frame).sym for frame in await client.take(200)} == {left}


async def test_trades_come_with_a_snapshot_where_one_is_asked_for() -> None:
    async with simulated("kraken") as sim, connected(sim, "kraken") as client:
        client.say(spot("subscribe", channel="trade", symbol=["BTC/USD"]))
        client.say(spot("subscribe", channel="trade", symbol=["ETH/USD"], snapshot=True))
        types = dict[str, str]()
        while len(types) < 2:
            frame = await client.frame()
            if client.header(frame).type == "trade":
                told = json.loads(frame)
                for trade in told["data"]:
                    types.setdefault(trade["symbol"], told["type"])
                if not told["data"]:
                    types.setdefault("ETH/USD", told["type"])
        assert types == {"BTC/USD": "update", "ETH/USD": "snapshot"}


async def test_futures_greet_ack_and_begin_with_a_snapshot() -> None:
    name = "kraken_futures"
    async with simulated(name, rate=1e-9) as sim, connected(sim, name) as client:
        client.say(futures("subscribe", "book", *FUTURES))
        frames = [json.loads(frame) for frame in await client.take(5)]
        assert frames[0] == {"event": "info", "version": 1}
        for product, ack, snapshot in zip(FUTURES, frames[1::2], frames[2::2], strict=True):
            assert ack == {"event": "subscribed", "feed": "book", "product_ids": [product]}
            assert (snapshot["feed"], snapshot["product_id"]) == ("book_snapshot", product)
        client.say(futures("subscribe", "heartbeat"))
        assert json.loads(await client.frame())["event"] == "subscribed"


@pytest.mark.parametrize(
    ("command", "error"),
    [
        (b"{", "Invalid request"),
        (b'{"event":"subscribe","feed":"book","product_ids":"PF_XBTUSD"}', "Invalid request"),
        (futures("subscribe", "gossip", "PF_XBTUSD"), "Invalid feed"),
        (futures("dance", "book", "PF_XBTUSD"), "Invalid feed"),
        (futures("subscribe", "book", "PF_NONE"), "Invalid product id"),
    ],
)
async def test_futures_say_what_is_wrong(command: bytes, error: str) -> None:
    name = "kraken_futures"
    async with simulated(name, rate=1e-9) as sim, connected(sim, name) as client:
        await client.take(1)
        client.say(command)
        assert json.loads(await client.frame()) == {"event": "error", "message": error}
