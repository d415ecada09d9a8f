"""Faults of frames: on the wire is exactly what the fault promises, and the ledger says so.

A market and its frames follow from the seed: what is heard under a fault is held against what is
heard of the same market without it.
"""

import json
import re
from collections.abc import Sequence

import pytest
from picows import WSMsgType

from sim.frames import (
    AFTER,
    DELTA,
    SPAN,
    assert_told,
    everywhere,
    hashes,
    hearing,
    of_a_change,
    place,
    sound,
    withheld,
)
from sim.wire import BOOKS, SYMBOLS, connected, simulated
from ssmd import message as wire
from ssmd.exchanges import EXCHANGES
from ssmd.sim.faults import Fault


@everywhere("drop")
async def test_drop(exchange: str) -> None:
    expected = await sound(exchange)
    k = place(exchange, expected)
    async with hearing(exchange, of_a_change("drop", exchange)) as (client, ledger):
        assert await client.take(SPAN - 1) == expected[:k] + expected[k + 1 :]
        assert_told(client, ledger, "drop", expected[:k])
        ((after, digest),) = ledger.connections[0].withheld
    assert client.told(client.heard[:after]) == expected[:k]
    assert [digest] == hashes([expected[k]])


@everywhere("drop")
async def test_drop_of_a_symbol_counts_only_its_frames(exchange: str) -> None:
    symbol = SYMBOLS[exchange][1]
    expected = await sound(exchange)
    own = [n for n, frame in enumerate(expected) if f'"{symbol}"'.encode() in frame
           and EXCHANGES[exchange].classify(frame).type == DELTA[exchange]]  # fmt: skip
    lost = set(own[2:5])
    fault = of_a_change("drop", exchange, symbol=symbol, after=2, count=3)
    async with hearing(exchange, fault) as (client, ledger):
        left = [frame for n, frame in enumerate(expected) if n not in lost]
        assert await client.take(len(left)) == left
    assert withheld(ledger) == hashes([expected[n] for n in sorted(lost)])


@everywhere("duplicate")
async def test_duplicate(exchange: str) -> None:
    expected = await sound(exchange)
    k = place(exchange, expected)
    async with hearing(exchange, of_a_change("duplicate", exchange)) as (client, ledger):
        assert await client.take(SPAN + 1) == [*expected[: k + 1], *expected[k:]]
        assert_told(client, ledger, "duplicate", expected[:k])


@everywhere("reorder")
async def test_reorder(exchange: str) -> None:
    expected = await sound(exchange)
    k, classify = place(exchange, expected), EXCHANGES[exchange].classify

    def about(frame: bytes) -> tuple[str, str | None]:
        return classify(frame).type, classify(frame).sym

    after = next(n for n in range(k + 1, SPAN) if about(expected[n]) == about(expected[k]))
    moved = [*expected[:k], *expected[k + 1 : after + 1], expected[k], *expected[after + 1 :]]
    async with hearing(exchange, of_a_change("reorder", exchange)) as (client, ledger):
        assert await client.take(SPAN) == moved
        assert_told(client, ledger, "reorder", expected[:k])
    assert withheld(ledger) == []


async def test_a_frame_that_waits_for_its_successor_is_withheld_when_the_client_leaves() -> None:
    fault = Fault(kind="reorder", exchange="kraken", type="book", after=1, symbol="BTC/USD")
    async with simulated("kraken", fault, rate=1e-6) as sim:
        async with connected(sim, "kraken") as client:
            client.subscribe("book", ["ETH/USD", "BTC/USD"])
            await client.take(5)
            floor = sim.floors["kraken"]
            while not sim.ledger.events:
                floor.world.step()
                for one in floor.clients:
                    one.flush()
        (peer,) = floor.clients
        await peer.gone.wait()
        assert len(withheld(sim.ledger)) == 1


@everywhere("delay")
async def test_delay(exchange: str) -> None:
    k = place(exchange, await sound(exchange))
    got = list[bytes]()
    async with hearing(exchange, of_a_change("delay", exchange, "0.05")) as (client, ledger):
        late = (await sound(exchange))[k]
        while late not in got:
            got += await client.take(1)
    expected = await sound(exchange, len(got))
    assert got.index(late) == len(got) - 1 > k
    assert got[:-1] == expected[:k] + expected[k + 1 :]
    assert withheld(ledger) == []


CAUSES = [("kalshi", None, "negative"), ("polymarket", None, "top"), ("polymarket", "hash", None),
          ("kraken", None, "checksum"), ("kraken_futures", None, "crossed")]  # fmt: skip


@pytest.mark.parametrize(("exchange", "value", "cause"), CAUSES)
async def test_corrupt(exchange: str, value: str | None, cause: str | None) -> None:
    """Polymarket's socket lacks two facts that its hashes cover: a wrong one proves
    nothing."""
    expected = await sound(exchange)
    if value == "hash":
        k, fault = 0, Fault(kind="corrupt", exchange=exchange, value=value)
    else:
        k, fault = place(exchange, expected), of_a_change("corrupt", exchange)
    async with hearing(exchange, fault) as (client, ledger):
        heard = await client.take(SPAN)
        assert_told(client, ledger, "corrupt", expected[:k])
    assert heard[:k] + heard[k + 1 :] == expected[:k] + expected[k + 1 :]
    assert heard[k] != expected[k]
    assert causes(exchange, expected) == []
    assert causes(exchange, heard)[:1] == ([cause] if cause else [])


def causes(exchange: str, frames: Sequence[bytes]) -> list[str]:
    """What the exchange's checks find wrong."""
    checks, found = EXCHANGES[exchange].continuity(), list[str]()
    for frame in frames:
        for element in wire.split_array(frame) or [frame]:
            header = EXCHANGES[exchange].classify(element)
            found += [fault.cause for fault in checks.check(header, element).faults]
    return found


@everywhere("sequence")
async def test_sequence(exchange: str) -> None:
    trades = exchange == "kraken"
    channel = "trade" if trades else BOOKS[exchange]
    field = re.compile(rb'"trade_id":(\d+)' if trades else rb'"seq":(\d+)')
    expected = await sound(exchange, channel=channel)
    k = place(exchange, expected, "trade" if trades else None)

    def group(frame: bytes) -> str | None:
        header = EXCHANGES[exchange].classify(frame)
        return header.sym if trades else header.grp

    numbers = [
        [int(number) + 7 * (n >= k and group(frame) == group(expected[k]))
         for number in field.findall(frame)]
        for n, frame in enumerate(expected)
    ]  # fmt: skip
    fault = of_a_change("sequence", exchange, "7", type="trade" if trades else DELTA[exchange])
    async with hearing(exchange, fault, channel=channel) as (client, ledger):
        heard = await client.take(SPAN)
        assert_told(client, ledger, "sequence", expected[:k])
    assert [[int(number) for number in field.findall(frame)] for frame in heard] == numbers
    assert [field.sub(b"", f) for f in heard] == [field.sub(b"", f) for f in expected]


@pytest.mark.parametrize("code", ["10", "25"])
async def test_error(code: str) -> None:
    expected = await sound("kalshi")
    k = place("kalshi", expected)
    async with hearing("kalshi", of_a_change("error", "kalshi", code)) as (client, ledger):
        assert await client.take(k + 1) == expected[: k + 1]
        told = json.loads(await client.frame())
        assert (told["type"], told["sid"], told["msg"]["code"]) == ("error", 1, int(code))
        assert_told(client, ledger, "error", expected[:k])
        # The sid is over; a new one lives.
        client.say(b'{"id":8,"cmd":"unsubscribe","params":{"sids":[1]}}')
        assert json.loads(await client.frame())["msg"]["code"] == 7
        client.subscribe("orderbook_delta", SYMBOLS["kalshi"], 9)
        later = [json.loads(frame) for frame in await client.take(50)]
    assert later[0] == {"id": 9, "type": "subscribed",
                        "msg": {"channel": "orderbook_delta", "sid": 2}}  # fmt: skip
    assert {frame["sid"] for frame in later[1:]} == {2}


@pytest.mark.parametrize(
    ("value", "data", "kind"),
    [
        ("text", b"no json at all", WSMsgType.TEXT),
        ("utf8", b'{"a":"\xff\xfe"}', WSMsgType.TEXT),
        ("binary", bytes(range(256)), WSMsgType.BINARY),
    ],
)
@everywhere("garbage")
async def test_garbage(exchange: str, value: str, data: bytes, kind: WSMsgType) -> None:
    expected = await sound(exchange)
    k = place(exchange, expected)
    async with hearing(exchange, of_a_change("garbage", exchange, value)) as (client, ledger):
        while (found := await client.next()) is not None and found.data != data:
            assert found.kind == WSMsgType.TEXT
        assert found == (kind, data)
        assert await client.take(SPAN - k) == expected[k:]
        assert_told(client, ledger, "garbage", expected[:k])


@pytest.mark.parametrize("size", [32, 3_000_000])
@everywhere("huge")
async def test_huge(exchange: str, size: int) -> None:
    expected = await sound(exchange)
    k = place(exchange, expected)
    async with hearing(exchange, of_a_change("huge", exchange, str(size))) as (client, ledger):
        assert await client.take(k) == expected[:k]
        (big,) = await client.take(1)
        assert len(big) == size
        assert list(json.loads(big)) == ["huge"]
        assert await client.take(SPAN - k) == expected[k:]
        assert_told(client, ledger, "huge", expected[:k])


@pytest.mark.parametrize("value", ["add", "rename", "type"])
@everywhere("schema")
async def test_schema(exchange: str, value: str) -> None:
    expected = await sound(exchange)
    k = place(exchange, expected)
    async with hearing(exchange, of_a_change("schema", exchange, value)) as (client, ledger):
        heard = await client.take(SPAN)
        assert_told(client, ledger, "schema", expected[:k])
    assert heard[:k] + heard[k + 1 :] == expected[:k] + expected[k + 1 :]
    before, after = json.loads(expected[k]), json.loads(heard[k])
    if value == "add":
        assert after == {"brand_new_field": [1, {"a": None}], **before}
    elif value == "rename":
        assert len(after.keys() - before.keys()) == len(before.keys() - after.keys()) == 1
        assert list(after.values()) == list(before.values())
    else:
        assert [v for name, v in after.items() if v != before[name]] == ["mystery"]


@everywhere("drop")
async def test_a_fault_that_is_cleared_acts_no_more(exchange: str) -> None:
    everything = Fault(kind="drop", exchange=exchange, count=None, after=AFTER)
    async with simulated(exchange, everything) as sim, connected(sim, exchange) as client:
        client.subscribe(BOOKS[exchange], SYMBOLS[exchange])
        (active,) = sim.faults
        await active.fired.wait()
        sim.clear()
        await client.take(SPAN)
        assert sim.faults == []
