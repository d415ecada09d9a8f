"""Archived lines of a span of receive time, several feeds merged. Blocks."""

import heapq
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

from ssmd.dataset import Archive
from ssmd.errors import ContractError
from ssmd.message import decode_capture
from ssmd.span import Hole, Place, Span, Window, date_of

Tell = Callable[[Hole], None]


class Entry(NamedTuple):
    """A line and when it is due: its receive time, or that of a later one that stands before it.
    Of equal times the order of the feeds decides, then that of the archive."""

    due_ns: int
    rank: int
    number: int
    place: Place
    line: bytes


def merged(
    archive: Archive,
    feeds: Sequence[str],
    window: Window,
    tell: Tell,
    after: Mapping[str, Place] | None = None,
) -> Iterator[Entry]:
    """Several feeds by time of receipt, each in the order of its own archive. What cannot be read
    is told, and passed over."""
    known = after or {}
    spans = [Span(archive, feed, *window, hole=tell, after=known.get(feed)) for feed in feeds]
    return heapq.merge(*(_timed(rank, span, tell) for rank, span in enumerate(spans)))


def _timed(rank: int, span: Span, tell: Tell) -> Iterator[Entry]:
    due_ns = count = 0
    for chunk in span.chunks():
        date, created = chunk.place.date, chunk.place.created
        for line in chunk.lines[:-1].split(b"\n"):
            try:
                capture = decode_capture(line)
            except ContractError as error:
                tell(Hole(span.feed, date, f"a line is no message: {error.message}"))
                continue
            due_ns = max(due_ns, capture.recv_ns)
            count += 1
            yield Entry(due_ns, rank, count, Place(date, created, capture.nats_seq), line)


def days_of(archive: Archive, feed: str, window: Window) -> list[str]:
    """The days of the window that are archived."""
    first, last = date_of(window.start_ns), date_of(window.end_ns - 1)
    return [day for day in archive.days(feed) if first <= day <= last]
