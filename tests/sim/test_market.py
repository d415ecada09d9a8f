"""The market: a function of the seed, at the pace that was asked for, slow where a client is."""

import asyncio
from pathlib import Path

import pytest

from sim.wire import BOOKS, SYMBOLS, connected, simulated
from ssmd.exchanges import EXCHANGES

everywhere = pytest.mark.parametrize("exchange", EXCHANGES)


async def heard(exchange: str, seed: int, rate: float | None = None) -> list[bytes]:
    async with (
        simulated(exchange, seed=seed, rate=rate) as sim,
        connected(sim, exchange) as client,
    ):
        client.subscribe(BOOKS[exchange], SYMBOLS[exchange])
        return await client.take(500)


@everywhere
async def test_the_same_seed_is_the_same_market_to_the_byte(exchange: str) -> None:
    assert await heard(exchange, 7) == await heard(exchange, 7)


@everywhere
async def test_another_seed_is_another_market(exchange: str) -> None:
    assert await heard(exchange, 7) != await heard(exchange, 8)


@everywhere
async def test_all_clients_see_one_market(exchange: str) -> None:
    """Each with its own copy, of the same frames."""
    async with (
        simulated(exchange) as sim,
        connected(sim, exchange) as first,
        connected(sim, exchange) as second,
    ):
        for client in (first, second):
            client.subscribe(BOOKS[exchange], SYMBOLS[exchange])
        await first.take(300)
        late = set(await second.take(300))
        while not late <= set(first.heard):
            await first.take(1)


@everywhere
async def test_the_rate_holds_on_average(exchange: str) -> None:
    """By the simulator's own clock: the frames it owes for the time that passed."""
    async with (
        simulated(exchange, rate=1_000.0) as sim,
        connected(sim, exchange) as client,
    ):
        client.subscribe(BOOKS[exchange], SYMBOLS[exchange])
        await client.take(50)
        loop, floor = asyncio.get_running_loop(), sim.floors[exchange]
        began, before = loop.time(), floor.frames
        await client.take(2_000)
        owed = (loop.time() - began) * 1_000.0
        made = floor.frames - before
        # A machine that stood still for long is forgiven what it owes beyond half a second.
        assert made <= owed + 600
        assert made >= 1_500


async def test_a_client_that_does_not_read_holds_the_market_still() -> None:
    async with simulated("kraken") as sim, connected(sim, "kraken") as client:
        client.subscribe("book", SYMBOLS["kraken"])
        await client.take(10)
        client.transport.underlying_transport.pause_reading()
        floor = sim.floors["kraken"]
        (peer,) = floor.clients
        while peer.ready.is_set():
            await asyncio.sleep(0)
        held = floor.frames
        for _ in range(1_000):
            await asyncio.sleep(0)
        assert floor.frames == held
        client.transport.underlying_transport.resume_reading()
        while floor.frames < held + 1_000:
            await client.take(1)


async def test_the_ledger_is_complete_after_the_stop(tmp_path: Path) -> None:
    """Frames, in the file and in memory, of clients that were cut off by it."""
    path = tmp_path / "sent.jsonl"
    async with simulated("kraken", ledger=path) as sim, connected(sim, "kraken") as client:
        client.subscribe("book", SYMBOLS["kraken"])
        await client.take(1_000)
    (sent,) = sim.ledger.of("kraken")
    assert sent.frames >= len(client.heard)
    assert len(path.read_text().splitlines()) == sent.frames
