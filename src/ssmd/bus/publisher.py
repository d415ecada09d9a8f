"""Publishing in JetStream's fast-ingest batches (ADR-50): ordered, acked by range, exactly once.

A message stays here until JetStream acked it. Whatever goes wrong on the way (a lost connection, a
new leader, a batch that the server timed out), a new batch is started and everything unacked is
sent again in order; ``Nats-Msg-Id`` makes that exact, and ``Doubts`` where it is forgotten."""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Self

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.errors import Error as NatsError

from ssmd.bus import ingest
from ssmd.bus.acks import Acks
from ssmd.bus.ingest import Pending
from ssmd.bus.known import MSG_ID, Doubts
from ssmd.errors import BusError, BusRefused
from ssmd.runtime import wait

log = logging.getLogger(__name__)

COMMIT_AFTER_S = 0.1
"""The server acks every so many messages only, and a ping repeats the last ack: what is unacked for
so long while nothing waits is acked by committing the batch."""
STALLED_AFTER_S = 2.0
RETRY_S = 0.2
IDLE_BATCH_S = 5.0
"""The server drops a batch that is idle for 10 s; we let go of it well before."""
CHUNK = 256

_NO_BATCH = "-"


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
        self._doubts = Doubts(nc, stream)
        self._committing = False
        self._asked = 0.0
        self._complaint: str | None = None
        self._progress = time.monotonic()
        self._wake = asyncio.Event()
        self._acks = Acks()
        self._inbox = nc.new_inbox()
        self._subscription: Subscription | None = None
        self._pump: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._subscription = await self._nc.subscribe(f"{self._inbox}.>", cb=self._on_reply)
        # Held here and awaited on exit: the pump lives exactly as long as the publisher.
        self._pump = asyncio.create_task(self._run(), name=f"publisher {self.stream}")
        return self

    async def __aexit__(self, *error: object) -> None:
        assert self._pump is not None
        self._pump.cancel()
        await asyncio.gather(self._pump, return_exceptions=True)
        if self._subscription is not None and not self._nc.is_closed:
            try:
                await self._subscription.unsubscribe()
            except NatsError:
                log.debug("the publisher's inbox was gone already")
        self._acks.close()

    @property
    def acked(self) -> int:
        """Messages that JetStream has stored since the start."""
        return self._acks.count

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
        self._wake.set()

    def withdraw(self) -> list[Pending]:
        """Give back all that is not acked, in order. Some of it may be stored all the same: who
        puts it again sends it with the same id."""
        self._doubts.add(self._sent, time.monotonic() - self._progress)
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
            await self._acks.next()

    async def failed(self) -> None:
        """Wait until publishing cannot go on; raises why (BusRefused)."""
        await self._acks.failed()

    async def _until(self, count: int) -> None:
        while self.unacked > count:
            await self._acks.next()

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
            self._acks.fail(error)

    async def _step(self) -> None:
        if not self._nc.is_connected:
            self._restart = True
            await asyncio.sleep(RETRY_S)
        elif self._restart and self._sent:
            await self._take_back()
        elif self._waiting and len(self._sent) < self.window and not self._committing:
            if self._restart:
                if not await self._doubts.resolved():
                    await asyncio.sleep(RETRY_S)
                    return
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
        self._doubts.add(self._sent, time.monotonic() - self._progress)
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
        self._batch = ingest.begin(self._inbox)
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
            if not self._sent and self._doubts.stored(pending.msg_id):
                self._acks.add(1)
                continue
            # Counted as sent before it is: a failure in between starts a new batch with it.
            self._sent.append(pending)
            number = self._first + len(self._sent) - 1
            operation = ingest.START if number == 1 else ingest.APPEND
            await publish(
                pending.subject,
                pending.payload,
                reply=ingest.step(self._batch, number, operation),
                headers={MSG_ID: pending.msg_id},
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
            reply = ingest.step(self._batch, number, ingest.COMMIT)
            await self._nc.publish(self._sent[-1].subject, b"", reply=reply)
        self._wake.clear()
        await wait(self._wake, COMMIT_AFTER_S)

    async def _idle(self) -> None:
        self._wake.clear()
        if not await wait(self._wake, IDLE_BATCH_S):
            self._restart = True

    # --- answers --------------------------------------------------------------------------------

    async def _on_reply(self, reply: Msg) -> None:
        if not reply.subject.startswith(self._batch):
            return  # of a batch that we gave up
        answer = ingest.read(reply)
        if answer is None:
            return
        if answer.kind == "ack":
            self._acknowledge(answer.number)
        elif answer.kind == "end":
            self._committed(answer.number)
        else:
            self._missing = self._missing or answer.kind == "missing"
            if answer.kind == "refused":
                self._refuse(ingest.REFUSALS[answer.number])
            self._lost(answer.why)

    def _acknowledge(self, number: int) -> None:
        """All messages of the batch up to this one are stored."""
        count = min(number - self._first + 1, len(self._sent))
        if count <= 0:
            return
        for _ in range(count):
            self._doubts.acked(self._sent.popleft().msg_id)
        self._first += count
        self._acks.add(count)
        self._progress = time.monotonic()
        self._complaint = None
        if self._waiting or not self._sent:
            self._wake.set()

    def _committed(self, count: int) -> None:
        """The batch ended with so many messages stored; the next one starts a new batch."""
        self._acknowledge(count)
        self._restart = True
        self._committing = False
        self._wake.set()

    def _refuse(self, why: str) -> None:
        self._acks.fail(BusRefused(f"{self.stream}: {why}"))

    def _lost(self, why: str) -> None:
        if why != self._complaint:
            log.warning("publishing to %s: %s; sending again", self.stream, why)
            self._complaint = why
        self._restart = True
        self._wake.set()
