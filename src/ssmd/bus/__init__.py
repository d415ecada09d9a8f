"""NATS JetStream: the only place that imports nats."""

from ssmd.bus.connection import Bus, connect
from ssmd.bus.deliveries import Deliveries, Delivery
from ssmd.bus.publisher import Publisher
from ssmd.bus.server import EmbeddedServer
from ssmd.bus.stream import StreamFacts

__all__ = [
    "Bus",
    "Deliveries",
    "Delivery",
    "EmbeddedServer",
    "Publisher",
    "StreamFacts",
    "connect",
]
