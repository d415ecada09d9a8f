"""What is stored but was never acked is not stored again, however long NATS was away."""

import asyncio

import pytest

from ssmd.bus import Bus, Publisher
from ssmd.bus.stream import request
from ssmd.config import Transport

FORGETFUL = Transport(url="embedded", duplicate_window_s=0.1, max_bytes=10_000_000)
STREAM = "DEMO_KALSHI"


async def stored(bus: Bus) -> list[int]:
    return [int(m.payload) async for m in bus.messages(STREAM, "demo.kalshi.>")]


def put(publisher: Publisher, first: int, last: int) -> None:
    for number in range(first, last):
        publisher.put("demo.kalshi.json.t.S", f"c:{number}:0", b"%d" % number)


async def has(bus: Bus, count: int) -> None:
    while (await bus.stream_facts(STREAM)).last_seq < count:
        await asyncio.sleep(0.01)


async def forget(bus: Bus) -> None:
    """Until the server takes an id for a new one."""
    config = {"name": "OTHER", "subjects": ["other"], "duplicate_window": 100_000_000}
    await request(bus._nc, "STREAM.CREATE.OTHER", config)
    js = bus._nc.jetstream()
    await js.publish("other", b"", headers={"Nats-Msg-Id": "1"})
    while (await js.publish("other", b"", headers={"Nats-Msg-Id": "1"})).duplicate:
        await asyncio.sleep(0.05)


@pytest.fixture(autouse=True)
def _never_acked(monkeypatch: pytest.MonkeyPatch) -> None:
    """So few messages are acked when the batch is committed only, and that takes a while."""
    monkeypatch.setattr("ssmd.bus.publisher.COMMIT_AFTER_S", 60.0)
    monkeypatch.setattr("ssmd.bus.known.REMEMBERED_S", 0.0)


async def test_what_is_stored_is_not_sent_again(bus: Bus, monkeypatch: pytest.MonkeyPatch) -> None:
    await bus.ensure_stream("demo", "kalshi", FORGETFUL)
    async with bus.publisher(STREAM) as publisher:
        put(publisher, 0, 200)
        await has(bus, 200)
        assert publisher.acked == 0
        held = publisher.withdraw()
        await forget(bus)
        for pending in held:
            publisher.put(*pending)
        put(publisher, 200, 300)
        monkeypatch.setattr("ssmd.bus.publisher.COMMIT_AFTER_S", 0.01)
        await publisher.flush(30)
        assert publisher.acked == 300
    assert await stored(bus) == list(range(300))


async def test_what_others_store_meanwhile_is_no_answer(
    bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More than one pull of them, and none of ours is stored."""
    monkeypatch.setattr("ssmd.bus.known.BATCH", 30)
    await bus.ensure_stream("demo", "kalshi", FORGETFUL)
    async with bus.publisher(STREAM) as publisher, bus.publisher(STREAM) as other:
        put(publisher, 0, 50)
        await has(bus, 50)
        put(other, 1000, 1100)
        await has(bus, 150)
        held = publisher.withdraw()
        await forget(bus)
        for pending in held[:20]:
            publisher.put(*pending)
        put(publisher, 50, 60)
        monkeypatch.setattr("ssmd.bus.publisher.COMMIT_AFTER_S", 0.01)
        await publisher.flush(30)
    assert await stored(bus) == [*range(50), *range(1000, 1100), *range(50, 60)]


async def test_a_stream_that_is_gone_holds_nothing(
    bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def restore() -> None:
        await bus.ensure_stream("demo", "kalshi", FORGETFUL)

    await restore()
    async with bus.publisher(STREAM, restore=restore) as publisher:
        put(publisher, 0, 20)
        await has(bus, 20)
        held = publisher.withdraw()
        await request(bus._nc, f"STREAM.DELETE.{STREAM}")
        for pending in held:
            publisher.put(*pending)
        monkeypatch.setattr("ssmd.bus.publisher.COMMIT_AFTER_S", 0.01)
        await publisher.flush(30)
    assert await stored(bus) == list(range(20))
