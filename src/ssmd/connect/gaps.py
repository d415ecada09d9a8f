"""Stretches known to be missing: a ``_gap`` when one opens, a ``_gap_closed`` when it is over."""

import time
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Any

from msgspec import Struct, field

from ssmd.connect.stats import Stats

if TYPE_CHECKING:
    from ssmd.connect.tape import Tape


class Gap(Struct):
    """One stretch. ``from_ns`` is the wall clock when all was last known to be well."""

    id: str
    cause: str
    conn: str
    from_ns: int
    sym: str | None = None
    books: set[str] = field(default_factory=set)
    """Instruments whose books wait for a snapshot; the gap is over with the last."""
    carried_books: bool = False


class Gaps:
    """The gaps of one feed: what is open, and which books each waits for."""

    def __init__(self, stats: Stats) -> None:
        self.open: dict[str, Gap] = {}
        self.on_end: Callable[[Gap, int], None] | None = None
        """Told of each gap that ended, and when (wall ns)."""
        self._stats = stats
        self._of_book: dict[str, list[Gap]] = {}
        self._count = 0

    def begin(
        self,
        tape: "Tape",
        cause: str,
        *,
        sym: str | None = None,
        books: Collection[str] = (),
        from_ns: int | None = None,
        conn: str | None = None,
        **facts: Any,
    ) -> Gap:
        """Note that something is missing; without ``books`` the caller ends it. ``conn`` names the
        connection that misses it, where that is not the tape's."""
        self._count += 1
        self._stats.gaps += 1
        since = tape.previous_ns if from_ns is None else from_ns
        missing = tape.conn if conn is None else conn
        gap = Gap(f"{tape.conn}/{self._count}", cause, missing, since, sym, set(books), bool(books))
        self.open[gap.id] = gap
        for book in gap.books:
            self._of_book.setdefault(book, []).append(gap)
        known = {
            "id": gap.id,
            "cause": cause,
            "conn": missing,
            "after_n": None if conn else tape.frames,
            "sym": sym,
            "books": sorted(books) or None,
            "from_ns": since,
            **facts,
        }
        tape.note("_gap", {key: value for key, value in known.items() if value is not None}, sym)
        return gap

    def end(self, tape: "Tape", gap: Gap, outcome: str, **facts: Any) -> None:
        """``outcome``: ``repaired`` where the books are right again (what passed in between is
        missing all the same), ``lost`` where there was nothing to repair."""
        if self.open.pop(gap.id, None) is None:
            return
        for book in gap.books:
            self._forget(book, gap)
        to_ns = time.time_ns()
        known = {
            "id": gap.id,
            "cause": gap.cause,
            "outcome": outcome,
            "conn": gap.conn,
            "from_ns": gap.from_ns,
            "to_ns": to_ns,
            **facts,
        }
        tape.note("_gap_closed", known, gap.sym)
        if self.on_end is not None:
            self.on_end(gap, to_ns)

    def lost(self, tape: "Tape", cause: str, *, sym: str | None = None, **facts: Any) -> None:
        """Something is missing, and no snapshot can bring it back."""
        self.end(tape, self.begin(tape, cause, sym=sym, **facts), "lost")

    def settle(self, tape: "Tape", book: str, outcome: str = "repaired") -> None:
        """The book is right again, or wanted no longer: the gaps that waited for it alone end."""
        for gap in self._of_book.pop(book, ()):
            gap.books.discard(book)
            if not gap.books:
                self.end(tape, gap, outcome)

    def _forget(self, book: str, gap: Gap) -> None:
        waiting = self._of_book.get(book, [])
        if gap in waiting:
            waiting.remove(gap)
        if not waiting:
            self._of_book.pop(book, None)

    def as_dict(self) -> dict[str, Any]:
        """What ``/status`` tells: how many are open, and of which causes."""
        causes: dict[str, int] = {}
        for gap in self.open.values():
            causes[gap.cause] = causes.get(gap.cause, 0) + 1
        return {"open_gaps": len(self.open), "open_causes": causes}
