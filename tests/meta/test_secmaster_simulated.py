"""``ssmd meta secmaster sync`` against the simulated exchanges, over real sockets."""

import asyncio
import json
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path

import aiohttp
import msgspec
import pytest

from roles import FEEDS
from sim.wire import connected, key
from ssmd.bus import Bus, connect
from ssmd.config import Config, Transport, load
from ssmd.instruments.change import Held, decode_held
from ssmd.instruments.shelf import Shelf
from ssmd.meta.secmaster.follow import take_up
from ssmd.meta.secmaster.listing import listing
from ssmd.meta.secmaster.role import keep_all
from ssmd.meta.secmaster.run import Counts, Run
from ssmd.runtime import Role
from ssmd.sim.faults import Fault
from ssmd.sim.server import SimOptions, Simulator

ROOT = Path(__file__).parents[2]
LONG_AGO_NS = 10**18
"""In 2001: what is not touched was not updated since any sync."""
DAY_NS = 86_400_000_000_000


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("SSMD_FEED_")]:
        monkeypatch.delenv(name)


@asynccontextmanager
async def simulated(monkeypatch: pytest.MonkeyPatch, **options: int) -> AsyncIterator[Simulator]:
    wanted = {"start_ns": LONG_AGO_NS, "markets": 25, "lifecycle_every": 20, **options}
    async with Simulator(SimOptions(kalshi_public_key=key()[1], **wanted)) as sim:  # type: ignore[arg-type]
        for exchange in sim.floors:
            variable = f"SSMD_FEED_{exchange.upper()}_REST_ENDPOINT"
            monkeypatch.setenv(variable, sim.rest_url(exchange))
        yield sim


def configured() -> Config:
    found = load("demo", root=ROOT / "config")
    feeds = {
        name: msgspec.structs.replace(feed, rate_limit_per_second=None)
        for name, feed in found.feeds.items()
    }
    return msgspec.structs.replace(found, feeds=feeds)


@pytest.fixture
async def bus(tmp_path: Path) -> AsyncIterator[Bus]:
    transport = Transport(url="embedded", max_bytes=100_000_000)
    async with connect(transport, name="test", data=tmp_path) as found:
        yield found


async def sync(bus: Bus, feed: str) -> Counts:
    config = configured()
    async with Run.open(bus, config, config.feeds[feed]) as run:
        await listing(run, asyncio.Event())
        await take_up(run)
    return run.counts


async def records(bus: Bus, feed: str) -> dict[str, Held]:
    shelf = await Shelf.open(bus, "demo", feed)
    return {entry.key: decode_held(entry.value) async for entry in shelf.bucket.scan()}


@pytest.mark.parametrize("feed", FEEDS.values())
async def test_a_sync_is_complete_and_says_what_fees_are(
    feed: str, bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with simulated(monkeypatch):
        counts = await sync(bus, feed)
        again = await sync(bus, feed)
    assert (counts.notes, counts.malformed, counts.listed) == ([], 0, counts.added)
    assert counts.listed == (50 if feed == "polymarket" else 25)
    assert (again.added, again.changed) == (0, 0)
    for held in (await records(bus, feed)).values():
        assert held.instrument.fees
        assert held.instrument.grid
        assert held.instrument.active


async def test_fees_over_time_are_those_of_the_series(
    bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with simulated(monkeypatch):
        await sync(bus, "kalshi")
    for held in (await records(bus, "kalshi")).values():
        past, coming = held.instrument.fees
        assert (past.kind, past.multiplier) == ("quadratic", Decimal(1))
        assert past.from_ns == LONG_AGO_NS - 30 * DAY_NS
        assert past.until_ns == coming.from_ns == LONG_AGO_NS + 7 * DAY_NS
        assert (coming.kind, coming.multiplier) == ("quadratic_with_maker_fees", Decimal(2))
        assert (held.instrument.category, held.instrument.links.series) == ("Simulation", "KXSIM")


async def test_an_incremental_sync_asks_only_for_what_changed(
    bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with simulated(monkeypatch) as sim:
        world = sim.floors["kalshi"].world
        await sync(bus, "kalshi")
        first = await records(bus, "kalshi")
        world.shift(time.time_ns() - world.now_ns())
        settled = await _until_one_settled(sim)
        counts = await sync(bus, "kalshi")
        latest = await records(bus, "kalshi")
    assert counts.incremental
    assert 0 < counts.listed < 25
    assert counts.changed >= 1
    assert first[settled].instrument.active
    one = latest[settled].instrument
    assert (one.status, one.active) == ("finalized", False)
    assert (one.result, one.settlement) in {("yes", Decimal(1)), ("no", Decimal(0))}
    assert one.settle_ns is not None


async def _until_one_settled(sim: Simulator) -> str:
    """Something happens while somebody watches."""
    async with connected(sim, "kalshi") as client:
        client.subscribe("orderbook_delta", list(_names(sim)))
        client.subscribe("market_lifecycle_v2", [], 2)
        while True:
            frame = json.loads(await client.frame())
            if frame["type"] == "market_lifecycle_v2" and frame["msg"]["event_type"] == "settled":
                return str(frame["msg"]["market_ticker"])


def _names(sim: Simulator) -> list[str]:
    world = sim.floors["kalshi"].world
    return [world.at(index).sym for index in range(4)]


async def test_what_min_updated_ts_does_not_work_with_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with simulated(monkeypatch) as sim, aiohttp.ClientSession() as http:
        url = sim.rest_url("kalshi")
        for query, status in (
            ({"min_updated_ts": "1", "status": "open"}, 400),
            ({"min_updated_ts": "x"}, 400),
            ({"min_updated_ts": "1", "series_ticker": "KXSIM", "limit": "5"}, 200),
        ):
            async with http.get(f"{url}/markets", params=query) as got:
                assert got.status == status
        async with http.get(f"{url}/series/KXSIM") as got:
            assert (await got.json())["series"]["fee_type"] == "quadratic"
        async with http.get(f"{url}/series/KXNONE") as got:
            assert got.status == 404
        async with http.get(f"{url}/series", params={"category": "Sports"}) as got:
            assert (await got.json())["series"] == []
        async with http.get(f"{url}/series/fee_changes") as got:
            (coming,) = (await got.json())["series_fee_change_arr"]
            assert coming["series_ticker"] == "KXSIM"


async def test_the_role_goes_on_where_one_exchange_does_not_answer(
    bus: Bus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is wrong with one feed is told, tried again, and stops no other."""
    role = Role("secmaster")
    async with simulated(monkeypatch) as sim, asyncio.TaskGroup() as tasks:
        sim.inject(Fault(kind="rest", exchange="kraken", value="503", count=None))
        tasks.create_task(keep_all(configured(), tmp_path, role))
        async with asyncio.timeout(60):
            while len(await records(bus, "kalshi")) < 25 or role.health()[0]:
                await asyncio.sleep(0.02)
            assert set(role.health()[1]["ill"]) == {"kraken"}
            assert "503" in role.status()["feeds"]["kraken"]["detail"]
            assert not await records(bus, "kraken")
            sim.clear()
            while len(await records(bus, "kraken")) < 25 or not role.health()[0]:
                await asyncio.sleep(0.02)
        assert role.status()["feeds"]["kraken"]["state"] == "following"
        role.stop.set()


async def test_the_role_waits_for_another_that_holds_the_feed(
    bus: Bus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    role = Role("secmaster")
    async with simulated(monkeypatch), asyncio.TaskGroup() as tasks:
        config = configured()
        async with Run.open(bus, config, config.feeds["kraken"]) as other:
            await listing(other, asyncio.Event())
            tasks.create_task(keep_all(config, tmp_path, role))
            async with asyncio.timeout(60):
                while "kraken" not in role.health()[1].get("ill", {}):
                    await asyncio.sleep(0.02)
            assert "at work" in role.health()[1]["ill"]["kraken"]
        async with asyncio.timeout(60):
            while not role.health()[0]:
                await asyncio.sleep(0.02)
        role.stop.set()
