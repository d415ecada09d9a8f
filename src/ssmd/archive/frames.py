"""Each frame of each connection once and in order, or named as missing.

Frames of a connection are numbered from 1 without holes, so are the elements of an array frame and
our own messages. A hole is named by a ``_gap`` that says which frames are gone, or by messages
that the stream is known to have dropped around it.
"""

from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from msgspec import Struct, field

from ssmd.archive.finding import Line, Tell, at_line, facts_of, subject_of
from ssmd.store.manifest import DUPLICATE
from ssmd.store.tally import FOREIGN

ENDED_KEPT: Final = 10_000
"""Connections that are over and are still known, so that a frame that comes again is noticed."""


class Hole(Struct):
    first: int
    last: int
    path: Path
    line: Line


class State(Struct):
    """Where one connection is."""

    n: int = 0
    part: int = 0
    parts: int = 0
    notes: int = 0
    dropped: int = 0
    dropped_notes: int = 0
    """How often the stream had dropped messages when its last frame, our last message, came."""
    holes: list[Hole] = field(default_factory=list)
    """Not named so far."""
    named: list[tuple[int, int]] = field(default_factory=list)
    overflowed: bool = False


class Frames:
    """Fed with every line of a feed in order."""

    def __init__(self, tell: Tell, *, from_start: bool, on_hole: Callable[[str], None]) -> None:
        """``from_start``: the lines begin where the archive and its stream do."""
        self.dropped = 0 if from_start else 1
        """How often the stream dropped messages."""
        self._tell = tell
        self._on_hole = on_hole
        self._live: dict[str, State] = {}
        self._ended: OrderedDict[str, State] = OrderedDict()

    def line(self, path: Path, line: Line, text: bytes) -> None:
        if line.type in (FOREIGN, DUPLICATE):
            return
        state = self._live.get(line.conn) or self._ended.get(line.conn)
        if state is None:
            state = self._live[line.conn] = State()
        if line.part < 0:
            self._note(path, line, state, text)
        else:
            self._frame(path, line, state)

    def finish(self) -> None:
        """Tell of the holes that nothing has named."""
        for conn, state in (*self._live.items(), *self._ended.items()):
            self._tell_holes(conn, state)
        self._live.clear()
        self._ended.clear()

    # --- frames of the exchange -----------------------------------------------------------------

    def _frame(self, path: Path, line: Line, state: State) -> None:
        if (line.n, line.part) <= (state.n, state.part) and state.n:
            self._tell(at_line(path, line, f"frame {_name(line)} is here twice, or out of order"))
            return
        if line.n > state.n:
            self._left_frame(path, line, state)
            if line.n > state.n + 1:
                self._hole(path, line, state, state.n + 1, line.n - 1)
            state.n, state.part = line.n, -1
        if line.part > state.part + 1:
            self._hole(path, line, state, line.n, line.n)
        state.part, state.parts, state.dropped = line.part, line.parts, self.dropped

    def _left_frame(self, path: Path, line: Line, state: State) -> None:
        """The frame before is over: all of its elements should have come."""
        if state.n and state.part + 1 < state.parts:
            self._hole(path, line, state, state.n, state.n)

    def _hole(self, path: Path, line: Line, state: State, first: int, last: int) -> None:
        self._on_hole(line.conn)
        if state.dropped != self.dropped or state.overflowed:
            state.overflowed = False
            return
        hole = Hole(first, last, path, line)
        state.holes += _without(hole, state.named)

    # --- our own messages -----------------------------------------------------------------------

    def _note(self, path: Path, line: Line, state: State, text: bytes) -> None:
        number = -line.part
        if number <= state.notes:
            what = f"our message {line.conn}:{number} is here twice, or out of order"
            self._tell(at_line(path, line, what))
        elif number > state.notes + 1 and state.dropped_notes == self.dropped:
            what = f"our messages {state.notes + 1} to {number - 1} of {line.conn} are missing"
            self._tell(at_line(path, line, what))
        state.notes, state.dropped_notes = max(state.notes, number), self.dropped
        if line.type == "_gap":
            self._named(line, text)
        if line.n > state.n:
            self._left_frame(path, line, state)
            self._hole(path, line, state, state.n + 1, line.n)
            # Of its last frame, elements may still come.
            state.n, state.part, state.parts, state.dropped = line.n, -1, -1, self.dropped
        if line.type == "_disconnect":
            self._over(subject_of(line, facts_of(text)))

    def _named(self, line: Line, text: bytes) -> None:
        facts = facts_of(text)
        conn = subject_of(line, facts)
        state = self._live.get(conn) or self._ended.get(conn)
        if state is None:
            return
        if facts.get("cause") == "overflow" and _span(facts) is None:
            state.holes.clear()
            state.overflowed = True
        span = _span(facts)
        if span is not None:
            state.holes = [rest for hole in state.holes for rest in _without(hole, [span])]
            state.named = [one for one in state.named if one[1] >= state.n] + [span]

    def _over(self, conn: str) -> None:
        state = self._live.pop(conn, None)
        if state is None:
            return
        self._ended[conn] = state
        if len(self._ended) > ENDED_KEPT:
            self._tell_holes(*self._ended.popitem(last=False))

    def _tell_holes(self, conn: str, state: State) -> None:
        for hole in state.holes:
            what = f"frames {hole.first} to {hole.last} of {conn} are missing before this message"
            what += ", and no gap names them"
            self._tell(at_line(hole.path, hole.line, what))


def _name(line: Line) -> str:
    return f"{line.conn}:{line.n}" + (f":{line.part}" if line.part else "")


def _span(facts: dict[str, Any]) -> tuple[int, int] | None:
    """The frames that a ``_gap`` says are gone; None where it names none."""
    first, last = facts.get("first_n"), facts.get("last_n")
    if isinstance(first, int) and isinstance(last, int):
        return first, last
    after, count = facts.get("after_n"), facts.get("frames")
    if isinstance(after, int) and isinstance(count, int):
        return after + 1, after + count
    number = facts.get("n", after if facts.get("cause") == "oversize" else None)
    return (number, number) if isinstance(number, int) else None


def _without(hole: Hole, named: list[tuple[int, int]]) -> list[Hole]:
    """What of a hole is not named."""
    rest = [hole]
    for first, last in named:
        left = []
        for part in rest:
            if part.last < first or part.first > last:
                left.append(part)
                continue
            if part.first < first:
                left.append(Hole(part.first, first - 1, part.path, part.line))
            if part.last > last:
                left.append(Hole(last + 1, part.last, part.path, part.line))
        rest = left
    return rest
