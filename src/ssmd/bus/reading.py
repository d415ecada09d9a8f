"""Reading what a stream holds now, from end to end, without leaving a consumer behind."""

import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Sequence

from nats.aio.client import Client

from ssmd.bus import stream
from ssmd.bus.deliveries import HEARTBEAT_S, Deliveries, Delivery
from ssmd.errors import BusError


async def stored(
    nc: Client,
    name: str,
    subjects: Sequence[str],
    *,
    start_seq: int = 1,
    limit: int = 1_000_000_000,
) -> AsyncGenerator[Delivery, None]:
    """The messages that are stored now under subject wildcards, in order. Raises BusError."""
    config = {
        "ack_policy": "none",
        "deliver_policy": "by_start_sequence",
        "opt_start_seq": max(start_seq, 1),
        "filter_subjects": list(subjects),
        "mem_storage": True,
        "inactive_threshold": 30 * stream.NS,
    }
    payload = {"stream_name": name, "config": config}
    answer = await stream.request(nc, f"CONSUMER.CREATE.{name}", payload)
    left = min(limit, int(answer["num_pending"]))
    consumer = answer["name"]
    try:
        async for delivery in _drain(nc, name, consumer, left):
            yield delivery
    finally:
        with contextlib.suppress(BusError):
            await stream.request(nc, f"CONSUMER.DELETE.{name}.{consumer}")


async def _drain(nc: Client, name: str, consumer: str, left: int) -> AsyncIterator[Delivery]:
    reader = _Reader(nc, name, consumer=consumer)
    await reader.listen()
    try:
        while left > 0:
            batch = await reader.next(HEARTBEAT_S * 3)
            if not batch:
                raise BusError(f"NATS stopped answering in the middle of {name}")
            for delivery in batch[:left]:
                yield delivery
            left -= len(batch)
    finally:
        await reader.__aexit__(None, None, None)


class _Reader(Deliveries):
    """Deliveries of a consumer that exists already and is not built again."""

    async def listen(self) -> None:
        self._inbox = self._nc.new_inbox()
        self._subscription = await self._nc.subscribe(self._inbox, cb=self._on_message)
        self._broken = False
        self._reconnects = self._nc.stats["reconnects"]
        await self._top_up()

    async def _build(self) -> None:
        raise BusError(f"lost the connection to NATS while reading {self.stream}")
