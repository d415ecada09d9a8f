"""NATS stopped for minutes under a burst: all is there afterwards, and memory stayed flat."""

import asyncio
import os
import signal
import time
from pathlib import Path

import pytest

from e2e.test_generated import Run, assert_named
from proof import Kept, lines
from roles import FEEDS, Roles, variables
from ssmd import keys
from ssmd.bus import EmbeddedServer
from ssmd.exchanges import EXCHANGES
from ssmd.sim.server import SimOptions, Simulator

OUTAGE_S = float(os.environ.get("SSMD_TEST_OUTAGE_S", "5"))
RATE = 100.0
BURST = 10


def resident_kib(pid: int, field: str) -> int:
    status = Path(f"/proc/{pid}/status").read_text().splitlines()
    (line,) = [line for line in status if line.startswith(f"{field}:")]
    return int(line.split()[1])


def settle(pid: int) -> int:
    """Peak memory from here on is counted anew; what is resident now, in KiB."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")
    return resident_kib(pid, "VmRSS")


def spilled(data: Path) -> list[Path]:
    return list((data / "spill").rglob("*.spill"))


@pytest.mark.timeout(300 + 3 * int(OUTAGE_S))
async def test_nats_stopped_under_a_burst(tmp_path: Path) -> None:
    secret, public = keys.make(tmp_path / "keys")
    options = SimOptions(rate=RATE, kalshi_public_key=public.read_bytes())
    async with Simulator(options) as sim, EmbeddedServer(tmp_path / "elsewhere") as nats:
        assert nats.facts is not None
        env = {**variables(sim, secret), "SSMD_TRANSPORT_URL": nats.facts.url}
        roles = Roles(tmp_path, env, tuple(FEEDS.values()))
        run = Run(sim, roles)
        async with roles.all():
            await run.more(1000)
            pid = roles.running["connect"].pid
            before = settle(pid)
            os.kill(nats.facts.pid, signal.SIGKILL)
            for floor in sim.floors.values():
                floor.rate = RATE * BURST
            until = time.monotonic() + OUTAGE_S
            while time.monotonic() < until:
                await run.more(100)
            waited = sum(path.stat().st_size for path in spilled(tmp_path))
            await nats.start()
            back = time.monotonic()
            for floor in sim.floors.values():
                floor.rate = RATE
            async with asyncio.timeout(60 + OUTAGE_S):
                while spilled(tmp_path):
                    await run.more(100)
            drained_s = time.monotonic() - back
            await run.more(1000)
            peak = resident_kib(pid, "VmHWM")
            roles.check()
    print(f"{waited} bytes waited, and were sent in {drained_s:.0f} s")
    print(f"connector: {before} KiB before, {peak} KiB at most; {OUTAGE_S:g} s without NATS")
    for exchange in EXCHANGES:
        kept = Kept(lines(run.archive, FEEDS[exchange]))
        frames, killed = assert_named(kept, run, exchange)
        print(f"{exchange}: {frames} frames, each once")
        assert killed == 0
        assert kept.of_type("_gap") == []
    assert peak < 1.2 * before
