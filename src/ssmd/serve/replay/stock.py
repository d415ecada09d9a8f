"""What comes next in a replay, read ahead by a batch in a thread."""

from collections import deque
from collections.abc import Callable, Iterator
from time import monotonic
from typing import Final, Generic, NamedTuple, TypeVar

import msgspec
from starlette.concurrency import run_in_threadpool

from ssmd import message
from ssmd.dataset import Archive, matcher
from ssmd.errors import ContractError
from ssmd.exchanges import EXCHANGES
from ssmd.serve.replay.asked import Asked, cursor
from ssmd.serve.replay.reading import Entry, merged
from ssmd.span import Hole, Place, Window

BATCH: Final = 256
BATCH_BYTES: Final = 1 << 20
SLICE_S: Final = 0.25
"""A thread that finds little comes back so soon: the reader may have gone."""

T = TypeVar("T")


class Stock(Generic[T]):
    """Makes something of each line, in a thread, so many ahead; None is passed over."""

    def __init__(
        self, entries: Iterator[Entry], make: Callable[[Entry], T | None], size: Callable[[T], int]
    ) -> None:
        self._entries = entries
        self._make = make
        self._size = size
        self.ready: deque[T] = deque()
        """What can be had without waiting."""
        self.over = False
        """Nothing comes after what is ready."""

    async def more(self) -> None:
        """Read on for a moment."""
        await run_in_threadpool(self._fill)

    def _fill(self) -> None:
        until, size = monotonic() + SLICE_S, 0
        for count, entry in enumerate(self._entries, 1):
            made = self._make(entry)
            if made is not None:
                self.ready.append(made)
                size += self._size(made)
            if len(self.ready) >= BATCH or size >= BATCH_BYTES:
                return
            if count % BATCH == 0 and monotonic() > until:
                return
        self.over = True


class Item(NamedTuple):
    """A message of a replay, ready to be sent but for how late it is; or a hole."""

    due_ns: int
    feed: str
    cursor: str
    body: bytes
    records: int = 0
    hole: Hole | None = None


class Picked:
    """Chooses what is asked for, and writes it as it goes out."""

    def __init__(self, asked: Asked) -> None:
        self._feeds = tuple(asked.feeds)
        self._exchanges = tuple(asked.feeds.values())
        self._matchers = [
            matcher(type_, sym)
            for type_ in asked.types or (None,)
            for sym in asked.symbols or (None,)
        ]
        self._all = not asked.types and not asked.symbols
        self._records = asked.form == "records"
        self._places: dict[str, Place] = dict(asked.after)
        self.unreadable = 0

    def __call__(self, entry: Entry) -> Item | None:
        feed = self._feeds[entry.rank]
        if entry.hole is not None:
            return Item(entry.due_ns, feed, "", b"", hole=entry.hole)
        if not self._all and not any(match(entry.line) for match in self._matchers):
            return None
        body, count = b'"message":' + entry.line, 0
        if self._records:
            body, count = self._derive(entry)
            if not count:
                return None
        self._places[feed] = entry.place
        return Item(entry.due_ns, feed, cursor(self._places), body, count)

    def _derive(self, entry: Entry) -> tuple[bytes, int]:
        exchange = EXCHANGES[self._exchanges[entry.rank] or ""]
        try:
            made = list(exchange.records(message.decode_archived(entry.line)))
        except ContractError:
            self.unreadable += 1
            return b"", 0
        return b'"records":' + msgspec.json.encode(made), len(made)


def stock_of(archive: Archive, asked: Asked, window: Window) -> tuple[Stock[Item], Picked]:
    """The messages of a replay, within a window."""
    picked = Picked(asked)
    entries = merged(archive, tuple(asked.feeds), window, asked.after)
    return Stock(entries, picked, lambda item: len(item.body)), picked
