"""Messages of a feed while NATS is away: a real nats-server that is killed and started again."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from connect.harness import PATIENCE_S, until
from disk import fill
from ssmd.bus import Bus, EmbeddedServer, connect
from ssmd.config import Transport
from ssmd.connect.outbox import Dropped, Outbox
from ssmd.connect.spill import SUFFIX, Spill

STREAM = "DEMO_KRAKEN"
LINE = b"x" * 200


class Away:
    """A nats-server that nobody revives, and the outbox of one feed onto it."""

    def __init__(self, server: EmbeddedServer, bus: Bus, outbox: Outbox) -> None:
        self.server = server
        self.bus = bus
        self.outbox = outbox
        self.dropped: list[tuple[str, Dropped]] = []
        self.damaged: list[Path] = []
        outbox.on_room = lambda found: self.dropped.extend(found.items())
        outbox.on_damage = self.damaged.append

    def kill(self) -> None:
        facts = self.server.facts
        assert facts is not None
        os.kill(facts.pid, signal.SIGKILL)

    async def lose(self) -> None:
        self.kill()
        await until(lambda: self.outbox.waiting)

    def put(self, first: int, count: int, conn: str = "c") -> list[int]:
        """The numbers of the frames that were taken."""
        subject = "demo.kraken.json.t.S"
        numbers = range(first, first + count)
        return [n for n in numbers if self.outbox.put(subject, f"{conn}:{n}:0", b"%d " % n + LINE)]

    async def stored(self) -> list[int]:
        async with asyncio.timeout(PATIENCE_S):
            await self.outbox.stored()
        found = self.bus.messages(STREAM, "demo.kraken.>")
        return [int(delivery.payload.split()[0]) async for delivery in found]


@asynccontextmanager
async def away(folder: Path, spill: Path, max_bytes: int = 1 << 30) -> AsyncIterator[Away]:
    async with EmbeddedServer(folder / "nats") as server:
        assert server.facts is not None
        transport = Transport(url=server.facts.url)
        async with connect(transport, name="test") as bus:
            await bus.ensure_stream("demo", "kraken", transport)
            async with bus.publisher(STREAM) as publisher:
                outbox = Outbox(publisher, Spill(spill), max_bytes)
                async with outbox.running(PATIENCE_S):
                    yield Away(server, bus, outbox)


@pytest.mark.parametrize("outages", [1, 3])
async def test_all_is_stored_in_order_and_once(tmp_path: Path, outages: int) -> None:
    count = 0
    async with away(tmp_path, tmp_path / "spill") as nats:
        for _ in range(outages):
            nats.put(count, 5000)
            await nats.lose()
            nats.put(count + 5000, 20_000)
            assert nats.outbox.as_dict()["spilled_messages"] >= 20_000
            await nats.outbox.safe()
            await nats.server.start()
            nats.put(count + 25_000, 100)  # behind what waits
            count += 25_100
        assert await nats.stored() == list(range(count))
        await until(lambda: not list((tmp_path / "spill").glob(f"*{SUFFIX}")))
        status = nats.outbox.as_dict()
        assert status.pop("acked") == count
        assert set(status.values()) == {0}
    assert not nats.dropped
    assert not nats.damaged


async def test_an_outage_in_the_middle_of_emptying(tmp_path: Path) -> None:
    async with away(tmp_path, tmp_path / "spill") as nats:
        await nats.lose()
        nats.put(0, 60_000)
        await nats.server.start()
        await until(lambda: nats.outbox.as_dict()["acked"] > 1000)
        nats.kill()
        nats.put(60_000, 1000)
        await nats.server.start()
        assert await nats.stored() == list(range(61_000))


async def test_what_waits_at_the_end_is_sent_by_the_next(tmp_path: Path) -> None:
    async with away(tmp_path, tmp_path / "spill") as nats:
        nats.put(0, 3000)
        nats.kill()
        nats.put(3000, 10)
    assert list((tmp_path / "spill").glob(f"*{SUFFIX}"))
    async with away(tmp_path, tmp_path / "spill") as nats:
        nats.put(3010, 5)
        assert await nats.stored() == list(range(3015))


async def test_beyond_the_bound_exactly_what_is_missing_is_named(tmp_path: Path) -> None:
    async with away(tmp_path, tmp_path / "spill", max_bytes=100_000) as nats:
        await nats.lose()
        kept = nats.put(0, 1000)
        assert 0 < len(kept) < 1000
        assert nats.put(1000, 50, conn="d") == []
        assert nats.outbox.put("demo.kraken.json._gap.S", "c:1000:-1", b"2000 ours")
        assert not nats.dropped
        await nats.server.start()
        assert await nats.stored() == [*kept, 2000]
        assert nats.outbox.overflowed == 1050 - len(kept)
        (first, one), (second, two) = nats.dropped
        assert (first, second) == ("c", "d")
        assert (one.first_n, one.last_n, one.frames) == (len(kept), 999, 1000 - len(kept))
        assert (two.first_n, two.last_n, two.frames) == (1000, 1049, 50)
        assert one.from_ns <= one.to_ns
        nats.dropped.clear()
        assert nats.put(1050, 100) == list(range(1050, 1150))
        assert not nats.dropped


async def test_a_full_disk_is_like_the_bound(tmp_path: Path, small_disk: Path) -> None:
    async with away(tmp_path, small_disk / "spill") as nats:
        await nats.lose()
        filler = fill(small_disk)
        kept = nats.put(0, 20_000)
        assert 0 < len(kept) < 20_000
        filler.unlink()
        await until(lambda: nats.outbox.put("demo.kraken.json.t.S", "c:20000:0", b"20000 "))
        await until(lambda: nats.dropped)
        ((_, missing),) = nats.dropped
        assert missing.first_n == len(kept)
        assert missing.last_n >= 19_999
        await nats.server.start()
        assert await nats.stored() == [*kept, 20_000]


async def test_damage_is_told_and_the_file_kept(tmp_path: Path) -> None:
    async with away(tmp_path, tmp_path / "spill") as nats:
        nats.kill()
        nats.put(0, 100)
    (file,) = (tmp_path / "spill").glob(f"*{SUFFIX}")
    with file.open("r+b") as content:
        content.seek(-300, os.SEEK_END)
        content.write(b"?")
    async with away(tmp_path, tmp_path / "spill") as nats:
        assert await nats.stored() == list(range(98))
        await until(lambda: nats.damaged)
        assert nats.damaged[0].exists()


async def test_memory_does_not_grow_with_what_waits(tmp_path: Path) -> None:
    async with away(tmp_path, tmp_path / "spill") as nats:
        await nats.lose()
        nats.put(0, 10_000)
        before = resident_kib()
        for first in range(10_000, 310_000, 10_000):
            nats.put(first, 10_000)
            await asyncio.sleep(0)
        assert resident_kib() < before * 1.2
        await nats.server.start()
        assert await nats.stored() == list(range(310_000))


def resident_kib() -> int:
    (line,) = [
        line
        for line in Path("/proc/self/status").read_text().splitlines()
        if line.startswith("VmRSS:")
    ]
    return int(line.split()[1])
