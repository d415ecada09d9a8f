"""What an exchange says unasked, before our ``_connect`` is stored."""

import asyncio
import contextlib
import json
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from connect.harness import Capturing, until
from connect.test_outages import finish, holds, reading, start, stored
from connect.venue import Peer, Script, frame, trade, venue
from ssmd.bus import EmbeddedServer

GREETINGS = 50


@asynccontextmanager
async def hung(data: Path) -> AsyncIterator[None]:
    """NATS takes nothing while the block lasts."""
    facts = EmbeddedServer(data / "nats").facts
    assert facts is not None
    os.kill(facts.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(facts.pid, signal.SIGCONT)


class Line:
    """The way to NATS, cut off at will: what is on it then arrives nowhere."""

    def __init__(self, data: Path) -> None:
        self.cut = False
        self._data = data

    @asynccontextmanager
    async def open(self) -> AsyncIterator[str]:
        server = await asyncio.start_server(self._carry, "127.0.0.1", 0)
        try:
            yield f"nats://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        finally:
            server.close()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        facts = EmbeddedServer(self._data / "nats").facts
        assert facts is not None
        address = urlsplit(facts.url)
        there = await asyncio.open_connection(address.hostname, address.port)
        ways = (self._pass(reader, there[1]), self._pass(there[0], writer))
        await asyncio.gather(*ways)

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while piece := await reader.read(1 << 16):
                if not self.cut:
                    writer.write(piece)
        writer.close()


def greeting(*waves: asyncio.Event, done: asyncio.Event | None = None) -> Script:
    """Frames that nobody asked for: some with the answer to the handshake, some after."""

    async def script(peer: Peer) -> None:
        await waves[0].wait()
        await peer.upgrade(b"".join(frame(trade(n)) for n in range(1, GREETINGS)))
        for number in range(GREETINGS, 2 * GREETINGS):
            await peer.send(trade(number))
        if done is not None:
            done.set()
        await peer.gone()

    return script


WHOLE = [trade(n) for n in range(1, 2 * GREETINGS)]


async def test_a_greeting_is_kept_whole_and_after_the_connect(capturing: Capturing) -> None:
    go = asyncio.Event()
    go.set()
    async with venue(greeting(go)) as server, capturing(server.url) as captured:
        assert await captured.framed(len(WHOLE)) == WHOLE
        kinds = [m.type for m in await captured.messages()]
    assert kinds.index("_connect") < kinds.index("trade")


async def test_nothing_is_read_before_the_connect_is_stored(
    capturing: Capturing, tmp_path: Path
) -> None:
    go, done = asyncio.Event(), asyncio.Event()
    async with venue(greeting(go, done=done)) as server, capturing(server.url) as captured:
        await until(lambda: server.met == 1)
        async with hung(tmp_path):
            go.set()
            await done.wait()
            await asyncio.sleep(0.2)  # what it does not wait for, it does by then
            assert captured.status()["messages"] == 0
        assert await captured.framed(len(WHOLE)) == WHOLE


@pytest.mark.parametrize("code", [1000, 1012])
async def test_a_greeting_before_an_end_is_kept(capturing: Capturing, code: int) -> None:
    async def brief(peer: Peer) -> None:
        await peer.upgrade(frame(trade(1)) + frame(code.to_bytes(2, "big") + b"bye", 8))
        await peer.gone()

    async with venue(brief, greeting(done := asyncio.Event())) as server:
        done.set()
        async with capturing(server.url) as captured:
            ended = await captured.noted("_disconnect")
            assert await captured.framed(1 + len(WHOLE)) == [trade(1), *WHOLE]
    assert ended["frames"] == 1
    assert ended["code"] == code


async def test_a_kill_before_the_connect_is_stored_loses_nothing_that_was_read(
    tmp_path: Path,
) -> None:
    """TCP tells what was not read: the end of a process that leaves bytes unread is a reset."""
    go, done, reset = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def greets(peer: Peer) -> None:
        await go.wait()
        await peer.upgrade()
        await asyncio.sleep(0.1)
        await peer.send(trade(1))
        done.set()
        try:
            await peer.gone()
        except ConnectionResetError:
            reset.set()

    after = asyncio.Event()
    after.set()
    nats, line = EmbeddedServer(tmp_path / "nats"), Line(tmp_path)
    async with venue(greets, greeting(after)) as server, nats, line.open() as address:
        first = await start(tmp_path, server.url, address)
        try:
            await until(lambda: server.met == 1)
            line.cut = True
            go.set()
            await done.wait()
            await asyncio.sleep(0.2)  # what it does not wait for, it does by then
            first.kill()
            await finish(first)
            second = await start(tmp_path, server.url)
            try:
                async with reading(tmp_path) as reader:
                    await holds(reader, WHOLE[-1])
            finally:
                await finish(second)
            async with reading(tmp_path) as reader:
                found = await stored(reader)
        finally:
            await finish(first)
    opened = [m.conn for m in found if m.type == "_connect"]
    read = [m for m in found if (m.part or 0) >= 0]
    assert {m.conn for m in read} <= set(opened)
    assert reset.is_set() or [m.payload for m in read].count(trade(1)) == 2
    closed = {json.loads(m.payload).get("conn", m.conn) for m in found if m.type == "_disconnect"}
    assert closed == set(opened)
