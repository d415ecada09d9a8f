"""From where on a feed must be read so that every book at a moment follows from its snapshot."""

from typing import Final

from ssmd.dataset import Archive
from ssmd.query.facts import whole
from ssmd.span import NS_PER_DAY, date_of
from ssmd.store.manifest import File

MOST_DAYS: Final = 7
"""No connection lives for so long."""


def warm_from(archive: Archive, feed: str, start_ns: int) -> int:
    """The receive time at which the oldest connection opened that was alive then. Blocks."""
    first = date_of(start_ns - MOST_DAYS * NS_PER_DAY)
    last = date_of(start_ns + NS_PER_DAY)
    alive: set[str] | None = None
    found_ns = start_ns
    for date in reversed([day for day in archive.days(feed) if first <= day <= last]):
        for entry in reversed(whole(archive.day(feed, date)).files):
            if entry.first_recv_ns >= start_ns:
                continue
            if alive is None:
                alive = set(entry.connections)
            if not alive & entry.connections.keys():
                continue
            found_ns = min(found_ns, entry.first_recv_ns)
            alive -= _began_in(entry)
        if alive is not None and not alive:
            break
    return found_ns


def _began_in(entry: File) -> set[str]:
    """Connections whose first frame is here."""
    return {conn for conn, frames in entry.connections.items() if frames.first_n == 1}
