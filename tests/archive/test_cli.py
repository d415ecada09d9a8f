"""``ssmd archive`` and its commands, as a person runs them."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from harms import remove, segments

README = (Path(__file__).parents[2] / "README.md").read_text()
COMMANDS = re.findall(r"^ssmd (archive \S.*)$", README, re.MULTILINE)


def ssmd(folder: Path, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "ssmd", *arguments],
        cwd=folder, env={**os.environ, **env}, capture_output=True, text=True, timeout=60,
        check=False,
    )  # fmt: skip


def test_the_readme_names_every_command() -> None:
    named = {line.split()[1] for line in COMMANDS}
    assert {"verify", "repair", "list", "report"} <= named


@pytest.mark.parametrize("line", [line for line in COMMANDS if line.split()[1] != "--env"])
def test_the_commands_of_the_readme(day: Path, line: str) -> None:
    data = day.parents[3]
    found = ssmd(data.parent, *line.partition("#")[0].split())
    assert found.returncode == 0, found.stderr
    assert found.stdout
    assert found.stderr == ""
    assert "\x1b" not in found.stdout


def test_a_fault_is_a_line_and_status_1(day: Path) -> None:
    remove(day)
    found = ssmd(day, "archive", "verify", "--data", str(day.parents[3]))
    assert found.returncode == 1
    first, *_ = found.stdout.splitlines()
    assert first.endswith(
        "000000-000000000025.jsonl.gz: the manifest names it, and it is gone. "
        "Try: `ssmd archive repair` makes it again from the segments"
    )
    assert re.search(r"demo: 1 faults: 47 messages in 2 segments of 1 days", found.stdout)


def test_json_is_data(day: Path) -> None:
    data = ("--data", str(day.parents[3]), "--json")
    proof = json.loads(ssmd(day, "archive", "verify", "--deep", *data).stdout)
    assert (proof["ok"], proof["messages"], proof["findings"]) == (True, 71, [])
    assert proof["checks"] == {"trade": {"unverified": 1, "verified": 59}}
    (row,) = json.loads(ssmd(day, "archive", "list", *data).stdout)["datasets"]
    assert (row["feed"], row["messages"], row["verified_share"]) == ("kalshi", 71, 59 / 60)
    (quality,) = json.loads(ssmd(day, "archive", "report", *data).stdout)["datasets"]
    assert (quality["state"], quality["messages"]) == ("data", 60)
    remove(day)
    mended = json.loads(ssmd(day, "archive", "repair", *data).stdout)
    assert len(mended["done"]) == 1
    assert json.loads(ssmd(day, "archive", "repair", *data).stdout)["done"] == []


def test_options_before_the_command_hold_for_it(day: Path) -> None:
    found = ssmd(day, "archive", "--data", str(day.parents[3]), "--env", "demo", "list")
    assert "kalshi" in found.stdout


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (("--env", "nowhere"), 1, "Error: nothing is archived in"),
        (("--feed", "nothing"), 1, "has no feed nothing\nTry: it has: kalshi"),
        (("--date", "2020-01-01"), 1, "has no such day\nTry: see `ssmd archive list`"),
        (("--date", "yesterday"), 2, "'yesterday' is no date, such as 2026-11-23"),
        (("--data", "/nowhere"), 1, "nothing is archived in /nowhere/archive\nTry: choose"),
    ],
    ids=str,
)
def test_what_is_not_there(day: Path, arguments: tuple[str, ...], status: int, said: str) -> None:
    found = ssmd(day, "archive", "--data", str(day.parents[3]), "verify", *arguments)
    assert found.returncode == status
    assert said in found.stderr


def test_the_archiver_needs_an_environment(tmp_path: Path) -> None:
    found = ssmd(tmp_path, "archive")
    assert found.returncode == 2
    assert "Missing option '--env'" in found.stderr


def test_a_repair_says_what_it_does(day: Path) -> None:
    path = segments(day)[1]
    path.write_bytes(path.read_bytes()[:-1])
    data = ("--data", str(day.parents[3]))
    wish = ssmd(day, "archive", "repair", "--dry-run", *data)
    assert wish.stdout.startswith(f"would: {path}: damaged at byte ")
    assert path.exists()
    done = ssmd(day, "archive", "repair", *data)
    assert done.stdout.startswith(f"{path}: damaged at byte ")
    assert "more noted as missing" in done.stdout
    after = ssmd(day, "archive", "verify", *data)
    assert after.returncode == 0
    assert "1 files in quarantine" in after.stdout
