"""The roles as processes of their own, and where they find what they talk to."""

import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp

from ssmd.bus import EmbeddedServer
from ssmd.exchanges import EXCHANGES
from ssmd.sim.server import Simulator

Process = asyncio.subprocess.Process
FEEDS = {name: name.replace("_", "-") for name in EXCHANGES}
"""Exchange -> its feed in the environment ``demo``."""


def variables(sim: Simulator, secret: Path) -> dict[str, str]:
    """What makes the feeds of ``demo`` talk to a simulator."""
    found = {"KALSHI_API_KEY": "test", "KALSHI_PRIVATE_KEY_FILE": str(secret)}
    for exchange in sim.floors:
        name = f"SSMD_FEED_{exchange.upper()}"
        found[f"{name}_ENDPOINT"] = sim.ws_url(exchange)
        found[f"{name}_REST_ENDPOINT"] = sim.rest_url(exchange)
    return found


class Roles:
    """Connector and archiver of one environment, on one data folder."""

    def __init__(
        self,
        data: Path,
        env: Mapping[str, str],
        feeds: Sequence[str] = (),
        *,
        arguments: Sequence[str] = ("--env", "demo"),
    ) -> None:
        self.data = data
        self.running: dict[str, Process] = {}
        self._env = {**os.environ, **env}
        self._feeds = [word for feed in feeds for word in ("--feed", feed)]
        self._arguments = [*arguments, "--data", str(data)]

    async def start(self, role: str) -> None:
        with (self.data / f"{role}.log").open("ab") as log:
            self.running[role] = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "ssmd", role, *self._arguments, *self._feeds),
                env=self._env,
                stderr=log,
            )

    async def kill(self, role: str) -> None:
        with contextlib.suppress(ProcessLookupError):  # it ended by itself: NATS was away
            self.running[role].kill()
        await self.running[role].wait()
        assert "Traceback" not in self.log(role), self.log(role)

    async def stop(self, role: str) -> None:
        """As a person would, and it must end well."""
        self.running[role].terminate()
        async with asyncio.timeout(60):
            assert await self.running[role].wait() == 0, self.log(role)
        assert "Traceback" not in self.log(role), self.log(role)

    def check(self) -> None:
        """Fails where a role has ended by itself."""
        for role, process in self.running.items():
            assert process.returncode is None, self.log(role)

    async def revive(self) -> None:
        """Start a role again that has ended with an error of ours, as a supervisor does."""
        for role, process in tuple(self.running.items()):
            if process.returncode == 1:
                assert "Traceback" not in self.log(role), self.log(role)
                print(f"{role} ended: {self.log(role).splitlines()[-1]}")
                await self.start(role)

    def log(self, role: str) -> str:
        return (self.data / f"{role}.log").read_text()

    @asynccontextmanager
    async def all(self) -> AsyncIterator["Roles"]:
        """Both roles and their NATS; at the end the connector drains first, then the archiver."""
        async with EmbeddedServer(self.data / "nats"):
            try:
                for role in ("archive", "connect"):
                    await self.start(role)
                yield self
                for role in ("connect", "archive"):
                    await self.stop(role)
            finally:
                for process in self.running.values():
                    if process.returncode is None:
                        process.kill()
                        await process.wait()

    @asynccontextmanager
    async def served(self) -> AsyncIterator[aiohttp.ClientSession]:
        """A client of ``ssmd serve`` over the same data folder."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "ssmd", "serve", *self._arguments, "--port", "0"),
            env=self._env,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            assert process.stderr is not None
            url = (await process.stderr.readline()).decode().split()[-1]
            assert url.startswith("http://"), url
            async with aiohttp.ClientSession(url) as client:
                yield client
        finally:
            process.terminate()
            _, log = await process.communicate()
        assert process.returncode == 0, log.decode()
