"""Records out of the buckets, or out of every change that is archived or on a stream."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

from ssmd import bus, show
from ssmd.bus import Bus
from ssmd.config import Config, load
from ssmd.dataset import Archive
from ssmd.errors import BusError
from ssmd.instruments import history
from ssmd.instruments.change import Change, Held, decode_held, encode, held
from ssmd.instruments.history import Log
from ssmd.instruments.past import Past
from ssmd.instruments.shelf import Shelf
from ssmd.meta.secmaster.options import Where

NAME: Final = "meta secmaster"


class Reader:
    """What is known in one environment. Methods raise BusError."""

    def __init__(self, config: Config, data: Path, bus: Bus | None) -> None:
        storage = config.env.storage.path
        self.config = config
        self.archive = Archive(Path(storage) if storage else data / "archive", config.env.name)
        self._bus = bus

    @property
    def feeds(self) -> list[str]:
        return list(self.config.feeds)

    async def records(self, at_ns: int | None) -> AsyncIterator[tuple[str, Held]]:
        """Feed and record of every instrument, as known at that time."""
        for feed in self.feeds:
            if at_ns is None:
                shelf = await self._shelf(feed)
                async for entry in shelf.bucket.scan():
                    yield feed, decode_held(entry.value)
                continue
            for value in (await self._known(feed, at_ns)).values():
                yield feed, decode_held(value)

    async def _known(self, feed: str, at_ns: int) -> dict[str, bytes]:
        """As text: that is a third of the memory. What is on the stream comes after what is
        archived, and what is in both ends the same."""
        known = await asyncio.to_thread(Past(self.archive, feed).known, at_ns)
        if self._bus is not None:
            async for change in history.on_stream(self._log(feed), self._bus):
                if history.was_known(change, at_ns):
                    known[change.sym] = encode(held(change))
        return known

    async def named(self, sym: str) -> list[tuple[str, Held]]:
        """The latest records of that very symbol."""
        found = [(feed, await (await self._shelf(feed)).get(sym)) for feed in self.feeds]
        return [(feed, held) for feed, held in found if held is not None]

    async def changes(self, sym: str) -> AsyncIterator[tuple[str, Change]]:
        """Every change of an instrument, in order."""
        for feed in self.feeds:
            async for change in history.changes(self._log(feed), self._bus, sym):
                yield feed, change

    def _log(self, feed: str) -> Log:
        return Log(self.archive, self.config.env.name, feed)

    async def _shelf(self, feed: str) -> Shelf:
        assert self._bus is not None
        env = self.config.env
        return await Shelf.open(self._bus, env.name, feed, env.transport.replicas)


@contextlib.asynccontextmanager
async def reader(where: Where, *, latest: bool) -> AsyncIterator[Reader]:
    """``latest``: what is asked for is in NATS alone. The past is in the archive, too: without
    NATS, what is archived answers."""
    config = load(where.env, root=where.config, feeds=where.feeds)
    async with contextlib.AsyncExitStack() as stack:
        connection = None
        try:
            connection = await stack.enter_async_context(
                bus.connect(config.env.transport, name=NAME, data=where.data)
            )
        except BusError as error:
            if latest:
                raise
            show.warning(f"{error.message}: only what is archived is looked at")
        yield Reader(config, where.data, connection)
