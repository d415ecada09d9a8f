"""What was known at some time: from the latest checkpoint before it, over the days after that."""

import contextlib
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Final

from msgspec import Struct

from ssmd.dataset import Archive
from ssmd.errors import NotFound
from ssmd.instruments import checkpoint
from ssmd.instruments.change import TYPE, Change, decode_change, encode, held
from ssmd.instruments.checkpoint import EVERY_DAYS
from ssmd.store import retired

NS_PER_DAY: Final = 86_400_000_000_000


class Past(Struct):
    """Reads the records of one feed out of its archive. ``every`` so many days it leaves a
    checkpoint; ``read`` are the days that it read."""

    archive: Archive
    feed: str
    every: int = EVERY_DAYS
    read: list[str] = []

    def known(self, at_ns: int) -> dict[str, bytes]:
        """What was known then of each instrument, as text, as far as it is archived.

        Leaves a checkpoint behind where many days had to be read. Raises NotFound where days that
        it follows from were deleted, CorruptArchive where a closed segment is damaged.
        """
        began, found = checkpoint.latest(self.archive, self.feed, before=_date(at_ns))
        self._all_there(began, at_ns)
        last = began
        for day in self._days(began, at_ns):
            for change in self._changes(day):
                if change.known_ns <= at_ns:
                    found[change.sym] = encode(held(change))
            if self._is_due(day, last, at_ns):
                last = day
                with contextlib.suppress(OSError):  # who reads need not be allowed to write
                    checkpoint.write(self.archive, self.feed, day, found.values())
        return found

    def keep(self, day: str) -> None:
        """Leave a checkpoint of the end of a closed day, unless that cannot be known any more.
        Raises OSError, CorruptArchive."""
        end_ns = _end_ns(day)
        if checkpoint.latest(self.archive, self.feed, before=_date(end_ns))[0] == day:
            return
        with contextlib.suppress(NotFound):
            known = self.known(end_ns - 1)
            checkpoint.write(self.archive, self.feed, day, known.values())

    def _days(self, began: str, at_ns: int) -> Iterator[str]:
        """The days after a checkpoint that may hold what was known by then. A message that is
        archived late is in a later day than its own: that is looked at, too."""
        until = _date(at_ns)
        for day in self.archive.days(self.feed):
            if day <= began:
                continue
            if day > until and not self._begins_by(day, at_ns):
                return
            self.read.append(day)
            yield day

    def _begins_by(self, day: str, at_ns: int) -> bool:
        found = self.archive.day(self.feed, day)
        entries = found.manifest.files
        unnamed = len(found.pieces()) > len(entries)
        return unnamed or any(entry.first_recv_ns <= at_ns for entry in entries)

    def _changes(self, day: str) -> Iterator[Change]:
        for entry in self.archive.day(self.feed, day).messages(type=TYPE):
            yield decode_change(entry.payload)

    def _is_due(self, day: str, last: str, at_ns: int) -> bool:
        if _end_ns(day) > at_ns or not checkpoint.is_closed(self.archive, self.feed, day):
            return False
        between = [one for one in self.read if last < one <= day]
        return len(between) >= self.every

    def _all_there(self, began: str, at_ns: int) -> None:
        gone = [path.name for path in retired.days(self.archive.folder / self.feed)]
        lost = [day for day in gone if began < day <= _date(at_ns)]
        if lost:
            kept = [day for day in self.archive.days(self.feed) if day > gone[-1]]
            raise NotFound(
                f"what was known of {self.feed} then is deleted: {lost[0]} to {lost[-1]}",
                hint=f"ask as of {kept[0]} or later" if kept else "nothing is kept",
            )


def _date(ns: int) -> str:
    return datetime.fromtimestamp(ns // 1_000_000_000, UTC).date().isoformat()


def _end_ns(day: str) -> int:
    after = date.fromisoformat(day) + timedelta(days=1)
    return int(datetime(after.year, after.month, after.day, tzinfo=UTC).timestamp()) * 10**9
