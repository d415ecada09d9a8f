"""``ssmd connect``."""

import asyncio
from pathlib import Path
from typing import Any

import click

from ssmd import bus
from ssmd.config import Config, load
from ssmd.connect.feed import FeedCapture, FeedCollector
from ssmd.runtime import Role, run_role


@click.command()
@click.option("--env", required=True, help="Environment: a file in config/environments.")
@click.option("--feed", "feeds", multiple=True, help="Only this feed (may be given again).")
@click.option("--config", "root", type=click.Path(path_type=Path), help="Configuration folder.")
@click.option(
    "--data", type=click.Path(path_type=Path), default=Path("data"), show_default=True,
    help="Folder of the embedded NATS server.",
)  # fmt: skip
@click.option("--health-addr", help="Serve /health /ready /metrics /status on host:port.")
def connect(
    env: str, feeds: tuple[str, ...], root: Path | None, data: Path, health_addr: str | None
) -> None:
    """Capture market data from exchanges onto NATS."""
    config = load(env, root=root, feeds=feeds)

    async def main(role: Role) -> None:
        await capture(config, data, role)

    run_role(main, name="connect", health_addr=health_addr, data=data)


async def capture(config: Config, data: Path, role: Role) -> None:
    """Capture the configured feeds until ``role.stop``."""
    async with bus.connect(config.env.transport, name="connect", data=data) as connection:
        feeds = [FeedCapture(connection, config, feed) for feed in config.feeds.values()]
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
    """Well while every feed that should run is live and NATS is there."""
    states = {feed.feed.name: feed.status() for feed in feeds}
    ill = {
        name: status["detail"] or status["state"]
        for name, status in states.items()
        if status["state"] != "live"
    }
    if not connection.connected:
        ill["nats"] = "not connected"
    return not ill, {"feeds": {name: s["state"] for name, s in states.items()}, "ill": ill}
