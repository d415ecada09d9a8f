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
from ssmd.bus import Bus, Deliveries, Delivery
from ssmd.config import Config
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

    async def run(self, stop: asyncio.Event) -> None:
        env = self._config.env
        facts = await self._bus.ensure_stream(env.name, self.feed, env.transport)
        about = About(env.name, self.feed, env.schema, self._config.hash, facts.created)
        writer = await asyncio.to_thread(Writer, self._root, about, env.rotation)
        self.writer = writer
        try:
            async with self._bus.deliveries(
                facts.name, consumer=CONSUMER, after_seq=writer.last_seq
            ) as deliveries:
                self._deliveries = deliveries
                self._turn("live", None)
                await self._pump(deliveries, writer, stop)
        finally:
            writer.close()
            self._turn("stopped", None)

    async def _pump(self, deliveries: Deliveries, writer: Writer, stop: asyncio.Event) -> None:
        unacked: Delivery | None = None
        drain_until: float | None = None
        while True:
            batch = await deliveries.next(min(0.2, self._config.env.rotation.flush_s))
            for delivery in batch:
                writer.add(delivery.nats_seq, delivery.payload)
            unacked = batch[-1] if batch else unacked
            if stop.is_set() and drain_until is None:
                drain_until = time.monotonic() + DRAIN_S
            ended = drain_until is not None and (
                time.monotonic() > drain_until or (not batch and not deliveries.pending)
            )
            if writer.flush_due or ended:
                if not await self._durably(writer.flush, stop):
                    return
                if unacked is not None:
                    await deliveries.ack(unacked)
                    unacked = None
            if (writer.seal_due or ended) and not await self._durably(writer.seal, stop):
                return
            if ended:
                return

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
