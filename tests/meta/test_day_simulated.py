"""A day of all exchanges in the simulation, with every process real and the archiver killed."""

import asyncio
import signal
from pathlib import Path
from typing import Any

import msgspec
import pytest

from command import ssmd
from day_stage import simulated
from ssmd.bus import connect
from ssmd.config import load


class Commands:
    def __init__(self, data: Path) -> None:
        self._words = ("--env", "demo", "--data", str(data))

    async def types(self, *words: str, status: int = 0) -> Any:
        done = await asyncio.to_thread(ssmd, "meta", "day", *words, *self._words, "--json")
        assert done.returncode == status, done.stderr
        assert "Traceback" not in done.stderr
        return msgspec.json.decode(done.stdout)["days"]

    async def states(self) -> set[str]:
        return {day["state"] for day in await self.types("status")}


@pytest.mark.timeout(240)
async def test_an_archiver_killed_in_each_state_goes_on_from_there(tmp_path: Path) -> None:
    """Real processes and their real clock, which has begun the day by itself."""
    day = Commands(tmp_path)
    config = load("demo")
    async with (
        simulated(tmp_path) as roles,
        connect(config.env.transport, name="test", data=tmp_path),
    ):
        await roles.start("archive")
        async with asyncio.timeout(60):
            while await day.states() != {"STARTING"}:  # no connector yet: so it stays
                pass
        await roles.kill("archive")
        assert await day.states() == {"STARTING"}
        await roles.start("connect")
        await roles.start("archive")
        assert {one["state"] for one in await day.types("start")} == {"ACTIVE"}
        await roles.kill("archive")
        await roles.start("archive")
        assert await day.states() == {"ACTIVE"}
        roles.running["archive"].send_signal(signal.SIGSTOP)
        ending = await day.types("end", "--timeout", "0.2", status=1)
        assert {one["state"] for one in ending} == {"ENDING"}
        await roles.kill("archive")
        assert await day.states() == {"ENDING"}
        await roles.start("archive")
        ended = await day.types("recover")
        assert {one["state"] for one in ended} <= {"COMPLETE"}
        ended = await day.types("end")
        assert {one["state"] for one in ended} == {"COMPLETE"}
        for one in ended:
            assert (tmp_path / "archive" / one["last"]["stats"]["report"]).exists()
        for role in ("connect", "archive"):
            await roles.stop(role)
    done = await asyncio.to_thread(ssmd, "archive", "verify", "--deep", "--data", str(tmp_path))
    assert done.returncode == 0, done.stdout
