"""``ssmd connect`` as a process while NATS is away: what comes meanwhile waits on disk."""

import asyncio
import contextlib
import json
import os
import signal
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path

import pytest

from connect.harness import PATIENCE_S, until
from connect.test_outages import finish, frames, holds, start
from connect.venue import Peer, trade, venue
from ssmd import bus
from ssmd.bus import EmbeddedServer
from ssmd.config import Transport
from ssmd.connect.spill import SUFFIX
from ssmd.message import Message


class Pouring:
    """A connector that is sent trades, onto a nats-server that only the test brings back."""

    def __init__(self, folder: Path, nats: EmbeddedServer, exchange: str, environment: str) -> None:
        assert nats.facts is not None
        self.sent = 0
        self.opened = 0
        self.enough = asyncio.Event()
        self.ended = asyncio.Event()
        self.process: asyncio.subprocess.Process
        self._folder = folder
        self._nats = nats
        self._url = nats.facts.url
        self._exchange = exchange
        self._environment = environment

    async def start(self) -> None:
        self.process = await start(self._folder, self._exchange, self._url, self._environment)

    async def stop(self) -> str:
        return await finish(self.process)

    async def kill(self) -> None:
        self.process.kill()
        await self.process.communicate()

    async def more(self, number: int) -> None:
        aim = self.sent + number
        await until(lambda: self.sent >= aim)

    def lose_nats(self, how: signal.Signals = signal.SIGKILL) -> None:
        facts = self._nats.facts
        assert facts is not None
        os.kill(facts.pid, how)

    async def nats_back(self) -> None:
        facts = self._nats.facts
        if facts is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(facts.pid, signal.SIGCONT)
        await self._nats.start()

    @property
    def spilled(self) -> int:
        folder = self._folder / "spill" / "test" / "kraken"
        return sum(path.stat().st_size for path in folder.glob(f"*{SUFFIX}"))

    async def last(self) -> list[Message]:
        """The stream, once it holds the latest frame; no more are sent."""
        self.enough.set()
        async with asyncio.timeout(PATIENCE_S):
            await self.ended.wait()
        async with bus.connect(Transport(url=self._url), name="test") as reader:
            return await holds(reader, trade(self.sent))


@asynccontextmanager
async def pouring(folder: Path, environment: str = "") -> AsyncIterator[Pouring]:
    made: Pouring

    async def pour(peer: Peer) -> None:
        await peer.upgrade()
        made.opened += 1
        for number in count(made.sent + 1):
            if made.enough.is_set():
                break
            await peer.send(trade(number))
            made.sent = number
            if number % 20 == 0:
                await asyncio.sleep(0.002)
        made.ended.set()
        await peer.gone()

    async with venue(pour) as server, EmbeddedServer(folder / "nats") as nats:
        made = Pouring(folder, nats, server.url, environment)
        await made.start()
        try:
            yield made
        finally:
            await made.stop()


def gaps(messages: Sequence[Message]) -> list[dict[str, object]]:
    return [json.loads(m.payload) for m in messages if m.type == "_gap"]


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP])
async def test_capture_goes_on_and_nothing_is_lost_or_doubled(
    tmp_path: Path, how: signal.Signals
) -> None:
    async with pouring(tmp_path) as run:
        await run.more(1000)
        for _ in range(2):
            run.lose_nats(how)
            await run.more(20_000)
            await until(lambda: run.spilled)
            await run.nats_back()
            await run.more(1000)
        found = await run.last()
        assert frames(found) == [trade(number) for number in range(1, run.sent + 1)]
        assert gaps(found) == []
        assert run.opened == 1
        await until(lambda: not run.spilled)
        said = await run.stop()
    assert run.process.returncode == 0, said
    assert "messages wait in" in said
    assert "keeps up again" in said


async def test_a_stop_while_nats_is_away_leaves_all_to_the_next(tmp_path: Path) -> None:
    async with pouring(tmp_path) as run:
        await run.more(1000)
        run.lose_nats()
        await run.more(10_000)
        said = await run.stop()
        assert run.process.returncode == 0, said
        assert "for the next connector" in said
        await run.nats_back()
        await run.start()
        await run.more(100)
        found = await run.last()
    (end, *_) = [m for m in found if m.type == "_disconnect"]
    facts = json.loads(end.payload)
    assert facts["cause"] == "stopped"
    first = [m.n for m in found if m.conn == end.conn and (m.part or 0) >= 0]
    assert first == list(range(1, facts["frames"] + 1))
    assert len(first) > 10_000
    assert "killed" not in {gap["cause"] for gap in gaps(found)}


async def test_killed_while_nats_is_away(tmp_path: Path) -> None:
    """What waited is there, each once and in order; the rest is named."""
    async with pouring(tmp_path) as run:
        await run.more(1000)
        run.lose_nats()
        await run.more(20_000)
        aim = run.spilled
        await until(lambda: run.spilled > aim)
        await run.kill()
        await run.nats_back()
        await run.start()
        await run.more(100)
        found = await run.last()
    conns = list(dict.fromkeys(m.conn for m in found if m.type == "_connect"))
    assert len(conns) == 2
    for conn in conns:
        numbers = [m.n for m in found if m.conn == conn and (m.part or 0) >= 0]
        assert numbers == list(range(1, len(numbers) + 1))
    assert len([m for m in found if m.conn == conns[0]]) > 15_000
    (gap,) = [gap for gap in gaps(found) if gap["cause"] == "killed"]
    assert gap["conn"] == conns[0]
    of_first = [i for i, m in enumerate(found) if m.conn == conns[0]]
    (named,) = [i for i, m in enumerate(found) if m.type == "_gap"]
    assert max(of_first) < named


async def test_beyond_the_bound_the_gap_names_what_is_missing(tmp_path: Path) -> None:
    async with pouring(tmp_path, "transport: {spill_max_bytes: 1000000}\n") as run:
        await run.more(1000)
        run.lose_nats()
        await run.more(20_000)
        await run.nats_back()
        await until(lambda: not run.spilled)
        await run.more(1000)
        found = await run.last()
    kept = [m.n for m in found if (m.part or 0) >= 0]
    missing = sorted(set(range(1, run.sent + 1)) - set(kept))
    assert missing
    named = [n for gap in gaps(found) for n in range(gap["first_n"], gap["last_n"] + 1)]
    assert named == missing
    assert {gap["cause"] for gap in gaps(found)} == {"overflow"}
    assert sum(gap["frames"] for gap in gaps(found)) == len(missing)
    assert run.opened == 1
