"""``ssmd meta day`` as an operator types it."""

import asyncio
import contextlib
import shutil
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from archives import Capture
from command import refused, ssmd
from roles import Roles
from ssmd.bus import Bus
from ssmd.config import load
from ssmd.day.checks import ARCHIVER
from ssmd.message import subject

FEED = "kraken"
STREAM = "DEMO_KRAKEN"
CONFIG = Path(__file__).parents[2] / "config"


class Operator:
    """Types commands; what they answer is JSON. No schedule rolls days by itself."""

    def __init__(self, data: Path) -> None:
        self.data = data
        config = shutil.copytree(CONFIG, data / "config")
        environment = config / "environments" / "demo.yaml"
        with environment.open("a") as file:
            file.write("schedule: {auto_roll: false}\n")
        self.config = ("--env", "demo", "--config", str(config))
        self.words = (*self.config, "--feed", FEED, "--data", str(data))

    async def types(self, *words: str) -> list[dict[str, Any]]:
        done = await asyncio.to_thread(ssmd, "meta", "day", *words, *self.words, "--json")
        assert done.returncode == 0, done.stderr
        assert "Traceback" not in done.stderr
        found: list[dict[str, Any]] = msgspec.json.decode(done.stdout)["days"]
        return found

    async def fails(self, *words: str) -> tuple[str, str]:
        """``Error:`` and ``Try:``; what is known of the day is shown as well."""
        done = await asyncio.to_thread(ssmd, "meta", "day", *words, *self.words)
        assert done.returncode == 1, done
        assert "Traceback" not in done.stderr
        error, hint = done.stderr.splitlines()[-2:]
        return error.removeprefix("Error: "), hint.removeprefix("Try: ")


@pytest.fixture
def operator(tmp_path: Path) -> Operator:
    return Operator(tmp_path)


async def connected(bus: Bus) -> None:
    """A connector's signs of life."""
    await bus.ensure_stream("demo", FEED, load("demo").env.transport)
    capture = Capture(FEED, start_ns=time.time_ns())
    async with bus.publisher(STREAM) as publisher:
        for type_ in ("_connect", "_clock"):
            line = (
                capture.note(type_, {"exchange": FEED}) if type_ == "_connect" else capture.clock()
            )
            publisher.put(subject("demo", FEED, type_, None), f"c1:0:{type_}", line)
        await publisher.flush(60)


@contextlib.asynccontextmanager
async def archiver(operator: Operator, bus: Bus) -> AsyncIterator[Roles]:
    roles = Roles(operator.data, {}, (FEED,), arguments=operator.config)
    await roles.start("archive")
    try:
        async with asyncio.timeout(60):
            while not await bus.is_read(STREAM, ARCHIVER):
                await asyncio.sleep(0.05)
        yield roles
        await roles.stop("archive")
    finally:
        process = roles.running["archive"]
        if process.returncode is None:
            process.kill()
            await process.wait()


async def test_an_operators_day(bus: Bus, operator: Operator) -> None:
    await connected(bus)
    async with archiver(operator, bus):
        (day,) = await operator.types("start")
        assert (day["state"], day["archiver"]) == ("ACTIVE", True)
        assert (await operator.types("start"))[0]["last"] == day["last"]
        (ended,) = await operator.types("end")
        assert ended["state"] == "COMPLETE"
        assert (await operator.types("end"))[0]["last"] == ended["last"]
        (rolled,) = await operator.types("roll")
        assert (rolled["state"], rolled["date"] > ended["date"]) == ("ACTIVE", True)
        assert (await operator.types("roll"))[0]["last"] == rolled["last"]
        assert await operator.types("recover") == []
        assert [day["state"] for day in await operator.types("status")] == ["COMPLETE", "ACTIVE"]
        error, hint = await operator.fails("start")
        assert "ACTIVE: end it first" in error
        assert "roll" in hint
    history = await operator.types("history")
    assert [day["date"] for day in history] == [rolled["date"], ended["date"]]
    states = [change["state"] for change in history[1]["changes"]]
    assert states == ["PENDING", "STARTING", "ACTIVE", "ENDING", "COMPLETE"]
    assert len(await operator.types("history", "--limit", "1")) == 1
    done = await asyncio.to_thread(
        ssmd, "archive", "verify", "--deep", "--data", str(operator.data)
    )
    assert done.returncode == 0, done.stdout


async def test_without_an_archiver_it_says_so_and_can_be_forced(
    bus: Bus, operator: Operator
) -> None:
    await connected(bus)
    error, hint = await operator.fails("start", "--timeout", "0.5")
    assert "still STARTING: no archiver runs" in error
    assert "ssmd archive --env demo" in hint
    async with archiver(operator, bus):
        assert (await operator.types("start"))[0]["state"] == "ACTIVE"
    error, hint = await operator.fails("end", "--timeout", "0.5")
    assert "still ENDING: no archiver runs" in error
    assert "--force" in hint
    (day,) = await operator.types("end", "--force", "--timeout", "0.5")
    assert (day["state"], day["forced"]) == ("COMPLETE", True)
    assert "forced: no archiver" in day["last"]["reason"]
    assert day["last"]["stats"] == {"proved": False}


async def test_without_a_connector_it_says_so(bus: Bus, operator: Operator) -> None:
    async with archiver(operator, bus):
        error, _ = await operator.fails("start", "--timeout", "3")
    assert "no connector is alive" in error


async def test_what_cannot_be_asked_for(bus: Bus, operator: Operator) -> None:
    error, hint = await operator.fails("start")
    assert "kraken has no stream" in error
    assert "ssmd up" in hint
    await connected(bus)
    assert "kraken has not begun a day" in (await operator.fails("end"))[0]
    error, _ = await operator.fails("end", "--date", "2026-01-01")
    assert "kraken has not begun 2026-01-01" in error
    assert "2020-01-01 is over" in (await operator.fails("start", "--date", "2020-01-01"))[0]
    error, hint = await operator.fails("start", "--mode", "replay")
    assert "cannot be replayed" in error
    assert "ssmd sim --play" in hint
    (day,) = await operator.types("status")
    assert (day["state"], day["last"], day["archiver"]) == ("PENDING", None, False)


def test_where_nothing_ran(tmp_path: Path) -> None:
    for command in ("status", "start", "end", "roll", "history", "recover"):
        words = ("meta", "day", command, "--env", "demo", "--data", str(tmp_path / "none"))
        error, hint = refused(*words)
        assert "nothing has run in" in error
        assert "--data" in hint
        assert not (tmp_path / "none").exists()
    assert "nothing" in refused("meta", "day", "status", "--env", "nothing")[0]


def test_a_date_that_is_none(tmp_path: Path) -> None:
    done = ssmd("meta", "day", "start", "--env", "demo", "--date", "2026-02-30")
    assert done.returncode == 2
    assert "2026-02-30" in done.stderr
