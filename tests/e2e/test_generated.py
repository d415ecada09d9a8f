"""Generated markets of every exchange, from simulator to API; and with every role killed."""

import asyncio
import contextlib
import os
import random
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from proof import Kept, archive_of, assert_prefix, assert_served, lines
from roles import FEEDS, Roles, variables
from ssmd import keys
from ssmd.bus import EmbeddedServer
from ssmd.dataset import Archive
from ssmd.exchanges import EXCHANGES
from ssmd.sim.server import SimOptions, Simulator

KILLS = int(os.environ.get("SSMD_TEST_KILLS", "4"))
"""Of each of connector, nats-server and archiver."""


class Run:
    """All exchanges simulated, and both roles on them."""

    def __init__(self, sim: Simulator, roles: Roles) -> None:
        self.sim = sim
        self.roles = roles

    @property
    def archive(self) -> Archive:
        return archive_of(self.roles.data, "demo")

    async def more(self, frames: int) -> None:
        """Until each exchange has sent so many more frames."""
        aims = {name: floor.frames + frames for name, floor in self.sim.floors.items()}
        async with asyncio.timeout(60):
            while any(self.sim.floors[name].frames < aim for name, aim in aims.items()):
                await self.roles.revive()
                await asyncio.sleep(0.02)

    async def kill(self, victim: str) -> None:
        """End a process in an instant, whatever it is doing, and start it again."""
        if victim == "nats":
            facts = EmbeddedServer(self.roles.data / "nats").facts
            # Between two lives it may not be there; the roles start it again.
            with contextlib.suppress(ProcessLookupError):
                if facts is not None:
                    os.kill(facts.pid, signal.SIGKILL)
            return
        await self.roles.kill(victim)
        await self.roles.start(victim)


@asynccontextmanager
async def running(data: Path, *, rate: float, seed: int = 1) -> AsyncIterator[Run]:
    secret, public = keys.make(data / "keys")
    options = SimOptions(rate=rate, seed=seed, kalshi_public_key=public.read_bytes())
    async with Simulator(options) as sim:
        roles = Roles(data, variables(sim, secret), tuple(FEEDS.values()))
        async with roles.all():
            yield Run(sim, roles)


async def test_generated_markets_verify_and_come_out_as_they_went_in(tmp_path: Path) -> None:
    async with running(tmp_path, rate=400) as run:
        await run.more(1500)
        run.roles.check()
    async with run.roles.served() as client:
        for exchange in EXCHANGES:
            kept = Kept(lines(run.archive, FEEDS[exchange]))
            frames, killed = assert_named(kept, run, exchange)
            assert frames >= 1500 - 100
            assert killed == 0
            assert kept.of_type("_gap") == []
            await assert_served(client, run.archive, FEEDS[exchange])


@pytest.mark.timeout(120 + 30 * KILLS)
async def test_kill_9_of_every_role_doubles_nothing_and_names_what_is_lost(tmp_path: Path) -> None:
    seed = int(os.environ.get("SSMD_TEST_SEED") or random.randrange(1 << 32))
    print(f"SSMD_TEST_SEED={seed} kills at the same moments")  # shown where the test fails
    dice = random.Random(seed)
    victims = ["connect", "nats", "archive"] * KILLS
    dice.shuffle(victims)
    async with running(tmp_path, rate=500, seed=seed) as run:
        await run.more(200)
        for victim in victims:
            # No event to wait for: any moment is meant, also while a role starts or recovers.
            await asyncio.sleep(dice.uniform(0, 1.5))
            print(f"kill {victim}")
            await run.kill(victim)
        await run.more(500)
    killed = 0
    for exchange in EXCHANGES:
        kept = Kept(lines(run.archive, FEEDS[exchange]))
        frames, cut = assert_named(kept, run, exchange)
        assert frames > 500
        killed += cut
    assert killed >= len(EXCHANGES)


def assert_named(kept: Kept, run: Run, exchange: str) -> tuple[int, int]:
    """Of each connection the first frames are kept, each once, in order. What is missing at its
    end is named: either it was killed, and a gap says so, or it says itself how many frames it
    read, and these are all kept. Answers with how many frames are kept, and how many connections
    were killed."""
    total = killed = 0
    closed = dict(kept.of_type("_disconnect"))
    gaps = dict(kept.of_type("_gap"))
    for sent in run.sim.ledger.of(exchange):
        conn = kept.conn_of(sent)
        if conn is None:
            # Killed before its _connect was stored: all it can have read is the greeting.
            assert len(sent) <= 1, f"{len(sent)} frames of a connection that nothing names"
            continue
        frames = kept.frames.get(conn, [])
        assert_prefix(frames, sent, {})
        how = closed[conn]
        if how["cause"] == "killed":
            assert gaps[conn]["cause"] == "killed"
            killed += 1
        else:
            assert how["frames"] == len(frames)
        total += len(frames)
    return total, killed


async def test_what_a_connection_read_while_nats_was_away_is_named(tmp_path: Path) -> None:
    """It opens while nothing can be stored, and is killed before anything is."""
    async with running(tmp_path, rate=500) as run:
        await run.more(200)
        facts = EmbeddedServer(tmp_path / "nats").facts
        assert facts is not None
        os.kill(facts.pid, signal.SIGSTOP)
        before = len(run.sim.ledger.connections)
        for floor in run.sim.floors.values():
            for client in tuple(floor.clients):
                client.abort()
        async with asyncio.timeout(60):
            while len(run.sim.ledger.connections) < before + len(EXCHANGES):
                await asyncio.sleep(0.02)
        await asyncio.sleep(0.5)  # what it does not wait for, it does by then
        await run.roles.kill("connect")
        os.kill(facts.pid, signal.SIGCONT)
        await run.roles.start("connect")
        await run.more(200)
    for exchange in EXCHANGES:
        assert_named(Kept(lines(run.archive, FEEDS[exchange])), run, exchange)
