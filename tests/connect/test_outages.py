"""``ssmd connect`` as a process: NATS away at the start and lost later, long frames, signals."""

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from itertools import count
from pathlib import Path

from connect.harness import PATIENCE_S, configure, until
from connect.venue import Peer, frame, trade, venue
from ssmd import bus
from ssmd import message as wire
from ssmd.bus import Bus, EmbeddedServer
from ssmd.config import Transport
from ssmd.errors import BusError
from ssmd.message import Message

MIB = 1 << 20


async def start(
    folder: Path, url: str, nats: str = "embedded", more: str = ""
) -> asyncio.subprocess.Process:
    root = configure(folder / "config", {"kraken": url}, more)
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "ssmd", "connect", "--env", "test", "--config", str(root),
        "--data", str(folder), stderr=asyncio.subprocess.PIPE, stdin=asyncio.subprocess.DEVNULL,
        env={**os.environ, "SSMD_TRANSPORT_URL": nats},
    )  # fmt: skip


async def finish(process: asyncio.subprocess.Process) -> str:
    """Its exit, after SIGTERM, and what it said."""
    with contextlib.suppress(ProcessLookupError):
        process.terminate()
    async with asyncio.timeout(PATIENCE_S):
        _, said = await process.communicate()
    return said.decode()


async def stored(reader: Bus) -> list[Message]:
    name, pattern = wire.stream_name("test", "kraken"), wire.feed_subjects("test", "kraken")
    return [wire.decode(d.payload) async for d in reader.messages(name, pattern)]


def frames(messages: Sequence[Message]) -> list[bytes]:
    return [m.payload for m in messages if (m.part or 0) >= 0]


@contextlib.asynccontextmanager
async def reading(folder: Path) -> AsyncIterator[Bus]:
    async with bus.connect(Transport(), name="test", data=folder) as reader:
        yield reader


async def holds(reader: Bus, payload: bytes) -> list[Message]:
    """The stream, as soon as it holds this frame."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            with contextlib.suppress(BusError):
                if payload in frames(found := await stored(reader)):
                    return found
            await asyncio.sleep(0.1)


async def test_no_nats_at_the_start_is_one_clear_error(tmp_path: Path) -> None:
    process = await start(tmp_path, "ws://127.0.0.1:9/", "nats://user:hidden@127.0.0.1:9")
    async with asyncio.timeout(PATIENCE_S):
        _, said = await process.communicate()
    assert process.returncode == 1
    error, hint = said.decode().splitlines()
    assert error.startswith("Error: cannot connect to NATS at 127.0.0.1:9: ")
    assert hint.startswith("Try: is the server running")
    assert "hidden" not in said.decode()


async def test_a_stop_while_the_exchange_is_away_is_clean(tmp_path: Path) -> None:
    process = await start(tmp_path, "ws://127.0.0.1:9/")
    try:
        assert process.stderr is not None
        async with asyncio.timeout(PATIENCE_S):
            async for line in process.stderr:
                if b"cannot reach ws://127.0.0.1:9/: Connection refused" in line:
                    break
    finally:
        said = await finish(process)
    assert process.returncode == 0, said
    assert "cannot reach" not in said  # once was enough
    assert not (tmp_path / "nats" / "nats.json").exists()


async def test_losing_nats_again_and_again_loses_and_doubles_nothing(tmp_path: Path) -> None:
    sent = 0
    enough, ended = asyncio.Event(), asyncio.Event()

    async def pour(peer: Peer) -> None:
        nonlocal sent
        await peer.upgrade()
        for number in count(1):
            await peer.send(trade(number))
            sent = number
            await asyncio.sleep(0.001)
            if enough.is_set():
                break
        ended.set()
        await peer.gone()

    async with venue(pour) as server, EmbeddedServer(tmp_path / "nats") as nats:
        process = await start(tmp_path, server.url)
        try:
            async with reading(tmp_path) as reader:
                await holds(reader, trade(50))
                for _ in range(3):
                    facts = nats.facts
                    assert facts is not None
                    os.kill(facts.pid, signal.SIGKILL)
                    aim = sent + 300
                    await until(lambda aim=aim: sent >= aim)
                    await holds(reader, trade(sent))
                enough.set()
                await ended.wait()
                found = frames(await holds(reader, trade(sent)))
            said = await finish(process)
        finally:
            await finish(process)
    assert process.returncode == 0, said
    assert found == [trade(number) for number in range(1, sent + 1)]
    assert server.met == 1
    assert "lost NATS" in said
    assert "is back" in said


async def test_a_lost_store_is_made_again_and_noted(tmp_path: Path) -> None:
    go_on = asyncio.Event()

    async def pour(peer: Peer) -> None:
        await peer.upgrade()
        await peer.send(trade(1))
        await go_on.wait()
        for number in range(2, 50):
            await peer.send(trade(number))
        await peer.gone()

    async with venue(pour) as server, EmbeddedServer(tmp_path / "nats") as nats:
        process = await start(tmp_path, server.url)
        try:
            async with reading(tmp_path) as reader:
                await holds(reader, trade(1))
                facts = nats.facts
                assert facts is not None
                # Out of the way at once: the server that comes up again would race a removal.
                (tmp_path / "nats" / "store").rename(tmp_path / "lost")
                os.kill(facts.pid, signal.SIGKILL)
                go_on.set()
                found = await holds(reader, trade(49))
        finally:
            said = await finish(process)
    assert process.returncode == 0, said
    kept = frames(found)  # the first is sent again where its ack was lost with the store
    assert kept[-48:] == [trade(number) for number in range(2, 50)]
    assert kept[:-48] in ([], [trade(1)])
    (gap,) = [json.loads(m.payload) for m in found if m.type == "_gap"]
    assert gap["cause"] == "stream_lost"
    assert gap["created"] > gap["created_before"]
    assert said.count("no stream takes the subject") == 1
    assert server.met == 1


async def test_a_long_frame_costs_memory_only_while_it_is_read(tmp_path: Path) -> None:
    giant = frame(b'{"channel":"book","x":"' + b"x" * (64 * MIB - 40) + b'"}')
    small = asyncio.Event()

    async def pour(peer: Peer) -> None:
        await peer.upgrade()
        await peer.send(trade(1))
        for number in range(2, 5):
            await peer.write(giant)
            await peer.send(trade(number))
        await small.wait()
        await peer.gone()

    async with venue(pour) as server, EmbeddedServer(tmp_path / "nats"):
        process = await start(tmp_path, server.url)
        try:
            async with reading(tmp_path) as reader:
                found = await holds(reader, trade(4))
            peak, rest = kib(process.pid, "VmHWM"), kib(process.pid, "VmRSS")
        finally:
            small.set()
            said = await finish(process)
    assert process.returncode == 0, said
    assert [m.n for m in found if (m.part or 0) >= 0] == [1, 3, 5, 7]
    assert [m.type for m in found].count("_gap") == 3
    assert peak < 512 * 1024
    assert rest < 200 * 1024


def kib(pid: int, field: str) -> int:
    status = Path(f"/proc/{pid}/status").read_text().splitlines()
    (line,) = [line for line in status if line.startswith(f"{field}:")]
    return int(line.split()[1])
