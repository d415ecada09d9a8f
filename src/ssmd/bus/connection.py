"""Connections to NATS: one function makes them all, named so that operators can find them."""

import asyncio
import contextlib
import logging
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

from nats.aio.client import Client
from nats.errors import Error as NatsError

from ssmd.bus import stream
from ssmd.bus.deliveries import HEARTBEAT_S, Deliveries, Delivery
from ssmd.bus.kv import Bucket
from ssmd.bus.publisher import Publisher
from ssmd.bus.server import EmbeddedServer
from ssmd.bus.stream import StreamFacts
from ssmd.config import Transport
from ssmd.errors import BusError, BusRefused, ConfigError

log = logging.getLogger(__name__)

NEEDED = (2, 14)
CONNECT_TIMEOUT_S = 5.0
RECONNECT_WAIT_S: Any = 0.25  # the client types it as int and takes any number
WRITE_BUFFER_BYTES = 8 * 1024 * 1024


class Bus:
    """One connection to NATS, and what ssmd does over it."""

    def __init__(self, nc: Client) -> None:
        self._nc = nc

    @property
    def connected(self) -> bool:
        return self._nc.is_connected

    @property
    def max_payload(self) -> int:
        """The most bytes that the server takes and stores as one message, with its headers."""
        return min(int(self._nc.max_payload), stream.MAX_STORED_BYTES)

    @property
    def url(self) -> str:
        """Where the server is; without credentials."""
        url = self._nc.connected_url
        return f"{url.scheme}://{url.hostname}:{url.port}" if url else ""

    async def ensure_stream(self, env: str, feed: str, transport: Transport) -> StreamFacts:
        """Make or reconcile the stream of one feed. Raises BusRefused, BusError."""
        return await stream.ensure(self._nc, env, feed, transport)

    async def stream_facts(self, name: str) -> StreamFacts:
        """Raises BusError, also where there is no such stream."""
        return await stream.facts(self._nc, name)

    def publisher(
        self,
        name: str,
        *,
        window: int = 8192,
        restore: Callable[[], Awaitable[None]] | None = None,
    ) -> Publisher:
        """``restore`` makes the stream again where it is gone; without it, publishing waits."""
        return Publisher(self._nc, name, window=window, restore=restore)

    def deliveries(
        self, name: str, *, consumer: str, after_seq: int | None = None, batch: int = 4000
    ) -> Deliveries:
        return Deliveries(self._nc, name, consumer=consumer, after_seq=after_seq, batch=batch)

    async def bucket(self, name: str, *, history: int = 1, replicas: int = 1) -> Bucket:
        """A key-value bucket, made where it is not there. Raises BusError."""
        return await Bucket.open(self._nc, name, history=history, replicas=replicas)

    async def messages(
        self, name: str, subjects: str, *, start_seq: int = 1, limit: int = 1_000_000
    ) -> AsyncGenerator[Delivery, None]:
        """The messages that are stored now under a subject wildcard, in order."""
        config = {
            "ack_policy": "none",
            "deliver_policy": "by_start_sequence",
            "opt_start_seq": max(start_seq, 1),
            "filter_subject": subjects,
            "mem_storage": True,
            "inactive_threshold": 30 * stream.NS,
        }
        payload = {"stream_name": name, "config": config}
        answer = await stream.request(self._nc, f"CONSUMER.CREATE.{name}", payload)
        left = min(limit, int(answer["num_pending"]))
        consumer = answer["name"]
        try:
            async for delivery in _drain(self._nc, name, consumer, left):
                yield delivery
        finally:
            with contextlib.suppress(BusError):
                await stream.request(self._nc, f"CONSUMER.DELETE.{name}.{consumer}")

    async def close(self) -> None:
        """Send what is buffered and close."""
        if self._nc.is_connected:
            with contextlib.suppress(NatsError, OSError):
                await self._nc.flush(timeout=2)
        with contextlib.suppress(OSError):  # of a server that is gone
            await self._nc.close()


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


@contextlib.asynccontextmanager
async def connect(
    transport: Transport, *, name: str, data: Path | None = None
) -> AsyncIterator[Bus]:
    """A connection for as long as the block lasts; it comes back by itself after an outage.

    ``embedded`` joins or starts the server in ``data/nats``, and revives it when it dies. Raises
    BusError where the server cannot be reached, BusRefused where it is too old.
    """
    if transport.type != "nats":
        raise ConfigError(
            f"transport type {transport.type!r} is not supported", hint="use type: nats"
        )
    async with contextlib.AsyncExitStack() as stack:
        embedded = None
        url = transport.url
        if url == "embedded":
            if data is None:
                raise ConfigError("the embedded server needs a data folder", hint="use --data")
            embedded = await stack.enter_async_context(EmbeddedServer(data / "nats"))
            url = await embedded.start()
        lost, ended = asyncio.Event(), asyncio.Event()
        nc = await _open(url, transport, name, lost, ended)
        bus = Bus(nc)
        stack.push_async_callback(bus.close)
        _check_version(nc)
        if embedded is not None:
            watch = asyncio.create_task(_revive(embedded, nc, lost), name="embedded nats watch")
            stack.push_async_callback(_end, watch)
        await stack.enter_async_context(_raising(nc, ended))
        yield bus


@contextlib.asynccontextmanager
async def _raising(nc: Client, ended: asyncio.Event) -> AsyncIterator[None]:
    """BusError out of the block when the server ends the connection for good: on an error of the
    protocol or of permissions in time, the client does not reconnect."""
    body = asyncio.current_task()
    cut = False

    async def watch() -> None:
        nonlocal cut
        await ended.wait()
        cut = True
        if body is not None:
            body.cancel()

    watching = asyncio.create_task(watch(), name="nats connection watch")
    try:
        yield
    except asyncio.CancelledError:
        if not cut or body is None:
            raise
        body.uncancel()
        raise BusError(
            f"NATS ended the connection: {nc.last_error}", hint="see the log of the NATS server"
        ) from None
    finally:
        await _end(watching)


async def _end(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def _revive(embedded: EmbeddedServer, nc: Client, lost: asyncio.Event) -> None:
    """Start the embedded server again whenever it is gone; the lock lets one role do it."""
    while True:
        await lost.wait()
        lost.clear()
        while not nc.is_connected:
            try:
                await embedded.start()
            except (BusError, OSError) as error:
                log.warning("%s", error)
            await asyncio.sleep(RECONNECT_WAIT_S)


async def _open(
    url: str, transport: Transport, name: str, lost: asyncio.Event, ended: asyncio.Event
) -> Client:
    async def on_disconnect() -> None:
        if nc.is_closed:
            return
        lost.set()
        log.warning("lost NATS at %s; reconnecting", shown)

    async def on_reconnect() -> None:
        log.info("NATS at %s is back", shown)

    async def on_closed() -> None:
        ended.set()

    async def on_error(error: Exception) -> None:
        log.debug("nats: %s", error)

    shown = url.rpartition("@")[2]
    options: dict[str, Any] = {}
    if transport.credentials_file:
        options["user_credentials"] = transport.credentials_file
    if transport.tls_ca_file or transport.tls_cert_file:
        options["tls"] = _tls(transport)
    nc = Client()
    try:
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            await nc.connect(
                url,
                name=f"ssmd {name}",
                disconnected_cb=on_disconnect,
                reconnected_cb=on_reconnect,
                closed_cb=on_closed,
                error_cb=on_error,
                max_reconnect_attempts=-1,
                reconnect_time_wait=RECONNECT_WAIT_S,
                ping_interval=10,
                max_outstanding_pings=2,
                pending_size=WRITE_BUFFER_BYTES,
                **options,
            )
        return nc
    except (NatsError, OSError, TimeoutError, ValueError) as error:
        reason = str(error) or str(nc.last_error or "") or "no answer"
        raise BusError(
            f"cannot connect to NATS at {shown}: {reason}",
            hint="is the server running, and is transport.url right? `url: embedded` needs none",
        ) from error


def _tls(transport: Transport) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=transport.tls_ca_file)
        if transport.tls_cert_file:
            context.load_cert_chain(transport.tls_cert_file, transport.tls_key_file)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(
            f"the TLS files of the transport cannot be used: {error}",
            hint="see tls_ca_file, tls_cert_file and tls_key_file",
        ) from error
    return context


def _check_version(nc: Client) -> None:
    version = nc.connected_server_version
    if (version.major, version.minor) < NEEDED:
        raise BusRefused(
            f"nats-server {version.major}.{version.minor}.{version.patch} is too old: "
            f"ssmd publishes in batches, which need {NEEDED[0]}.{NEEDED[1]} or newer",
            hint="upgrade the server, or use transport.url: embedded",
        )
