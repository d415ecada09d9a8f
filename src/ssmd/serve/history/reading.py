"""Lines of some feeds in the order of receipt, each once, with the place that an answer ends at.

Of each feed the archive is read first and then, from the last archived message on, the bus: so
there is no hole between them. What cannot be read is named as a ``Hole``.
"""

import contextlib
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from typing import Final, NamedTuple

from msgspec import Struct
from starlette.concurrency import run_in_threadpool

from ssmd.errors import BusError, ContractError, NotFound
from ssmd.message import decode_capture
from ssmd.serve.context import Context
from ssmd.span import Hole, Place, Span

LATE_NS: Final = 60 * 10**9
"""A message that was received so much earlier than an archived one is archived, too."""
Take = Callable[[str, bytes], Sequence[bytes]]
"""Feed and line -> what goes into the answer: nothing, the line, its records."""


class Asked(Struct, frozen=True, kw_only=True):
    """``places``: where an answer before ended, by feed. ``take`` None: every line as it is.
    ``limit`` None: all of it."""

    feeds: tuple[str, ...]
    start_ns: int
    end_ns: int
    take: Take | None = None
    limit: int | None = None
    max_bytes: int | None = None
    places: Mapping[str, Place] = {}


class Chunk(NamedTuple):
    """``lines``, each with its line break; ``packed`` is the same as gzip, where it lies so."""

    lines: bytes
    number: int
    """How many."""
    packed: bytes | None = None


class _Found(NamedTuple):
    recv_ns: int
    line: bytes
    place: Place


class Reading:
    """One answer. After ``chunks``, ``places`` tell where it ended and ``more`` whether there is
    more; ``holes`` what is missing; ``bus`` whether what is not archived yet is there."""

    def __init__(self, context: Context, asked: Asked) -> None:
        self.holes: list[Hole] = []
        self.bus = "not-needed"
        self.more = False
        self.places: dict[str, Place] = dict(asked.places)
        self._context = context
        self._asked = asked

    async def chunks(self) -> AsyncGenerator[Chunk, None]:
        """Bounded by a member of the archive each."""
        chunks = self._of_one() if len(self._asked.feeds) == 1 else self._of_many()
        async with contextlib.aclosing(chunks):
            async for chunk in chunks:
                yield chunk

    async def _of_one(self) -> AsyncGenerator[Chunk, None]:
        asked, number, size = self._asked, 0, 0
        (feed,) = asked.feeds
        async with contextlib.aclosing(self._whole(feed)) as members:
            async for lines, packed, place in members:
                if asked.take is None and asked.limit is None:
                    self.places[feed] = place
                    yield Chunk(lines, lines.count(b"\n"), packed)
                    continue
                bound = None if asked.limit is None else asked.limit - number
                room = None if asked.max_bytes is None else asked.max_bytes - size
                if bound == 0 or (room is not None and room < 0):
                    self.more = True
                    return
                chunk, end = await run_in_threadpool(_chosen, asked.take, feed, lines, bound, room)
                cut = end < len(lines)
                self.places[feed] = _located(_last(lines[:end]), place).place if cut else place
                if chunk.number:
                    yield chunk
                if cut:
                    self.more = True
                    return
                number, size = number + chunk.number, size + len(chunk.lines)

    async def _of_many(self) -> AsyncGenerator[Chunk, None]:
        asked, count, size = self._asked, 0, 0
        async with contextlib.AsyncExitStack() as stack:
            sources = [
                _Source(feed, await stack.enter_async_context(self._found(feed)))
                for feed in asked.feeds
            ]
            taken: list[bytes] = []
            async for feed, found in merged(sources):
                if asked.limit is not None and count >= asked.limit:
                    self.more = True
                    break
                lines = [found.line] if asked.take is None else asked.take(feed, found.line)
                if asked.max_bytes is not None and count and size > asked.max_bytes:
                    self.more = True
                    break
                self.places[feed] = found.place
                taken += lines
                count += len(lines)
                size += sum(map(len, lines))
                if len(taken) >= 1000:
                    yield _chunk(taken)
                    taken = []
            if taken:
                yield _chunk(taken)

    def _found(self, feed: str) -> "contextlib.aclosing[AsyncGenerator[list[_Found], None]]":
        return contextlib.aclosing(self._lines(feed))

    async def _lines(self, feed: str) -> AsyncGenerator[list[_Found], None]:
        async with contextlib.aclosing(self._whole(feed)) as members:
            async for lines, _, place in members:
                yield [_located(line, place) for line in lines[:-1].split(b"\n")]

    async def _whole(self, feed: str) -> AsyncGenerator[tuple[bytes, bytes | None, Place], None]:
        asked, readers = self._asked, self._context.readers
        after = asked.places.get(feed)
        span = Span(
            self._context.archive, feed, asked.start_ns, asked.end_ns,
            hole=self._hole, after=after,
        )  # fmt: skip
        chunks = span.chunks()
        try:
            while True:
                async with readers.place():  # for each: a slow reader must not keep it
                    chunk = await run_in_threadpool(next, chunks, None)
                if chunk is None:
                    break
                yield chunk.lines, chunk.packed, chunk.place
        finally:
            await run_in_threadpool(chunks.close)
        if await run_in_threadpool(self._archived, feed):
            return
        async with contextlib.aclosing(self._bus(feed, span.place)) as tail:
            async for lines, place in tail:
                yield lines, None, place

    def _archived(self, feed: str) -> bool:
        """Whether what was received a while after the span is archived: then all of it is."""
        days = self._context.archive.days(feed)
        with contextlib.suppress(NotFound, IndexError):
            facts = self._context.catalog.facts(feed, days[-1])
            return facts.last_recv_ns >= self._asked.end_ns + LATE_NS
        return False

    async def _bus(self, feed: str, after: Place) -> AsyncGenerator[tuple[bytes, Place], None]:
        tail = self._context.tail
        if tail is None:
            return
        asked = self._asked
        try:
            async with contextlib.aclosing(tail.after(feed, after)) as stored:
                async for capture, line, place in stored:
                    if asked.start_ns <= capture.recv_ns < asked.end_ns:
                        yield line + b"\n", place
            if self.bus == "not-needed":
                self.bus = "included"
        except BusError as error:
            self.bus = "unavailable"
            if feed in self._context.feeds:
                self.holes.append(Hole(feed, "", f"what is not archived yet: {error.message}"))

    def _hole(self, hole: Hole) -> None:
        if hole not in self.holes:
            self.holes.append(hole)


def _chosen(
    take: Take | None, feed: str, lines: bytes, limit: int | None, room: int | None
) -> tuple[Chunk, int]:
    """What of some lines goes into the answer, and up to which byte they were looked at: to their
    end, unless a bound is reached."""
    if take is not None and limit is None:
        every = [taken for line in lines[:-1].split(b"\n") for taken in take(feed, line)]
        return _chunk(every) if every else Chunk(b"", 0), len(lines)
    found: list[bytes] = []
    looked = size = 0
    for line in lines[:-1].split(b"\n"):
        taken = [line] if take is None else take(feed, line)
        if taken and limit is not None and len(found) >= limit:
            break
        if taken and room is not None and found and size > room:
            break
        found += taken
        looked += len(line) + 1
        size += sum(map(len, taken))
    return _chunk(found) if found else Chunk(b"", 0), looked


def _last(lines: bytes) -> bytes:
    return lines[lines.rfind(b"\n", 0, -1) + 1 : -1]


def _located(line: bytes, place: Place) -> _Found:
    try:
        capture = decode_capture(line)
    except ContractError:
        return _Found(0, line, place)
    return _Found(capture.recv_ns, line, Place(place.date, place.created, capture.nats_seq))


def _chunk(lines: list[bytes]) -> Chunk:
    return Chunk(b"\n".join([*lines, b""]), len(lines))


class _Source:
    """The lines of a feed that were read and not handed on yet."""

    def __init__(self, feed: str, batches: AsyncGenerator[list[_Found], None]) -> None:
        self.feed = feed
        self._batches = batches
        self._ready: list[_Found] = []
        self._at = 0

    async def head(self) -> _Found | None:
        """The next one; None where there is none."""
        while self._at >= len(self._ready):
            batch = await anext(self._batches, None)
            if batch is None:
                return None
            self._ready, self._at = batch, 0
        return self._ready[self._at]

    def drop(self) -> None:
        self._at += 1


async def merged(sources: Sequence[_Source]) -> AsyncGenerator[tuple[str, _Found], None]:
    """By receive time; the order within a feed stays the stream's."""
    heads = {source: found for source in sources if (found := await source.head()) is not None}
    while heads:
        source = min(heads, key=lambda one: heads[one].recv_ns)
        yield source.feed, heads[source]
        source.drop()
        found = await source.head()
        if found is None:
            del heads[source]
        else:
            heads[source] = found
