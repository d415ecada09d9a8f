"""The real connector against a venue of the test's own, over a real nats-server."""

import asyncio
import contextlib
import json
import logging
import shutil
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest

from ssmd import bus
from ssmd import message as wire
from ssmd.bus import Bus
from ssmd.config import Transport, load
from ssmd.connect.cli import capture
from ssmd.connect.shard import Shard
from ssmd.message import Message
from ssmd.runtime import Role

ROOT = Path(__file__).parents[2] / "config"
PATIENCE_S = 60.0


async def until(holds: Callable[[], object]) -> None:
    """Wait for what has no event: what another process or a socket brings about."""
    async with asyncio.timeout(PATIENCE_S):
        while not holds():
            await asyncio.sleep(0.01)


class Captured:
    """A running connector, and what it put onto the bus."""

    def __init__(self, role: Role, bus: Bus) -> None:
        self._role = role
        self._bus = bus

    def status(self, feed: str = "kraken") -> dict[str, Any]:
        found: dict[str, Any] = self._role.status()["feeds"][feed]
        return found

    @property
    def health(self) -> tuple[bool, dict[str, Any]]:
        return self._role.health()

    def stop(self) -> None:
        self._role.stop.set()

    async def reaches(self, state: str, feed: str = "kraken") -> None:
        await until(lambda: self.status(feed)["state"] == state)

    async def messages(self, feed: str = "kraken") -> list[Message]:
        pattern = wire.feed_subjects("test", feed)
        found = self._bus.messages(wire.stream_name("test", feed), pattern)
        return [wire.decode(delivery.payload) async for delivery in found]

    async def frames(self, feed: str = "kraken") -> list[bytes]:
        """What was read from sockets, without our own messages."""
        return [m.payload for m in await self.messages(feed) if (m.part or 0) >= 0]

    async def notes(self, type_: str, feed: str = "kraken") -> list[dict[str, Any]]:
        return [json.loads(m.payload) for m in await self.messages(feed) if m.type == type_]

    async def noted(self, type_: str, feed: str = "kraken") -> dict[str, Any]:
        """The first of our messages of this type, as soon as there is one."""
        async with asyncio.timeout(PATIENCE_S):
            while not (found := await self.notes(type_, feed)):
                await asyncio.sleep(0.05)
        return found[0]

    async def framed(self, count: int, feed: str = "kraken") -> list[bytes]:
        """At least so many frames, as soon as they are there."""
        async with asyncio.timeout(PATIENCE_S):
            while len(found := await self.frames(feed)) < count:
                await asyncio.sleep(0.05)
        return found


def configure(folder: Path, endpoints: Mapping[str, str], more: str = "") -> Path:
    """A configuration folder with an environment ``test`` of these feeds, and ``more`` YAML."""
    for part in ("feeds", "environments"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    shutil.copytree(ROOT / "schemas", folder / "schemas", dirs_exist_ok=True)
    symbols = {"kalshi": "KXA-1"}
    for feed, url in endpoints.items():
        (folder / "feeds" / f"{feed}.yaml").write_text(
            f"name: {feed}\nchannels: [trade]\ninstruments:\n"
            f"  symbols: [{symbols.get(feed, 'BTC/USD')}]\nversions:\n"
            "  - {version: v1, effective_from: 2026-01-01, protocol: {transport: ws}, "
            f"endpoint: '{url}'}}\n"
        )
    keys = (
        "keys:\n  kalshi: {type: api_key, fields: [api_key, private_key], "
        "source: 'env:KALSHI_API_KEY,KALSHI_PRIVATE_KEY'}\n"
    )
    (folder / "environments" / "test.yaml").write_text(
        f"name: test\nfeeds: [{', '.join(endpoints)}]\nschema: message:v1\n"
        + (keys if "kalshi" in endpoints else "")
        + more
    )
    return folder


Capturing = Callable[..., AbstractAsyncContextManager[Captured]]


@contextlib.asynccontextmanager
async def capturing(folder: Path, endpoints: Mapping[str, str]) -> AsyncIterator[Captured]:
    """A connector for the feeds at these endpoints, for as long as the block lasts."""
    config = load("test", root=configure(folder / "config", endpoints))
    role = Role("connect")
    async with bus.connect(Transport(), name="test", data=folder) as reader:
        captured = Captured(role, reader)
        async with asyncio.TaskGroup() as tasks:
            task = tasks.create_task(capture(config, folder, role, Shard()))
            try:
                await until(lambda: "feeds" in role.status() or task.done())
                for feed in endpoints:
                    await until(lambda f=feed: "acked" in captured.status(f) or task.done())
                yield captured
            finally:
                role.stop.set()


def lines(caplog: pytest.LogCaptureFixture, feed: str = "kraken") -> list[str]:
    """What a person reads of a feed that is not well."""
    return [
        record.getMessage()
        for record in caplog.records
        if record.levelno >= logging.WARNING and record.getMessage().startswith(f"{feed}:")
    ]
