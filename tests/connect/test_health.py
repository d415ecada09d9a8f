"""``/health`` of a running connector: red with the reason while data is not right, then green."""

import asyncio
import os
import signal
import socket
import sys
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from roles import variables
from ssmd import keys
from ssmd.bus import EmbeddedServer
from ssmd.sim.faults import Fault
from ssmd.sim.server import SimOptions, Simulator

PATIENCE_S = 60
Answer = tuple[int, dict[str, Any]]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Probe:
    def __init__(self, client: aiohttp.ClientSession) -> None:
        self._client = client

    async def __call__(self, path: str = "/health") -> Answer:
        async with self._client.get(path) as answer:
            return answer.status, await answer.json()

    async def ill(self, what: str) -> str:
        """Why that is not well, as soon as ``/health`` says so. On a busy machine something else
        may be ill at the same moment."""
        while what not in (found := (await self.until(503))["ill"]):
            await asyncio.sleep(0.02)
        return str(found[what])

    async def until(self, status: int) -> dict[str, Any]:
        """What ``/health`` says as soon as it answers with that status."""
        last: object = None
        try:
            async with asyncio.timeout(PATIENCE_S):
                while True:
                    try:
                        found, content = last = await self()
                        if found == status:
                            return content
                    except aiohttp.ClientConnectorError:
                        pass  # it is not up yet
                    await asyncio.sleep(0.02)
        except TimeoutError:
            pytest.fail(f"/health is not {status}: {last}")


async def test_health_is_red_while_something_is_wrong_and_green_again(tmp_path: Path) -> None:
    secret, public = keys.make(tmp_path / "keys")
    options = SimOptions(
        exchanges=("kalshi", "kraken"), rate=300, markets=5, kalshi_public_key=public.read_bytes()
    )
    port = free_port()
    async with Simulator(options) as sim, EmbeddedServer(tmp_path / "nats") as nats:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "ssmd", "connect", "--env", "demo", "--feed", "kalshi",
            "--feed", "kraken", "--data", str(tmp_path), "--health-addr", f"127.0.0.1:{port}",
            env={**os.environ, **variables(sim, secret)}, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        try:
            async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as client:
                await check(sim, nats, Probe(client))
        finally:
            process.terminate()
            _, said = await process.communicate()
        assert process.returncode == 0, said.decode()


async def check(sim: Simulator, nats: EmbeddedServer, probe: Probe) -> None:
    await probe.until(200)
    # Checksums that do not hold, those of the new snapshots neither.
    sim.inject(Fault(kind="corrupt", exchange="kraken", type="book", count=None))
    ill = await probe.ill("kraken")
    assert "books are not right" in ill or "gaps are open" in ill
    sim.floors["kraken"].trouble.clear()
    await probe.until(200)
    # A connection that ends, and an exchange that is slow to take it back.
    sim.inject(Fault(kind="handshake", exchange="kalshi", value="429/1"))
    sim.inject(Fault(kind="abort", exchange="kalshi"))
    await probe.ill("kalshi")
    await probe.until(200)
    # NATS is away: nothing is lost, and it is said.
    assert nats.facts is not None
    os.kill(nats.facts.pid, signal.SIGKILL)
    assert await probe.ill("nats") == "not connected"
    await probe.until(200)
