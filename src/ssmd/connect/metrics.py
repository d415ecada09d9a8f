"""The feeds' counters as Prometheus metrics."""

from typing import Any

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

from ssmd.connect.feed import FeedCapture


class FeedCollector:
    """Reads the feeds when metrics are asked for."""

    def __init__(self, feeds: list[FeedCapture], registry: CollectorRegistry) -> None:
        self._feeds = feeds
        registry.register(self)

    def collect(self) -> list[Any]:
        messages = CounterMetricFamily(
            "ssmd_connector_messages", "Messages captured", labels=["feed", "type"]
        )
        gaps = CounterMetricFamily("ssmd_connector_gaps", "Gaps noted", labels=["feed"])
        checks = CounterMetricFamily(
            "ssmd_connector_checks", "Continuity checks by outcome", labels=["feed", "outcome"]
        )
        live = GaugeMetricFamily(
            "ssmd_connector_websocket_connected", "Live connections", labels=["feed"]
        )
        open_gaps = GaugeMetricFamily("ssmd_connector_gaps_open", "Gaps open", labels=["feed"])
        books = GaugeMetricFamily(
            "ssmd_connector_books", "Books by state", labels=["feed", "state"]
        )
        unacked = GaugeMetricFamily(
            "ssmd_connector_unacked", "Messages that JetStream has not acked", labels=["feed"]
        )
        spilled = GaugeMetricFamily(
            "ssmd_connector_spilled_bytes", "What waits on disk for NATS", labels=["feed"]
        )
        overflowed = CounterMetricFamily(
            "ssmd_connector_overflowed", "Frames dropped for lack of room", labels=["feed"]
        )
        reconnects = CounterMetricFamily(
            "ssmd_connector_reconnects", "Connections that ended", labels=["feed"]
        )
        for feed in self._feeds:
            name, status = feed.feed.name, feed.status()
            live.add_metric([name], status["live"])
            if feed.channel is None:
                continue
            for type_, count in feed.channel.stats.by_type.items():
                messages.add_metric([name, type_], count)
            gaps.add_metric([name], status["gaps"])
            open_gaps.add_metric([name], status["open_gaps"])
            for state, count in status["books"].items():
                books.add_metric([name, state], count)
            for outcome in ("verified", "unverified", "broken"):
                checks.add_metric([name, outcome], status[outcome])
            unacked.add_metric([name], status["unacked"])
            spilled.add_metric([name], status["spilled_bytes"])
            overflowed.add_metric([name], status["overflowed"])
            reconnects.add_metric([name], status["reconnects"])
        return [
            messages,
            gaps,
            open_gaps,
            books,
            checks,
            live,
            unacked,
            spilled,
            overflowed,
            reconnects,
        ]
