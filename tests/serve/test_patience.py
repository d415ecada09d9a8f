"""Clients that are slow, that go without a word, and that send without end."""

import asyncio
import contextlib
import os
import socket
import struct
import zlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from rawhttp import CHUNKED, PATIENCE_S, ROUTES, SAMPLE, connected, get, post, statuses, well
from serve_archive import serving
from ssmd.serve import body, server


@pytest.fixture
async def client(root: Path) -> AsyncIterator[aiohttp.ClientSession]:
    async with serving(root, routes=ROUTES) as client:
        yield client


async def drip(writer: asyncio.StreamWriter, content: bytes) -> None:
    """A byte at a time, for ever."""
    with contextlib.suppress(OSError):
        while True:
            for byte in content:
                writer.write(bytes([byte]))
                await writer.drain()
                await asyncio.sleep(0.05)


DRIPS: dict[str, tuple[bytes, bytes]] = {
    "nothing": (b"", b""),
    "a request line": (b"", b"G"),
    "headers": (b"GET /datasets HTTP/1.1\r\nHost: localhost\r\n", b"A: b\r\n"),
    "a body": (post(b"Content-Length: 900"), b" "),
    "chunks": (post(CHUNKED), b"1\r\n \r\n"),
    "a body where none is taken": (post(b"Content-Length: 900", target=b"/datasets"), b" "),
}


@pytest.mark.parametrize("name", DRIPS)
async def test_drips_come_to_an_end(root: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "IDLE_S", 0.5)
    monkeypatch.setattr(body, "BODY_S", 0.5)
    first, rest = DRIPS[name]
    async with (
        serving(root, routes=ROUTES) as client,
        contextlib.AsyncExitStack() as stack,
        asyncio.TaskGroup() as tasks,
    ):
        pairs = [await stack.enter_async_context(connected(client)) for _ in range(20)]
        for _, writer in pairs:
            writer.write(first)
        dripping = [tasks.create_task(drip(writer, rest)) for _, writer in pairs if rest]
        await well(client)
        async with asyncio.timeout(PATIENCE_S):
            for reader, _ in pairs:
                with contextlib.suppress(ConnectionError):
                    found = statuses(await reader.read())
                    assert all(400 <= code < 500 for code in found), found
        for task in dripping:
            task.cancel()
        await well(client)


def sockets() -> int:
    return sum(1 for name in Path("/proc/self/fd").iterdir() if "socket" in _target(name))


def _target(name: Path) -> str:
    try:
        return str(name.readlink())
    except OSError:
        return ""


async def fewer(before: int) -> None:
    """Waits until no more sockets are open than there were."""
    async with asyncio.timeout(server.IDLE_S / 2):
        while sockets() > before:
            await asyncio.sleep(0.05)


def reset(writer: asyncio.StreamWriter) -> None:
    """Gone, without a word."""
    gone: socket.socket = writer.get_extra_info("socket")
    gone.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


def half_close(writer: asyncio.StreamWriter) -> None:
    writer.write_eof()


LEAVING: dict[str, Callable[[asyncio.StreamWriter], Any]] = {
    "reset": reset,
    "half closed": half_close,
}


@pytest.mark.parametrize("how", LEAVING)
@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"GET /data",
        b"GET /datasets HTTP/1.1\r\nHost: loc",
        get(SAMPLE),
        get(b"/v1/trades?from=2026-11-01"),
        post(b"Content-Length: 900") + b"{",
        post(CHUNKED) + b"5\r\n1",
    ],
)
async def test_clients_that_go(client: aiohttp.ClientSession, how: str, sent: bytes) -> None:
    """Their sockets are given back at once, not when the idle time is over."""
    await well(client)
    before = sockets()
    for _ in range(10):
        async with connected(client) as (reader, writer):
            writer.write(sent)
            await writer.drain()
            LEAVING[how](writer)
            if how == "half closed":
                async with asyncio.timeout(PATIENCE_S):
                    await reader.read()
    await fewer(before)
    await well(client)


async def test_hundreds_that_say_nothing_keep_no_one_out(client: aiohttp.ClientSession) -> None:
    await well(client)
    before = sockets()
    async with contextlib.AsyncExitStack() as stack:
        for _ in range(200):
            await stack.enter_async_context(connected(client))
        await well(client)
    await fewer(before)
    await well(client)


# --- WebSockets -----------------------------------------------------------------------------------


async def count(websocket: WebSocket) -> None:
    """Tells how long each message is."""
    await websocket.accept()
    with contextlib.suppress(WebSocketDisconnect):
        while True:
            await websocket.send_json(len(await websocket.receive_text()))


def frame(content: bytes, *, first: int = 0x81, says: int | None = None) -> bytes:
    """Masked with zeros; the shortest length that does."""
    size = len(content) if says is None else says
    length = bytes([0x80 + size]) if size < 126 else b"\xff" + size.to_bytes(8, "big")
    return bytes([first]) + length + bytes(4) + content


UPGRADE = (
    b"GET /count HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: YWFhYWFhYWFhYWFhYWFhYQ==\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n"
)


def resident_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


async def test_a_message_without_end_is_not_gathered(root: Path) -> None:
    part = b"x" * (1 << 20)
    async with serving(root, routes=[WebSocketRoute("/count", count)]) as client:
        async with connected(client) as (reader, writer):
            writer.write(UPGRADE)
            head = await reader.readuntil(b"\r\n\r\n")
            assert b"101" in head
            assert b"deflate" not in head.lower()
            writer.write(frame(b"abc"))
            assert (await reader.readexactly(3))[2:] == b"3"
            before = resident_bytes()
            writer.write(frame(b"", says=10 << 30))
            with contextlib.suppress(ConnectionError):
                for _ in range(150):
                    writer.write(part)
                    await writer.drain()
            assert resident_bytes() - before < 50 << 20
            assert (await reader.readexactly(4))[2:] == (1009).to_bytes(2, "big")
        await well(client)


async def test_a_compressed_message_is_refused_as_it_is(root: Path) -> None:
    squeezed = zlib.compressobj(9, zlib.DEFLATED, -15)
    bomb = squeezed.compress(b"1" * 30_000_000) + squeezed.flush(zlib.Z_SYNC_FLUSH)
    async with serving(root, routes=[WebSocketRoute("/count", count)]) as client:
        async with connected(client) as (reader, writer):
            writer.write(UPGRADE)
            await reader.readuntil(b"\r\n\r\n")
            writer.write(frame(bomb[:-4], first=0xC1))
            async with asyncio.timeout(PATIENCE_S):
                got = await reader.read()
            assert b"30000000" not in got
        await well(client)


async def test_a_client_that_does_not_wait_is_not_kept(root: Path) -> None:
    ended = asyncio.Event()

    async def told(websocket: WebSocket) -> None:
        await websocket.receive()
        with contextlib.suppress(WebSocketDisconnect):
            await websocket.receive()
        ended.set()

    async with serving(root, routes=[WebSocketRoute("/count", told)]) as client:
        async with connected(client) as (reader, writer):
            writer.write(UPGRADE + frame(b"abc"))
            async with asyncio.timeout(PATIENCE_S):
                assert statuses(await reader.read()) == [400]
                await ended.wait()
        await well(client)
