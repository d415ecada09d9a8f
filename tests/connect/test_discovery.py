"""Instrument discovery against a REST server that misbehaves."""

import asyncio
import json
from collections.abc import Awaitable, Callable

import pytest

from connect.venue import Peer, Script, refusing, venue
from ssmd.config import Instruments, ResolvedFeed
from ssmd.connect import discovery
from ssmd.connect.rest import open_rest
from ssmd.errors import ExchangeError, ExchangeRefused
from ssmd.exchanges import exchange
from ssmd.runtime import unless

PAIRS = {
    "error": [],
    "result": {
        name: {"altname": name, "wsname": f"{name[:3]}/USD", "base": name[:3], "quote": "USD"}
        for name in ("AAAUSD", "BBBUSD")
    },
}


def answering(body: bytes, status: str = "200 OK", *headers: str) -> Script:
    async def script(peer: Peer) -> None:
        await peer.request()
        head = [f"HTTP/1.1 {status}", *headers, f"Content-Length: {len(body)}", "", ""]
        await peer.write("\r\n".join(head).encode() + body)

    return script


GOOD = answering(json.dumps(PAIRS).encode())


async def found(url: str) -> list[str]:
    feed = ResolvedFeed(
        name="kraken", exchange="kraken", endpoint="ws://127.0.0.1:1",
        rest_endpoint=url.replace("ws://", "http://").removesuffix("/feed"),
        rest_stands_in=True, channels=(),
        depth=None, instruments=Instruments(), max_symbols_per_connection=None,
        rate_limit_per_second=None, stale_after_s=60.0, key=None,
    )  # fmt: skip
    async with open_rest(feed, exchange("kraken")) as rest:
        return await discovery.symbols(exchange("kraken"), feed, rest)


async def test_a_rate_limit_is_waited_out_and_asked_again() -> None:
    limited = refusing("429 Too Many Requests", "Retry-After: 1")
    async with venue(limited, GOOD) as server:
        assert await found(server.url) == ["AAA/USD", "BBB/USD"]
        assert server.met == 2


async def test_a_long_rate_limit_is_handed_up() -> None:
    async with venue(refusing("429 Too Many Requests", "Retry-After: 900")) as server:
        with pytest.raises(ExchangeError, match="429 and asks for 900 s of quiet") as caught:
            await found(server.url)
        assert caught.value.retry_after_s == 900
        assert server.met == 1


async def hang_up(peer: Peer) -> None:
    await peer.request()


async def cut_off(peer: Peer) -> None:
    await peer.request()
    await peer.write(b'HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\n{"error":')


async def babble(peer: Peer) -> None:
    await peer.write(b"\x00\xff\x1b[31m garbage\r\n\r\n" * 100)


@pytest.mark.parametrize(
    ("script", "kind", "says"),
    [
        (refusing("401 Unauthorized"), ExchangeRefused, r"refused us \(401\)"),
        (refusing("302 Found", "Location: http://x/y"), ExchangeRefused, "redirects to http://x/y"),
        (refusing("404 Not Found"), ExchangeRefused, "answered 404"),
        (refusing("503 Service Unavailable", "Retry-After: 5"), ExchangeError, "answered 503"),
        (answering(b"<html>down for maintenance</html>"), ExchangeError, "unexpected answer"),
        (answering(b"\xff\xfe\x00"), ExchangeError, "unexpected answer"),
        (answering(b"[" * 200_000), ExchangeError, "unexpected answer"),
        (answering(b"not gzip", "200 OK", "Content-Encoding: gzip"), ExchangeError, "cannot reach"),
        (hang_up, ExchangeError, "cannot reach"),
        (cut_off, ExchangeError, "cannot reach"),
        (babble, ExchangeError, "cannot reach"),
    ],
)
async def test_what_is_no_list_is_a_plain_error(
    script: Callable[[Peer], Awaitable[None]], kind: type[ExchangeError], says: str
) -> None:
    async with venue(script) as server:
        with pytest.raises(ExchangeError, match=says) as caught:
            await found(server.url)
    assert type(caught.value) is kind
    assert caught.value.message.isprintable()
    assert len(caught.value.message) < 400


async def test_an_endless_answer_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ssmd.connect.rest.MAX_ANSWER_BYTES", 1 << 20)

    async def endless(peer: Peer) -> None:
        await peer.request()
        await peer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while True:
            await peer.write(b"10000\r\n" + b" " * 0x10000 + b"\r\n")

    async with venue(endless) as server:
        with pytest.raises(ExchangeError, match="more than 1048576 bytes"):
            await found(server.url)


async def test_a_stop_ends_a_request_that_hangs() -> None:
    asked = asyncio.Event()

    async def hang(peer: Peer) -> None:
        await peer.request()
        asked.set()
        await peer.gone()

    stop = asyncio.Event()

    async def stopping() -> None:
        await asked.wait()
        stop.set()

    async with venue(hang) as server, asyncio.TaskGroup() as tasks:
        tasks.create_task(stopping())
        assert await unless(stop, found(server.url)) is None
