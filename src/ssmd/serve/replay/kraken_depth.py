"""A Kraken spot book at the depth that was recorded, told at a smaller one."""

from collections.abc import Iterator
from decimal import Decimal
from itertools import islice
from typing import Any

import msgspec

from ssmd.exchanges.kraken_book import ChecksumBook, offered
from ssmd.exchanges.kraken_records import BookEntry, LevelEntry
from ssmd.message import Level
from ssmd.serve.replay.levels import pairs

_FORM = '{"price":%s,"qty":%s}'
_entry = msgspec.json.Decoder(BookEntry).decode


class KrakenBook:
    """What the exchange sent of one symbol, from a snapshot on."""

    def __init__(self, conn: str) -> None:
        self.conn = conn
        self.checksum: int | None = None
        self.timestamp: str | None = None
        self._book = ChecksumBook()

    @property
    def depth(self) -> int:
        return self._book.depth

    def begin(self, raw: bytes, depth: int | None) -> None:
        entry = _entry(raw)
        self._book.depth = depth or offered(max(len(entry.bids), len(entry.asks)))
        self._take(entry)

    def apply(self, raw: bytes) -> BookEntry:
        entry = _entry(raw)
        self._take(entry)
        return entry

    def _take(self, entry: BookEntry) -> None:
        self._book.apply(entry)
        self.checksum, self.timestamp = entry.checksum, entry.timestamp

    def top(self, depth: int) -> tuple[list[Level], list[Level]]:
        """Bids and asks, best first, with the digits as sent."""
        bids, asks = self._book.bids, self._book.asks
        return (
            [bids.sizes[price] for price in islice(reversed(bids.prices), depth)],
            [asks.sizes[price] for price in asks.prices[:depth]],
        )


def snapshot(symbol: str, book: KrakenBook, depth: int) -> bytes:
    return _written("snapshot", symbol, book, *book.top(depth))


def update(symbol: str, book: KrakenBook, raw: bytes, depth: int) -> Iterator[bytes]:
    """Apply an update; what a subscriber of a smaller depth is told of it: with a level that goes,
    the one that comes up. Of a level that is pushed out nothing is said."""
    before = book.top(depth)
    entry = book.apply(raw)
    after = book.top(depth)
    bids = _changes(before[0], after[0], entry.bids)
    asks = _changes(before[1], after[1], entry.asks)
    if bids or asks:
        yield _written("update", symbol, book, bids, asks)


def _changes(before: list[Level], after: list[Level], sent: list[LevelEntry]) -> list[Level]:
    known: dict[Decimal, Any] = dict(before)
    zeros = [(level.price, level.qty) for level in sent if not level.qty and level.price in known]
    return [*zeros, *(level for level in after if known.get(level[0]) != level[1])]


def _written(
    kind: str, symbol: str, book: KrakenBook, bids: list[Level], asks: list[Level]
) -> bytes:
    facts = {"checksum": book.checksum, "timestamp": book.timestamp}
    told = {key: value for key, value in facts.items() if value is not None}
    tail = msgspec.json.encode(told)[1:] if told else b"}"
    head = '{"channel":"book","type":"%s","data":[{"symbol":%s,"bids":%s,"asks":%s' % (
        kind,
        msgspec.json.encode(symbol).decode(),
        pairs(bids, _FORM),
        pairs(asks, _FORM),
    )
    return head.encode() + (b"," if told else b"") + tail + b"]}"
