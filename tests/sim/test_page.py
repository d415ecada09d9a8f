"""docs/simulator.md is true: its table is the code's, its commands work."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from command import clean
from sim.test_process import simulator
from ssmd.exchanges import EXCHANGES
from ssmd.sim.faults import FAULTS, parse

PAGE = (Path(__file__).parents[2] / "docs" / "simulator.md").read_text(encoding="utf-8")
COMMANDS = [
    line
    for fence in re.findall(r"^```sh\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    for line in fence.replace("\\\n", " ").splitlines()
    if line
]


def table() -> str:
    rows = ["| fault | of a | what happens to it | where |", "|---|---|---|---|"]
    for name, kind in FAULTS.items():
        where = (
            "all" if len(kind.exchanges) == len(EXCHANGES) else ", ".join(sorted(kind.exchanges))
        )
        rows.append(f"| `{name}` | {kind.stage} | {kind.what} | {where} |")
    return "\n".join(rows)


def test_the_table_is_the_code() -> None:
    assert table() in PAGE, f"the page must hold:\n{table()}"


@pytest.mark.parametrize("command", [c for c in COMMANDS if c.startswith("ssmd sim")])
def test_a_start_of_the_page_works(command: str, tmp_path: Path) -> None:
    words = shlex.split(command)[2:]
    if "--play" in words:
        (tmp_path / words[words.index("--play") + 1]).write_text('{"channel":"heartbeat"}\n')
    with simulator(tmp_path, *words) as (process, urls):
        assert urls
        process.terminate()


def test_the_requests_of_the_page_work(tmp_path: Path) -> None:
    asked = [command for command in COMMANDS if command.startswith("curl ")]
    assert len(asked) >= 3
    with simulator(tmp_path) as (process, urls):
        root = urls["kraken"]["rest"].partition("/kraken")[0]
        for command in asked:
            done = subprocess.run(
                shlex.split(command.replace("http://127.0.0.1:8790", root)), check=True,
                capture_output=True, text=True,
            )  # fmt: skip
            assert '"error"' not in done.stdout
            assert '"faults"' in done.stdout
        process.terminate()


def test_every_command_is_tried() -> None:
    assert [c for c in COMMANDS if not c.startswith(("ssmd sim", "curl "))] == []


@pytest.mark.parametrize("text", re.findall(r"`((?:[a-z_]+:)+[a-z_]+=[^`]+)`", PAGE))
def test_every_fault_that_the_page_writes_is_one(text: str) -> None:
    parse(text)


def test_every_option_is_told() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "ssmd", "sim", "--help"], env=clean(), check=True,
        capture_output=True, text=True,
    )  # fmt: skip
    options = set(re.findall(r"--[a-z-]+", done.stdout)) - {"--help", "--host", "--data"}
    assert [option for option in sorted(options) if option not in PAGE] == []
