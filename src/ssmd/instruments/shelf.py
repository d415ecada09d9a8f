"""Where records are kept: a bucket of each feed with the latest of each instrument, and how far the
security master has come.

The stream is the log, and the bucket follows it: a change is published first and then put. Who
finds that a run before was cut off brings the bucket up to the log before anything else, so that
nothing is published twice.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, Self

import msgspec
from msgspec import Struct

from ssmd import message
from ssmd.bus import Bucket, Bus
from ssmd.errors import ContractError
from ssmd.exchanges.base import Request
from ssmd.instruments.change import (
    Change,
    Held,
    decode_change,
    decode_held,
    encode,
    held,
    subjects,
)

_AT_ONCE: Final = 1000


class State(Struct, kw_only=True, frozen=True, omit_defaults=True):
    """How far the security master of a feed has come. ``seq``s are of the feed's stream."""

    holder: str | None = None
    """The run that is at work, or was when it was cut off."""
    stream_created: str = ""
    seq: int = 0
    """Up to here, all changes on the stream are in the bucket."""
    followed_seq: int = 0
    """Up to here, all messages of the exchange are taken up."""
    filter: Mapping[str, str] = {}
    next: Request | None = None
    """Where the listing goes on that was cut off."""
    began_ns: int = 0
    """When it began."""
    since_ns: int | None = None
    """It lists what changed since; None: all."""
    listed: int = 0
    complete_ns: int = 0
    """When the latest listing of all began that came to its end."""
    current_ns: int = 0
    """When the latest listing of either kind began that came to its end."""


_state = msgspec.json.Decoder(State).decode


def bucket_name(env: str, feed: str) -> str:
    return f"{env}_{feed}_instruments"


class Shelf:
    """The records of one feed. Every method raises BusError."""

    def __init__(self, bus: Bus, env: str, feed: str, bucket: Bucket, states: Bucket) -> None:
        self.bus = bus
        self.env = env
        self.feed = feed
        self.stream = message.stream_name(env, feed)
        self.bucket = bucket
        self._states = states
        self._revision = 0

    @classmethod
    async def open(cls, bus: Bus, env: str, feed: str, replicas: int = 1) -> Self:
        bucket = await bus.bucket(bucket_name(env, feed), replicas=replicas)
        return cls(bus, env, feed, bucket, await bus.bucket(f"{env}_secmaster", replicas=replicas))

    async def state(self) -> State:
        entry = await self._states.get(self.feed)
        self._revision = entry.revision if entry else 0
        return _state(entry.value) if entry else State()

    async def save(self, state: State) -> None:
        """Raises Conflict where another run has taken over."""
        self._revision = await self._states.swap(self.feed, encode(state), self._revision)

    async def get(self, sym: str) -> Held | None:
        entry = await self.bucket.get(sym)
        return decode_held(entry.value) if entry else None

    async def get_many(self, syms: Sequence[str]) -> dict[str, Held]:
        found = await self.bucket.get_many(syms)
        return {sym: decode_held(entry.value) for sym, entry in found.items()}

    async def put_many(self, changes: Iterable[Change]) -> None:
        """The latest of each instrument."""
        latest = {change.sym: encode(held(change)) for change in changes}
        await self.bucket.put_many(latest)

    async def catch_up(self, after_seq: int) -> tuple[int, int]:
        """Put what is on the stream after ``after_seq`` and newer than the bucket: how many, and
        the last of the exchange's messages that they are about."""
        put, source_seq = 0, 0
        waiting: dict[str, Change] = {}
        pattern = subjects(self.env, self.feed)
        reading = self.bus.messages(self.stream, pattern, start_seq=after_seq + 1)
        async for delivery in reading:
            try:
                change = decode_change(message.decode(delivery.payload).payload)
            except ContractError:
                continue  # someone else's
            source_seq = max(source_seq, change.source_seq or 0)
            waiting[change.sym] = change
            if len(waiting) >= _AT_ONCE:
                put += await self._put_newer(waiting)
                waiting.clear()
        return put + await self._put_newer(waiting), source_seq

    async def _put_newer(self, changes: Mapping[str, Change]) -> int:
        present = await self.get_many(list(changes))
        newer = [
            change
            for sym, change in changes.items()
            if sym not in present or present[sym].number < change.number
        ]
        await self.put_many(newer)
        return len(newer)
