"""Power lost and processes killed: what was acked is there, once, and verify finds nothing."""

import asyncio
import os
import random
import shutil
import sys
from pathlib import Path

from archives import DATE, ENV, Capture, put, trades, writer
from harms import told, verify
from ssmd.bus import Bus, EmbeddedServer, connect
from ssmd.config import Transport
from ssmd.dataset import Archive, Day
from ssmd.store import manifest as manifests
from ssmd.store import segment

STREAM = "DEMO_KALSHI"
KILLS = 10


def sequences(day: Path) -> list[int]:
    return [entry.nats_seq for entry in Day(day).messages()]


def test_a_part_cut_at_any_byte_keeps_its_whole_members(tmp_path: Path) -> None:
    """After the cut the archiver starts, takes what the stream has again, and all is there."""
    lines = Capture("kalshi").session(trades(12), clock_each=7)
    to = writer(tmp_path / "whole")
    put(to, lines, member=5)
    to.close()
    (part,) = manifests.parts(tmp_path / "whole" / ENV / "kalshi" / DATE)
    content = part.read_bytes()
    ends = [(at + size, text.count(b"\n")) for at, size, text in segment.members(part)]
    for size in range(len(content) + 1):
        day = tmp_path / str(size) / ENV / "kalshi" / DATE
        day.mkdir(parents=True)
        (day / part.name).write_bytes(content[:size])
        to = writer(tmp_path / str(size))
        assert to.last_seq == sum(count for end, count in ends if end <= size)
        put(to, lines[to.last_seq :], member=5)
        to.seal()
        to.close()
        assert sequences(day) == list(range(1, len(lines) + 1))
        if size % 7 == 0:
            assert told(day) == []


def test_a_manifest_cut_at_any_byte_is_made_again(day: Path) -> None:
    path = day / manifests.NAME
    content = path.read_bytes()
    before = manifests.load(day)
    for size in range(0, len(content), 97):
        path.write_bytes(content[:size])
        assert told(day)
        writer(day.parents[2]).close()
        assert manifests.load(day) == before
        assert told(day) == []


async def publish(bus: Bus, number: int) -> int:
    """Eight connections, one after the other; how many messages that makes."""
    lines = [
        line
        for conn in range(8)
        for line in Capture("kalshi", conn=f"c{number}.{conn}").session(trades(500))
    ]
    async with bus.publisher(STREAM) as publisher:
        for place, line in enumerate(lines):
            publisher.put("demo.kalshi.json.t.S", f"m:{number}:{place}", line)
            if publisher.full:
                await publisher.room()
        await publisher.flush(60)
    return len(lines)


def restless(folder: Path) -> Path:
    """A configuration that flushes and rotates all the time."""
    shutil.copytree(Path(__file__).parents[2] / "config", folder)
    file = folder / "environments" / "demo.yaml"
    file.write_text(f"{file.read_text()}rotation:\n  flush_s: 0.01\n  interval_s: 0.05\n")
    return folder


async def archiver(data: Path, config: Path) -> asyncio.subprocess.Process:
    arguments = ("--env", "demo", "--feed", "kalshi", "--data", str(data), "--config", str(config))
    with (data / "archive.log").open("ab") as log:
        return await asyncio.create_subprocess_exec(
            sys.executable, "-m", "ssmd", "archive", *arguments, env=os.environ, stderr=log
        )


async def kept(root: Path) -> int:
    """How many messages are on disk by now."""
    archive = Archive(root, ENV)
    return sum(archive.day("kalshi", name).summary().records for name in archive.days("kalshi"))


async def test_an_archiver_killed_again_and_again(tmp_path: Path, transport: Transport) -> None:
    """SIGKILL at random moments while messages come: then every message is there once."""
    dice = random.Random()
    root, config = tmp_path / "archive", restless(tmp_path / "config")
    total = 0
    async with (
        EmbeddedServer(tmp_path / "nats"),
        connect(transport, name="test", data=tmp_path) as bus,
        asyncio.timeout(110),
    ):
        await bus.ensure_stream(ENV, "kalshi", transport)
        for number in range(KILLS):
            process = await archiver(tmp_path, config)
            publishing = asyncio.create_task(publish(bus, number))
            while await kept(root) <= total:
                await asyncio.sleep(0.01)
            await asyncio.sleep(dice.random() * 0.2)
            process.kill()
            await process.wait()
            total += await publishing
        process = await archiver(tmp_path, config)
        total += await publish(bus, KILLS)
        while await kept(root) < total:
            await asyncio.sleep(0.1)
        process.terminate()
        assert await process.wait() == 0
    archive = Archive(root, ENV)
    (day,) = (archive.day("kalshi", name) for name in archive.days("kalshi"))
    messages = list(day.messages())
    assert [m.nats_seq for m in messages] == list(range(1, total + 1))
    assert len({(m.conn, m.n, m.part or 0) for m in messages}) == total
    summary = verify(day.folder, deep=True)
    assert summary.ok, summary.findings[:5]
    assert summary.messages == total
    assert summary.segments > KILLS
