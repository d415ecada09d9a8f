"""Datasets: a feed's days, found through manifests and read in order.

What is being written is included: closed segments by the manifest, then those not in it yet, then
the complete members of the open part.
"""

import re
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from ssmd import message
from ssmd.errors import ContractError, CorruptArchive, NotFound
from ssmd.exchanges import EXCHANGES
from ssmd.message import AnyRecord, Archived
from ssmd.store import manifest as manifests
from ssmd.store import retired, segment, tally
from ssmd.store.manifest import OTHER, File, Manifest
from ssmd.store.tally import Tally

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

_SYMBOL_KEYS: Final = b"market_ticker|market|symbol|product_id|asset_id|pair|ticker"
_SYMBOL_LISTS: Final = b"market_tickers|assets_ids|asset_ids|clob_token_ids|product_ids|symbol"
"""Where the exchanges' frames name instruments."""

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
        names = [folder.name for folder in manifests.days(self.folder / feed)]
        return [name for name in names if _DAY.fullmatch(name) and _is_date(name)]

    def day(self, feed: str, day: str) -> "Day":
        """One dataset. Raises NotFound, also for what is no name or no date."""
        if _FEED.fullmatch(feed) and _DAY.fullmatch(day) and _is_date(day):
            folder = self.folder / feed / day
            gone = retired.load(folder)
            if gone is not None:
                raise NotFound(
                    f"{feed} on {day} was deleted: {gone.why}",
                    hint=f"it held {gone.messages} messages; see `ssmd archive list`",
                )
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

    def pieces(self, type: str | None = None) -> list["Piece"]:
        """Every file, in order: segments by the manifest, later ones, open parts."""
        # Open parts first: one that is closed meanwhile is then seen twice, and not missed.
        parts = list(manifests.parts(self.folder))
        closed = list(manifests.segments(self.folder))
        entries = {entry.name: entry for entry in self.manifest.files}
        known = entries.keys() | {path.name for path in closed}
        later = [path for path in closed if path.name not in entries]
        later += [path for path in parts if path.name.removesuffix(segment.PART) not in known]
        return [
            *(
                Piece(self.folder / name, entry, type is None or _may_hold(entry, type))
                for name, entry in entries.items()
            ),
            *(Piece(path) for path in later),
        ]

    def files(self) -> list[Path]:
        """The paths of all pieces."""
        return [piece.path for piece in self.pieces()]

    def lines(self, *, type: str | None = None, sym: str | None = None) -> Iterator[bytes]:
        """Archived lines, without line breaks, in the order of the stream.

        ``type`` and ``sym`` choose as ``matcher`` says. Raises CorruptArchive where a closed
        segment is damaged, after its sound lines.
        """
        wanted = matcher(type, sym)
        for piece in self.pieces(type):
            if piece.may_hold:
                yield from filter(wanted, piece.lines())

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
            counted, _ = _tally(path)
            records += counted.records
            size += counted.bytes
            tickers |= counted.tickers
            gaps = gaps or bool(counted.gaps)
        return Summary(
            self.feed, self.date, records, len(tickers), round(size / 1_048_576, 3), gaps
        )


class Piece(Struct, frozen=True):
    """One file of a dataset."""

    path: Path
    entry: File | None = None
    """What the manifest says of it; None for one that is not in it yet."""
    may_hold: bool = True
    """Whether messages of the wanted type can be in it."""

    @property
    def size(self) -> int:
        """Bytes on disk; 0 where it is gone."""
        try:
            return self.path.stat().st_size
        except OSError:
            return 0

    def lines(self) -> Iterator[bytes]:
        """Raises CorruptArchive where a closed segment is damaged, after its sound lines."""
        try:
            yield from segment.lines(self.path)
        except FileNotFoundError as error:
            if self.entry is not None:
                raise CorruptArchive(
                    f"{self.path} is missing",
                    hint="the manifest names it: see `ssmd archive verify`",
                ) from error
            # Closed between listing and opening: the same bytes, under the final name.
            name = self.path.name.removesuffix(segment.PART)
            yield from segment.lines(self.path.with_name(name))

    def sound(self, damaged: Callable[[str], None]) -> Iterator[bytes]:
        """The same without raising: ``damaged`` is told what cannot be read."""
        try:
            yield from self.lines()
        except CorruptArchive as error:
            damaged(error.message.rpartition("/")[2])
        except OSError as error:
            damaged(f"{self.path.name}: {error.strerror}")


def _may_hold(entry: File, type_: str) -> bool:
    types, held = types_of(type_), entry.records_by_type
    # Where not all types are named, it may be any of the others.
    return not held or OTHER in held or any(kind.lower() in types for kind in held)


def types_of(type_: str) -> frozenset[str]:
    """The message types that a word stands for, in lower case."""
    return ALIASES.get(type_.lower(), frozenset({type_.lower()}))


def _tally(path: Path) -> tuple[Tally, int]:
    try:
        return tally.recover(path)
    except FileNotFoundError:
        return tally.recover(path.with_name(path.name.removesuffix(segment.PART)))


def matcher(type_: str | None = None, sym: str | None = None) -> Callable[[bytes], bool]:
    """Whether a line is of a type and about a symbol; None is any.

    ``type_`` is an exchange's message type or one of ``ALIASES``, in any case. ``sym`` is the
    message's symbol, in any case, or one that the frame names inside (a Polymarket asset, one of
    several Kraken pairs). What it answers with raises ContractError for what is no message.
    """
    types = None if type_ is None else types_of(type_)
    wanted = None if sym is None else sym.lower()
    quoted = b"" if sym is None else msgspec.json.encode(sym)
    inside = re.compile(
        rb'"(?:%b)"\s*:\s*%b|"(?:%b)"\s*:\s*\[[^\]]*%b'
        % (_SYMBOL_KEYS, re.escape(quoted), _SYMBOL_LISTS, re.escape(quoted)),
        re.IGNORECASE,
    )

    def match(line: bytes) -> bool:
        if types is None and wanted is None:
            return True
        try:
            probe = _probe(line)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise ContractError(f"not an archived message: {error}") from error
        if types is not None and probe.type.lower() not in types:
            return False
        if wanted is None:
            return True
        if probe.sym is not None and (probe.sym.lower() == wanted or quoted not in line):
            return probe.sym.lower() == wanted
        return inside.search(line) is not None

    return match


def _is_date(text: str) -> bool:
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True
