"""``ssmd meta secmaster run``: the role that keeps the instruments of an environment."""

import asyncio
import logging
from pathlib import Path
from typing import Any, Final

import click

from ssmd import bus
from ssmd.bus import Bus
from ssmd.config import Config, ResolvedFeed, load
from ssmd.errors import BusError, Conflict, ExchangeError
from ssmd.meta.secmaster.follow import follow
from ssmd.meta.secmaster.options import where
from ssmd.meta.secmaster.run import Run
from ssmd.runtime import Role, backoff, run_role, wait

log = logging.getLogger(__name__)

RETRY_S: Final = 60.0


@click.command("run")
@where
@click.option("--health-addr", help="Serve /health /live /ready /metrics /status on host:port.")
def run_(
    env: str, feeds: tuple[str, ...], config: Path | None, data: Path, health_addr: str | None
) -> None:
    """Keep the instruments: list them, follow what messages say, list them again, until ^C.

    `ssmd up` runs it where the environment says `secmaster: true`. What goes wrong with one feed
    is tried again and stops no other.
    """
    found = load(env, root=config, feeds=feeds)

    async def main(role: Role) -> None:
        await keep_all(found, data, role)

    run_role(main, name="secmaster", health_addr=health_addr, data=data)


async def keep_all(config: Config, data: Path, role: Role) -> None:
    """Keep the instruments of every feed until ``role.stop``."""
    async with bus.connect(config.env.transport, name="secmaster", data=data) as connection:
        keepers = [Keeper(connection, config, feed) for feed in config.feeds.values()]
        role.status = lambda: {
            "role": role.name, "feeds": {one.feed.name: one.status() for one in keepers},
        }  # fmt: skip
        role.health = lambda: _health(keepers, connection)
        async with asyncio.TaskGroup() as tasks:
            for keeper in keepers:
                tasks.create_task(keeper.run(role.stop))


def _health(keepers: list["Keeper"], connection: Bus) -> tuple[bool, dict[str, Any]]:
    ill = {one.feed.name: one.trouble for one in keepers if one.trouble is not None}
    if not connection.connected:
        ill["nats"] = "not connected"
    return not ill, {"ill": ill}


class Keeper:
    """Keeps the instruments of one feed."""

    def __init__(self, connection: Bus, config: Config, feed: ResolvedFeed) -> None:
        self.feed = feed
        self._bus = connection
        self._config = config
        self._run: Run | None = None
        self._trouble: str | None = None

    @property
    def trouble(self) -> str | None:
        return self._trouble if self._run is None else self._run.trouble

    def status(self) -> dict[str, Any]:
        counts = self._run.counts if self._run is not None else None
        names = ("listed", "added", "changed", "followed", "malformed")
        state = "waiting" if counts is None else "following"
        told = {name: getattr(counts, name) for name in names} if counts is not None else {}
        return {"state": state, "detail": self.trouble, **told}

    async def run(self, stop: asyncio.Event) -> None:
        delays = backoff(1.0, RETRY_S)
        while not stop.is_set():
            try:
                async with Run.open(self._bus, self._config, self.feed) as self._run:
                    self._trouble, delays = None, backoff(1.0, RETRY_S)
                    await follow(self._run, stop, listed=False)
            except (BusError, Conflict, ExchangeError) as error:
                log.warning("%s: %s; tried again", self.feed.name, error.message)
                self._trouble = error.message
            finally:
                self._run = None
            await wait(stop, next(delays))
