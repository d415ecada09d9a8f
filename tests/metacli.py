"""What the tests of ``ssmd meta`` share: its answers, Git, and what lies in a folder."""

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

NO_GIT = {
    "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1",
}  # fmt: skip
IDENTITY = {
    f"GIT_{who}_{what}": value
    for who in ("AUTHOR", "COMMITTER")
    for what, value in (("NAME", "A Tester"), ("EMAIL", "tester@example.com"))
}


class Said(NamedTuple):
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Run = Callable[..., Said]


def variables() -> list[str]:
    """Those that a person may have set."""
    return [name for name in os.environ if name.startswith(("SSMD_", "KALSHI_", "GIT_"))]


def git(*arguments: str, cwd: Path | None = None) -> str:
    done = subprocess.run(
        ["git", *arguments], check=True, capture_output=True, text=True, cwd=cwd,
    )  # fmt: skip
    return done.stdout


def contents(folder: Path) -> dict[str, bytes]:
    found = (path for path in folder.rglob("*") if path.is_file() and ".git" not in path.parts)
    return {str(path.relative_to(folder)): path.read_bytes() for path in found}
