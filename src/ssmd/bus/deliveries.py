"""Reading a stream through one long pull, with one ack for all up to a message.

The consumer is made anew from the last acked message at every start and whenever it stalls, so that
nothing waits for the server's own redelivery timer. What was handed out already is not handed out
twice within one ``Deliveries``.
"""

import asyncio
import contextlib
import logging
import time
from collections import deque
from types import TracebackType
from typing import Any, NamedTuple, Self

import msgspec
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.errors import Error as NatsError

from ssmd.bus.stream import NOT_FOUND, NS, ApiError, request
from ssmd.errors import BusError

log = logging.getLogger(__name__)

HEARTBEAT_S = 2.0
STALLED_AFTER_S = 3 * HEARTBEAT_S
PULL_EXPIRES_S = 60.0
RETRY_S = 0.5


class Delivery(NamedTuple):
    """One stored message. ``ack`` is where its acknowledgement goes."""

    nats_seq: int
    subject: str
    payload: bytes
    ack: str

    @property
    def stored_ns(self) -> int:
        """When the server stored it."""
        # $JS.ACK....<stream seq>.<consumer seq>.<time>.<pending>[.<token>]
        tokens = self.ack.split(".")
        return int(tokens[-2 if len(tokens) == 9 else -3])


class Deliveries:
    """The messages of one stream after ``after_seq`` (None: after what this consumer acked)."""

    def __init__(
        self,
        nc: Client,
        stream: str,
        *,
        consumer: str,
        after_seq: int | None = None,
        batch: int = 4000,
    ) -> None:
        self.stream = stream
        self.consumer = consumer
        self.batch = batch
        self.rebuilds = 0
        self.pending = 0
        """Messages of the stream that were not delivered yet, as of the last delivery."""
        self._nc = nc
        self._acked = after_seq
        self._seen = after_seq or 0
        self._ready: deque[Delivery] = deque()
        self._outstanding = 0
        self._alive = time.monotonic()
        self._arrived = asyncio.Event()
        self._inbox = ""
        self._subscription: Subscription | None = None
        self._broken = True
        self._reconnects = 0

    async def __aenter__(self) -> Self:
        await self._build()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._leave()

    async def next(self, timeout_s: float) -> list[Delivery]:
        """What has arrived, in order, up to ``batch``; [] where nothing has in ``timeout_s``.

        Survives a lost server; raises BusError only where the stream is gone.
        """
        deadline = time.monotonic() + timeout_s
        while not self._ready:
            await self._keep_alive()
            left = deadline - time.monotonic()
            if left <= 0:
                return []
            self._arrived.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(min(left, HEARTBEAT_S)):
                    await self._arrived.wait()
        ready = self._ready
        taken = [ready.popleft() for _ in range(min(len(ready), self.batch))]
        await self._top_up()
        return taken

    async def ack(self, delivery: Delivery) -> None:
        """Acknowledge all messages up to and including this one. Never waits for the server: a
        lost ack leads to a redelivery, which the caller recognises by ``nats_seq``."""
        self._acked = delivery.nats_seq
        if self._nc.is_connected and not self._broken:
            with contextlib.suppress(NatsError, OSError):
                await self._nc.publish(delivery.ack, b"+ACK")

    # --- the pull -------------------------------------------------------------------------------

    async def _keep_alive(self) -> None:
        if not self._nc.is_connected:
            self._broken = True
            await asyncio.sleep(RETRY_S)
            return
        if self._nc.stats["reconnects"] != self._reconnects:
            self._broken = True  # the server forgot our pull
        elif time.monotonic() - self._alive > STALLED_AFTER_S:
            log.info("the consumer of %s stalled; building it again", self.stream)
            self._broken = True
        if self._broken:
            try:
                await self._build()
            except ApiError as error:
                if error.err_code in NOT_FOUND:
                    raise
                await asyncio.sleep(RETRY_S)
            except BusError:
                await asyncio.sleep(RETRY_S)
        await self._top_up()

    async def _build(self) -> None:
        await self._leave()
        self.rebuilds += 1
        self._reconnects = self._nc.stats["reconnects"]
        if self._acked is None:
            self._acked = await self._floor()
            self._seen = max(self._seen, self._acked)
        await self._forget()
        config = {
            "durable_name": self.consumer,
            "ack_policy": "all",
            "ack_wait": 3600 * NS,
            "deliver_policy": "by_start_sequence",
            "opt_start_seq": self._acked + 1,
            "max_ack_pending": -1,
            "max_waiting": 8,
            "replay_policy": "instant",
        }
        payload = {"stream_name": self.stream, "config": config, "action": "create"}
        await request(self._nc, f"CONSUMER.CREATE.{self.stream}.{self.consumer}", payload)
        self._inbox = self._nc.new_inbox()
        self._subscription = await self._nc.subscribe(
            self._inbox, cb=self._on_message, pending_msgs_limit=-1, pending_bytes_limit=-1
        )
        self._outstanding = 0
        self._alive = time.monotonic()
        self._broken = False
        await self._top_up()

    async def _floor(self) -> int:
        try:
            info = await request(self._nc, f"CONSUMER.INFO.{self.stream}.{self.consumer}")
        except ApiError as error:
            if error.err_code in NOT_FOUND:
                return 0
            raise
        return int(info["ack_floor"]["stream_seq"])

    async def _forget(self) -> None:
        with contextlib.suppress(ApiError):
            await request(self._nc, f"CONSUMER.DELETE.{self.stream}.{self.consumer}")

    async def _leave(self) -> None:
        subscription, self._subscription = self._subscription, None
        if subscription is not None and not self._nc.is_closed:
            with contextlib.suppress(NatsError):
                await subscription.unsubscribe()

    async def _top_up(self) -> None:
        """Ask for more when half of a batch is on its way or waiting here: the bound of both."""
        if self._broken or self._outstanding + len(self._ready) > self.batch // 2:
            return
        pull = {
            "batch": self.batch,
            "expires": int(PULL_EXPIRES_S * NS),
            "idle_heartbeat": int(HEARTBEAT_S * NS),
        }
        self._outstanding += self.batch
        try:
            await self._nc.publish(
                f"$JS.API.CONSUMER.MSG.NEXT.{self.stream}.{self.consumer}",
                msgspec.json.encode(pull),
                reply=self._inbox,
            )
        except (NatsError, OSError):
            self._broken = True

    async def _on_message(self, msg: Msg) -> None:
        if msg.subject == self._inbox:
            self._on_status(msg)
            return
        self._alive = time.monotonic()
        self._outstanding -= 1
        # $JS.ACK....<stream seq>.<consumer seq>.<time>.<pending>[.<token>]
        tokens = msg.reply.split(".")
        last = -1 if len(tokens) == 9 else -2
        nats_seq = int(tokens[last - 3])
        self.pending = int(tokens[last])
        if nats_seq <= self._seen:
            return
        self._seen = nats_seq
        self._ready.append(Delivery(nats_seq, msg.subject, msg.data, msg.reply))
        self._arrived.set()

    def _on_status(self, msg: Msg) -> None:
        headers: dict[str, Any] = msg.headers or {}
        status = headers.get("Status")
        if status == "100":
            self._alive = time.monotonic()
            return
        if status == "408":  # the pull ran out of time; what it had left is free again
            self._alive = time.monotonic()
            self._outstanding -= int(headers.get("Nats-Pending-Messages", self._outstanding))
        else:
            log.debug("the pull on %s ended: %s", self.stream, headers)
            self._broken = True
        self._arrived.set()
