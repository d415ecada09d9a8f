"""What there is, at a glance: facts of every dataset, read again only where files changed."""

import threading
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec
from msgspec import Struct, field

from ssmd.dataset import Archive, Summary
from ssmd.store import manifest as manifests
from ssmd.store.segment import PART, Block
from ssmd.store.tally import Tally, recover

_MIB: Final = 1_048_576
FLOW_NS: Final = 330 * 1_000_000_000
FLUSH_NS: Final = 2 * 1_000_000_000
"""Longer than the archiver waits between two flushes, unless it is told to."""


class Flush(NamedTuple):
    """How many messages came between two moments."""

    start_ns: int
    end_ns: int
    records: int


class Facts(Struct):
    """What is known of some segments of a dataset."""

    records: int = 0
    bytes: int = 0
    gaps: int = 0
    last_recv_ns: int = 0
    flow: list[Flush] = field(default_factory=list)
    """Every flush in the last minutes of the segments."""
    tickers: set[str] = field(default_factory=set)
    types: set[str] = field(default_factory=set)
    names: set[str] = field(default_factory=set)
    """The segments."""

    def add(self, tally: Tally) -> None:
        self.records += tally.records
        self.bytes += tally.bytes
        self.gaps += len(tally.gaps)
        self.last_recv_ns = max(self.last_recv_ns, tally.last_recv_ns)
        self.flow += _flow(tally.blocks, tally.last_recv_ns)
        self.tickers |= tally.tickers
        self.types |= tally.types.keys()


class _File(Struct):
    name: str
    records: int
    bytes: int
    last_recv_ns: int
    blocks: msgspec.Raw = msgspec.Raw(b"[]")


class _Manifest(Struct):
    """The few fields of a manifest that are needed here: a day's block index is long."""

    files: list[_File] = []
    gaps: list[Any] = []
    exchange_gaps: list[msgspec.Raw] = []
    tickers: set[str] = set()
    message_types: set[str] = set()


class _Open(Struct):
    """A segment that no manifest names, and how far it has been read."""

    tally: Tally
    end: int = 0


class Catalog:
    """Facts of the datasets of one archive. Its methods block, and may be called by any thread."""

    def __init__(self, archive: Archive) -> None:
        self.archive = archive
        self._closed: dict[Path, tuple[tuple[int, int, int], Facts]] = {}
        self._open: dict[Path, _Open] = {}
        self._lock = threading.Lock()

    def summary(self, feed: str, day: str) -> Summary:
        """Raises NotFound."""
        facts = self.facts(feed, day)
        return Summary(
            feed=feed,
            date=day,
            records=facts.records,
            tickers=len(facts.tickers),
            size_mb=round(facts.bytes / _MIB, 3),
            has_gaps=facts.gaps > 0,
        )

    def facts(self, feed: str, day: str) -> Facts:
        """Of a dataset, the segment being written included. Raises NotFound."""
        folder = self.archive.day(feed, day).folder
        with self._lock:
            for _ in range(3):
                facts = self._facts(folder)
                if facts is not None:
                    return facts
        return self._from_manifest(folder)

    def _facts(self, folder: Path) -> Facts | None:
        """None where a segment got its final name meanwhile."""
        # Open parts first: one that is closed meanwhile is then seen twice, and not missed.
        found = [*manifests.parts(folder), *manifests.segments(folder)]
        closed = self._from_manifest(folder)
        unnamed = {
            path.with_name(path.name.removesuffix(PART)): path
            for path in found
            if path.name.removesuffix(PART) not in closed.names
        }
        for name in [path for path in self._open if path.parent == folder and path not in unnamed]:
            del self._open[name]
        if not unnamed:
            return closed
        facts = msgspec.structs.replace(
            closed, tickers=set(closed.tickers), types=set(closed.types), flow=list(closed.flow)
        )
        for name, path in unnamed.items():
            known = self._open.setdefault(name, _Open(Tally()))
            try:
                _, known.end = recover(path, known.tally, known.end)
            except FileNotFoundError:
                return None
            facts.add(known.tally)
        return facts

    def _from_manifest(self, folder: Path) -> Facts:
        path = folder / manifests.NAME
        try:
            stat = path.stat()
        except FileNotFoundError:
            return Facts()
        signature = (stat.st_mtime_ns, stat.st_size, stat.st_ino)
        known = self._closed.get(path)
        if known is None or known[0] != signature:
            known = self._closed[path] = (signature, _read(path))
        return known[1]


def _read(path: Path) -> Facts:
    try:
        manifest = msgspec.json.decode(path.read_bytes(), type=_Manifest)
        last_ns = max((file.last_recv_ns for file in manifest.files), default=0)
        flow = [
            entry
            for file in manifest.files
            if file.last_recv_ns > last_ns - FLOW_NS
            for entry in _flow(
                msgspec.json.decode(file.blocks, type=list[Block]), file.last_recv_ns
            )
        ]
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
        return Facts()  # the segments are read instead
    return Facts(
        records=sum(file.records for file in manifest.files),
        bytes=sum(file.bytes for file in manifest.files),
        last_recv_ns=last_ns,
        flow=flow,
        gaps=len(manifest.gaps) + len(manifest.exchange_gaps),
        tickers=manifest.tickers,
        types=manifest.message_types,
        names={file.name for file in manifest.files},
    )


def _flow(blocks: list[Block], last_ns: int) -> list[Flush]:
    flow, end_ns = [], last_ns + 1
    for block in reversed(blocks):
        start_ns = block.first_recv_ns
        if start_ns < last_ns - FLOW_NS:
            break
        # Where nothing came for a while, the next flush does not tell when this one ended.
        flow.append(
            Flush(start_ns, max(start_ns + 1, min(end_ns, start_ns + FLUSH_NS)), block.records)
        )
        end_ns = start_ns
    return flow
