"""Simulated exchanges, captured with a killed connector and lost frames between, and replayed to
clients that know the exchanges' public documentation only."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp

from clients import kalshi, kraken, kraken_futures, polymarket
from proof import archive_of
from roles import FEEDS, Roles, variables
from ssmd import keys
from ssmd.dataset import Archive
from ssmd.message import Archived, decode_archived
from ssmd.sim.faults import Fault
from ssmd.sim.server import SimOptions, Simulator

FRAMES = 500


LOST = tuple(
    Fault(kind="drop", exchange=exchange, type=type_, after=after)
    for exchange, type_ in (
        ("kraken", "book"),
        ("kraken_futures", "book"),
        ("kalshi", "orderbook_delta"),
    )
    for after in (100, 300)
)
"""Frames that a check misses; what Polymarket loses shows once the client has it."""


async def more(sim: Simulator, roles: Roles) -> None:
    """Until each exchange has sent so many more frames."""
    aims = {name: floor.frames + FRAMES for name, floor in sim.floors.items()}
    async with asyncio.timeout(60):
        while any(sim.floors[name].frames < aim for name, aim in aims.items()):
            roles.check()
            await asyncio.sleep(0.02)


async def capture(data: Path, faults: tuple[Fault, ...]) -> Roles:
    """What two lives of a connector captured."""
    secret, public = keys.make(data / "keys")
    options = SimOptions(
        rate=400, seed=3, markets=6, kalshi_public_key=public.read_bytes(), faults=faults
    )
    async with Simulator(options) as sim:
        roles = Roles(data, variables(sim, secret), tuple(FEEDS.values()))
        async with roles.all():
            await more(sim, roles)
            await roles.kill("connect")
            await roles.start("connect")
            await more(sim, roles)
    return roles


def messages(archive: Archive, exchange: str) -> list[Archived]:
    feed = FEEDS[exchange]
    return [
        decode_archived(line)
        for day in archive.days(feed)
        for line in archive.day(feed, day).lines()
    ]


def url(exchange: str, found: list[Archived], share: float) -> str:
    """From that share of the archived messages on."""
    start = found[int(share * len(found))].recv_ns
    return f"/replay/{exchange}/ws?from={start}&speed=0"


def payloads(found: list[Archived], type_: str) -> Iterator[Any]:
    return (json.loads(entry.payload) for entry in found if entry.type == type_)


async def check_all(client: aiohttp.ClientSession, archive: Archive, share: float) -> None:
    """Each client verifies everything, and sees a snapshot for each life of the connector."""
    lives = 1 if share > 0.5 else 2
    async with asyncio.TaskGroup() as tasks:
        for check in (check_kraken, check_futures, check_kalshi, check_polymarket):
            tasks.create_task(check(client, archive, share, lives))


async def check_kraken(client: Any, archive: Archive, share: float, lives: int) -> None:
    found = messages(archive, "kraken")
    symbols = sorted({e["symbol"] for f in payloads(found, "book") for e in f["data"]})
    seen = await kraken.run(client, url("kraken", found, share), symbols)
    assert seen.wrong == []
    assert seen.errors == []
    assert seen.snapshots >= lives * len(symbols)
    assert seen.verified > seen.snapshots
    assert set(seen.pairs) >= set(symbols)


async def check_futures(client: Any, archive: Archive, share: float, lives: int) -> None:
    found = messages(archive, "kraken_futures")
    products = sorted({f["product_id"] for f in payloads(found, "book_snapshot")})
    seen = await kraken_futures.run(client, url("kraken_futures", found, share), products)
    assert seen.wrong == []
    assert seen.verified > 0
    assert seen.counts["book_snapshot"] >= lives * len(products)


async def check_kalshi(client: Any, archive: Archive, share: float, lives: int) -> None:
    found = messages(archive, "kalshi")
    tickers = sorted({f["msg"]["market_ticker"] for f in payloads(found, "orderbook_snapshot")})
    half = len(tickers) // 2
    path = url("kalshi", found, share)
    seen = await kalshi.run(client, path, tickers[:half], late=tickers[half:])
    assert seen.wrong == []
    assert seen.errors == []
    assert set(seen.books) == set(tickers)
    assert seen.counts["orderbook_delta"] > 0
    assert seen.counts["orderbook_snapshot"] >= lives * len(tickers)
    assert seen.trades


async def check_polymarket(client: Any, archive: Archive, share: float, lives: int) -> None:
    found = messages(archive, "polymarket")
    assets = sorted({book["asset_id"] for book in payloads(found, "book")})
    seen = await polymarket.run(client, url("polymarket", found, share), assets)
    assert seen.wrong == []
    assert seen.verified > 0
    assert seen.counts["book"] >= lives * len(assets)


async def test_clients_verify_what_was_captured(tmp_path: Path) -> None:
    roles = await capture(tmp_path, LOST)
    archive = archive_of(tmp_path, "demo")
    for exchange in {str(fault.exchange) for fault in LOST}:
        assert list(payloads(messages(archive, exchange), "_gap"))
    async with roles.served() as client:
        for share in (0.0, 0.2, 0.7):
            await check_all(client, archive, share)
