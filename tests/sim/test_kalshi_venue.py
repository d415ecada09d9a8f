"""The simulated Kalshi as a client sees it: signed handshake, commands, numbers, REST."""

import json
import time
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from sim.wire import NOW_NS, SYMBOLS, Wire, connected, key, simulated
from ssmd.exchanges import EXCHANGES
from ssmd.sim.server import Simulator

A, B = SYMBOLS["kalshi"]


def said(cmd: str, request: int = 7, **params: Any) -> bytes:
    return json.dumps({"id": request, "cmd": cmd, "params": params}).encode()


async def answer(client: Wire, command: bytes) -> Any:
    client.say(command)
    return json.loads(await client.ack())


@pytest.fixture
async def quiet() -> AsyncIterator[Simulator]:
    """A market in which nothing happens by itself."""
    async with simulated("kalshi", rate=1e-9) as sim:
        yield sim


async def status(sim: Simulator, **changed: str | None) -> int:
    """Of a handshake in which these headers are others; None: absent."""
    url = sim.ws_url("kalshi")
    headers = EXCHANGES["kalshi"].handshake_headers(
        url, {"api_key": "k", "private_key": key()[0]}, time.time_ns() // 1_000_000
    )
    sent = {**headers, **{f"KALSHI-ACCESS-{name}": value for name, value in changed.items()}}
    upgrade = {
        "Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    }  # fmt: skip
    found = {name: value for name, value in sent.items() if value is not None}
    async with (
        aiohttp.ClientSession() as http,
        http.get(url.replace("ws:", "http:"), headers={**upgrade, **found}) as got,
    ):
        return got.status


async def test_only_a_signed_handshake_of_these_minutes_is_accepted(quiet: Simulator) -> None:
    now_ms = time.time_ns() // 1_000_000
    assert await status(quiet) == 101
    assert await status(quiet, KEY=None) == 401
    assert await status(quiet, KEY="") == 401
    assert await status(quiet, SIGNATURE=None) == 401
    assert await status(quiet, SIGNATURE="no base64!") == 401
    assert await status(quiet, SIGNATURE="bm8gc2lnbmF0dXJl") == 401
    assert await status(quiet, SIGNATURE="\xe9") == 401
    assert await status(quiet, TIMESTAMP=None) == 401
    assert await status(quiet, TIMESTAMP="soon") == 401
    assert await status(quiet, TIMESTAMP="\xb2") == 401
    assert await status(quiet, TIMESTAMP=str(now_ms - 3_600_000)) == 401
    # Another moment is not what was signed.
    assert await status(quiet, TIMESTAMP=str(now_ms - 5_000)) == 401


async def test_a_subscription_from_ack_to_end(quiet: Simulator) -> None:
    async with connected(quiet, "kalshi") as client:
        client.say(said("subscribe", channels=["orderbook_delta"], market_tickers=[A]))
        ack, snapshot = [json.loads(frame) for frame in await client.take(2)]
        assert ack == {
            "id": 7,
            "type": "subscribed",
            "msg": {"channel": "orderbook_delta", "sid": 1},
        }
        assert (snapshot["type"], snapshot["sid"], snapshot["seq"]) == ("orderbook_snapshot", 1, 1)
        assert snapshot["msg"]["market_ticker"] == A
        client.say(said("update_subscription", 8, sids=[1], action="add_markets",
                        market_tickers=[B]))  # fmt: skip
        ok, more = [json.loads(frame) for frame in await client.take(2)]
        assert ok == {"id": 8, "sid": 1, "seq": 2, "type": "ok", "msg": {"market_tickers": [A, B]}}
        assert (more["msg"]["market_ticker"], more["seq"]) == (B, 3)
        client.say(said("update_subscription", 9, sids=[1], action="get_snapshot",
                        market_tickers=[A]))  # fmt: skip
        (again,) = [json.loads(frame) for frame in await client.take(1)]
        assert (again["id"], again["seq"], again["msg"]) == (9, 4, snapshot["msg"])
        command = said("update_subscription", 10, sids=[1], action="delete_markets",
                       market_tickers=[A])  # fmt: skip
        assert (await answer(client, command))["msg"] == {"market_tickers": [B]}
        listed = await answer(client, said("list_subscriptions", 11))
        assert listed["msg"] == [{"channel": "orderbook_delta", "sid": 1}]
        over = await answer(client, said("unsubscribe", 12, sids=[1]))
        assert over == {"id": 12, "sid": 1, "seq": 6, "type": "unsubscribed"}
        assert (await answer(client, said("list_subscriptions", 13)))["msg"] == []


@pytest.mark.parametrize(
    ("command", "code"),
    [
        (b"{", 1),
        (b"[]", 1),
        (b'{"cmd":"subscribe"}', 2),
        (said("subscribe"), 3),
        (said("unsubscribe"), 4),
        (said("dance"), 5),
        (said("unsubscribe", sids=[99]), 7),
        (said("subscribe", channels=["gossip"]), 8),
        (said("subscribe", channels=["trade"], market_tickers=["KXNONE"]), 11),
        (said("subscribe", channels=["trade"], market_ticker=A, market_tickers=[B]), 11),
        (said("update_subscription", sids=[1, 2], action="add_markets"), 12),
        (said("update_subscription", sids=[1], action="paint", market_tickers=[A]), 13),
        (said("update_subscription", sids=[1], action="get_snapshot", market_tickers=[A]), 13),
        (said("subscribe", channels=["orderbook_delta"]), 14),
        (said("update_subscription", sids=[1], market_tickers=[A]), 15),
    ],
)
async def test_what_is_refused_and_with_which_code(
    quiet: Simulator, command: bytes, code: int
) -> None:
    async with connected(quiet, "kalshi") as client:
        await answer(client, said("subscribe", 1, channels=["trade"], market_tickers=[A]))
        told = await answer(client, command)
        assert (told["type"], told["msg"]["code"]) == ("error", code)


async def test_trades_come_with_their_equal_and_opposite_delta() -> None:
    async with simulated("kalshi") as sim, connected(sim, "kalshi") as client:
        client.say(said("subscribe", channels=["orderbook_delta", "trade"], market_tickers=[A, B]))
        frames = [json.loads(frame) for frame in await client.take(2_000)]
    trades = [frame["msg"] for frame in frames if frame["type"] == "trade"]
    deltas = [frame["msg"] for frame in frames if frame["type"] == "orderbook_delta"]
    assert trades
    for trade in trades:
        assert any(
            delta["market_ticker"] == trade["market_ticker"] and delta["ts_ms"] == trade["ts_ms"]
            and float(delta["delta_fp"]) == -float(trade["count_fp"]) for delta in deltas
        )  # fmt: skip


async def test_a_ping_is_answered_and_heartbeats_are_pings(quiet: Simulator) -> None:
    async with connected(quiet, "kalshi") as client:
        await client.pong()
        assert client.heard == []


async def test_markets_open_and_settle() -> None:
    async with (
        simulated("kalshi", lifecycle_every=50) as sim,
        connected(sim, "kalshi") as client,
    ):
        client.say(said("subscribe", 1, channels=["market_lifecycle_v2"]))
        client.say(said("subscribe", 2, channels=["trade"], market_tickers=[A, B]))
        seen = set()
        while not {"created", "determined", "settled"} <= seen:
            frame = json.loads(await client.frame())
            if frame["type"] == "market_lifecycle_v2":
                seen.add(frame["msg"]["event_type"])


async def test_rest_tells_what_the_socket_tells(quiet: Simulator) -> None:
    async with connected(quiet, "kalshi") as client, aiohttp.ClientSession() as http:
        client.subscribe("orderbook_delta", [A])
        (_, snapshot) = [json.loads(frame) for frame in await client.take(2)]
        async with http.get(f"{quiet.rest_url('kalshi')}/markets/{A}/orderbook") as got:
            book = (await got.json())["orderbook_fp"]
        assert sorted(book["yes_dollars"]) == sorted(snapshot["msg"]["yes_dollars_fp"])
        assert sorted(book["no_dollars"]) == sorted(snapshot["msg"]["no_dollars_fp"])
        async with http.get(f"{quiet.rest_url('kalshi')}/markets", params={"limit": "3"}) as got:
            page = await got.json()
        assert [market["ticker"] for market in page["markets"]][:2] == [A, B]
        assert page["cursor"]
        assert page["markets"][0]["open_time"].startswith("2026-08-10")
        assert NOW_NS // 10**9 == 1_786_401_938
        for path in ("/markets/KXNONE", "/markets/KXNONE/orderbook", "/nowhere"):
            async with http.get(quiet.rest_url("kalshi") + path) as got:
                assert got.status == 404
        async with http.get(f"{quiet.rest_url('kalshi')}/markets", params={"limit": "x"}) as got:
            assert got.status == 400
        async with http.delete(f"{quiet.rest_url('kalshi')}/markets") as got:
            assert got.status == 405
