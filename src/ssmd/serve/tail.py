"""What is on the bus and not archived yet: the second or so that the archiver is behind."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Final

import msgspec

from ssmd import bus, message
from ssmd.bus import Bus, EmbeddedServer
from ssmd.config import Transport
from ssmd.errors import BusError, SsmdError
from ssmd.message import Capture
from ssmd.span import Place

log = logging.getLogger(__name__)

CONNECT_TIMEOUT_S: Final = 2.0
RETRY_S: Final = 5.0
"""After a failure NATS is left alone so long: requests must not each wait for it."""


class Tail:
    """Reads streams, and nothing else: it starts no server, and keeps none running."""

    def __init__(self, env: str, transport: Transport, data: Path) -> None:
        self._env = env
        self._transport = transport
        self._embedded = EmbeddedServer(data / "nats") if transport.url == "embedded" else None
        self._stack = contextlib.AsyncExitStack()
        self._bus: Bus | None = None
        self._url: str | None = None
        self._lock = asyncio.Lock()
        self._retry_at = 0.0

    async def lines(self, feed: str, after: int) -> AsyncGenerator[tuple[Capture, bytes], None]:
        """Stored messages after a stream sequence, as the archive will hold them.

        Raises BusError where NATS cannot be reached, or has no stream of the feed.
        """
        connection = await self.connection()
        name = message.stream_name(self._env, feed)
        facts = await connection.stream_facts(name)
        # A stream whose last message is older than what is archived was made anew since.
        known = after if after <= facts.last_seq else 0
        subjects = message.feed_subjects(self._env, feed)
        async with contextlib.aclosing(
            connection.messages(name, subjects, start_seq=known + 1)
        ) as stored:
            async for delivery in stored:
                line = message.archive_line(delivery.nats_seq, delivery.payload)[:-1]
                # What is no message of ours the archiver wraps: not its form yet, so not shown.
                with contextlib.suppress(SsmdError):
                    yield message.decode_capture(line), line

    async def after(
        self, feed: str, place: Place
    ) -> AsyncGenerator[tuple[Capture, bytes, Place], None]:
        """Stored messages after a place in the archive, each as the archive will hold it, with its
        own place. Raises BusError where NATS cannot be reached, has no stream of the feed, or no
        longer holds what comes next."""
        connection = await self.connection()
        name = message.stream_name(self._env, feed)
        facts = await connection.stream_facts(name)
        same = place.created in ("", facts.created) and place.seq <= facts.last_seq
        known = place.seq if same else 0
        if facts.last_seq > known:
            subjects = message.feed_subjects(self._env, feed)
            stored = connection.messages(name, subjects, start_seq=known + 1)
            async with contextlib.aclosing(stored):
                async for delivery in stored:
                    line = message.archive_line(delivery.nats_seq, delivery.payload)[:-1]
                    with contextlib.suppress(SsmdError):
                        capture = message.decode_capture(line)
                        at = Place(place.date, facts.created, delivery.nats_seq)
                        yield capture, line, at
        if same and known and facts.first_seq > known + 1:
            raise BusError(
                f"messages {known + 1} to {facts.first_seq - 1} are neither archived nor on the bus"
            )

    async def connection(self) -> Bus:
        """The one connection of this process. Raises BusError where NATS cannot be reached."""
        async with self._lock:
            url = self._where()
            if self._bus is not None and (url != self._url or not self._bus.connected):
                await self._stack.aclose()
                self._bus = None
            if self._bus is None:
                self._bus = await self._open(url)
                self._url = url
            return self._bus

    def _where(self) -> str:
        if self._embedded is None:
            return self._transport.url
        facts = self._embedded.facts
        if facts is None:
            raise BusError("the embedded nats-server does not run")
        return facts.url

    async def _open(self, url: str) -> Bus:
        now = asyncio.get_running_loop().time()
        if now < self._retry_at:
            raise BusError("NATS could not be reached a moment ago")
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                return await self._stack.enter_async_context(
                    bus.connect(msgspec.structs.replace(self._transport, url=url), name="serve")
                )
        except (SsmdError, TimeoutError) as error:
            self._retry_at = now + RETRY_S
            log.warning("serving the archive only: %s", error or "NATS does not answer")
            raise BusError(f"NATS cannot be reached: {error}") from error

    async def close(self) -> None:
        await self._stack.aclose()
