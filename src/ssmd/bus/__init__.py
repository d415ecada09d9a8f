"""NATS JetStream: the only place that imports nats."""

from ssmd.bus.connection import Bus, connect
from ssmd.bus.deliveries import Deliveries, Delivery
from ssmd.bus.kv import Bucket, KvEntry
from ssmd.bus.publisher import Publisher
from ssmd.bus.server import EmbeddedServer
from ssmd.bus.stream import StreamFacts

__all__ = [
    "Bucket",
    "Bus",
    "Deliveries",
    "Delivery",
    "EmbeddedServer",
    "KvEntry",
    "Publisher",
    "StreamFacts",
    "connect",
]
