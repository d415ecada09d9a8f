"""A WebSocket passes the same checks as a request, before anything is accepted."""

import base64
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket

from serve_archive import serving
from ssmd.serve.answers import BadRequest

KEY = "secret ключ"


async def echo(websocket: WebSocket) -> None:
    """Tells what of the handshake it can see."""
    if "bad" in websocket.query_params:
        raise BadRequest("bad is bad", hint="leave it away")
    await websocket.accept()
    seen = [*websocket.scope["subprotocols"], *websocket.headers.getlist("sec-websocket-protocol")]
    await websocket.send_json(seen)
    await websocket.close()


@asynccontextmanager
async def echoing(root: Path, **options: Any) -> AsyncIterator[aiohttp.ClientSession]:
    async with serving(root, routes=[WebSocketRoute("/echo", echo)], **options) as client:
        yield client


async def seen(
    client: aiohttp.ClientSession,
    *protocols: str,
    path: str = "/echo",
    **headers: str,
) -> tuple[str | None, Sequence[str]]:
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    async with client.ws_connect(path, protocols=protocols, headers=sent) as opened:
        return opened.protocol, await opened.receive_json()


async def refused(client: aiohttp.ClientSession, *protocols: str, **headers: str) -> int:
    with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
        await seen(client, *protocols, **headers)
    return caught.value.status


def as_protocol(key: str) -> str:
    return "key." + base64.urlsafe_b64encode(key.encode()).decode().rstrip("=")


async def test_a_key_is_sent_as_header_or_subprotocol(root: Path) -> None:
    async with echoing(root, key=KEY) as client:
        assert await seen(client, X_API_Key=KEY) == (None, [])
        assert await seen(client, "ssmd", as_protocol(KEY)) == ("ssmd", ["ssmd"])
        assert await seen(client, as_protocol(KEY), "ssmd") == ("ssmd", ["ssmd"])
        assert await seen(client, "other", as_protocol(KEY)) == (None, ["other"])


async def test_without_its_key_nothing_opens(root: Path) -> None:
    async with echoing(root, key=KEY) as client:
        assert await refused(client) == 401
        assert await refused(client, X_API_Key="wrong") == 401
        for wrong in (as_protocol("wrong"), "key.", "key.a", "key.!!!!", KEY.encode().hex()):
            assert await refused(client, "ssmd", wrong) == 401
        # The header counts, where both are sent.
        assert await refused(client, "ssmd", as_protocol(KEY), X_API_Key="wrong") == 401


@pytest.mark.parametrize(
    "origin",
    ["http://evil.example", "null", "http://127.0.0.1:1", "http://127.0.0.1", "file://", "http://",
     "https://[", "chrome-extension://abc"],
)  # fmt: skip
async def test_pages_of_other_origins_are_refused(root: Path, origin: str) -> None:
    async with echoing(root, key=KEY) as client:
        assert await refused(client, Origin=origin, X_API_Key=KEY) == 403
        assert await seen(client, Origin=str(client._base_url).rstrip("/"), X_API_Key=KEY)
    async with echoing(root) as client:
        assert await refused(client, Origin=origin) == 403
        async with client.post("/datasets", headers={"Origin": origin}) as answer:
            assert answer.status == 403


async def test_pages_of_allowed_origins_may_ask(root: Path) -> None:
    async with echoing(root, origins=["https://charts.example"]) as client:
        assert await seen(client, Origin="https://charts.example") == (None, [])
        assert await refused(client, Origin="http://charts.example") == 403


async def test_behind_a_proxy_the_page_is_of_the_name_that_is_asked(root: Path) -> None:
    async with echoing(root, key=KEY) as client:
        named = {"Host": "data.example", "X-API-Key": KEY}
        assert await seen(client, Origin="https://data.example", **named) == (None, [])
        assert await refused(client, Origin="https://data.example:8443", **named) == 403
        assert await refused(client, Origin="https://evil.example", **named) == 403


async def test_without_a_key_only_this_machine(root: Path) -> None:
    async with echoing(root) as client:
        assert await refused(client, Host="evil.example") == 403
        assert await seen(client, Host="localhost:1") == (None, [])


async def test_an_error_before_accept_is_an_answer(root: Path) -> None:
    async with echoing(root) as client:
        with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
            await seen(client, path="/echo?bad")
        assert caught.value.status == 400
