"""``ssmd meta secmaster sync``."""

import asyncio
import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import click

from ssmd import bus, show
from ssmd.bus import Bus
from ssmd.config import Config, ResolvedFeed, load
from ssmd.errors import SsmdError
from ssmd.meta.secmaster.follow import follow, take_up
from ssmd.meta.secmaster.listing import listing
from ssmd.meta.secmaster.options import json_option, where
from ssmd.meta.secmaster.run import Counts, Run
from ssmd.runtime import run, set_up_logging, watch_signals

_SHOWN: Final = 10
"""Malformed entries that are named one by one."""


@click.command()
@where
@click.option("--full", is_flag=True, help="List all, not only what changed since the last time.")
@click.option("--follow", "go_on", is_flag=True, help="Go on with what messages say, until ^C.")
@json_option
def sync(
    env: str, feeds: tuple[str, ...], config: Path | None, data: Path, full: bool, go_on: bool,
    as_json: bool,
) -> None:  # fmt: skip
    """Read what the exchanges list, and what their messages say of instruments.

    A sync that was cut off goes on where it was. Only what changed is written, each change once.
    """
    set_up_logging("secmaster")
    found = load(env, root=config, feeds=feeds)
    counts = run(_sync(found, data, full=full, go_on=go_on))
    if as_json:
        show.as_json(counts)


async def _sync(config: Config, data: Path, *, full: bool, go_on: bool) -> list[Counts]:
    stop = asyncio.Event()
    watch_signals(stop)
    transport = config.env.transport
    async with bus.connect(transport, name="meta secmaster", data=data) as connection:
        if go_on:
            async with asyncio.TaskGroup() as tasks:
                for feed in config.feeds.values():
                    tasks.create_task(_feed(connection, config, feed, stop, full, go_on=True))
            return []
        return [
            await _feed(connection, config, feed, stop, full, go_on=False)
            for feed in config.feeds.values()
        ]


async def _feed(
    connection: Bus,
    config: Config,
    feed: ResolvedFeed,
    stop: asyncio.Event,
    full: bool,
    *,
    go_on: bool,
) -> Counts:
    began = time.monotonic()
    async with Run.open(connection, config, feed) as work:
        counts = work.counts
        try:
            with _progress(feed.name) as work.on_progress:
                await listing(work, stop, full=full)
                await take_up(work)
        except SsmdError:
            _tell(counts, began)
            raise
        _tell(counts, began)
        if go_on:
            await follow(work, stop)
    return counts


def _tell(counts: Counts, began: float) -> None:
    """What it came to, on stderr."""
    counts.seconds = round(time.monotonic() - began, 3)
    for entry in counts.entries[:_SHOWN]:
        show.warning(f"{counts.feed}: {entry.entry} is left out: {entry.why}")
    if counts.malformed > _SHOWN:
        show.warning(f"{counts.feed}: {counts.malformed - _SHOWN} more are left out")
    for note in counts.notes:
        show.warning(f"{counts.feed}: {note}")
    click.echo(_summary(counts), err=True)


def _summary(counts: Counts) -> str:
    parts = [f"{counts.listed} listed", f"{counts.added} added", f"{counts.changed} changed"]
    parts += [f"{counts.malformed} left out"] if counts.malformed else []
    parts += [f"{counts.recovered} recovered"] if counts.recovered else []
    how = " (resumed)" if counts.resumed else " (what changed)" if counts.incremental else ""
    return f"{counts.feed}{how}: {', '.join(parts)} in {counts.seconds:.1f} s"


@contextlib.contextmanager
def _progress(feed: str) -> Iterator[Callable[[Counts], None]]:
    """A line that moves, on stderr where that is a terminal: no list tells its length."""
    if not sys.stderr.isatty():
        yield lambda counts: None
        return
    # Imported late: a tenth of a second that a script need not wait for.
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(pulse_style="cyan"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(feed, total=None)

        def moved(counts: Counts) -> None:
            done = f"{counts.listed:,} listed, {counts.added + counts.changed:,} changed"
            bar.update(task, description=f"{feed}: {done}")

        yield moved
