"""The archiver's part in a trading day: what can go wrong at each step, and how it goes on."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import msgspec
import pytest

from day_stage import FEED, HOUR_NS, Stage, assert_told, configured
from ssmd.archive.day import DayKeeper
from ssmd.bus import Bus
from ssmd.calendar import NS_PER_S
from ssmd.config import Calendar
from ssmd.day import Day, steps
from ssmd.store import manifest as manifests


@pytest.fixture
async def stage(bus: Bus, tmp_path: Path) -> AsyncIterator[Stage]:
    """A feed that is archived, with a live connector; nobody keeps its days."""
    stage = Stage(bus, configured(auto_roll=False), tmp_path / "archive")
    await stage.make_stream()
    async with stage.archiving():
        await stage.live()
        yield stage


@contextlib.asynccontextmanager
async def keeping(keeper: DayKeeper) -> AsyncIterator[None]:
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(keeper.run(stop))
        try:
            yield
        finally:
            stop.set()


async def until(stage: Stage, well: Callable[[Day], bool]) -> Day:
    async with asyncio.timeout(60):
        while True:
            for day in await stage.all_days():
                if well(day):
                    return day
            await asyncio.sleep(0.02)


async def begin(stage: Stage) -> Day:
    await steps.start(await stage.ledger(), stage.days, stage.now_ns, by="test")
    await stage.keeper().tick(await stage.ledger())
    return await stage.day()


async def end(stage: Stage, *, force: bool = False) -> Day:
    await steps.end(await stage.ledger(), stage.days, by="test", force=force)
    await stage.keeper().finish(await stage.ledger(), asyncio.Event())
    return await stage.day()


def folder(stage: Stage) -> Path:
    (found,) = manifests.days(stage.root / stage.env / FEED)
    return found


async def test_a_day_ends_sealed_proved_and_reported(stage: Stage) -> None:
    opened = await begin(stage)
    assert opened.state == "ACTIVE"
    assert opened.last.stats["same_config"] is True
    assert opened.last.stats["config_hash"] == stage.config.hash
    day = await end(stage)
    assert day.state == "COMPLETE", day.last
    stats = day.last.stats
    assert (stats["messages"], stats["unverified"], stats["findings"]) == (20, 1, 0)
    report = msgspec.json.decode((stage.root / stats["report"]).read_bytes())
    assert report["totals"]["messages"] == 20
    assert report["verify"]["ok"] is True
    assert [row["date"] for row in report["datasets"]] == [folder(stage).name]
    assert stage.verify().ok  # the report is no stray file


async def test_all_up_to_the_end_is_sealed_before_it_is_complete(stage: Stage) -> None:
    await begin(stage)
    await stage.live("c2")
    day = await end(stage)
    closed = day.first("ENDING")
    assert closed is not None
    manifest = manifests.load(folder(stage))
    assert manifest is not None
    assert manifest.files[-1].nats_end_seq >= closed.stats["closing_seq"]
    assert sum(entry.records_by_type.get("trade", 0) for entry in manifest.files) == 40


async def test_a_report_that_finds_no_place_is_an_error_and_is_recovered(stage: Stage) -> None:
    await begin(stage)
    (folder(stage) / f".day-{stage.days.at(stage.now_ns).date}.json.tmp").mkdir()
    day = await end(stage)
    assert (day.state, day.failed) == ("ERROR", "ENDING")
    assert "Is a directory" in str(day.last.error)
    (folder(stage) / f".day-{day.date}.json.tmp").rmdir()
    (kept,) = await steps.recover(await stage.ledger(), stage.days, stage.now_ns, by="test")
    assert kept.day.state == "ENDING"
    await stage.keeper().finish(await stage.ledger(), asyncio.Event())
    day = await stage.day()
    assert day.state == "COMPLETE"
    firsts = [change.stats["closing_seq"] for change in day.changes if change.state == "ENDING"]
    assert firsts[0] == firsts[1]  # it ends where it ended first


async def test_a_damaged_day_is_an_error_and_can_be_forced(stage: Stage) -> None:
    await begin(stage)
    async with asyncio.timeout(60):
        await stage.feed.sealed("2026-01-01T00:00:00Z", 1)
    (path,) = manifests.segments(folder(stage))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)
    day = await end(stage)
    assert day.state == "ERROR"
    assert "faults in the archive" in str(day.last.error)
    assert day.last.stats["findings"] > 0
    day = await end(stage, force=True)
    assert (day.state, day.last.reason) == ("COMPLETE", "forced")
    assert "faults in the archive" in str(day.last.error)


async def test_what_is_not_archived_in_time_is_an_error(bus: Bus, tmp_path: Path) -> None:
    stage = Stage(bus, configured(auto_roll=False), tmp_path / "archive")
    await stage.make_stream()
    await stage.live()
    ledger = await stage.ledger()
    kept = await steps.start(ledger, stage.days, stage.now_ns, by="test")
    await ledger.move(kept, "ACTIVE", by="test")
    await steps.end(ledger, stage.days, by="test")
    await stage.keeper(drain_s=0.1).finish(ledger, asyncio.Event())
    day = await stage.day()
    assert day.state == "ERROR"
    assert "has not sealed up to 25: it has archived nothing" in str(day.last.error)
    async with stage.archiving():
        await steps.recover(ledger, stage.days, stage.now_ns, by="test")
        await stage.keeper().finish(ledger, asyncio.Event())
        assert (await stage.day()).state == "COMPLETE"


async def test_a_day_without_a_connector_is_an_error_until_one_comes(
    bus: Bus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ssmd.archive.day.RETRY_S", 0.0)
    stage = Stage(bus, configured(), tmp_path / "archive")
    await stage.make_stream()
    async with stage.archiving(), keeping(stage.keeper(start_s=0.0, every_s=0.02)):
        day = await until(stage, lambda day: day.state == "ERROR")
        assert "no connector is alive" in str(day.last.error)
        await stage.live()
        day = await until(stage, lambda day: day.state == "ACTIVE")
    states = [change.state for change in day.changes]
    assert states == ["PENDING", "STARTING", "ERROR", "STARTING", "ACTIVE"]


async def test_days_roll_by_the_clock(bus: Bus, tmp_path: Path) -> None:
    stage = Stage(bus, configured(day_start="00:10", day_end="00:00"), tmp_path / "archive")
    stage.now_ns = 1_795_651_200 * NS_PER_S + 12 * HOUR_NS  # 2026-11-26 12:00
    await stage.make_stream()
    async with stage.archiving():
        await stage.live()
        async with keeping(stage.keeper(every_s=0.02)):
            first = await until(stage, lambda day: day.state == "ACTIVE")
            stage.now_ns += 12 * HOUR_NS
            await until(stage, lambda day: day.state == "COMPLETE")
            assert len(await stage.all_days()) == 1  # ten minutes belong to no open day
            stage.now_ns += HOUR_NS // 6
            second = await until(stage, lambda day: day.state == "ACTIVE")
            assert (first.date, second.date) == ("2026-11-26", "2026-11-27")
            stage.now_ns += 24 * HOUR_NS
            third = await until(stage, lambda day: day.date == "2026-11-28" and day.told == 3)
            assert third.state == "ACTIVE"
            await until(stage, lambda day: day.date == second.date and day.state == "COMPLETE")
        days = await stage.all_days()
    assert_told(stage.messages(), days)
    assert stage.verify().ok


async def test_no_day_begins_on_a_holiday(bus: Bus, tmp_path: Path) -> None:
    config = configured(timezone="America/New_York")
    calendar = Calendar(timezone="America/New_York", holiday_calendar="us_equity")
    feed = msgspec.structs.replace(config.feeds[FEED], calendar=calendar)
    config = msgspec.structs.replace(config, feeds={FEED: feed})
    stage = Stage(bus, config, tmp_path / "archive")
    stage.now_ns = 1_795_651_200 * NS_PER_S + 12 * HOUR_NS  # Thanksgiving
    await stage.make_stream()
    async with stage.archiving():
        await stage.live()
        keeper, ledger = stage.keeper(), await stage.ledger()
        await keeper.tick(ledger)
        assert await stage.all_days() == []
        stage.now_ns += 24 * HOUR_NS
        await keeper.tick(ledger)
        assert [day.date for day in await stage.all_days()] == ["2026-11-27"]


async def test_a_stop_in_the_middle_of_a_proof_leaves_it_to_the_next(stage: Stage) -> None:
    await begin(stage)
    await steps.end(await stage.ledger(), stage.days, by="test")
    stopped = asyncio.Event()
    stopped.set()
    await stage.keeper().finish(await stage.ledger(), stopped)
    assert (await stage.day()).state == "ENDING"
    await stage.keeper().finish(await stage.ledger(), asyncio.Event())
    assert (await stage.day()).state == "COMPLETE"
