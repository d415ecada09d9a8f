"""The end of a run: what was captured and archived, and what to try next."""

import os
import shlex
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from ssmd import message
from ssmd.config import Config
from ssmd.dataset import Archive
from ssmd.store.manifest import OTHER
from ssmd.up import board
from ssmd.up.board import Kept, Row

if TYPE_CHECKING:
    from ssmd.up.supervisor import Options

FRAMES = frozenset({OTHER, message.TEXT, message.BINARY, message.EMPTY, message.UNKNOWN})


def archived(config: Config, data: Path) -> dict[str, Kept]:
    """Feed -> what the archive's manifests name now."""
    archive = Archive(_root(config, data), config.env.name)
    found = {}
    for feed in config.feeds:
        files = [
            entry for day in archive.days(feed) for entry in archive.day(feed, day).manifest.files
        ]
        found[feed] = Kept(
            messages=sum(_captured(entry.records_by_type) for entry in files),
            segments=len(files),
            bytes=sum(entry.compressed_bytes for entry in files),
        )
    return found


def _root(config: Config, data: Path) -> Path:
    path = config.env.storage.path
    return Path(path) if path else data / "archive"


def _captured(by_type: Mapping[str, int]) -> int:
    """Messages of the exchange: without those of our own."""
    return sum(
        count for type_, count in by_type.items() if not type_.startswith("_") or type_ in FRAMES
    )


def say(
    console: Console,
    config: Config,
    options: "Options",
    rows: Sequence[Row],
    before: Mapping[str, Kept],
) -> None:
    """The summary table, and commands that work as they stand."""
    now = archived(config, options.data)
    run = {feed: Kept(messages=now[feed].messages - before[feed].messages) for feed in config.feeds}
    console.print(board.summary(rows, run, now))
    if not any(kept.messages for kept in now.values()):
        console.print(f"Nothing was captured: see {options.data}/logs", highlight=False)
        return
    console.print("Try next:", style="bold", highlight=False)
    for command in _commands(config, options, rows):
        console.print(f"  {command}", highlight=False, soft_wrap=True, markup=False)


def _commands(config: Config, options: "Options", rows: Sequence[Row]) -> list[str]:
    data, env = options.data, config.env.name
    best = max(rows, key=lambda row: row.messages).feed
    archive = Archive(_root(config, data), env)
    serve = [_program(), "serve", "--env", env, "--data", str(data)]
    if options.root is not None:
        serve += ["--config", str(options.root)]
    if options.port:
        serve += ["--port", str(options.port)]
    port = options.port or 8080
    days = archive.days(best)
    commands = [f"{shlex.join(serve)} &", f"curl http://127.0.0.1:{port}/datasets"]
    if days:
        day = max(days)
        commands.append(f"curl 'http://127.0.0.1:{port}/datasets/{best}/{day}/sample?limit=3'")
        segments = archive.day(best, day).manifest.files
        if segments:
            file = _root(config, data) / env / best / day / segments[-1].name
            commands.insert(0, f"zcat {shlex.quote(str(file))} | head -3")
    return commands


def _program() -> str:
    """The command that a person can type here."""
    if shutil.which("ssmd"):
        return "ssmd"
    return os.path.relpath(Path(sys.executable).parent / "ssmd")
