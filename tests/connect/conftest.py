"""A feed's channel onto a real stream, and what came to stand on it."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from connect import harness
from connect.harness import Captured, Capturing
from ssmd import message
from ssmd.bus import Bus
from ssmd.config import Transport
from ssmd.connect.outbox import Outbox
from ssmd.connect.spill import Spill
from ssmd.connect.tape import Channel
from ssmd.exchanges import exchange
from ssmd.message import Message

Notes = Callable[[], Awaitable[list[tuple[str, dict[str, Any]]]]]


@pytest.fixture
async def channel(bus: Bus, transport: Transport, tmp_path: Path) -> AsyncIterator[Channel]:
    facts = await bus.ensure_stream("test", "kraken", transport)
    async with bus.publisher(facts.name) as publisher:
        outbox = Outbox(publisher, Spill(tmp_path / "spill"), 1_000_000)
        async with outbox.running(30):
            yield Channel("test", "kraken", exchange("kraken"), outbox, bus.max_payload)


@pytest.fixture
def stored(bus: Bus, channel: Channel) -> Callable[[], Awaitable[list[Message]]]:
    """Every message of the feed that JetStream has, once all are acked."""

    async def read() -> list[Message]:
        await channel.outbox.stored()
        pattern = message.feed_subjects("test", "kraken")
        name = message.stream_name("test", "kraken")
        return [message.decode(found.payload) async for found in bus.messages(name, pattern)]

    return read


@pytest.fixture
def notes(stored: Callable[[], Awaitable[list[Message]]]) -> Notes:
    """Type and facts of our own messages, in order."""

    async def read() -> list[tuple[str, dict[str, Any]]]:
        own = [found for found in await stored() if found.type.startswith("_")]
        return [(found.type, msgspec.json.decode(found.payload)) for found in own]

    return read


@pytest.fixture
def capturing(tmp_path: Path) -> Capturing:
    """``capturing(url)`` or ``capturing(feed=url, ...)``: a connector while the block lasts."""

    def run(endpoint: str = "", **endpoints: str) -> AbstractAsyncContextManager[Captured]:
        named = {"kraken": endpoint} if endpoint else {}
        return harness.capturing(tmp_path, {**named, **endpoints})

    return run


@pytest.fixture
def quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    """A refusal is tried again soon."""
    monkeypatch.setattr("ssmd.connect.retry.REFUSED_RETRY_S", 0.05)
