"""A stage for the page: ``ssmd up`` with the simulated exchanges, and days before today."""

import asyncio
import contextlib
import random
import socket
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import msgspec

from ssmd import message
from ssmd.archive.writer import About, Writer
from ssmd.config import Rotation
from ssmd.message import Message

FEEDS = ("kalshi", "kraken", "kraken-futures", "polymarket")
DAY_NS = 86_400 * 10**9
HOUR_NS = DAY_NS // 24
PAST_DAYS = 150
_VERIFIED = {"kalshi": 0.994, "kraken": 0.97, "kraken-futures": 0.86, "polymarket": 0.91}
_CAUSES = ("sequence", "checksum", "silent", "mute", "overflow", "closed")


@dataclass(frozen=True)
class Stage:
    url: str
    data: Path


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Past:
    """Days of one feed as a connector would have told them, few messages each."""

    def __init__(self, feed: str) -> None:
        self.feed = feed
        self._dice = random.Random(feed)

    def day(self, start_ns: int) -> Iterator[bytes]:
        """A day begins on time and is whole, or it is one of the bad ones."""
        dice, conn = self._dice, f"{start_ns:x}-{self.feed}"
        late = HOUR_NS * dice.choice((0,) * 20 + (1, 3, 9))
        end = start_ns + DAY_NS - 10**9
        yield self._note(conn, 0, start_ns + late + 10**9, "_connect", {"exchange": self.feed})
        n = 0
        for at in range(start_ns + late + 2 * 10**9, end, HOUR_NS):
            data = 4
            for _ in range(data):
                n += 1
                yield self._line(conn, n, 0, at + n, "ticker", {"feed": "ticker", "n": n})
            verified = sum(dice.random() < _VERIFIED[self.feed] for _ in range(data))
            rest = data - verified
            counts = {"messages": data, "verified": verified, "unverified": rest, "broken": 0}
            yield self._note(conn, n, at + 10**9, "_clock", counts)
            if dice.random() < 0.006:
                yield from self._gap(conn, n, at + 2 * 10**9)
        yield self._note(conn, n, end, "_disconnect", {"cause": "stopped", "clean": True})

    def _gap(self, conn: str, n: int, at: int) -> Iterator[bytes]:
        cause = self._dice.choice(_CAUSES)
        facts = {"id": f"{conn}/{at}", "cause": cause, "conn": conn, "from_ns": at}
        if cause == "sequence":
            facts |= {"first_seq": 1000, "last_seq": 1000 + self._dice.randrange(40)}
        yield self._note(conn, n, at, "_gap", facts)
        to_ns = at + int(self._dice.choice((4, 40, 400, 2400)) * self._dice.random() * 10**9)
        outcome = "lost" if cause == "overflow" else "repaired"
        yield self._note(conn, n, to_ns, "_gap_closed", facts | {"outcome": outcome})

    def _note(self, conn: str, n: int, at: int, kind: str, facts: dict[str, Any]) -> bytes:
        self._part = getattr(self, "_part", 0) - 1
        return self._line(conn, n, self._part, at, kind, facts)

    def _line(self, conn: str, n: int, part: int, at: int, kind: str, raw: dict[str, Any]) -> bytes:
        body = message.body(msgspec.json.encode(raw))
        return message.encode(
            Message(
                feed=self.feed, conn=conn, n=n, part=part, recv_ns=at, mono_ns=at, type=kind,
                **body,
            )
        )  # fmt: skip


def write_past(root: Path, feeds: tuple[str, ...] = FEEDS, days: int = PAST_DAYS) -> None:
    """An archive of the environment ``demo`` with the days before today."""
    today = time.time_ns() // DAY_NS * DAY_NS
    for feed in feeds:
        past = Past(feed)
        about = About("demo", feed, "message:v1", "sha256:0", "2026-01-01T00:00:00Z")
        with contextlib.closing(Writer(root, about, Rotation())) as to:
            for ago in range(days, 0, -1):
                if past._dice.random() < 0.02:
                    continue  # nobody ran it
                for line in past.day(today - ago * DAY_NS):
                    to.add(to.last_seq + 1, line)
                to.flush()
                to.seal()


def move_past(root: Path, archive: Path) -> None:
    """Put those days into a running archive. Its archiver knows where it is: it writes today."""
    for day in sorted(root.glob("demo/*/????-??-??")):
        target = archive / "demo" / day.parent.name / day.name
        if not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            day.rename(target)


@asynccontextmanager
async def up(data: Path, *, rate: str = "50") -> AsyncIterator[Stage]:
    """``ssmd up`` until its feeds are live."""
    port = free_port()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "ssmd", "up", "--plain", "--data", str(data)),
        *("--port", str(port), "--rate", rate),
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stderr is not None
    waiting, log = set(FEEDS), []
    reading: asyncio.Task[None] | None = None
    try:
        async with asyncio.timeout(90):
            while waiting:
                line = (await process.stderr.readline()).decode()
                assert line, "".join(log)
                log.append(line)
                waiting -= {feed for feed in waiting if f" up {feed}: live" in line}
        reading = asyncio.create_task(_drain(process.stderr))
        yield Stage(f"http://127.0.0.1:{port}", data)
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        if reading is None:
            await process.communicate()
        else:
            await asyncio.gather(process.wait(), reading)
    assert process.returncode == 0


async def _drain(stream: asyncio.StreamReader) -> None:
    while await stream.readline():
        pass


async def archived(url: str, feeds: tuple[str, ...] = FEEDS) -> None:
    """Until each feed has bars and a book in the archive."""
    today = datetime.now(UTC).date().isoformat()
    async with aiohttp.ClientSession(url) as client, asyncio.timeout(60):
        for feed in feeds:
            for table in ("trades", "book_snapshots"):
                while True:
                    path = f"/v1/{table}?feed={feed}&limit=1&from={today}"
                    async with client.get(path) as answer:
                        if answer.status == 200 and (await answer.json())["rows"]:
                            break
                    await asyncio.sleep(0.2)
