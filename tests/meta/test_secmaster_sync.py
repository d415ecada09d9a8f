"""``ssmd meta secmaster sync``: each change once, whatever cuts it off."""

import asyncio
import os
import random
import sys
from collections.abc import AsyncIterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiohttp import web

from command import clean
from kalshi_list import KalshiList
from ssmd import message
from ssmd.bus import Bus, connect
from ssmd.config import Transport, load
from ssmd.errors import Conflict, ExchangeError
from ssmd.instruments.change import Change, Held, decode_change, decode_held, subjects
from ssmd.instruments.shelf import Shelf
from ssmd.message import Message
from ssmd.meta.secmaster.follow import take_up
from ssmd.meta.secmaster.listing import listing
from ssmd.meta.secmaster.run import Run

ROOT = Path(__file__).parents[2]
STREAM = "DEMO_KALSHI"
MARKETS = int(os.environ.get("SSMD_TEST_MARKETS", "5000"))
"""200,000 is what Kalshi lists at most; it takes a minute or two."""
MOST_RSS_MB = 300
LONG = pytest.mark.timeout(60 + MARKETS // 50)


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("SSMD_FEED_")]:
        monkeypatch.delenv(name)


class Master:
    """The security master of one feed in this process, on the test's NATS."""

    def __init__(self, bus: Bus, kalshi: KalshiList, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("SSMD_FEED_KALSHI_REST_ENDPOINT", kalshi.url)
        config = load("demo", root=ROOT / "config", feeds=("kalshi",))
        feed = msgspec.structs.replace(config.feeds["kalshi"], rate_limit_per_second=None)
        self.config = msgspec.structs.replace(config, feeds={"kalshi": feed})
        self.feed = feed
        self.bus = bus

    def open(self) -> Any:
        return Run.open(self.bus, self.config, self.feed)

    async def sync(self, *, full: bool = False) -> Run:
        async with self.open() as run:
            await listing(run, asyncio.Event(), full=full)
            await take_up(run)
        return run  # type: ignore[no-any-return]


async def records(bus: Bus) -> dict[str, Held]:
    shelf = await Shelf.open(bus, "demo", "kalshi")
    return {entry.key: decode_held(entry.value) async for entry in shelf.bucket.scan()}


async def told(bus: Bus) -> AsyncIterator[Change]:
    """Every ``_instrument`` message, after a look at how it is numbered."""
    numbers: dict[str, int] = {}
    async for delivery in bus.messages(STREAM, subjects("demo", "kalshi")):
        entry = message.decode(delivery.payload)
        numbers[entry.conn] = numbers.get(entry.conn, 0) + 1
        assert (entry.n, entry.part) == (0, -numbers[entry.conn])
        change = decode_change(entry.payload)
        assert (entry.sym, entry.recv_ns) == (change.sym, change.known_ns)
        yield change


async def digests(bus: Bus) -> dict[str, str]:
    """What does not depend on when it was learned, by symbol."""
    shelf = await Shelf.open(bus, "demo", "kalshi")
    found = {}
    async for entry in shelf.bucket.scan():
        held = decode_held(entry.value)
        facts = msgspec.json.encode((held.number, held.raw_sha256, held.instrument))
        found[entry.key] = sha256(facts).hexdigest()
    return found


async def assert_once(bus: Bus) -> None:
    """Each change is told once, and the bucket holds the last of each instrument."""
    numbers: dict[str, int] = {}
    async for change in told(bus):
        numbers[change.sym] = numbers.get(change.sym, 0) + 1
        assert change.number == numbers[change.sym]
    shelf = await Shelf.open(bus, "demo", "kalshi")
    kept = {e.key: decode_held(e.value).number async for e in shelf.bucket.scan()}
    assert kept == numbers


async def publish(bus: Bus, entries: list[Message]) -> None:
    async with bus.publisher(STREAM) as publisher:
        for entry in entries:
            subject = message.subject("demo", "kalshi", entry.type, entry.sym or None)
            publisher.put(subject, entry.id, message.encode(entry))
        await publisher.flush(60)


# --- what is written ------------------------------------------------------------------------------


async def test_only_changes_are_written(bus: Bus, monkeypatch: pytest.MonkeyPatch) -> None:
    async with KalshiList(250, page=100).serving() as kalshi:
        master = Master(bus, kalshi, monkeypatch)
        first = await master.sync()
        assert (first.counts.added, first.counts.pages) == (250, 3)
        again = await master.sync(full=True)
        assert (again.counts.unchanged, again.counts.added + again.counts.changed) == (250, 0)
        kalshi.changed[7] = {"title": "New", "volume_fp": "5.00"}
        kalshi.changed[8] = {"yes_bid_dollars": "0.9900"}  # a price is no fact of an instrument
        third = await master.sync(full=True)
        assert (third.counts.changed, third.counts.unchanged) == (1, 249)
    last = [change async for change in told(bus)][-1]
    assert last.changed == {"title": (kalshi_title(7), "New")}
    assert (await records(bus))[kalshi.ticker(7)].instrument.title == "New"
    assert (await records(bus))[kalshi.ticker(7)].instrument.category == "Business"
    await assert_once(bus)


def kalshi_title(number: int) -> str:
    return str(KalshiList(1).market(number)["title"])


async def test_incremental_after_a_whole_list(bus: Bus, monkeypatch: pytest.MonkeyPatch) -> None:
    async with KalshiList(30).serving() as kalshi:
        master = Master(bus, kalshi, monkeypatch)
        await master.sync()
        assert "min_updated_ts" not in kalshi.queries[-1]
        run = await master.sync()
        assert run.counts.incremental
        assert "min_updated_ts" in kalshi.queries[-1]
        assert "status" not in kalshi.queries[-1]


async def test_closed_markets_leave_the_list_and_are_asked_for(
    bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The feed's filter is ``status: open``: what is not listed any more may be closed."""
    async with KalshiList(30).serving() as kalshi:
        master = Master(bus, kalshi, monkeypatch)
        await master.sync()
        kalshi.changed[3] = {
            "status": "finalized", "result": "yes", "settlement_value_dollars": "1.0000",
            "settlement_ts": "2026-11-20T00:00:00Z", "updated_time": "2026-11-20T00:00:00Z",
        }  # fmt: skip
        run = await master.sync(full=True)
    assert run.counts.changed == 1
    settled = (await records(bus))[kalshi.ticker(3)].instrument
    assert (settled.status, settled.active, settled.result) == ("finalized", False, "yes")


async def test_wrong_entries_are_reported_and_the_others_kept(
    bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with KalshiList(20).serving() as kalshi:
        kalshi.changed |= {4: {"close_time": 7}, 5: 17, 6: {"price_ranges": [{"start": "x"}]}}
        run = await Master(bus, kalshi, monkeypatch).sync()
    assert (run.counts.added, run.counts.malformed) == (17, 3)
    assert {entry.entry for entry in run.counts.entries} == {
        kalshi.ticker(4), "market 6 of the page", kalshi.ticker(6),
    }  # fmt: skip


async def test_a_list_that_goes_in_circles(bus: Bus, monkeypatch: pytest.MonkeyPatch) -> None:
    async with KalshiList(20, page=0).serving() as kalshi:
        with pytest.raises(ExchangeError, match="circles"):
            await Master(bus, kalshi, monkeypatch).sync()


# --- messages of the exchange ---------------------------------------------------------------------


def lifecycle(n: int, recv_ns: int, kind: str, sym: str, **more: Any) -> Message:
    frame = {
        "type": "market_lifecycle_v2", "sid": 1, "seq": n,
        "msg": {"event_type": kind, "market_ticker": sym, **more},
    }  # fmt: skip
    body = message.body(msgspec.json.encode(frame))
    return Message(
        feed="kalshi", conn="c1", n=n, recv_ns=recv_ns, mono_ns=n, type="market_lifecycle_v2",
        sym=sym, **body,
    )  # fmt: skip


async def test_lifecycle_messages_become_changes(bus: Bus, monkeypatch: pytest.MonkeyPatch) -> None:
    async with KalshiList(10).serving() as kalshi:
        master = Master(bus, kalshi, monkeypatch)
        await master.sync()
        now = max(held.learned_ns for held in (await records(bus)).values()) + 1
        first, at = kalshi.ticker(0), now // 10**9 + 100
        await publish(bus, [
            lifecycle(1, now, "deactivated", first),
            lifecycle(2, now + 1, "created", "KXA-NEW-1", open_ts=at, close_ts=at + 60,
                      additional_metadata={"title": "N", "event_ticker": "KXA-NEW"}),
            lifecycle(3, now + 2, "determined", "KXZ-UNKNOWN", result="yes"),
            lifecycle(4, now + 3, "determined", first, result="no", determination_ts=at),
            lifecycle(5, now + 4, "settled", first, settled_ts=at + 1, settlement_value="0.0000"),
        ])  # fmt: skip
        async with master.open() as run:
            await take_up(run)
        assert (run.counts.followed, run.counts.added, run.counts.changed) == (5, 1, 3)
        again = await master.sync()
        assert again.counts.followed == 0
        assert again.counts.stale == 1  # the list was cached: it says that it is active
    known = await records(bus)
    done = known[first].instrument
    assert (done.status, done.result, done.settle_ns) == ("finalized", "no", (at + 1) * 10**9)
    assert known[first].source == "market_lifecycle_v2"
    assert known["KXA-NEW-1"].instrument.links.event == "KXA-NEW"
    await assert_once(bus)


async def test_messages_from_before_the_list_change_nothing(
    bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with KalshiList(3).serving() as kalshi:
        master = Master(bus, kalshi, monkeypatch)
        await bus.ensure_stream("demo", "kalshi", master.config.env.transport)
        await publish(bus, [lifecycle(1, 1_700_000_000_000_000_000, "created", kalshi.ticker(0))])
        await master.sync()
        await publish(bus, [lifecycle(2, 1_700_000_000_000_000_001, "created", kalshi.ticker(1))])
        run = await master.sync()
    assert run.counts.stale == 1
    assert all(held.instrument.active for held in (await records(bus)).values())


async def test_fees_of_an_event(bus: Bus, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message names the event; its markets get the fees, and keep them when listed again."""
    async with KalshiList(30).serving() as kalshi:
        master = Master(bus, kalshi, monkeypatch)
        await master.sync()
        event = kalshi.ticker(11).rpartition("-")[0]
        frame = {"event_ticker": event, "fee_type_override": "flat", "fee_multiplier_override": 2}
        raw = msgspec.json.encode({"type": "event_fee_update", "sid": 1, "msg": frame})
        now = max(held.learned_ns for held in (await records(bus)).values()) + 1
        entry = Message(
            feed="kalshi", conn="c1", n=1, recv_ns=now, mono_ns=1, type="event_fee_update",
            **message.body(raw),
        )  # fmt: skip
        await publish(bus, [entry])
        await master.sync()
        again = await master.sync(full=True)
    assert again.counts.changed == 0
    fees = {sym: held.instrument.own_fees for sym, held in (await records(bus)).items()}
    assert {sym for sym, own in fees.items() if own} == {
        kalshi.ticker(number) for number in (11, 13, 15, 17, 19)
    }  # fmt: skip
    await assert_once(bus)


async def test_pairs_that_are_not_listed_any_more(
    bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Kraken's list names all that exist."""
    pairs = {f"A{n}USD": {"wsname": f"A{n}/USD", "status": "online"} for n in range(5)}

    async def listed(_: web.Request) -> web.Response:
        return web.json_response({"error": [], "result": pairs})

    app = web.Application()
    app.router.add_get("/AssetPairs", listed)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        monkeypatch.setenv("SSMD_FEED_KRAKEN_REST_ENDPOINT", url)
        config = load("demo", root=ROOT / "config", feeds=("kraken",))
        for changed in (0, 1, 0):
            async with Run.open(bus, config, config.feeds["kraken"]) as run:
                await listing(run, asyncio.Event())
            assert run.counts.changed == changed
            pairs.pop("A3USD", None)
        held = await (await Shelf.open(bus, "demo", "kraken")).get("A3/USD")
    finally:
        await runner.cleanup()
    assert held is not None
    assert (held.instrument.status, held.instrument.active) == ("delisted", False)


# --- cut off --------------------------------------------------------------------------------------


async def test_cut_off_between_publishing_and_keeping(
    bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is on the stream and not in the bucket is put there, and not told again."""
    async with KalshiList(40, page=10).serving() as kalshi:
        master = Master(bus, kalshi, monkeypatch)
        await master.sync()
        for number in range(15, 25):
            kalshi.changed[number] = {"title": "New"}
        before = await records(bus)
        async with master.open() as run:
            await listing(run, asyncio.Event(), full=True)
            killed = run.state  # as it is saved while a run is at work
        shelf = await Shelf.open(bus, "demo", "kalshi")
        state = await shelf.state()
        back = msgspec.structs.replace(state, holder=killed.holder, seq=40)
        await shelf.save(back)
        await shelf.bucket.put_many(
            {sym: msgspec.json.encode(held) for sym, held in before.items()}
        )
        resumed = await master.sync(full=True)
    assert resumed.counts.recovered == 10
    assert resumed.counts.changed == 0
    await assert_once(bus)


async def test_the_exchange_goes_away_in_the_middle(
    bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with KalshiList(50, page=10).serving() as kalshi:
        master = Master(bus, kalshi, monkeypatch)

        async def fail(page: int) -> None:
            if page == 3:
                raise web.HTTPBadGateway

        kalshi.on_page = fail
        with pytest.raises(ExchangeError, match="502"):
            await master.sync()
        assert len(await records(bus)) == 20
        kalshi.on_page = None
        run = await master.sync()
        assert run.counts.resumed
        assert (run.counts.listed, run.counts.added) == (30, 30)
        assert kalshi.queries[-1]["cursor"] == "40"
    await assert_once(bus)


async def test_too_many_requests_are_waited_out(bus: Bus, monkeypatch: pytest.MonkeyPatch) -> None:
    async with KalshiList(20, page=10).serving() as kalshi:

        async def busy(page: int) -> None:
            if page == 2:
                raise web.HTTPTooManyRequests(headers={"Retry-After": "1"})

        kalshi.on_page = busy
        run = await Master(bus, kalshi, monkeypatch).sync()
    assert run.counts.added == 20
    assert kalshi.pages == 3


async def test_a_cursor_that_the_exchange_forgot(bus: Bus, monkeypatch: pytest.MonkeyPatch) -> None:
    async with KalshiList(30, page=10).serving() as kalshi:
        master = Master(bus, kalshi, monkeypatch)

        async def fail(page: int) -> None:
            if page == 2:
                raise web.HTTPBadGateway
            if page == 3:
                raise web.HTTPBadRequest

        kalshi.on_page = fail
        with pytest.raises(ExchangeError):
            await master.sync()
        run = await master.sync()
    assert (run.counts.resumed, run.counts.listed, run.counts.added) == (False, 30, 20)
    await assert_once(bus)


async def test_one_at_a_time(bus: Bus, monkeypatch: pytest.MonkeyPatch) -> None:
    async with KalshiList(10).serving() as kalshi:
        master = Master(bus, kalshi, monkeypatch)
        async with master.open() as run:
            await listing(run, asyncio.Event())
            with pytest.raises(Conflict, match="at work"):
                await master.sync()
        await master.sync()
    await assert_once(bus)


# --- the command, killed --------------------------------------------------------------------------


class Command:
    """``ssmd meta secmaster sync`` as a process of its own."""

    def __init__(self, data: Path, kalshi: KalshiList) -> None:
        self.data = data
        self.root = data / "fast"
        self.env = clean(SSMD_FEED_KALSHI_REST_ENDPOINT=kalshi.url, PYTHONPATH=str(ROOT / "src"))
        for file in (ROOT / "config").rglob("*"):
            if file.is_file():
                to = self.root / file.relative_to(ROOT / "config")
                to.parent.mkdir(parents=True, exist_ok=True)
                text = file.read_text().replace("second: 10\n", "second: 10000\n")
                to.write_text(text)

    async def start(self) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "ssmd", "meta", "secmaster", "sync", "--json"),
            *("--env", "demo", "--feed", "kalshi", "--data", str(self.data)),
            *("--config", str(self.root)),
            env=self.env, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip

    async def finish(self) -> Any:
        process = await self.start()
        out, err = await process.communicate()
        assert process.returncode == 0, err.decode()
        return msgspec.json.decode(out)[0]


@LONG
async def test_killed_anywhere_and_resumed(
    bus: Bus, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """The end is that of a run which nothing cut off, and nothing is told twice."""
    pick = random.Random(MARKETS)
    async with KalshiList(MARKETS, page=max(100, MARKETS // 50)).serving() as kalshi:
        for number in range(0, MARKETS, 7):
            kalshi.changed[number] = {"title": f"Special {number}"}
        command = Command(tmp_path, kalshi)
        for _ in range(6):
            wanted = kalshi.pages + pick.randint(2, 9)
            reached = asyncio.Event()

            async def at(page: int, wanted: int = wanted, reached: asyncio.Event = reached) -> None:
                if page == wanted:
                    reached.set()

            kalshi.on_page = at
            process = await command.start()
            async with asyncio.timeout(120):
                await reached.wait()
            await asyncio.sleep(pick.random() / 5)  # anywhere between this page and the next
            process.kill()
            await process.communicate()
        kalshi.on_page = None
        done = await command.finish()
        print(f"after 6 kills: {done}")
        assert done["resumed"]
        once = tmp_path_factory.mktemp("once")
        async with connect(Transport(url="embedded"), name="test", data=once) as other:
            whole = await Command(once, kalshi).finish()
            assert whole["added"] == MARKETS
            assert await digests(bus) == await digests(other)
    await assert_once(bus)


@LONG
async def test_memory_is_bounded(bus: Bus, tmp_path: Path) -> None:
    async with KalshiList(MARKETS).serving() as kalshi:
        command = Command(tmp_path, kalshi)
        peak_mb = 0.0

        async def look(page: int) -> None:
            nonlocal peak_mb
            if process is not None:
                peak_mb = max(peak_mb, rss_mb(process.pid))

        process = None
        kalshi.on_page = look
        process = await command.start()
        out, err = await process.communicate()
        assert process.returncode == 0, err.decode()
    print(f"{MARKETS} markets: {peak_mb:.0f} MB, {msgspec.json.decode(out)[0]['seconds']} s")
    assert peak_mb < MOST_RSS_MB


def rss_mb(pid: int) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) / 1024
    return 0.0
