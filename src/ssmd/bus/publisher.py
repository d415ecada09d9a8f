"""Publishing in JetStream's fast-ingest batches (ADR-50): ordered, acked by range, exactly once.

A message stays here until JetStream acked it. Whatever goes wrong on the way (a lost connection, a
new leader, a batch that the server timed out), a new batch is started and everything unacked is
sent again in order; ``Nats-Msg-Id`` makes that exact.
"""

import asyncio
import logging
import secrets
import time
from collections import deque
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Any, NamedTuple, Self

import msgspec
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.errors import Error as NatsError

from ssmd.errors import BusError, BusRefused

log = logging.getLogger(__name__)

FLOW = 500
"""Messages per ack that we allow; the server starts a lone publisher at as many."""
COMMIT_AFTER_S = 0.1
"""The server acks every so many messages only, and a ping repeats the last ack: what is unacked for
so long while nothing waits is acked by committing the batch."""
STALLED_AFTER_S = 2.0
RETRY_S = 0.2
IDLE_BATCH_S = 5.0
"""The server drops a batch that is idle for 10 s; we let go of it well before."""
CHUNK = 256

START, APPEND, COMMIT = 0, 1, 3
_NO_BATCH = "-"
REFUSALS = {
    10205: "batch publishing is switched off on the stream",
    10054: "a message is longer than the stream takes",
    10077: "a message is longer than the stream takes",
}
"""JetStream's codes for what sending again cannot help."""


class Pending(NamedTuple):
    subject: str
    msg_id: str
    payload: bytes


class Publisher:
    """A bounded window of messages on their way into one stream."""

    def __init__(
        self,
        nc: Client,
        stream: str,
        *,
        window: int = 8192,
        restore: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        """``restore`` is called where no stream takes what is sent: it makes the stream again."""
        self.stream = stream
        self.window = window
        self.acked = 0
        """Messages that JetStream has stored since the start."""
        self.resends = 0
        """Batches that had to be started again with messages already sent."""
        self._nc = nc
        self._restore = restore
        self._missing = False
        self._waiting: deque[Pending] = deque()
        self._sent: deque[Pending] = deque()
        self._batch = _NO_BATCH
        self._first = 1
        """Batch sequence of the oldest message in ``_sent``."""
        self._restart = True
        self._committing = False
        self._asked = 0.0
        self._complaint: str | None = None
        self._progress = time.monotonic()
        self._wake = asyncio.Event()
        self._acks = asyncio.Event()
        self._failure: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._inbox = nc.new_inbox()
        self._subscription: Subscription | None = None
        self._pump: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._subscription = await self._nc.subscribe(f"{self._inbox}.>", cb=self._on_reply)
        # Held here and awaited on exit: the pump lives exactly as long as the publisher.
        self._pump = asyncio.create_task(self._run(), name=f"publisher {self.stream}")
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._pump is not None
        self._pump.cancel()
        await asyncio.gather(self._pump, return_exceptions=True)
        if self._subscription is not None and not self._nc.is_closed:
            try:
                await self._subscription.unsubscribe()
            except NatsError:
                log.debug("the publisher's inbox was gone already")
        if self._failure.done():
            self._failure.exception()

    @property
    def unacked(self) -> int:
        return len(self._waiting) + len(self._sent)

    @property
    def connected(self) -> bool:
        """Whether NATS is there."""
        return self._nc.is_connected

    @property
    def full(self) -> bool:
        """The window is used up: the caller stops its sources until ``room``."""
        return len(self._waiting) + len(self._sent) >= self.window

    def put(self, subject: str, msg_id: str, payload: bytes) -> None:
        """Take a message; it is kept until JetStream has it. Never blocks and never refuses."""
        self._waiting.append(Pending(subject, msg_id, payload))
        if not self._wake.is_set():
            self._wake.set()

    def withdraw(self) -> list[Pending]:
        """Give back all that is not acked, in order. Some of it may be stored all the same: who
        puts it again sends it with the same id."""
        held = [*self._sent, *self._waiting]
        self._sent.clear()
        self._waiting.clear()
        self._restart, self._committing = True, False
        self._batch = _NO_BATCH
        return held

    async def room(self) -> None:
        """Return when less than half of the window is in use. Raises what ``failed`` raises."""
        await self._until(self.window // 2)

    async def flush(self, timeout_s: float) -> None:
        """Return when all is acked. Raises BusError after ``timeout_s``."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._until(0)
        except TimeoutError:
            raise BusError(
                f"{self.unacked} messages for {self.stream} are not acked after {timeout_s:g} s"
            ) from None

    async def stored(self) -> None:
        """Return when all that was put so far is acked. Raises what ``failed`` raises."""
        wanted = self.acked + self.unacked
        while self.acked < wanted:
            if self._failure.done():
                await self._failure
            self._acks.clear()
            await self._acks.wait()

    async def failed(self) -> None:
        """Wait until publishing cannot go on; raises why (BusRefused)."""
        await asyncio.shield(self._failure)

    async def _until(self, count: int) -> None:
        while self.unacked > count:
            if self._failure.done():
                await self._failure
            self._acks.clear()
            await self._acks.wait()

    # --- sending --------------------------------------------------------------------------------

    async def _run(self) -> None:
        try:
            while True:
                try:
                    await self._step()
                except (NatsError, OSError) as error:
                    log.debug("publishing to %s: %s", self.stream, error)
                    self._restart = True
                    await asyncio.sleep(RETRY_S)
        except BusRefused as error:
            self._failure.set_exception(error)
            self._acks.set()

    async def _step(self) -> None:
        if not self._nc.is_connected:
            self._restart = True
            await asyncio.sleep(RETRY_S)
        elif self._restart and self._sent:
            await self._take_back()
        elif self._waiting and len(self._sent) < self.window and not self._committing:
            if self._restart:
                self._start_batch()
            await self._send(min(CHUNK, len(self._waiting)))
            # Acks are read by another task: without this a busy pump would starve it.
            await asyncio.sleep(0)
        elif self._sent:
            await self._await_acks()
        else:
            await self._idle()

    async def _take_back(self) -> None:
        self.resends += 1
        self._committing = False
        self._waiting.extendleft(reversed(self._sent))
        self._sent.clear()
        await asyncio.sleep(RETRY_S)
        if self._missing and self._restore is not None:
            try:
                await self._restore()
                self._missing = False
            except BusError as error:  # JetStream may be on its way up: asked again
                log.debug("restoring %s: %s", self.stream, error)

    def _start_batch(self) -> None:
        self._batch = f"{self._inbox}.{secrets.token_hex(8)}.{FLOW}.fail"
        self._first = 1
        self._restart = False
        self._committing = False
        self._progress = time.monotonic()

    async def _send(self, count: int) -> None:
        publish = self._nc.publish
        for _ in range(count):
            if self._restart:
                return
            if not self._sent:
                self._progress = time.monotonic()
            pending = self._waiting.popleft()
            # Counted as sent before it is: a failure in between starts a new batch with it.
            self._sent.append(pending)
            number = self._first + len(self._sent) - 1
            operation = START if number == 1 else APPEND
            await publish(
                pending.subject,
                pending.payload,
                reply=f"{self._batch}.{number}.{operation}.$FI",
                headers={"Nats-Msg-Id": pending.msg_id},
            )

    async def _await_acks(self) -> None:
        now = time.monotonic()
        if self._committing:
            if now - self._asked > STALLED_AFTER_S:
                self._lost("no answer")
                return
        elif now - self._progress >= COMMIT_AFTER_S:
            self._committing = True
            self._asked = now
            number = self._first + len(self._sent)
            reply = f"{self._batch}.{number}.{COMMIT}.$FI"
            await self._nc.publish(self._sent[-1].subject, b"", reply=reply)
        self._wake.clear()
        await self._woken(COMMIT_AFTER_S)

    async def _idle(self) -> None:
        self._wake.clear()
        if not await self._woken(IDLE_BATCH_S):
            self._restart = True

    async def _woken(self, timeout_s: float) -> bool:
        # Not wait_for: on Python 3.11 it swallows a cancellation that comes with the event.
        try:
            async with asyncio.timeout(timeout_s):
                await self._wake.wait()
        except TimeoutError:
            return False
        return True

    # --- answers --------------------------------------------------------------------------------

    async def _on_reply(self, reply: Msg) -> None:
        if not reply.subject.startswith(self._batch):
            return  # of a batch that we gave up
        if reply.headers and reply.headers.get("Status") == "503":
            self._missing = True
            self._lost("no stream takes the subject")
            return
        answer: dict[str, Any] = msgspec.json.decode(reply.data)
        kind = answer.get("type")
        if kind == "ack":
            self._acknowledge(answer["seq"])
        elif kind == "gap":
            self._lost(f"the server missed messages {answer.get('last_seq')} to {answer['seq']}")
        elif "error" in answer:
            self._refused(answer["error"])
        elif "batch" in answer:
            self._committed(int(answer["count"]))

    def _acknowledge(self, number: int) -> None:
        """All messages of the batch up to this one are stored."""
        count = min(number - self._first + 1, len(self._sent))
        if count <= 0:
            return
        for _ in range(count):
            self._sent.popleft()
        self._first += count
        self.acked += count
        self._progress = time.monotonic()
        self._complaint = None
        self._acks.set()
        if self._waiting or not self._sent:
            self._wake.set()

    def _committed(self, count: int) -> None:
        """The batch ended with so many messages stored; the next one starts a new batch."""
        self._acknowledge(count)
        self._restart = True
        self._committing = False
        self._wake.set()

    def _refused(self, error: dict[str, Any]) -> None:
        code = error.get("err_code", 0)
        if code in REFUSALS and not self._failure.done():
            self._failure.set_exception(BusRefused(f"{self.stream}: {REFUSALS[code]}"))
            self._acks.set()
        self._lost(str(error.get("description", error)))

    def _lost(self, why: str) -> None:
        if why != self._complaint:
            log.warning("publishing to %s: %s; sending again", self.stream, why)
            self._complaint = why
        self._restart = True
        self._wake.set()
