"""Archived lines of a scope, sound ones only: what cannot be read is told, and the rest goes on."""

import contextlib
from collections.abc import Callable, Iterator

from ssmd.dataset import Day, Piece
from ssmd.errors import ContractError
from ssmd.message import decode_capture
from ssmd.query.scope import Scope
from ssmd.span import Hole


def lines(
    day: Day,
    scope: Scope,
    hole: Callable[[Hole], None],
    progress: Callable[[int], None] = lambda _: None,
) -> Iterator[bytes]:
    """Lines that were received in the scope's time, in the order of the stream, and those of which
    that cannot be told."""
    for piece in day.pieces():
        yield from _lines(piece, scope, lambda what: hole(Hole(day.feed, day.date, what)))
        progress(piece.size)


def _lines(piece: Piece, scope: Scope, damaged: Callable[[str], None]) -> Iterator[bytes]:
    start_ns, end_ns = scope.start_ns, scope.end_ns
    entry = piece.entry
    if entry is not None and (entry.last_recv_ns < start_ns or entry.first_recv_ns >= end_ns):
        return
    whole = entry is not None and start_ns <= entry.first_recv_ns and entry.last_recv_ns < end_ns
    for line in piece.sound(damaged):
        with contextlib.suppress(ContractError):
            if not whole and not start_ns <= decode_capture(line).recv_ns < end_ns:
                continue
        yield line
