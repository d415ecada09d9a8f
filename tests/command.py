"""Runs of the real ``ssmd``, with none of the variables that a person may have set."""

import os
import subprocess
import sys
from pathlib import Path


def clean(**variables: str) -> dict[str, str]:
    """The environment of a run."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("SSMD_", "KALSHI_"))}
    return {**kept, **variables}


def ssmd(
    *arguments: str, cwd: Path | None = None, **variables: str
) -> subprocess.CompletedProcess[str]:
    """A run of the real command."""
    return subprocess.run(
        [sys.executable, "-m", "ssmd", *arguments], capture_output=True, text=True, timeout=100,
        env=clean(**variables), stdin=subprocess.DEVNULL, cwd=cwd, check=False,
    )  # fmt: skip


def refused(*arguments: str, cwd: Path | None = None, **variables: str) -> tuple[str, str]:
    """``Error:`` and ``Try:`` of a run that must end in exactly these, and exit status 1."""
    done = ssmd(*arguments, cwd=cwd, **variables)
    assert done.returncode == 1, done
    assert "Traceback" not in done.stderr
    said = [line for line in done.stderr.splitlines() if line.startswith(("Error:", "Try:"))]
    assert [line.partition(":")[0] for line in said] == ["Error", "Try"], done.stderr
    assert done.stderr.splitlines()[-2:] == said
    assert done.stdout == ""
    return said[0].removeprefix("Error: "), said[1].removeprefix("Try: ")
