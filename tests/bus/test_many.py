"""Many keys at once, a bucket in a stream's order, and being the only one."""

import asyncio
from pathlib import Path

import pytest

from ssmd.bus import Bus, connect
from ssmd.config import Transport
from ssmd.errors import BusError, Conflict

ODD = ["KX-1.5", "BTC/USD", "Ü ñ", "_", "a=b", "1" * 78]


async def test_many_keys_are_put_and_read(bus: Bus) -> None:
    bucket = await bus.bucket("many")
    assert await bucket.get_many([]) == {}
    assert await bucket.get_many(["nothing"]) == {}
    values = {**{f"k{n}": b"%d" % n for n in range(2500)}, **dict.fromkeys(ODD, b"odd")}
    await bucket.put_many(values)
    found = await bucket.get_many([*values, "nothing"])
    assert {key: entry.value for key, entry in found.items()} == values
    assert found["k7"] == await bucket.get("k7")


async def test_a_deleted_key_is_not_there(bus: Bus) -> None:
    bucket = await bus.bucket("many")
    await bucket.put_many({"a": b"1", "b": b"2"})
    await bucket.delete("a")
    assert list(await bucket.get_many(["a", "b"])) == ["b"]


async def test_scan_gives_the_latest_of_each(bus: Bus) -> None:
    bucket = await bus.bucket("many")
    assert [entry async for entry in bucket.scan()] == []
    await bucket.put_many({f"k{n}": b"old" for n in range(9000)})
    await bucket.put_many({f"k{n}": b"new" for n in range(0, 9000, 2)} | dict.fromkeys(ODD, b"odd"))
    found = {entry.key: entry.value async for entry in bucket.scan()}
    assert len(found) == 9000 + len(ODD)
    assert (found["k1"], found["k2"], found["BTC/USD"]) == (b"old", b"new", b"odd")


async def test_a_value_that_is_too_long_is_an_error(bus: Bus) -> None:
    bucket = await bus.bucket("many")
    with pytest.raises(BusError):
        await bucket.put_many({"a": b"x" * (bus.max_payload + 100_000_000)})


async def test_only_one_holds_a_claim(bus: Bus, tmp_path: Path, transport: Transport) -> None:
    async with connect(transport, name="other", data=tmp_path) as other:
        async with bus.claim("work"):
            with pytest.raises(Conflict, match="work is at work already"):
                async with other.claim("work"):
                    pytest.fail("two hold it")
            async with other.claim("other work"):
                pass
        async with other.claim("work"):
            pass


async def test_a_claim_ends_with_its_connection(
    bus: Bus, tmp_path: Path, transport: Transport
) -> None:
    held = asyncio.Event()

    async def hold() -> None:
        async with connect(transport, name="other", data=tmp_path) as other, other.claim("work"):
            held.set()
            await asyncio.Event().wait()

    holder = asyncio.create_task(hold())
    await held.wait()
    with pytest.raises(Conflict):
        async with bus.claim("work"):
            pytest.fail("two hold it")
    holder.cancel()
    await asyncio.gather(holder, return_exceptions=True)
    async with bus.claim("work"):
        pass


async def test_of_two_who_come_at_once_at_most_one_stays(bus: Bus) -> None:
    holds = 0

    async def come() -> None:
        nonlocal holds
        async with bus.claim("work"):
            holds += 1
            assert holds == 1
            await asyncio.sleep(0)

    ended = await asyncio.gather(come(), come(), return_exceptions=True)
    assert holds == 1
    assert [type(e) for e in ended if e is not None] == [Conflict]
