"""What Git remembers of a configuration."""

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from ssmd.config.files import parse
from ssmd.errors import ConfigError, GitFault
from ssmd.meta.git import Repository

LONGEST = 500
"""Commits of one file beyond which nobody looks back."""


def key_committed(root: Path, env: str, key: str) -> date | None:
    """The day on which a key's entry was committed as it is; None where that is not known."""
    path = f"environments/{env}.yaml"
    try:
        repository = Repository(root)
        if not repository.has_commits():
            return None
        log = repository.run("log", f"-{LONGEST}", "--format=%H %ct", "--", path).decode()
    except GitFault:
        return None
    entry, since = _entry((root / path).read_bytes(), root / path, key), None
    for line in log.splitlines():
        commit, _, seconds = line.partition(" ")
        if _entry(repository.committed(path, commit), root / path, key) != entry:
            break
        since = datetime.fromtimestamp(int(seconds), UTC).date()
    return since


def _entry(content: bytes | None, file: Path, key: str) -> Any:
    try:
        found = parse(file, (content or b"").decode("utf-8")).content
        return found["keys"][key]
    except (ConfigError, ValueError, KeyError, TypeError):
        return None
