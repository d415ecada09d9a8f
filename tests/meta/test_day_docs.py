"""docs/trading-day.md: its commands, typed in its order; its words, the program's own."""

import asyncio
import re
from pathlib import Path

import click
import pytest

from command import ssmd
from day_stage import simulated
from ssmd.bus import connect
from ssmd.config import load
from ssmd.day.state import LEGAL
from ssmd.meta.day import day as group

TEXT = (Path(__file__).parents[2] / "docs" / "trading-day.md").read_text(encoding="utf-8")


def commands() -> list[str]:
    fences = re.findall(r"^```sh\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)
    return [line.partition("#")[0].strip() for fence in fences for line in fence.splitlines()]


@pytest.mark.timeout(240)
async def test_the_commands_work_in_their_order(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    async with (
        simulated(data) as roles,
        connect(load("demo").env.transport, name="test", data=data) as bus,
    ):
        for role in ("archive", "connect"):
            await roles.start(role)
        async with asyncio.timeout(60):
            while not await bus.is_read("DEMO_KALSHI", "archive"):
                await asyncio.sleep(0.05)
        for command in commands():
            words = command.split()[1:]
            done = await asyncio.to_thread(ssmd, *words, cwd=tmp_path)
            assert done.returncode == 0, (command, done.stderr)
            assert "kraken" in done.stdout or words[2] == "recover", command
        for role in ("connect", "archive"):
            await roles.stop(role)


def test_it_names_every_command_and_every_state() -> None:
    assert {command.split()[3] for command in commands()} == set(group.commands)
    assert all(state in TEXT for state in LEGAL if state is not None)


def test_every_option_that_it_names_is_there() -> None:
    known = {
        option
        for command in group.commands.values()
        for parameter in command.params
        if isinstance(parameter, click.Option)
        for option in parameter.opts
    }
    assert set(re.findall(r"--[a-z]+", TEXT)) <= known


def test_every_option_says_what_it_does() -> None:
    for command in group.commands.values():
        assert command.help
        for parameter in command.params:
            assert isinstance(parameter, click.Option)
            assert parameter.help, (command.name, parameter.name)
