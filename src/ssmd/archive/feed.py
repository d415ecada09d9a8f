"""Archiving one feed: deliveries -> writer -> ack, until told to stop."""

import asyncio
import errno
import logging
import time
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

from ssmd.archive.writer import Writer
from ssmd.bus import Bus, Deliveries, Delivery, StreamFacts
from ssmd.config import Config
from ssmd.errors import BusError
from ssmd.exchanges.times import rfc3339_ns
from ssmd.runtime import backoff, wait
from ssmd.store.header import About

log = logging.getLogger(__name__)

CONSUMER = "archive"
DRAIN_S = 30.0
FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


class FeedArchive:
    """Archives one feed from ``run`` to its end."""

    def __init__(self, bus: Bus, config: Config, feed: str, root: Path) -> None:
        self.feed = feed
        self.state = "starting"
        self.detail: str | None = None
        self.writer: Writer | None = None
        self._bus = bus
        self._config = config
        self._root = root
        self._deliveries: Deliveries | None = None
        self._built = 0
        """How often the pull had been built when the stream was last known to be the same."""

    async def run(self, stop: asyncio.Event) -> None:
        env = self._config.env
        while True:
            facts = await self._bus.ensure_stream(env.name, self.feed, env.transport)
            writer = self.writer or await self._open(facts, stop)
            if writer is None:
                return
            try:
                if await self._archive(facts, writer, stop):
                    return
            except BaseException:
                writer.close()
                raise

    async def _open(self, facts: StreamFacts, stop: asyncio.Event) -> Writer | None:
        """The writer, as soon as the disk lets it take up what was left; None after the stop."""
        env = self._config.env
        exchange = self._config.feeds[self.feed].exchange
        about = About(
            env.name, self.feed, env.schema, self._config.hash, facts.created, exchange=exchange
        )

        def make() -> None:
            self.writer = Writer(self._root, about, env.rotation)

        await self._durably(make, stop)
        return self.writer

    async def _archive(self, facts: StreamFacts, writer: Writer, stop: asyncio.Event) -> bool:
        """Until the stop, or until the stream is another than it was; which."""
        if facts.created != writer.about.stream_created:
            log.warning("%s: the stream was made anew; archiving it from its start", self.feed)
            writer.renew(facts.created)
        async with self._bus.deliveries(
            facts.name, consumer=CONSUMER, after_seq=writer.last_seq
        ) as deliveries:
            self._deliveries = deliveries
            self._built = 0
            self._turn("live", None)
            ended = await self._pump(facts, deliveries, writer, stop)
        if ended:
            writer.close()
            self._turn("stopped", None)
        return ended

    async def _pump(
        self, facts: StreamFacts, deliveries: Deliveries, writer: Writer, stop: asyncio.Event
    ) -> bool:
        """False where the stream was made anew and all of the old one is sealed."""
        unacked: Delivery | None = None
        drain_until: float | None = None
        while True:
            batch, renewed = await self._next(facts, deliveries, stop)
            for delivery in batch:
                writer.add(delivery.nats_seq, delivery.payload)
            unacked = batch[-1] if batch else unacked
            if stop.is_set() and drain_until is None:
                drain_until = time.monotonic() + DRAIN_S
            ended = drain_until is not None and (
                time.monotonic() > drain_until or (not batch and not deliveries.pending)
            )
            if writer.flush_due or ended or renewed:
                if not await self._durably(writer.flush, stop):
                    return True
                if unacked is not None and not renewed:
                    await deliveries.ack(unacked)
                    unacked = None
            if (writer.seal_due or ended or renewed) and not await self._durably(writer.seal, stop):
                return True
            if renewed or ended:
                return not renewed

    async def _next(
        self, facts: StreamFacts, deliveries: Deliveries, stop: asyncio.Event
    ) -> tuple[list[Delivery], bool]:
        """What was delivered of the stream; and whether there is another stream of its name.

        Whenever the pull was built again, the stream may be another: what is stored in that one is
        left for deliveries that count from its start.
        """
        gone = False
        batch: list[Delivery] = []
        try:
            batch = await deliveries.next(min(0.2, self._config.env.rotation.flush_s))
        except BusError:
            gone = True
        if not gone and deliveries.rebuilds == self._built:
            return batch, False
        created = await self._created(stop)
        if created is None:
            return [], False  # not acked: it is delivered again
        self._built = deliveries.rebuilds
        if created == facts.created:
            return batch, False
        made_ns = rfc3339_ns(created) or 0
        return [delivery for delivery in batch if delivery.stored_ns < made_ns], True

    async def _created(self, stop: asyncio.Event) -> str | None:
        """When the stream was made, as soon as NATS answers; None after the stop."""
        env = self._config.env
        for delay_s in backoff(0.2, 2.0):
            try:
                facts = await self._bus.ensure_stream(env.name, self.feed, env.transport)
            except BusError as error:
                log.info("%s: %s", self.feed, error.message)
                if await wait(stop, delay_s):
                    break
                continue
            return facts.created
        return None

    async def _durably(self, write: Any, stop: asyncio.Event) -> bool:
        """Until the disk takes it, or we are told to stop: then it stays unacked on the bus."""
        for delay_s in backoff(0.2, 5.0):
            try:
                await asyncio.to_thread(write)
            except OSError as error:
                state = "disk_full" if error.errno in FULL else "write_error"
                self._turn(state, f"cannot write to {self._root}: {error.strerror}; not acking")
                if stop.is_set():
                    return False
                await wait(stop, delay_s)
                continue
            self._turn("live", None)
            return True
        return False

    def _turn(self, state: str, detail: str | None) -> None:
        if (state, detail) == (self.state, self.detail):
            return
        if detail is not None:
            log.error("%s: %s", self.feed, detail)
        elif self.detail is not None:
            log.info("%s: writing again", self.feed)
        self.state, self.detail = state, detail

    def status(self) -> dict[str, Any]:
        content: dict[str, Any] = {"state": self.state, "detail": self.detail}
        writer = self.writer
        if writer is not None:
            content |= {
                "messages": writer.messages,
                "bytes": writer.bytes,
                "segments": writer.segments,
                "duplicates": writer.duplicates,
                "gaps": writer.gaps,
                "last_seq": writer.last_seq,
                "last_recv_ns": writer.last_recv_ns,
                "lag": self._deliveries.pending if self._deliveries else 0,
            }
        return content


class ArchiveCollector:
    """The feeds' counters as Prometheus metrics, read when they are asked for."""

    def __init__(self, feeds: list[FeedArchive], registry: CollectorRegistry) -> None:
        self._feeds = feeds
        registry.register(self)

    def collect(self) -> list[Any]:
        names = {
            "messages": ("ssmd_archiver_messages", "Messages made durable"),
            "bytes": ("ssmd_archiver_bytes", "Bytes made durable, uncompressed"),
            "segments": ("ssmd_archiver_files_rotated", "Segments closed"),
            "duplicates": ("ssmd_archiver_duplicates", "Messages recognised as archived already"),
            "gaps": ("ssmd_archiver_gaps", "Gaps noted"),
        }
        families: dict[str, Any] = {
            key: CounterMetricFamily(name, text, labels=["feed"])
            for key, (name, text) in names.items()
        }
        lag = GaugeMetricFamily("ssmd_archiver_lag", "Messages to archive", labels=["feed"])
        last = GaugeMetricFamily(
            "ssmd_archiver_last_message_timestamp", "Receive time, unix seconds", labels=["feed"]
        )
        for feed in self._feeds:
            status = feed.status()
            for key, family in families.items():
                family.add_metric([feed.feed], status.get(key, 0))
            lag.add_metric([feed.feed], status.get("lag", 0))
            last.add_metric([feed.feed], status.get("last_recv_ns", 0) / 1e9)
        return [*families.values(), lag, last]
