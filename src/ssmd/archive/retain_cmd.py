"""``ssmd archive retain``."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import click
import msgspec

from ssmd import bus, show
from ssmd.archive import retain as work
from ssmd.archive.retain import Outcome
from ssmd.calendar import TradingDays
from ssmd.config import Config, load
from ssmd.dataset import Archive
from ssmd.day import Day, Ledger
from ssmd.errors import StorageError


@click.command()
@click.option("--yes", is_flag=True, help="Delete; without it, only say what would be deleted.")
@click.option(
    "--force", is_flag=True, help="Also what is faulty or in use, without looking; on record."
)
@click.option("--env", help="Environment: its retention says what is kept.")
@click.option("--feed", "feeds", multiple=True, help="Only this feed (repeatable).")
@click.option("--config", "root", type=click.Path(path_type=Path), help="Configuration folder.")
@click.option("--data", type=click.Path(path_type=Path), help="Folder of the archive.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def retain(
    context: click.Context, /, yes: bool, force: bool, env: str | None, feeds: tuple[str, ...],
    root: Path | None, data: Path | None, as_json: bool,
) -> None:  # fmt: skip
    """Delete archived days that the environment's retention does not keep.

    Only days that are closed, verify without a fault, and belong to no trading day that is not
    COMPLETE. The newest two days of a feed always stay. Of a deleted day its manifest stays, as
    retired.json. Ends with status 1 where a day is kept that should go.
    """
    above = context.obj
    name = env or above["env"]
    if name is None:
        raise click.UsageError("Missing option '--env'.")
    config = load(name, root=root or above["root"], feeds=feeds or above["feeds"])
    found = _retain(config, data or above["data"], yes=yes, force=force)
    if as_json:
        show.as_json({"env": name, "dry_run": not yes, "days": msgspec.to_builtins(found)})
    else:
        _tell(name, found, yes=yes)
    if yes and any(one.state == "kept" for one in found):
        context.exit(1)


def _retain(config: Config, data: Path, *, yes: bool, force: bool) -> list[Outcome]:
    storage = config.env.storage
    archive = Archive(Path(storage.path) if storage.path else data / "archive", config.env.name)
    today, found = datetime.now(UTC).date(), list[Outcome]()
    for feed in config.feeds:
        folder = archive.folder / feed
        found += work.due(folder, config.env.retention.of(feed), today)
    if found and not force:
        _judge(config, archive, found, asyncio.run(_trading_days(config, data)))
    if yes:
        _delete(archive, list(config.feeds), found, force=force)
    return found


def _judge(
    config: Config, archive: Archive, found: list[Outcome], known: dict[str, list[Day]]
) -> None:
    with show.progress("verify", sum(one.bytes for one in found)) as progress:
        for one in found:
            days = TradingDays(config.env.schedule, config.feeds[one.feed])
            day = archive.folder / one.feed / one.date
            one.kept_by = next(
                work.faults(archive.folder, day, known[one.feed], days, progress), None
            )
            one.state = "kept" if one.kept_by is not None else one.state


def _delete(archive: Archive, feeds: list[str], found: list[Outcome], *, force: bool) -> None:
    try:
        for feed in feeds:
            for day in work.left(archive.folder / feed):
                work.sweep(day)
            chosen = [one for one in found if one.feed == feed and one.state == "to delete"]
            work.delete(archive, chosen, forced=force)
    except OSError as error:
        raise StorageError(
            f"cannot delete {error.filename}: {error.strerror}", hint="mend it, and run it again"
        ) from error


async def _trading_days(config: Config, data: Path) -> dict[str, list[Day]]:
    """Of each feed. Raises BusError."""
    transport = config.env.transport
    if transport.url == "embedded" and not (data / "nats").is_dir():
        return {feed: [] for feed in config.feeds}  # nothing has run here
    async with bus.connect(transport, name="archive retain", data=data) as connection:
        ledger = await Ledger.open(connection, config.env)
        return {
            feed: [kept.day for kept in await ledger.days(feed)] for feed in config.feeds
        }  # fmt: skip


def _tell(env: str, found: list[Outcome], *, yes: bool) -> None:
    if not found:
        show.line(f"{env}: nothing to delete", "green")
        return
    rows = [
        (one.feed, one.date, f"{one.bytes / 1e6:.3f}", one.state, one.why, one.kept_by or "")
        for one in found
    ]
    show.table(("FEED", "DATE", "MB", "STATE", "WHY", "KEPT BY"), rows)
    total = sum(one.bytes for one in found if one.state != "kept") / 1e6
    if not yes:
        show.line(f"{total:.3f} MB would be deleted; --yes does it", "yellow")
