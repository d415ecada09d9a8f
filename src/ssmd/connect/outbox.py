"""What stands between the tapes of a feed and its publisher.

While NATS takes messages they pass through. Once it is away, or so slow that holding back the
exchange would make it drop us, they wait in a ``Spill`` and follow in order; as long as anything
waits, all that is new waits behind it. Beyond the spill's bound frames are dropped, and named.
"""

import asyncio
import contextlib
import logging
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, Final

from msgspec import Struct

from ssmd.bus import Publisher
from ssmd.connect.spill import Spill
from ssmd.runtime import unless

log = logging.getLogger(__name__)

AWAY_S: Final = 0.5
"""NATS may be gone for so long before messages go to the file."""
FLUSH_S: Final = 0.2
POLL_S: Final = 0.01
BATCH: Final = 256
IN_FLIGHT: Final = 1024
"""Messages on their way from the spill; a whole window of each feed would be memory."""
RESERVE_BYTES: Final = 16 * 1024 * 1024
"""Above the bound, for our own messages."""
LOW_WATER: Final = 0.9
"""Of the bound: frames that were dropped are kept again once so little waits."""


class Dropped(Struct):
    """Frames of one connection for which there was no room, and our own messages about them."""

    first_n: int
    last_n: int
    from_ns: int
    to_ns: int
    frames: int = 0
    notes: int = 0


class Outbox:
    """Takes the messages of one feed.

    ``on_room`` gets what was dropped, by connection, as soon as there is room to say so;
    ``on_damage`` the file that was not whole when it was read back.
    """

    def __init__(self, publisher: Publisher, spill: Spill, max_bytes: int) -> None:
        self.on_room: Callable[[dict[str, Dropped]], None] = lambda dropped: None
        self.on_damage: Callable[[Path], None] = lambda path: None
        self.overflowed = 0
        """Frames dropped since the start."""
        self._publisher = publisher
        self._spill = spill
        self._max_bytes = max_bytes
        self._waiting = not spill.empty
        """Messages wait in the spill: new ones go behind them."""
        self._away = asyncio.Event()
        """NATS is gone."""
        self._emptied = asyncio.Event()
        if not self._waiting:
            self._emptied.set()
        self._blocked = False
        """The disk took no more; what it refused is still in memory."""
        self._dropped: dict[str, Dropped] = {}
        self._targets: deque[int] = deque()
        """For each file that was taken: ``publisher.acked`` from which on all of it is stored."""

    def put(self, subject: str, msg_id: str, line: bytes) -> bool:
        """Take a message; False where it was dropped."""
        if not self._waiting:
            self._publisher.put(subject, msg_id, line)
            return True
        return self._keep(subject, msg_id, line)

    @property
    def full(self) -> bool:
        """The publisher's window is used up: hold back the exchange for a moment."""
        return not self._waiting and self._publisher.full

    @property
    def waiting(self) -> bool:
        """Whether messages go to the spill."""
        return self._waiting

    async def room(self) -> None:
        """Return when the exchange can be let go on."""
        await self._publisher.room()

    def spill(self) -> None:
        """From here on, all that is not acked waits in the file, and what is new behind it."""
        if self._waiting:
            return
        log.warning("NATS does not keep up: messages wait in %s", self._spill.folder)
        self._waiting = True
        self._emptied.clear()
        for pending in self._publisher.withdraw():
            self._append(*pending)

    async def safe(self) -> None:
        """Return when all that was put so far survives the end of this process: it is stored by
        JetStream, or in the spill."""
        wanted = self._publisher.acked + self._publisher.unacked
        while True:
            if self._flushed() if self._waiting else self._publisher.acked >= wanted:
                return
            await asyncio.sleep(POLL_S)

    async def stored(self) -> None:
        """Return when nothing waits and JetStream has all that was put so far."""
        await self._emptied.wait()
        await self._publisher.stored()

    @contextlib.asynccontextmanager
    async def running(self, drain_s: float) -> AsyncIterator[None]:
        """Watch over NATS and empty the spill while the block lasts. At its end JetStream has all;
        where it is away, or does not take all in ``drain_s``, the rest waits for the next
        connector."""
        task = asyncio.create_task(self._run(), name="outbox")
        try:
            yield
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(drain_s):
                    await unless(self._away, self.stored())
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            if self._publisher.unacked:
                self.spill()
            self._close()

    def as_dict(self) -> dict[str, Any]:
        """What ``/status`` tells."""
        return {
            "unacked": self._publisher.unacked + self._spill.messages,
            "acked": self._publisher.acked,
            "spilled_messages": self._spill.messages,
            "spilled_bytes": self._spill.size_bytes,
            "overflowed": self.overflowed,
        }

    # --- waiting --------------------------------------------------------------------------------

    def _keep(self, subject: str, msg_id: str, line: bytes) -> bool:
        conn, number, part = msg_id.rsplit(":", 2)
        ours = part.startswith("-")
        if not self._has_room(len(line), ours):
            self._drop(conn, int(number), ours)
            return False
        if self._dropped and not ours:
            # After this frame: a message of ours says behind which frame it stands.
            asyncio.get_running_loop().call_soon(self._tell)
        self._append(subject, msg_id, line)
        return True

    def _has_room(self, size: int, ours: bool) -> bool:
        spill = self._spill
        if ours:
            in_memory = spill.buffered + size <= RESERVE_BYTES
            return in_memory and spill.size_bytes + size <= self._max_bytes + RESERVE_BYTES
        bound = self._max_bytes * (LOW_WATER if self._dropped else 1)
        return not self._blocked and spill.size_bytes + size <= bound

    def _append(self, subject: str, msg_id: str, line: bytes) -> None:
        try:
            self._spill.append(subject, msg_id, line)
        except OSError as error:
            self._block(error)

    def _drop(self, conn: str, number: int, ours: bool) -> None:
        now = time.time_ns()
        dropped = self._dropped.get(conn)
        if dropped is None:
            if not self._dropped:
                log.error("no room in %s: frames are missing from here on", self._spill.folder)
            dropped = self._dropped[conn] = Dropped(number, number - ours, now, now)
        if ours:
            dropped.notes += 1
            return
        self.overflowed += 1
        if not dropped.frames:
            dropped.first_n = number
        dropped.frames += dropped.last_n != number or not dropped.frames
        dropped.last_n, dropped.to_ns = number, now

    def _tell(self) -> None:
        """Name what was dropped."""
        if self._dropped:
            dropped, self._dropped = self._dropped, {}
            self.on_room(dropped)

    def _block(self, error: OSError) -> None:
        if not self._blocked:
            log.error("cannot write to %s: %s", self._spill.folder, error.strerror)
        self._blocked = True

    def _flushed(self) -> bool:
        """Whether the operating system has all that waits."""
        try:
            self._spill.flush()
        except OSError as error:
            self._block(error)
            return False
        self._blocked = False
        return True

    # --- emptying -------------------------------------------------------------------------------

    async def _run(self) -> None:
        seen = time.monotonic()
        while True:
            if self._publisher.connected:
                seen = time.monotonic()
                self._away.clear()
            elif time.monotonic() - seen >= AWAY_S:
                self._away.set()
                self.spill()
            await asyncio.sleep(self._step())

    def _step(self) -> float:
        """Hand on what NATS takes now; in how many seconds to look again."""
        self._remove_stored()
        if not self._waiting:
            return FLUSH_S
        self._flushed()  # where that fails for want of room, emptying makes some
        if not self._publisher.connected:
            return FLUSH_S
        return 0.0 if self._drain() else POLL_S

    def _drain(self) -> bool:
        """Hand on a batch; whether there was room for one."""
        publisher = self._publisher
        if publisher.unacked >= IN_FLIGHT:
            return False
        for record in self._spill.take(BATCH) or self._spill.take_buffered():
            publisher.put(*record)
        while len(self._targets) < len(self._spill.taken):
            self._targets.append(publisher.acked + publisher.unacked)
        if self._spill.empty:
            self._waiting = False
            self._emptied.set()
            log.warning("NATS keeps up again: nothing waits in %s", self._spill.folder)
            self._tell()
        return True

    def _remove_stored(self) -> None:
        while self._targets and self._publisher.acked >= self._targets[0]:
            self._targets.popleft()
            damaged = self._spill.remove_taken()
            if damaged is not None:
                log.error("%s was damaged; what was whole in it is sent", damaged)
                self.on_damage(damaged)

    def _close(self) -> None:
        self._remove_stored()
        self._tell()
        if not self._spill.empty or self._targets:
            log.warning("messages wait in %s for the next connector", self._spill.folder)
        try:
            self._spill.close()
        except OSError as error:
            log.error("%s: %s; what waited is lost", self._spill.folder, error.strerror)
