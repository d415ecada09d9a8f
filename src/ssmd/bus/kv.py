"""Key-value buckets: state that roles share, with its latest revisions."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Self

import msgspec
from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.js.api import KeyValueConfig, StreamState
from nats.js.errors import (
    BucketNotFoundError,
    KeyNotFoundError,
    KeyWrongLastSequenceError,
)
from nats.js.errors import Error as JetStreamError
from nats.js.kv import KeyValue

from ssmd.bus import bulk
from ssmd.bus.reading import stored
from ssmd.errors import BusError, Conflict
from ssmd.message import escape_token, unescape_token


class KvEntry(msgspec.Struct, frozen=True):
    """What a key holds; ``revision`` counts the changes of the whole bucket."""

    key: str
    value: bytes
    revision: int


LIST_S = 10.0
"""Silence in the middle of a list: the server has forgotten it."""
_FAILED = (NatsError, JetStreamError, OSError, TimeoutError)


class Bucket:
    """A bucket of one environment. Keys may hold any text of up to some 60 signs: they
    are escaped here."""

    def __init__(self, nc: Client, name: str, kv: KeyValue) -> None:
        self.name = name
        self._nc = nc
        self._kv = kv

    @classmethod
    async def open(cls, nc: Client, name: str, *, history: int = 1, replicas: int = 1) -> Self:
        """The bucket, made where it is not there. Raises BusError."""
        js = nc.jetstream()
        try:
            try:
                return cls(nc, name, await js.key_value(name))
            except BucketNotFoundError:
                config = KeyValueConfig(
                    bucket=name, history=history, replicas=replicas, direct=True
                )
                return cls(nc, name, await js.create_key_value(config))
        except _FAILED as error:
            raise BusError(f"NATS cannot open the bucket {name}: {error}") from error

    async def get(self, key: str) -> KvEntry | None:
        """Raises BusError."""
        try:
            entry = await self._kv.get(_escape(key))
        except KeyNotFoundError:
            return None
        except _FAILED as error:
            raise BusError(f"NATS did not answer for {key}: {error}") from error
        return KvEntry(key, entry.value or b"", entry.revision or 0)

    async def put(self, key: str, value: bytes) -> int:
        """The new revision. Raises BusError."""
        try:
            return await self._kv.put(_escape(key), value)
        except _FAILED as error:
            raise BusError(f"NATS did not store {key}: {error}") from error

    async def swap(self, key: str, value: bytes, revision: int) -> int:
        """Store where the key is still at that revision (0: not there); the new revision.

        Raises Conflict where someone else was first, BusError.
        """
        try:
            if not revision:
                return await self._kv.create(_escape(key), value)
            return await self._kv.update(_escape(key), value, last=revision)
        except KeyWrongLastSequenceError as error:
            raise Conflict(
                f"{key} was changed by someone else", hint="look, and try again"
            ) from error
        except _FAILED as error:
            raise BusError(f"NATS did not store {key}: {error}") from error

    async def revision(self) -> int:
        """Counts the changes of the whole bucket. Raises BusError."""
        return (await self._state()).last_seq

    async def _state(self) -> StreamState:
        try:
            return (await self._kv.status()).stream_info.state
        except _FAILED as error:
            raise BusError(f"NATS did not tell of the bucket: {error}") from error

    async def get_many(self, keys: Sequence[str]) -> dict[str, KvEntry]:
        """What these keys hold; those that are not there are left out. Raises BusError."""
        found: dict[str, KvEntry] = {}
        for first in range(0, len(keys), bulk.MOST):
            subjects = {f"$KV.{self.name}.{_escape(key)}": key for key in keys[first:][: bulk.MOST]}
            async for subject, value, revision in bulk.get(
                self._nc, f"KV_{self.name}", list(subjects)
            ):
                found[subjects[subject]] = KvEntry(subjects[subject], value, revision)
        return found

    async def put_many(self, values: Mapping[str, bytes]) -> None:
        """Store all; it waits for the server once. Raises BusError: some may be stored then."""
        items = [(f"$KV.{self.name}.{_escape(key)}", value) for key, value in values.items()]
        for first in range(0, len(items), bulk.MOST):
            await bulk.put(self._nc, f"KV_{self.name}", items[first:][: bulk.MOST])

    async def scan(self) -> AsyncIterator[KvEntry]:
        """As ``entries``, a batch at a time: for buckets that memory would not hold. For those
        whose keys are never deleted. Raises BusError."""
        prefix = f"$KV.{self.name}."
        reading = stored(self._nc, f"KV_{self.name}", [f"{prefix}>"])
        async for delivery in reading:
            key = _unescape(delivery.subject.removeprefix(prefix))
            yield KvEntry(key, delivery.payload, delivery.nats_seq)

    async def delete(self, key: str) -> None:
        """Raises BusError."""
        try:
            await self._kv.delete(_escape(key))
        except _FAILED as error:
            raise BusError(f"NATS did not delete {key}: {error}") from error

    async def keys(self) -> list[str]:
        """All keys, sorted. Raises BusError."""
        return sorted([entry.key async for entry in self._latest(meta_only=True)])

    async def entries(self) -> AsyncIterator[KvEntry]:
        """Every key with its latest value. Raises BusError."""
        async for entry in self._latest(meta_only=False):
            yield entry

    async def _latest(self, *, meta_only: bool) -> AsyncIterator[KvEntry]:
        """Up to the entry behind which none is pending.

        The client's own sign of the end comes before the first entry where that entry and the
        answer on the consumer are read from the socket together (nats-py 2.16).
        """
        try:
            watcher = await self._kv.watchall(meta_only=meta_only)
            try:
                while True:
                    async with asyncio.timeout(LIST_S):
                        entry = await anext(watcher)
                    if entry is None:
                        if not (await self._state()).messages:
                            return
                        continue
                    if entry.operation is None:
                        key = _unescape(entry.key)
                        yield KvEntry(key, entry.value or b"", entry.revision or 0)
                    if not entry.delta:
                        return
            finally:
                await watcher.stop()  # type: ignore[no-untyped-call]
        except _FAILED as error:
            raise BusError(f"NATS did not list the entries: {error}") from error


def _escape(key: str) -> str:
    # Buckets take the signs of a subject token and ``=``, but no ``%``.
    return escape_token(key).replace("%", "=")


def _unescape(key: str) -> str:
    return unescape_token(key.replace("=", "%"))
