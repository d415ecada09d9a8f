"""One feed over receive time: archived lines in the order of the stream, from the gzip members
that may hold them and no others.

A message lies in the folder of the day of its receipt or, where it came late, of the next one. What
cannot be read is told as a ``Hole``, where it is, and the rest goes on.
"""

from collections.abc import Callable, Generator, Iterator
from datetime import UTC, datetime
from functools import partial
from typing import BinaryIO, Final, NamedTuple

from msgspec import Struct

from ssmd.dataset import Archive
from ssmd.errors import ContractError
from ssmd.message import decode_capture
from ssmd.store import segment
from ssmd.store.pieces import Member, Piece, members, pieces

FOREVER_NS: Final = 2**63 - 1
NS_PER_DAY: Final = 86_400 * 10**9


class Hole(Struct, frozen=True, omit_defaults=True):
    """What could not be read, and is not in the answers."""

    feed: str
    date: str
    what: str
    messages: int | None = None
    """How many; None where that is not known."""
    from_ns: int | None = None
    to_ns: int | None = None
    """The receive times of what is missing lie from and to, both inclusive."""


class Place(Struct, frozen=True):
    """Up to where a feed was read: a position in its stream, which no closing, compacting or
    repairing of files moves."""

    date: str = ""
    """Of the folder: nothing after the place is in an earlier one."""
    created: str = ""
    """When the stream was made; "" where that is not known. Made anew, it counts from 1."""
    seq: int = 0


class Chunk(Struct, frozen=True, gc=False):
    """The lines of one gzip member that are in the span."""

    lines: bytes
    """Each with its line break."""
    place: Place
    """After the member."""
    packed: bytes | None
    """The member as it lies, where the lines are all that it holds."""


def may_hold(date: str, start_ns: int, end_ns: int) -> bool:
    """Whether the folder of a day can hold messages that were received in [start, end)."""
    first = day_ns(date)
    return first - NS_PER_DAY < end_ns and first + NS_PER_DAY > start_ns


def day_ns(date: str) -> int:
    """When a day begins."""
    return int(datetime.fromisoformat(date).replace(tzinfo=UTC).timestamp()) * 10**9


def date_of(ns: int) -> str:
    """The UTC day of a moment."""
    return f"{datetime.fromtimestamp(ns // 10**9, UTC):%Y-%m-%d}"


class Window(NamedTuple):
    """Receive times, the end not included."""

    start_ns: int
    end_ns: int

    def overlaps(self, low_ns: int, high_ns: int) -> bool:
        return high_ns >= self.start_ns and low_ns < self.end_ns

    def holds(self, low_ns: int, high_ns: int) -> bool:
        return self.start_ns <= low_ns and high_ns < self.end_ns


class Span:
    """A feed's lines that were received in [start, end), after a place."""

    def __init__(
        self,
        archive: Archive,
        feed: str,
        start_ns: int = 0,
        end_ns: int = FOREVER_NS,
        *,
        hole: Callable[[Hole], None],
        after: Place | None = None,
    ) -> None:
        self.feed = feed
        self.place = after or Place()
        """Up to where the archive was read, also where nothing of it is in the span."""
        self._archive = archive
        self._window = Window(start_ns, end_ns)
        self._hole = hole

    def lines(self) -> Iterator[bytes]:
        """Without their line breaks."""
        for chunk in self.chunks():
            yield from chunk.lines[:-1].split(b"\n")

    def chunks(self) -> Generator[Chunk, None, None]:
        """In order, none without lines; holds one member at a time, and its file open.

        Asked for again, it gives what was archived since.
        """
        for date in self._archive.days(self.feed):
            if date >= self.place.date and may_hold(date, *self._window):
                for piece, created in self._after_place(date):
                    yield from self._piece(piece, date, created)

    def _after_place(self, date: str) -> list[tuple[Piece, str]]:
        """The files of a day that are not of an earlier stream than the place."""
        after = self.place
        folder = self._archive.folder / self.feed / date
        found = [(piece, piece.created()) for piece in pieces(folder)]
        own = [at for at, (_, created) in enumerate(found) if created == after.created]
        if own:
            return [one for at, one in enumerate(found) if at > own[-1] or at in own]
        if date > after.date:
            return found
        return [one for one in found if _order(one[1]) > _order(after.created)]

    def _piece(self, piece: Piece, date: str, created: str) -> Iterator[Chunk]:
        before = self.place.seq if created == self.place.created else 0
        told = partial(Hole, self.feed, date)
        reading = _Reading(piece, self._window, before, lambda *what: self._hole(told(*what)))
        for lines, packed in reading.chunks():
            self.place = Place(date, created, reading.done)
            yield Chunk(lines, self.place, packed)
        if reading.done > before:
            self.place = Place(date, created, reading.done)


class _Reading:
    """One file of it."""

    def __init__(
        self, piece: Piece, window: Window, done: int, missed: Callable[..., None]
    ) -> None:
        self.done = done
        """The stream sequence up to which all was read, or is missing."""
        self._piece = piece
        self._window = window
        self._missed = missed

    def chunks(self) -> Iterator[tuple[bytes, bytes | None]]:
        """Lines, and the member that holds them and no others."""
        entry = self._piece.entry
        if entry is None or self._wants(
            entry.nats_end_seq, entry.first_recv_ns, entry.last_recv_ns
        ):
            try:
                yield from self._members()
            except FileNotFoundError:
                self._miss("is missing")
            except OSError as error:
                self._miss(f"cannot be read: {error.strerror}")
        if entry is not None:
            self.done = max(self.done, entry.nats_end_seq)

    def _wants(self, last_seq: int, low_ns: int, high_ns: int) -> bool:
        return last_seq > self.done and self._window.overlaps(low_ns, high_ns)

    def _members(self) -> Iterator[tuple[bytes, bytes | None]]:
        """Raises OSError."""
        with self._piece.open() as file:
            for member in members(self._piece, file):
                if not member.last_seq or self._wants(
                    member.last_seq, member.low_ns, member.high_ns
                ):
                    found = self._lines(file, member)
                    if found[0]:
                        yield found
                self.done = max(self.done, member.last_seq)

    def _lines(self, file: BinaryIO, member: Member) -> tuple[bytes, bytes | None]:
        file.seek(member.offset)
        packed = file.read(member.length) if member.sound else b""
        lines = segment.unpack(packed)
        if lines is None or not _as_told(lines, member):
            self._damaged(member)
            return b"", None
        told = member.last_seq > 0 and self._window.holds(member.low_ns, member.high_ns)
        if told and member.first_seq > self.done:
            self.done = member.last_seq
            return lines, packed
        chosen = self._chosen(lines)
        self.done = max(self.done, _last_seq(lines))
        return chosen, packed if len(chosen) == len(lines) else None

    def _chosen(self, lines: bytes) -> bytes:
        """Those in the span."""
        chosen = [line for line in lines[:-1].split(b"\n") if self._in(line)]
        return b"\n".join([*chosen, b""]) if chosen else b""

    def _in(self, line: bytes) -> bool:
        try:
            capture = decode_capture(line)
        except ContractError:
            self._missed(f"{self._piece.path.name} holds a line that is no message", 1)
            return False
        start_ns, end_ns = self._window
        return capture.nats_seq > self.done and start_ns <= capture.recv_ns < end_ns

    def _damaged(self, member: Member) -> None:
        what = f"{self._piece.path.name} is damaged at byte {member.offset}"
        times = (member.low_ns, member.high_ns) if member.last_seq else ()
        self._missed(what, member.records, *times)

    def _miss(self, what: str) -> None:
        entry = self._piece.entry
        known = () if entry is None else (entry.records, entry.first_recv_ns, entry.last_recv_ns)
        self._missed(f"{self._piece.path.name} {what}", *known)


def _order(created: str) -> str:
    """RFC 3339 without trailing zeros sorts as text so."""
    return created.removesuffix("Z")


def _as_told(lines: bytes, member: Member) -> bool:
    """Whether the member is the one that was told of: another file may be in its place."""
    if not member.last_seq:
        return True
    told = lines.startswith(b'{"nats_seq":%d,' % member.first_seq)
    return told and lines.count(b"\n") == member.records


def _last_seq(lines: bytes) -> int:
    try:
        return decode_capture(lines[lines.rfind(b"\n", 0, -1) + 1 :]).nats_seq
    except ContractError:
        return 0
