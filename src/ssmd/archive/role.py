"""The archiver as a process: all feeds of an environment until it is stopped."""

import asyncio
from pathlib import Path
from typing import Any

from ssmd import bus
from ssmd.archive.feed import ArchiveCollector, FeedArchive
from ssmd.config import Config
from ssmd.runtime import Role, writable


async def run_feeds(config: Config, data: Path, root: Path, role: Role) -> None:
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
