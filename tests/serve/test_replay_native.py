"""Native replay: commands, refusals in the exchange's own form, gaps, and several connections."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from starlette.requests import HTTPConnection

from archives import DAY, ENV, Capture, archive, put, writer
from clients import kalshi, kraken, polymarket
from serve_archive import serving
from ssmd.apikey import ApiKey
from ssmd.archive.writer import NS_PER_DAY
from ssmd.serve.access import KEY
from ssmd.serve.answers import Forbidden
from ssmd.serve.replay.asked import window_of
from ssmd.serve.replay.native import VENUES

START = DAY * NS_PER_DAY


def snapshot(ticker: str, seq: int, sid: int = 1) -> bytes:
    return (
        b'{"type":"orderbook_snapshot","sid":%d,"seq":%d,"msg":{"market_ticker":"%b","market_id":"i",'
        b'"yes_dollars_fp":[["0.4100","10.00"],["0.4200","5.00"]],"no_dollars_fp":[["0.5500","7.50"]]}}'
        % (sid, seq, ticker.encode())
    )


def delta(ticker: str, seq: int, change: str = "1.00", sid: int = 1) -> bytes:
    return (
        b'{"type":"orderbook_delta","sid":%d,"seq":%d,"msg":{"market_ticker":"%b","market_id":"i",'
        b'"price_dollars":"0.4000","delta_fp":"%b","side":"yes","ts_ms":1728000000000}}'
        % (sid, seq, ticker.encode(), change.encode())
    )


SUBSCRIBED = b'{"id":1,"type":"subscribed","msg":{"channel":"orderbook_delta","sid":1}}'
KALSHI = [SUBSCRIBED, *(snapshot(t, n) for n, t in enumerate(("A", "B"), 1)), delta("A", 3)]


def path(exchange: str, **more: Any) -> str:
    query = {"from": START, "to": START + NS_PER_DAY, "speed": 0, **more}
    return f"/replay/{exchange}/ws?" + "&".join(f"{k}={v}" for k, v in query.items())


@asynccontextmanager
async def over(
    root: Path, exchange: str, *sessions: list[bytes]
) -> AsyncIterator[aiohttp.ClientSession]:
    """A server over the connections that got these frames, one after the other."""
    lines: list[bytes] = []
    now_ns = START
    for number, frames in enumerate(sessions, 1):
        capture = Capture(exchange, conn=f"c{number}", start_ns=now_ns)
        lines += capture.session(frames)
        now_ns = capture.now_ns
    archive(root, lines, exchange)
    async with serving(root, env=ENV) as client:
        yield client


@asynccontextmanager
async def talking(client: aiohttp.ClientSession, url: str) -> AsyncIterator[Any]:
    """Sends texts or objects, and gets what comes next."""

    async with client.ws_connect(url) as socket:

        async def ask(sent: Any, answers: int = 1) -> list[Any]:
            await socket.send_str(sent if isinstance(sent, str) else json.dumps(sent))
            return [loose(await socket.receive_str()) for _ in range(answers)]

        yield ask


def loose(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


async def test_a_gap_is_followed_by_a_snapshot(tmp_path: Path) -> None:
    """The exchange's own: what cannot be trusted does not come, and the repair does."""
    frames = [*KALSHI, delta("A", 5), delta("B", 6), snapshot("A", 7), delta("A", 8)]
    async with over(tmp_path, "kalshi", frames) as client:
        seen = await kalshi.run(client, path("kalshi"), ["A", "B"], ("orderbook_delta",))
    assert seen.wrong == []
    kinds = [json.loads(text)["type"].rpartition("_")[2] for text in seen.frames]
    assert kinds == ["subscribed", "snapshot", "snapshot", "delta", "snapshot", "delta"]


async def test_what_came_again_does_not_come_again(tmp_path: Path) -> None:
    frames = [*KALSHI, delta("A", 3), delta("A", 4)]
    async with over(tmp_path, "kalshi", frames) as client:
        seen = await kalshi.run(client, path("kalshi"), ["A"], ("orderbook_delta",))
    assert seen.wrong == []
    assert seen.counts["orderbook_delta"] == 2


async def test_frames_that_are_not_archived_end_their_books(tmp_path: Path) -> None:
    capture = Capture("polymarket")
    book = (
        b'{"event_type":"book","market":"0x1","asset_id":"1","bids":[{"price":"0.4","size":"1"}],'
        b'"asks":[],"timestamp":"1728000000000","hash":""}'
    )
    change = (
        b'{"event_type":"price_change","market":"0x1","price_changes":[{"asset_id":"1",'
        b'"price":"0.3","size":"1","side":"BUY"}],"timestamp":"1728000000001"}'
    )
    lines = [*capture.frame(book), *capture.frame(change)]
    capture.lose()
    lines += [*capture.frame(change), *capture.frame(book), *capture.frame(change)]
    archive(tmp_path, lines, "polymarket")
    async with serving(tmp_path, env=ENV) as client, talking(client, path("polymarket")) as ask:
        told = await ask({"assets_ids": ["1"], "type": "market"}, 5)
    # The snapshot that is made of nothing yet, then all but the change behind the loss.
    kinds = [frame["event_type"] if isinstance(frame, dict) else frame for frame in told]
    assert kinds == [[], "book", "price_change", "book", "price_change"]


async def test_connections_of_the_recorder_are_one_to_the_client(tmp_path: Path) -> None:
    async with over(tmp_path, "kalshi", KALSHI, KALSHI, KALSHI) as client:
        seen = await kalshi.run(client, path("kalshi"), ["A", "B"], ("orderbook_delta",))
    assert seen.wrong == []
    assert seen.counts == {"subscribed": 1, "orderbook_snapshot": 6, "orderbook_delta": 3}


async def test_kalshi_commands(tmp_path: Path) -> None:
    async with over(tmp_path, "kalshi", KALSHI) as client:
        start = START + 10**9  # after all of it: the books are there, and nothing happens
        url = path("kalshi", **{"from": START + 5 * 10**6}, to=start)
        async with talking(client, url) as ask:
            params: dict[str, Any] = {"channels": ["orderbook_delta"], "market_tickers": ["A"]}
            for sent, code in (
                ("{", 1), ({"id": 1, "cmd": "jump"}, 5), ({"cmd": "subscribe"}, 2),
                ({"cmd": "subscribe", "params": {}}, 3),
                ({"cmd": "subscribe", "params": {"channels": ["orderbook_delta"]}}, 14),
                ({"cmd": "subscribe", "params": {"channels": ["ticker_v2"]}}, 8),
                ({"cmd": "subscribe", "params": {**params, "market_tickers": ["Z"]}}, 11),
                ({"cmd": "subscribe", "params": {**params, "use_yes_price": True}}, 11),
                ({"cmd": "unsubscribe", "params": {"sids": [9]}}, 7),
                ("[" * 5000, 1),
            ):  # fmt: skip
                (answer,) = await ask(sent)
                assert answer["type"] == "error"
                assert answer["msg"]["code"] == code, sent


async def test_kalshi_subscriptions_come_and_go(tmp_path: Path) -> None:
    later = Capture("kalshi").session(KALSHI)
    far = Capture("kalshi", conn="c0", start_ns=START + 3600 * 10**9)
    archive(tmp_path, [*later[:-2], *far.session([])], "kalshi")
    async with serving(tmp_path, env=ENV) as client:
        url = path("kalshi", **{"from": START + 10**9}, speed="0.001")
        async with talking(client, url) as ask:
            params: dict[str, Any] = {"channels": ["orderbook_delta"], "market_tickers": ["A"]}
            ack, book = await ask({"id": 1, "cmd": "subscribe", "params": params}, 2)
            assert ack == {
                "id": 1, "type": "subscribed", "msg": {"channel": "orderbook_delta", "sid": 1},
            }  # fmt: skip
            assert book == {
                "type": "orderbook_snapshot", "sid": 1, "seq": 1, "msg": {
                    "market_ticker": "A", "market_id": "i",
                    "yes_dollars_fp": [["0.4000", "1.00"], ["0.4100", "10.00"], ["0.4200", "5.00"]],
                    "no_dollars_fp": [["0.5500", "7.50"]],
                },
            }  # fmt: skip
            update = {"sids": [1], "market_tickers": ["B"], "action": "add_markets"}
            ok, more = await ask({"id": 2, "cmd": "update_subscription", "params": update}, 2)
            assert (ok["seq"], ok["msg"]) == (2, {"market_tickers": ["A", "B"]})
            assert (more["seq"], more["msg"]["market_ticker"]) == (3, "B")
            update |= {"action": "get_snapshot"}
            (again,) = await ask({"id": 3, "cmd": "update_subscription", "params": update})
            assert (again["id"], again["seq"], again["msg"]) == (3, 4, more["msg"])
            update |= {"action": "delete_markets"}
            (ok,) = await ask({"id": 4, "cmd": "update_subscription", "params": update})
            assert (ok["seq"], ok["msg"]) == (5, {"market_tickers": ["A"]})
            (listed,) = await ask({"id": 5, "cmd": "list_subscriptions"})
            assert listed["msg"] == [{"channel": "orderbook_delta", "sid": 1}]
            (gone,) = await ask({"id": 6, "cmd": "unsubscribe", "params": {"sids": [1]}})
            assert (gone["type"], gone["sid"], gone["seq"]) == ("unsubscribed", 1, 6)


BAD = ("{", "[]", "null", "1", '{"method":[]}', '{"event":{}}', "[" * 5000, '"x"', "\x00")


@pytest.mark.parametrize("exchange", VENUES)
async def test_hostile_commands_are_refused_in_the_exchanges_form(
    tmp_path: Path, exchange: str
) -> None:
    forms = {
        "kalshi": lambda answer: answer["type"] == "error",
        "polymarket": lambda answer: answer == "INVALID OPERATION",
        "kraken": lambda answer: answer["success"] is False and answer["error"],
        "kraken_futures": lambda answer: answer["event"] == "error" and answer["message"],
    }
    greetings = {"kraken": 1, "kraken_futures": 1}.get(exchange, 0)
    async with over(tmp_path, exchange, []) as client, talking(client, path(exchange)) as ask:
        for text in BAD:
            answer = (await ask(text, 1 + greetings))[-1]
            greetings = 0
            assert forms[exchange](answer), (text, answer)


async def test_futures_and_kraken_say_what_they_do_not_know(tmp_path: Path) -> None:
    async with (
        over(tmp_path / "1", "kraken_futures", []) as client,
        talking(client, path("kraken_futures")) as ask,
    ):
        body = {"event": "subscribe", "feed": "book", "product_ids": ["PF_NONE"]}
        answer = (await ask(body, 2))[-1]
    assert answer == {"event": "error", "message": "Invalid product id"}
    async with (
        over(tmp_path / "2", "kraken", []) as client,
        talking(client, path("kraken")) as ask,
    ):
        ask_for = {"method": "subscribe", "params": {"channel": "ohlc", "symbol": ["A/B"]}}
        answer = (await ask({**ask_for, "req_id": 7}, 2))[-1]
    assert (answer["success"], answer["req_id"]) == (False, 7)


@pytest.mark.parametrize(
    ("url", "status"),
    [
        ("/replay/kraken/ws?from=2024-10-04", 404),
        ("/replay/mtgox/ws?from=2024-10-04", 404),
        ("/replay/kalshi/ws", 400),
        ("/replay/kalshi/ws?from=2024-10-04&speed=x", 400),
        ("/replay/kalshi/ws?from=2024-10-04&feed=../x", 400),
        ("/replay/kraken/ws?from=2024-10-04&feed=kalshi", 400),
    ],
)
async def test_what_cannot_be_replayed_natively(tmp_path: Path, url: str, status: int) -> None:
    async with over(tmp_path, "kalshi", KALSHI) as client:
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await client.ws_connect(url)
    assert refused.value.status == status


async def test_of_several_feeds_one_is_to_be_named(tmp_path: Path) -> None:
    for feed in ("kalshi", "kalshi-2"):
        with closing(writer(tmp_path, feed, exchange="kalshi")) as to:
            put(to, Capture("kalshi", feed).session(KALSHI))
            to.seal()
    async with serving(tmp_path, env=ENV) as client:
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await client.ws_connect(path("kalshi"))
        assert refused.value.status == 400
        url = path("kalshi", feed="kalshi")
        seen = await kalshi.run(client, url, ["A"], ("orderbook_delta",))
    assert seen.counts["orderbook_delta"] == 1


async def test_a_key_is_needed_where_one_is_set(tmp_path: Path) -> None:
    archive(tmp_path, Capture("kalshi").session(KALSHI), "kalshi")
    async with serving(tmp_path, env=ENV, key="secret") as client:
        for url in (path("kalshi"), "/v1/replay?feed=kalshi&from=2024-10-04"):
            with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
                await client.ws_connect(url)
            assert refused.value.status == 401
            async with client.ws_connect(url, headers={"X-API-Key": "secret"}) as socket:
                await socket.close()


def test_a_keys_days_bound_the_replay() -> None:
    key = ApiKey(
        id="k", sha256="", name="n", created="2026-01-01T00:00:00Z",  # type: ignore[arg-type]
        from_day=of("2024-10-04"), to_day=of("2024-10-05"),
    )  # fmt: skip

    def asked(query: str) -> Any:
        return window_of(
            HTTPConnection(
                {"type": "http", "query_string": query.encode(), "headers": [], KEY: key}
            )
        )

    window = asked("from=2024-01-01&to=2025-01-01")
    assert tuple(window) == (START, START + 2 * NS_PER_DAY)
    for query in ("from=2024-01-01&to=2024-10-04", "from=2024-10-06&to=2024-10-07"):
        with pytest.raises(Forbidden):
            asked(query)


def of(day: str) -> Any:
    from datetime import date

    return date.fromisoformat(day)


async def test_who_subscribes_to_some_gets_some(tmp_path: Path) -> None:
    """A frame of several symbols is split where the client wants one of them."""
    entry = '{"symbol":"%s","bid":1.10,"bid_qty":1,"ask":2.0,"ask_qty":1,"last":1.50}'
    both = '{"channel":"ticker","type":"update","data":[%s,%s]}' % (entry % "A/B", entry % "C/D")
    one = '{"channel":"ticker","type":"snapshot","data":[%s]}'
    frames = [one % (entry % "A/B"), one % (entry % "C/D"), both]
    async with over(tmp_path, "kraken", [frame.encode() for frame in frames]) as client:
        some = await kraken.run(client, path("kraken"), ["A/B"])
        all_ = await kraken.run(client, path("kraken"), ["A/B", "C/D"])
    assert (some.tickers, all_.tickers) == (2, 4)
    assert both in all_.frames
    assert '{"channel":"ticker","type":"update","data":[%s]}' % (entry % "A/B") in some.frames


async def test_events_of_no_subscription_need_the_feature(tmp_path: Path) -> None:
    new = b'{"event_type":"new_market","market":"0x1","assets_ids":["7","8"],"timestamp":"1"}'
    async with over(tmp_path, "polymarket", [new]) as client:
        with_ = await polymarket.run(client, path("polymarket"), ["1"])
        without = await polymarket.run(client, path("polymarket"), ["1"], features=False)
    assert (with_.counts, without.counts) == ({"new_market": 1}, {})
