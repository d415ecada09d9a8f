"""Datasets: a feed's days, found through manifests and read in order.

What is being written is included: closed segments by the manifest, then those not in it yet, then
the complete members of the open part.
"""

import re
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from ssmd import message
from ssmd.errors import ContractError, NotFound
from ssmd.exchanges import EXCHANGES
from ssmd.message import AnyRecord, Archived
from ssmd.store import manifest as manifests
from ssmd.store import segment
from ssmd.store.manifest import Manifest

ALIASES: Final = {
    "orderbook": frozenset(
        {"orderbook_snapshot", "orderbook_delta", "book", "book_snapshot", "price_change"}
    ),
    "trade": frozenset({"trade", "trade_snapshot", "last_trade_price"}),
    "ticker": frozenset({"ticker", "ticker_lite", "best_bid_ask"}),
    "lifecycle": frozenset(
        {"market_lifecycle_v2", "new_market", "market_resolved", "tick_size_change", "instrument"}
    ),
}
"""The seed's words -> the exchanges' own message types."""

_FEED = re.compile(r"[a-z0-9][a-z0-9_-]*")
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")


class Summary(Struct, frozen=True):
    """One dataset at a glance. ``size_mb`` is uncompressed, in MiB; ``tickers`` a count."""

    feed: str
    date: str
    records: int
    tickers: int
    size_mb: float
    has_gaps: bool


class _Probe(Struct, gc=False):
    type: str
    sym: str | None = None


_probe = msgspec.json.Decoder(_Probe).decode


class Archive:
    """The archive of one environment."""

    def __init__(self, root: Path, env: str) -> None:
        self.folder = root / env

    def feeds(self) -> list[str]:
        """Feeds that have at least one day, sorted."""
        if not self.folder.is_dir():
            return []
        return sorted(f.name for f in self.folder.iterdir() if _FEED.fullmatch(f.name))

    def days(self, feed: str) -> list[str]:
        """Days of a feed, sorted; [] for a feed without any."""
        if not _FEED.fullmatch(feed):
            return []
        return sorted(f.name for f in (self.folder / feed).glob("????-??-??") if f.is_dir())

    def day(self, feed: str, day: str) -> "Day":
        """One dataset. Raises NotFound, also for what is no name or no date."""
        if _FEED.fullmatch(feed) and _DAY.fullmatch(day) and _is_date(day):
            folder = self.folder / feed / day
            if folder.is_dir():
                return Day(folder)
        days = self.days(feed)
        known = f"{feed} has {days[0]} to {days[-1]}" if days else ", ".join(self.feeds())
        raise NotFound(f"no dataset {feed} on {day}", hint=known or "nothing is archived yet")


class Day:
    """One feed on one UTC day."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.feed = folder.parent.name
        self.date = folder.name

    @property
    def manifest(self) -> Manifest:
        """As on disk; an empty one before the first segment is closed."""
        return manifests.load(self.folder) or Manifest(feed=self.feed, date=self.date)

    def files(self) -> list[Path]:
        """Every file to read, in order: segments by the manifest, later ones, open parts."""
        named = [self.folder / entry.name for entry in self.manifest.files]
        known = {path.name for path in named}
        later = [path for path in manifests.segments(self.folder) if path.name not in known]
        return [*named, *later, *manifests.parts(self.folder)]

    def lines(self, *, type: str | None = None, sym: str | None = None) -> Iterator[bytes]:
        """Archived lines, without line breaks, in the order of the stream.

        ``type`` is an exchange's message type or one of ``ALIASES``, in any case. ``sym`` is the
        message's symbol, in any case, or any text value inside it (a Polymarket asset id).
        Raises CorruptArchive where a closed segment is damaged.
        """
        for path in self.files():
            try:
                yield from _chosen(segment.lines(path), type, sym)
            except FileNotFoundError:
                # Closed between listing and opening: the same bytes, under the final name.
                closed = path.with_name(path.name.removesuffix(segment.PART))
                yield from _chosen(segment.lines(closed), type, sym)

    def messages(self, *, type: str | None = None, sym: str | None = None) -> Iterator[Archived]:
        """The same, decoded."""
        for line in self.lines(type=type, sym=sym):
            yield message.decode_archived(line)

    def records(
        self, exchange: str, *, type: str | None = None, sym: str | None = None
    ) -> Iterator[AnyRecord]:
        """What the messages mean; those that are not as documented are passed over."""
        derive = EXCHANGES[exchange].records
        for entry in self.messages(type=type, sym=sym):
            try:
                yield from derive(entry)
            except ContractError:
                continue

    def summary(self) -> Summary:
        """Counts, with those of the open segment."""
        manifest = self.manifest
        records = sum(entry.records for entry in manifest.files)
        size = sum(entry.bytes for entry in manifest.files)
        tickers = set(manifest.tickers)
        gaps = bool(manifest.gaps or manifest.exchange_gaps)
        for path in self.files()[len(manifest.files) :]:
            tally, _ = manifests.recover(path)
            records += tally.records
            size += tally.bytes
            tickers |= tally.tickers
            gaps = gaps or bool(tally.gaps)
        return Summary(
            self.feed, self.date, records, len(tickers), round(size / 1_048_576, 3), gaps
        )


def _chosen(lines: Iterator[bytes], type_: str | None, sym: str | None) -> Iterator[bytes]:
    if type_ is None and sym is None:
        yield from lines
        return
    types = None if type_ is None else ALIASES.get(type_.lower(), frozenset({type_.lower()}))
    wanted = None if sym is None else sym.lower()
    quoted = b"" if sym is None else b'"%s"' % sym.encode()
    for line in lines:
        probe = _probe(line)
        if types is not None and probe.type.lower() not in types and probe.type not in types:
            continue
        if wanted is None or (probe.sym or "").lower() == wanted or quoted in line:
            yield line


def _is_date(text: str) -> bool:
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True
