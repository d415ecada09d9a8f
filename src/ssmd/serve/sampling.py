"""Choosing messages of one dataset, in bounded memory and time, as the bytes that are stored."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from tempfile import SpooledTemporaryFile
from typing import Final

from msgspec import Struct
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response, StreamingResponse

from ssmd import message
from ssmd.dataset import Day, Piece, matcher
from ssmd.errors import BusError, ContractError, CorruptArchive
from ssmd.message import Capture
from ssmd.serve.answers import JSON, Deadline, Overloaded
from ssmd.serve.tail import Tail

IN_MEMORY_BYTES: Final = 1 << 20
MAX_BYTES: Final = 256 << 20
"""An answer longer than this is cut short, and says so."""
CHUNK_BYTES: Final = 64 * 1024
READERS: Final = 4
WAIT_S: Final = 10.0
_CHECK_EVERY: Final = 1024
_NS_PER_S: Final = 1_000_000_000


class Wanted(Struct, frozen=True):
    """What is asked for."""

    limit: int
    type: str | None = None
    sym: str | None = None


class Sample:
    """Chosen lines, written as a JSON array: nothing in them is read and written again."""

    def __init__(self, wanted: Wanted, deadline: Deadline) -> None:
        self.wanted = wanted
        self.count = 0
        self.cut = False
        self.damage: list[str] = []
        self.bus = "not-needed"
        self.after = 0
        """Stream sequence of the last message of the archive, chosen or not."""
        self._size = 0
        self._match = matcher(wanted.type, wanted.sym)
        self._deadline = deadline
        self._file = SpooledTemporaryFile(max_size=IN_MEMORY_BYTES)  # noqa: SIM115 - see close

    @property
    def full(self) -> bool:
        return self.cut or self.count >= self.wanted.limit

    def read(self, day: Day) -> None:
        """Take from the archive. Blocks. Raises Timeout, StorageError."""
        for piece in day.pieces(self.wanted.type):
            self._check()
            if piece.may_hold:
                self._read_piece(piece)
            elif piece.entry is not None:
                self.after = piece.entry.nats_end_seq
            if self.full:
                return

    def _read_piece(self, piece: Piece) -> None:
        """What is sound is served, what is not is named: one bad file must not hide the others."""
        try:
            self._read_lines(piece)
        except CorruptArchive as error:
            self.damage.append(error.message.rpartition("/")[2])
        except ContractError as error:
            self.damage.append(f"{piece.path.name}: {error.message}")
        except OSError as error:
            self.damage.append(f"{piece.path.name}: {error.strerror}")

    def _read_lines(self, piece: Piece) -> None:
        sound = b""
        try:
            for number, line in enumerate(piece.lines(), 1):
                if number % _CHECK_EVERY == 0:
                    self._check()
                if self._match(line):
                    message.decode_capture(line)
                    self.add(line)
                    if self.full:
                        return
                sound = line
        finally:
            if sound:
                self.after = message.decode_capture(sound).nats_seq

    async def read_on(self, tail: Tail, day: Day) -> None:
        """Take what is on the bus, after what is archived. Raises Timeout."""
        try:
            async with contextlib.aclosing(tail.lines(day.feed, self.after)) as lines:
                async for capture, line in lines:
                    self._check()
                    if _day(capture) == day.date and self._match(line):
                        self.add(line)
                        if self.full:
                            break
            self.bus = "included"
        except BusError:
            self.bus = "unavailable"

    def add(self, line: bytes) -> None:
        if self.count and self._size + len(line) > MAX_BYTES:
            self.cut = True
            return
        self._size += self._file.write(b",\n" if self.count else b"[")
        self._size += self._file.write(line)
        self.count += 1

    def _check(self) -> None:
        self._deadline.check(
            f"found {self.count} of {self.wanted.limit}: ask for fewer, or for a more frequent type"
        )

    def answer(self) -> Response:
        """The array; headers say what is not in it. Whoever sends it has closed the sample."""
        self._size += self._file.write(b"]" if self.count else b"[]")
        self._file.seek(0)
        headers = {
            "Content-Length": str(self._size),
            "X-Ssmd-Records": str(self.count),
            "X-Ssmd-Bus": self.bus,
        }
        if self.cut:
            headers["X-Ssmd-Cut"] = f"after {self.count} messages: the answer would be too long"
        if self.damage:
            headers["X-Ssmd-Damaged"] = ascii("; ".join(self.damage[:10]))[1:-1]
        if self._size <= IN_MEMORY_BYTES:
            content = self._file.read()
            self.close()
            return Response(content, media_type=JSON, headers=headers)
        return StreamingResponse(self._chunks(), media_type=JSON, headers=headers)

    async def _chunks(self) -> AsyncIterator[bytes]:
        try:
            while chunk := await run_in_threadpool(self._file.read, CHUNK_BYTES):
                yield chunk
        finally:
            self.close()

    def close(self) -> None:
        self._file.close()


class Readers:
    """At most so many requests read the archive at a time: probes and metrics stay quick."""

    def __init__(self) -> None:
        self._places = asyncio.Semaphore(READERS)

    @contextlib.asynccontextmanager
    async def place(self) -> AsyncIterator[None]:
        """Raises Overloaded where none becomes free in time."""
        try:
            async with asyncio.timeout(WAIT_S):
                await self._places.acquire()
        except TimeoutError:
            raise Overloaded(
                f"{READERS} requests read the archive already", hint="try again in a moment"
            ) from None
        try:
            yield
        finally:
            self._places.release()


async def take(wanted: Wanted, day: Day, tail: Tail | None, deadline: Deadline) -> Sample:
    """A sample of a day; with ``tail``, of what is on the bus too. Raises Timeout."""
    sample = Sample(wanted, deadline)
    try:
        await run_in_threadpool(sample.read, day)
        if tail is not None and not sample.full:
            await sample.read_on(tail, day)
    except BaseException:
        sample.close()
        raise
    return sample


def _day(capture: Capture) -> str:
    return f"{datetime.fromtimestamp(capture.recv_ns // _NS_PER_S, UTC):%Y-%m-%d}"
