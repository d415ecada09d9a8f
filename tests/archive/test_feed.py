"""One feed, from the bus to the disk: streams that are made anew, and disks that are full."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest

from archives import Capture, archive, put, trades, writer
from disk import fill
from ssmd.archive.feed import FeedArchive
from ssmd.bus import Bus
from ssmd.bus.stream import request, wanted
from ssmd.config import Config, Rotation, load
from ssmd.dataset import Archive
from ssmd.message import Archived
from ssmd.store import manifest as manifests
from ssmd.store.manifest import Manifest

STREAM = "DEMO_KALSHI"
NOW_NS = 1_900_000_000_000_000_000


@pytest.fixture
def config() -> Config:
    found = load("demo", feeds=["kalshi"])
    rotation = Rotation(flush_s=0.05)
    return msgspec.structs.replace(found, env=msgspec.structs.replace(found.env, rotation=rotation))


async def publish(bus: Bus, conn: str, count: int) -> None:
    """``_connect`` and so many frames of a new connection."""
    capture = Capture("kalshi", conn=conn, start_ns=NOW_NS)
    lines = [capture.note("_connect")] + [capture.frame(frame)[0] for frame in trades(count)]
    async with bus.publisher(STREAM) as publisher:
        for number, line in enumerate(lines):
            publisher.put("demo.kalshi.json.t.S", f"{conn}:{number}", line)
            if publisher.full:
                await publisher.room()
        await publisher.flush(60)


async def until(feed: FeedArchive, well: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not well():
            await asyncio.sleep(0.02)


@asynccontextmanager
async def archiving(bus: Bus, config: Config, root: Path) -> AsyncIterator[FeedArchive]:
    feed = FeedArchive(bus, config, "kalshi", root)
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(feed.run(stop))
        await until(feed, lambda: feed.state == "live")
        yield feed
        stop.set()


def kept(root: Path) -> tuple[list[Archived], list[Manifest]]:
    days = [Archive(root, "demo").day("kalshi", d) for d in Archive(root, "demo").days("kalshi")]
    return [m for day in days for m in day.messages()], [day.manifest for day in days]


async def make_anew(bus: Bus, config: Config) -> None:
    """Delete the stream and make it again, before the archiver notices."""
    settings = wanted("demo", "kalshi", config.env.transport)
    await request(bus._nc, f"STREAM.DELETE.{STREAM}")
    await request(bus._nc, f"STREAM.CREATE.{STREAM}", settings)


@pytest.mark.parametrize("again", [3, 700])
async def test_a_stream_made_anew_while_it_is_archived(
    bus: Bus, config: Config, tmp_path: Path, again: int
) -> None:
    """Fewer messages than were archived, and more: both begin at sequence 1."""
    root = tmp_path / "archive"
    await bus.ensure_stream("demo", "kalshi", config.env.transport)
    async with archiving(bus, config, root) as feed:
        await publish(bus, "a", 99)
        await until(feed, lambda: feed.status()["messages"] == 100)
        await make_anew(bus, config)
        await publish(bus, "b", again)
        await until(feed, lambda: feed.status()["messages"] == 101 + again)
        await publish(bus, "c", 2)
    messages, (manifest,) = kept(root)
    assert [(m.conn, m.n) for m in messages] == [
        (conn, n) for conn, last in (("a", 99), ("b", again), ("c", 2)) for n in range(last + 1)
    ]
    first, second = manifest.files
    assert first.stream_created != second.stream_created
    assert (second.nats_start_seq, second.nats_end_seq) == (1, again + 4)
    assert not manifest.has_gaps


async def test_a_stream_that_is_gone_is_made_again(
    bus: Bus, config: Config, tmp_path: Path
) -> None:
    root = tmp_path / "archive"
    await bus.ensure_stream("demo", "kalshi", config.env.transport)
    async with archiving(bus, config, root) as feed:
        await publish(bus, "a", 9)
        await until(feed, lambda: feed.status()["messages"] == 10)
        await request(bus._nc, f"STREAM.DELETE.{STREAM}")
        writer = feed.writer
        assert writer is not None
        before = writer.about.stream_created
        await until(feed, lambda: writer.about.stream_created != before)
        await publish(bus, "b", 9)
    assert len(kept(root)[0]) == 20


async def test_a_stream_made_anew_between_two_runs(
    bus: Bus, config: Config, tmp_path: Path
) -> None:
    """What a killed archiver left of the old stream is not taken for the new one's."""
    root = tmp_path / "archive"
    await bus.ensure_stream("demo", "kalshi", config.env.transport)
    feed = FeedArchive(bus, config, "kalshi", root)
    running = asyncio.create_task(feed.run(asyncio.Event()))
    await publish(bus, "a", 500)
    await until(feed, lambda: feed.status().get("messages") == 501)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert list(root.rglob("*.part"))
    await request(bus._nc, f"STREAM.DELETE.{STREAM}")
    await bus.ensure_stream("demo", "kalshi", config.env.transport)
    await publish(bus, "b", 30)
    async with archiving(bus, config, root) as feed:
        await until(feed, lambda: feed.status()["messages"] == 31)
    assert len(kept(root)[0]) == 532


async def acked(bus: Bus) -> int:
    info = await request(bus._nc, f"CONSUMER.INFO.{STREAM}.archive")
    return int(info["ack_floor"]["stream_seq"])


async def test_a_full_disk_acks_nothing_and_loses_nothing(
    bus: Bus, config: Config, small_disk: Path
) -> None:
    root = small_disk / "archive"
    await bus.ensure_stream("demo", "kalshi", config.env.transport)
    async with archiving(bus, config, root) as feed:
        await publish(bus, "a", 50)
        await until(feed, lambda: feed.status()["messages"] == 51)
        filler = fill(small_disk)
        await publish(bus, "b", 3000)
        await until(feed, lambda: feed.state == "disk_full")
        assert feed.detail is not None
        assert "No space left" in feed.detail
        floor = await acked(bus)
        assert feed.writer is not None
        assert floor <= feed.writer.messages < 3052
        filler.unlink()
        await until(feed, lambda: feed.status()["messages"] == 3052)
        await until(feed, lambda: feed.state == "live")
    messages, (manifest,) = kept(root)
    assert [(m.conn, m.n) for m in messages] == [
        (conn, n) for conn, last in (("a", 50), ("b", 3000)) for n in range(last + 1)
    ]
    assert sum(entry.records for entry in manifest.files) == 3052


def test_a_seal_that_found_no_room_is_repeated(small_disk: Path) -> None:
    """The segment has its final name, and the manifest finds no room: it is entered later."""
    folder = archive(small_disk, Capture("kalshi").session(trades(5)))
    to = writer(small_disk)
    put(to, Capture("kalshi", conn="d").session(trades(5)))
    filler = fill(small_disk)
    with pytest.raises(OSError, match="No space"):
        to.seal()
    assert to.seal_due
    filler.unlink()
    to.seal()
    to.close()
    manifest = manifests.load(folder)
    assert manifest is not None
    assert [entry.name for entry in manifest.files] == [
        path.name for path in manifests.segments(folder)
    ]
