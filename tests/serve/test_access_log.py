"""One line a request: who, what, how it went; no secret, and no line that a client wrote."""

import logging
import re
from pathlib import Path

import pytest
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket

from serve_archive import serving

LINE = re.compile(r"127\.0\.0\.1 (\S+) (GET|HEAD|POST|DELETE|WS|other) '([^']*)' (\d+) [\d.]+ ms")


async def once(websocket: WebSocket) -> None:
    await websocket.accept()
    await websocket.close()


async def test_the_log(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "ssmd.serve.watch")
    routes = [WebSocketRoute("/once", once)]
    async with serving(root, key="hunter2", routes=routes) as client:
        key = {"X-API-Key": "hunter2"}
        for path, headers in (
            ("/datasets?feed=secret-query", key),
            ("/datasets", {"X-API-Key": "swordfish"}),
            ("/a%0d%0aGET%20'/forged'%20200", key),
            ("/%1b[2J%e2%80%ae", {"User-Agent": "secret-agent"}),
        ):
            async with client.get(path, headers=headers):
                pass
        async with client.ws_connect("/once", headers=key):
            pass
    lines = [record.getMessage() for record in caplog.records if record.levelno == logging.INFO]
    assert [found.groups() for line in lines if (found := LINE.fullmatch(line))][:2] == [
        ("SSMD_API_KEY", "GET", "/datasets", "200"),
        ("-", "GET", "/datasets", "401"),
    ]
    assert lines[-1].startswith("127.0.0.1 SSMD_API_KEY WS '/once' 101 ")
    text = "\n".join(record.getMessage() for record in caplog.records)
    assert all(line.isascii() and line.isprintable() for line in lines)
    for secret in ("hunter2", "swordfish", "secret-query", "secret-agent"):
        assert secret not in text
