"""What of a replay's window is known to be missing."""

from collections.abc import Iterable, Iterator
from typing import Any, Final

from ssmd.dataset import Archive
from ssmd.errors import NotFound
from ssmd.query.facts import gap_rows, overlaps, whole
from ssmd.query.scope import Scope
from ssmd.serve.replay.reading import days_of
from ssmd.span import Hole, Window

MOST: Final = 1_000
"""So many are named; the others are counted."""


class Holes:
    """Named ones, those of the reading first."""

    def __init__(self) -> None:
        self.named: list[Hole] = []
        self.unnamed = 0

    def add(self, hole: Hole) -> None:
        if hole in self.named:
            return
        if len(self.named) < MOST:
            self.named.append(hole)
        else:
            self.unnamed += 1


def recorded(archive: Archive, feeds: Iterable[str], window: Window) -> Iterator[Hole]:
    """The gaps that are on record. Blocks."""
    scope = Scope(start_ns=window.start_ns, end_ns=window.end_ns)
    for feed in feeds:
        for day in days_of(archive, feed, window):
            try:
                rows = list(gap_rows(whole(archive.day(feed, day))))
            except (OSError, NotFound):
                yield Hole(feed, day, "the gaps on record cannot be read")
                continue
            yield from (_hole(row) for row in rows if overlaps(row, scope))


def _hole(row: dict[str, Any]) -> Hole:
    about = " ".join(str(row[key]) for key in ("sym", "conn") if row.get(key))
    what = f"gap: {row['cause']}" + (f" ({about})" if about else "")
    return Hole(
        row["feed"],
        row["date"],
        what,
        messages=row.get("missing"),
        from_ns=row.get("from_ns"),
        to_ns=row.get("to_ns"),
    )
