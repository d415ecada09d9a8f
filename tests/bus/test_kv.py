"""Key-value buckets on a real nats-server."""

import pytest

from ssmd.bus import Bus, KvEntry
from ssmd.errors import Conflict

KEYS = ["KXBTC-26NOV23-T72999.99", "BTC/USD", "a b", "%", "ünïcode", "*.>", "_"]


async def test_any_text_is_a_key(bus: Bus) -> None:
    bucket = await bus.bucket("demo_things")
    for key in KEYS:
        await bucket.put(key, key.encode())
    assert await bucket.keys() == sorted(KEYS)
    assert {entry.key: entry.value.decode() async for entry in bucket.entries()} == {
        key: key for key in KEYS
    }
    assert await bucket.get("BTC/USD") == KvEntry("BTC/USD", b"BTC/USD", 2)


async def test_an_empty_bucket(bus: Bus) -> None:
    bucket = await bus.bucket("demo_things")
    assert await bucket.keys() == []
    assert [entry async for entry in bucket.entries()] == []
    assert await bucket.get("x") is None


async def test_who_comes_second_is_told(bus: Bus) -> None:
    bucket = await bus.bucket("demo_things")
    first = await bucket.swap("day", b"1", 0)
    await bucket.swap("day", b"2", first)
    for stale in (0, first):
        with pytest.raises(Conflict, match="day was changed"):
            await bucket.swap("day", b"3", stale)
    found = await bucket.get("day")
    assert found is not None
    assert found.value == b"2"


async def test_a_deleted_key_is_gone_and_can_be_made_again(bus: Bus) -> None:
    bucket = await bus.bucket("demo_things")
    await bucket.put("x", b"1")
    await bucket.delete("x")
    assert await bucket.get("x") is None
    assert await bucket.keys() == []
    assert await bucket.swap("x", b"2", 0)
