"""Bytes that no client library would send, on a real socket, and an endpoint that takes a body."""

import asyncio
import contextlib
import gzip
import re
from collections.abc import AsyncIterator

import aiohttp
from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from serve_archive import DAY
from ssmd.serve.answers import answer
from ssmd.serve.body import Body
from ssmd.serve.describe import describe

SAMPLE = f"/datasets/kalshi/{DAY}/sample".encode()
HERE = b"Host: localhost"
PATIENCE_S = 60


class Numbers(Struct):
    numbers: list[int]


NUMBERS: Body[Numbers] = Body(Numbers, "numbers", max_bytes=1000)


@describe(body=NUMBERS)
async def total(request: Request) -> Response:
    """Takes a body."""
    return answer(sum((await NUMBERS.of(request)).numbers))


ROUTES = [Route("/total", total, methods=["POST"])]


def port(client: aiohttp.ClientSession) -> int:
    assert client._base_url is not None
    assert client._base_url.port is not None
    return client._base_url.port


@contextlib.asynccontextmanager
async def connected(
    client: aiohttp.ClientSession,
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port(client))
    try:
        yield reader, writer
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def talk(client: aiohttp.ClientSession, *parts: bytes) -> bytes:
    """All that is answered until the server closes."""
    async with connected(client) as (reader, writer):
        got = b""
        with contextlib.suppress(OSError):
            for part in parts:
                writer.write(part)
                await writer.drain()
        async with asyncio.timeout(PATIENCE_S):
            with contextlib.suppress(OSError):
                while part := await reader.read(1 << 16):
                    got += part
        return got


async def well(client: aiohttp.ClientSession) -> None:
    """Probes and data are answered."""
    for path in ("/health", "/datasets", SAMPLE.decode()):
        async with client.get(path) as response:
            assert response.status == 200
            await response.read()


def statuses(got: bytes) -> list[int]:
    return [int(code) for code in re.findall(rb"HTTP/1\.[01] (\d{3})", got)]


def get(target: bytes, *headers: bytes, version: bytes = b"1.1", method: bytes = b"GET") -> bytes:
    head = method + b" " + target + b" HTTP/" + version
    return b"\r\n".join((head, *(headers or (HERE,)), b"Connection: close", b"", b""))


def post(*headers: bytes, content: bytes = b"", target: bytes = b"/total") -> bytes:
    lines = (b"POST " + target + b" HTTP/1.1", HERE, *headers, b"Connection: close", b"", content)
    return b"\r\n".join(lines)


def length(content: bytes) -> bytes:
    return b"Content-Length: %d" % len(content)


def chunks(*parts: bytes) -> bytes:
    return b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"


GOOD = b'{"numbers":[1,2]}'
LONG = b'{"numbers":[' + b"1," * 1000 + b"1]}"
DEEP = b'{"numbers":' + b"[" * 450 + b"]" * 450 + b"}"
BOMB = gzip.compress(b"1" * 10_000_000)
CHUNKED = b"Transfer-Encoding: chunked"
