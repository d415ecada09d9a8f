"""Key-value buckets: state that roles share, with its latest revisions."""

from collections.abc import AsyncIterator
from typing import Self

import msgspec
from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.js.api import KeyValueConfig
from nats.js.errors import (
    BucketNotFoundError,
    KeyNotFoundError,
    KeyWrongLastSequenceError,
    NoKeysError,
)
from nats.js.errors import Error as JetStreamError
from nats.js.kv import KeyValue

from ssmd.errors import BusError, Conflict
from ssmd.message import escape_token, unescape_token


class KvEntry(msgspec.Struct, frozen=True):
    """What a key holds; ``revision`` counts the changes of the whole bucket."""

    key: str
    value: bytes
    revision: int


_FAILED = (NatsError, JetStreamError, OSError, TimeoutError)


class Bucket:
    """A bucket of one environment. Keys may hold any text of up to some 60 signs: they
    are escaped here."""

    def __init__(self, kv: KeyValue) -> None:
        self._kv = kv

    @classmethod
    async def open(cls, nc: Client, name: str, *, history: int = 1, replicas: int = 1) -> Self:
        """The bucket, made where it is not there. Raises BusError."""
        js = nc.jetstream()
        try:
            try:
                return cls(await js.key_value(name))
            except BucketNotFoundError:
                config = KeyValueConfig(bucket=name, history=history, replicas=replicas)
                return cls(await js.create_key_value(config))
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

    async def delete(self, key: str) -> None:
        """Raises BusError."""
        try:
            await self._kv.delete(_escape(key))
        except _FAILED as error:
            raise BusError(f"NATS did not delete {key}: {error}") from error

    async def keys(self) -> list[str]:
        """All keys, sorted. Raises BusError."""
        try:
            return sorted(_unescape(key) for key in await self._kv.keys())
        except NoKeysError:
            return []
        except _FAILED as error:
            raise BusError(f"NATS did not list the keys: {error}") from error

    async def entries(self) -> AsyncIterator[KvEntry]:
        """Every key with its latest value. Raises BusError."""
        try:
            watcher = await self._kv.watchall(ignore_deletes=True)
            try:
                async for entry in watcher:
                    if entry is None:
                        return
                    yield KvEntry(_unescape(entry.key), entry.value or b"", entry.revision or 0)
            finally:
                await watcher.stop()  # type: ignore[no-untyped-call]
        except _FAILED as error:
            raise BusError(f"NATS did not list the entries: {error}") from error


def _escape(key: str) -> str:
    # Buckets take the signs of a subject token and ``=``, but no ``%``.
    return escape_token(key).replace("%", "=")


def _unescape(key: str) -> str:
    return unescape_token(key.replace("=", "%"))
