"""``ssmd connect``."""

import asyncio
from pathlib import Path
from typing import Any

import click

from ssmd import bus
from ssmd.config import Config, load
from ssmd.connect import shard as shards
from ssmd.connect.feed import FeedCapture
from ssmd.connect.metrics import FeedCollector
from ssmd.connect.shard import Shard
from ssmd.runtime import Role, run_role


@click.command()
@click.option("--env", required=True, help="Environment: a file in config/environments.")
@click.option("--feed", "feeds", multiple=True, help="Only this feed (may be given again).")
@click.option("--config", "root", type=click.Path(path_type=Path), help="Configuration folder.")
@click.option(
    "--data", type=click.Path(path_type=Path), default=Path("data"), show_default=True,
    help="Folder of the embedded NATS server, and of what waits while NATS is away.",
)  # fmt: skip
@click.option("--shard", default="1/1", show_default=True, help="This part of the instruments.")
@click.option("--health-addr", help="Serve /health /ready /metrics /status on host:port.")
def connect(
    env: str,
    feeds: tuple[str, ...],
    root: Path | None,
    data: Path,
    shard: str,
    health_addr: str | None,
) -> None:
    """Capture market data from exchanges onto NATS.

    Several connectors share the instruments of a feed with --shard 1/2, --shard 2/2.
    """
    part = shards.parse(shard)
    config = load(env, root=root, feeds=feeds)

    async def main(role: Role) -> None:
        await capture(config, data, role, part)

    run_role(main, name="connect", health_addr=health_addr, data=data)


async def capture(config: Config, data: Path, role: Role, shard: Shard) -> None:
    """Capture the configured feeds until ``role.stop``."""
    async with bus.connect(config.env.transport, name="connect", data=data) as connection:
        feeds = [
            FeedCapture(connection, config, feed, shard, data) for feed in config.feeds.values()
        ]
        runnable = [feed for feed in feeds if feed.check_key()]
        FeedCollector(feeds, role.registry)
        role.status = lambda: {
            "role": "connect",
            "feeds": {feed.feed.name: feed.status() for feed in feeds},
        }
        role.health = lambda: _health(runnable, connection)
        async with asyncio.TaskGroup() as tasks:
            for feed in runnable:
                tasks.create_task(feed.run(role.stop))


def _health(feeds: list[FeedCapture], connection: bus.Bus) -> tuple[bool, dict[str, Any]]:
    """Well while every feed that should run is live, with every book right and no gap open, and
    NATS is there."""
    found = {feed.feed.name: feed.ill() for feed in feeds}
    ill = {name: why for name, why in found.items() if why is not None}
    if not connection.connected:
        ill["nats"] = "not connected"
    return not ill, {"ill": ill}
