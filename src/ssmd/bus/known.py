"""Which messages a stream holds already, told from their headers alone.

The server knows ``Nats-Msg-Id`` again for as long as the stream's ``duplicate_window``. After more
than that, what was sent and never acked would be stored once more.
"""

import logging
import time
from collections.abc import Collection, Iterable
from datetime import UTC, datetime
from typing import Final

import msgspec
from nats.aio.client import Client

from ssmd.bus import stream
from ssmd.bus.bulk import answers
from ssmd.bus.ingest import Pending
from ssmd.errors import BusError

log = logging.getLogger(__name__)

BATCH: Final = 10_000
MSG_ID: Final = "Nats-Msg-Id"
REMEMBERED_S = 30.0
"""So long the server surely knows an id again."""
SKEW_NS: Final = 60 * stream.NS
"""Between the server's clock and ours."""


class Doubts:
    """Messages that were sent into a stream and not acked: they may be stored."""

    def __init__(self, nc: Client, name: str) -> None:
        self._nc = nc
        self._name = name
        self._ids: set[str] = set()
        self._since_ns = 0
        """All before them was acked then."""
        self._stored: set[str] = set()

    def add(self, sent: Iterable[Pending], age_s: float) -> None:
        """Their batch is over; all before them was acked so many seconds ago."""
        if not self._ids:
            self._since_ns = time.time_ns() - int(age_s * stream.NS)
        self._ids.update(pending.msg_id for pending in sent)

    def acked(self, msg_id: str) -> None:
        if self._ids:
            self._ids.discard(msg_id)

    async def resolved(self) -> bool:
        """Before any of them is sent again: ask the stream what it holds, where the server may have
        forgotten them. False where it did not answer."""
        if self._ids and time.time_ns() - self._since_ns > REMEMBERED_S * stream.NS:
            since_ns = self._since_ns - SKEW_NS
            try:
                self._stored |= await stored_ids(self._nc, self._name, self._ids, since_ns)
            except BusError as error:
                if not _gone(error):
                    log.debug("asking what %s holds: %s", self._name, error)
                    return False
            self._ids.clear()
        return True

    def stored(self, msg_id: str) -> bool:
        """Whether it need not be sent again."""
        if msg_id not in self._stored:
            return False
        self._stored.discard(msg_id)
        return True


async def stored_ids(nc: Client, name: str, ids: Collection[str], since_ns: int) -> set[str]:
    """Those of ``ids`` that the stream was given since a time of the server's clock. Memory is
    bounded by ``ids``, whatever else the stream holds. Raises BusError."""
    config = {
        "ack_policy": "none",
        "deliver_policy": "by_start_time",
        "opt_start_time": _rfc3339(since_ns),
        "headers_only": True,
        "mem_storage": True,
        "inactive_threshold": 30 * stream.NS,
    }
    made = await stream.request(
        nc, f"CONSUMER.CREATE.{name}", {"stream_name": name, "config": config}
    )
    found: set[str] = set()
    left = int(made["num_pending"])
    async with answers(nc, f"read {name}") as (inbox, arrival):
        while left > 0:
            count = min(left, BATCH)
            pull = msgspec.json.encode({"batch": count, "expires": 10 * stream.NS})
            await nc.publish(
                f"$JS.API.CONSUMER.MSG.NEXT.{name}.{made['name']}", pull, reply=f"{inbox}.m"
            )
            for _ in range(count):
                headers = (await arrival()).headers or {}
                if "Status" in headers:
                    raise BusError(f"NATS did not read {name}: {dict(headers)}")
                found.update({headers.get(MSG_ID, "")}.intersection(ids))
            left -= count
    await stream.request(nc, f"CONSUMER.DELETE.{name}.{made['name']}")
    return found


def _gone(error: BusError) -> bool:
    return isinstance(error, stream.ApiError) and error.err_code in stream.NOT_FOUND


def _rfc3339(ns: int) -> str:
    return datetime.fromtimestamp(max(ns, 0) // stream.NS, UTC).isoformat()
