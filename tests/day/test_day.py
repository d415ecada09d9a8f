"""The states of a trading day, on a real bus, with a real archiver, through crashes anywhere."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from day_stage import HOUR_NS, Stage, assert_told, configured, legal
from ssmd.bus import Bucket, Bus, Publisher, connect
from ssmd.bus.stream import request
from ssmd.config import Transport
from ssmd.day import steps
from ssmd.day.state import OPEN
from ssmd.errors import BusError, Conflict, DayFault

COMMANDS = ("start", "end", "force", "roll", "recover", "tick", "finish", "forward")
actions = st.lists(
    st.tuples(st.sampled_from(COMMANDS), st.none() | st.integers(0, 9)), min_size=1, max_size=10
)


class Fuse:
    """Ends the task that runs at its n-th act on the bus: before or after it, by turns."""

    def __init__(self, left: int | None) -> None:
        self._left = left

    async def burn(self) -> None:
        if self._left == 0:
            task = asyncio.current_task()
            assert task is not None
            task.cancel()
        if self._left is not None:
            self._left -= 1
        await asyncio.sleep(0)


class FusedBucket(Bucket):
    fuse: Fuse

    async def swap(self, key: str, value: bytes, revision: int) -> int:
        await self.fuse.burn()
        swapped = await super().swap(key, value, revision)
        await self.fuse.burn()
        return swapped


class FusedPublisher(Publisher):
    fuse: Fuse

    async def flush(self, timeout_s: float) -> None:
        await self.fuse.burn()
        await super().flush(timeout_s)
        await self.fuse.burn()


class FusedBus(Bus):
    def __init__(self, bus: Bus, fuse: Fuse) -> None:
        super().__init__(bus._nc)
        self._fuse = fuse

    async def bucket(self, name: str, *, history: int = 1, replicas: int = 1) -> Bucket:
        found = await FusedBucket.open(self._nc, name, history=history, replicas=replicas)
        found.fuse = self._fuse
        return found

    def publisher(self, name: str, **_: Any) -> Publisher:
        found = FusedPublisher(self._nc, name)
        found.fuse = self._fuse
        return found


async def act(stage: Stage, bus: Bus, what: str) -> None:
    ledger, days, now_ns = await stage.ledger(bus), stage.days, stage.now_ns
    if what == "start":
        await steps.settled(lambda: steps.start(ledger, days, now_ns, by="test"))
    elif what in ("end", "force"):
        force = what == "force"
        await steps.settled(lambda: steps.end(ledger, days, by="test", force=force))
    elif what == "roll":
        await steps.settled(lambda: steps.roll(ledger, days, now_ns, by="test"))
    elif what == "recover":
        await steps.settled(lambda: steps.recover(ledger, days, now_ns, by="test"))
    elif what == "tick":
        await stage.keeper(bus).tick(ledger)
    elif what == "finish":
        await stage.keeper(bus).finish(ledger, stage.stop)
    else:
        stage.now_ns += 13 * HOUR_NS


async def crashing(stage: Stage, what: str, after: int | None) -> None:
    """A command of a process of its own, which may die in the middle of it."""
    task = asyncio.create_task(act(stage, FusedBus(stage.bus, Fuse(after)), what))
    with contextlib.suppress(asyncio.CancelledError, DayFault, Conflict):
        await task


async def bring_to_end(stage: Stage) -> None:
    """What an operator does with all that is left."""
    for _ in range(20):
        days = await stage.all_days()
        if days and all(day.state == "COMPLETE" for day in days):
            return
        if not days:
            await crashing(stage, "start", None)
        for what in ("recover", "tick", "end", "finish"):
            await crashing(stage, what, None)
    raise AssertionError([(day.date, day.state, day.last.error) for day in days])


def assert_one_open_at_a_time(days: list[Any]) -> None:
    states: dict[str, str] = {}
    changes = [(change.at_ns, day.date, change.state) for day in days for change in day.changes]
    for _, date, state in sorted(changes):
        states[date] = state
        assert sum(one in OPEN for one in states.values()) <= 1, changes


@contextlib.asynccontextmanager
async def staged(bus: Bus, root: Path, env: str, **schedule: Any) -> AsyncIterator[Stage]:
    stage = Stage(bus, configured(env, **schedule), root)
    await stage.make_stream()
    try:
        async with stage.archiving():
            yield stage
    finally:  # thirty of them would not fit on a small disk
        await stage.delete_stream()


async def example(
    bus: Bus, root: Path, env: str, plan: list[tuple[str, int | None]], *, auto: bool
) -> None:
    async with staged(bus, root, env, auto_roll=auto) as stage:
        await stage.live()
        for what, after in plan:
            await crashing(stage, what, after)
        await bring_to_end(stage)
        days = await stage.all_days()
    for day in days:
        states = [change.state for change in day.changes]
        assert legal(states)
        assert states.count("COMPLETE") == 1
        assert [change.number for change in day.changes] == list(range(1, len(states) + 1))
        assert day.told == len(day.changes)
    assert_one_open_at_a_time(days)
    assert_told(stage.messages(), days)
    assert stage.verify().ok


def test_any_order_of_commands_and_crashes_ends_complete_once(tmp_path: Path) -> None:
    with asyncio.Runner() as runner:
        stack = contextlib.AsyncExitStack()
        opened = connect(Transport(url="embedded"), name="test", data=tmp_path)
        bus = runner.run(stack.enter_async_context(opened))
        numbers = iter(range(10_000))

        @settings(max_examples=30)
        @given(actions, st.booleans())
        def holds(plan: list[tuple[str, int | None]], auto: bool) -> None:
            env = f"e{next(numbers)}"
            runner.run(example(bus, tmp_path / "archive", env, plan, auto=auto))

        try:
            holds()
        finally:
            runner.run(stack.aclose())


async def test_of_two_who_start_a_day_one_does(bus: Bus, tmp_path: Path) -> None:
    """Both end well, and the day was started once."""
    async with staged(bus, tmp_path / "archive", "demo", auto_roll=False) as stage:
        await stage.live()
        for what in ("start", "end"):
            async with asyncio.TaskGroup() as tasks:
                for _ in range(5):
                    tasks.create_task(act(stage, bus, what))
            await act(stage, bus, "tick")
        day = await stage.day()
        assert [change.state for change in day.changes] == [
            "PENDING", "STARTING", "ACTIVE", "ENDING",
        ]  # fmt: skip


async def test_a_stream_made_anew_is_told_from_the_start(bus: Bus, tmp_path: Path) -> None:
    async with staged(bus, tmp_path / "archive", "demo", auto_roll=False) as stage:
        await stage.live()
        await act(stage, bus, "start")
        await act(stage, bus, "tick")
        before = await stage.day()
        await request(bus._nc, "STREAM.DELETE.DEMO_KALSHI")
        async with asyncio.timeout(60):
            while not await remade(stage, before.stream_created):
                await asyncio.sleep(0.05)
        await stage.live("c2")
        await act(stage, bus, "end")
        await act(stage, bus, "finish")
        day = await stage.day()
        assert day.state == "COMPLETE", day.last
        assert day.conn != before.conn
        assert day.base == 3
    assert stage.verify().ok
    numbers = [(m.conn, m.part) for m in stage.messages() if m.type == "_day"]
    assert numbers[-2:] == [(day.conn, -1), (day.conn, -2)]


async def remade(stage: Stage, before: str) -> bool:
    with contextlib.suppress(BusError):
        return (await stage.bus.stream_facts("DEMO_KALSHI")).created != before
    return False


async def test_a_day_that_is_over_is_not_started_again(bus: Bus, tmp_path: Path) -> None:
    async with staged(bus, tmp_path / "archive", "demo", auto_roll=False) as stage:
        await stage.live()
        for what in ("start", "tick", "end", "finish"):
            await act(stage, bus, what)
        assert (await stage.day()).state == "COMPLETE"
        await act(stage, bus, "end")  # asked again, nothing changes
        assert len((await stage.day()).changes) == 5
        with pytest.raises(DayFault, match="cannot be started again"):
            await act(stage, bus, "start")
