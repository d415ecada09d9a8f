"""Archived lines of a span of receive time, several feeds merged. Blocks."""

import heapq
from collections.abc import Iterator, Mapping, Sequence
from itertools import count
from typing import NamedTuple

from ssmd.dataset import Archive
from ssmd.errors import ContractError
from ssmd.message import decode_capture
from ssmd.span import Hole, Place, Span, Window, date_of


class Entry(NamedTuple):
    """A line and when it is due: its receive time, or that of a later one that stands before it.
    Of equal times the order of the feeds decides, then that of the archive. Or, in its place, what
    cannot be read."""

    due_ns: int
    rank: int
    number: int
    place: Place
    line: bytes
    hole: Hole | None = None


def merged(
    archive: Archive, feeds: Sequence[str], window: Window, after: Mapping[str, Place] | None = None
) -> Iterator[Entry]:
    """Several feeds by time of receipt, each in the order of its own archive."""
    known = after or {}
    return heapq.merge(
        *(
            _timed(rank, archive, feed, window, known.get(feed, Place()))
            for rank, feed in enumerate(feeds)
        )
    )


def _timed(rank: int, archive: Archive, feed: str, window: Window, after: Place) -> Iterator[Entry]:
    holes: list[Hole] = []
    span = Span(archive, feed, *window, hole=holes.append, after=after)
    numbers, due_ns, place = count(), 0, after
    for found, line in _lines(span):
        for hole in holes:
            yield Entry(due_ns, rank, next(numbers), place, b"", hole)
        holes.clear()
        try:
            capture = decode_capture(line)
        except ContractError as error:
            holes.append(Hole(feed, found.date, f"a line is no message: {error.message}"))
            continue
        due_ns = max(due_ns, capture.recv_ns)
        place = Place(found.date, found.created, capture.nats_seq)
        yield Entry(due_ns, rank, next(numbers), place, line)
    for hole in holes:
        yield Entry(due_ns, rank, next(numbers), place, b"", hole)


def _lines(span: Span) -> Iterator[tuple[Place, bytes]]:
    for chunk in span.chunks():
        for line in chunk.lines[:-1].split(b"\n"):
            yield chunk.place, line


def days_of(archive: Archive, feed: str, window: Window) -> list[str]:
    """The days of the window that are archived."""
    first, last = date_of(window.start_ns), date_of(window.end_ns - 1)
    return [day for day in archive.days(feed) if first <= day <= last]
