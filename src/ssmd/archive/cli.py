"""``ssmd archive``."""

import asyncio
from pathlib import Path
from typing import Any

import click

from ssmd import bus
from ssmd.archive.feed import ArchiveCollector, FeedArchive
from ssmd.config import Config, load
from ssmd.errors import ConfigError
from ssmd.runtime import Role, run_role, writable


@click.command()
@click.option("--env", required=True, help="Environment: a file in config/environments.")
@click.option("--feed", "feeds", multiple=True, help="Only this feed (may be given again).")
@click.option("--config", "root", type=click.Path(path_type=Path), help="Configuration folder.")
@click.option(
    "--data", type=click.Path(path_type=Path), default=Path("data"), show_default=True,
    help="Folder of the archive and of the embedded NATS server.",
)  # fmt: skip
@click.option("--health-addr", help="Serve /health /ready /metrics /status on host:port.")
def archive(
    env: str, feeds: tuple[str, ...], root: Path | None, data: Path, health_addr: str | None
) -> None:
    """Archive messages from NATS as JSONL.gz segments with manifests."""
    config = load(env, root=root, feeds=feeds)
    folder = archive_root(config, data)

    async def main(role: Role) -> None:
        await run(config, data, folder, role)

    run_role(main, name="archive", health_addr=health_addr, data=data)


def archive_root(config: Config, data: Path) -> Path:
    """Where the archive is: the environment's storage path, else ``{data}/archive``."""
    storage = config.env.storage
    if storage.type != "local":
        raise ConfigError(
            f"storage type {storage.type!r} is not supported", hint="use storage.type: local"
        )
    return Path(storage.path) if storage.path else data / "archive"


async def run(config: Config, data: Path, root: Path, role: Role) -> None:
    """Archive the configured feeds until ``role.stop``."""
    writable(root)
    async with bus.connect(config.env.transport, name="archive", data=data) as connection:
        feeds = [FeedArchive(connection, config, name, root) for name in config.feeds]
        ArchiveCollector(feeds, role.registry)
        role.status = lambda: {
            "role": "archive",
            "root": str(root),
            "feeds": {feed.feed: feed.status() for feed in feeds},
        }
        role.health = lambda: _health(feeds, connection)
        async with asyncio.TaskGroup() as tasks:
            for feed in feeds:
                tasks.create_task(feed.run(role.stop))


def _health(feeds: list[FeedArchive], connection: bus.Bus) -> tuple[bool, dict[str, Any]]:
    ill = {feed.feed: feed.detail or feed.state for feed in feeds if feed.state != "live"}
    if not connection.connected:
        ill["nats"] = "not connected"
    return not ill, {"ill": ill}
