"""The files of a day's folder and their members, as far as a range read needs to know them."""

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import BinaryIO

import msgspec
from msgspec import Raw, Struct

from ssmd.store import header
from ssmd.store import manifest as manifests
from ssmd.store.extent import extents
from ssmd.store.segment import PART, Block


class Entry(Struct):
    """Of a manifest's entry: a day's block index is long, and decoded only where it is wanted."""

    name: str
    records: int
    nats_start_seq: int
    nats_end_seq: int
    first_recv_ns: int
    last_recv_ns: int
    blocks: Raw = Raw(b"[]")
    stream_created: str | None = None


class _Manifest(Struct):
    files: list[Entry] = []


class Piece(Struct, frozen=True):
    """A file; ``entry`` is None where no manifest names it."""

    path: Path
    entry: Entry | None

    def open(self) -> BinaryIO:
        """Raises OSError."""
        try:
            return self.path.open("rb")
        except FileNotFoundError:
            if not self.path.name.endswith(PART):
                raise
            # Closed between listing and opening: the same bytes, under the final name.
            return self.path.with_name(self.path.name.removesuffix(PART)).open("rb")

    def created(self) -> str:
        """When its stream was made; "" where that is not known."""
        if self.entry is not None:
            return self.entry.stream_created or ""
        try:
            with self.open() as file:
                about = header.read(Path(file.name))
        except OSError:
            return ""
        return about.stream_created if about else ""


class Member(Struct, frozen=True):
    """A gzip member, or where one was. 0: not known."""

    offset: int
    length: int
    first_seq: int = 0
    last_seq: int = 0
    low_ns: int = 0
    high_ns: int = 0
    records: int | None = None
    sound: bool = True


def pieces(folder: Path) -> list[Piece]:
    """Every file of a day, in the order of the stream."""
    # Open parts first: one that is closed meanwhile is then seen twice, and not missed.
    found = {path.name.removesuffix(PART): path for path in manifests.parts(folder)}
    found.update({path.name: path for path in manifests.segments(folder)})
    entries = {entry.name: entry for entry in _entries(folder)}
    found.update({name: folder / name for name in entries})
    listed = [Piece(path, entries.get(name)) for name, path in found.items()]
    return sorted(listed, key=lambda piece: manifests.sequence_of(piece.path))


def _entries(folder: Path) -> list[Entry]:
    try:
        content = (folder / manifests.NAME).read_bytes()
        return msgspec.json.decode(content, type=_Manifest).files
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
        return []  # the segments are read instead


def members(piece: Piece, file: BinaryIO) -> Iterator[Member]:
    """In order: by the manifest or, where it knows none, by what they say of themselves."""
    entry = piece.entry
    blocks = [] if entry is None else _blocks(entry)
    return _found(piece, file) if entry is None or not blocks else _listed(entry, blocks)


def _blocks(entry: Entry) -> list[Block]:
    try:
        return msgspec.json.decode(entry.blocks, type=list[Block])
    except msgspec.MsgspecError:
        return []


def _listed(entry: Entry, blocks: list[Block]) -> Iterator[Member]:
    ends = [later.first_seq - 1 for _, later in pairwise(blocks)]
    for block, last_seq in zip(blocks, [*ends, entry.nats_end_seq], strict=True):
        known = block.high_ns > 0
        yield Member(
            offset=block.offset,
            length=block.length,
            first_seq=block.first_seq,
            last_seq=last_seq,
            low_ns=block.low_ns if known else entry.first_recv_ns,
            high_ns=block.high_ns if known else entry.last_recv_ns,
            records=block.records,
        )


def _found(piece: Piece, file: BinaryIO) -> Iterator[Member]:
    for at in extents(piece.path, file):
        told = at.told
        if told is None:
            yield Member(at.offset, at.length, sound=at.sound)
        else:
            yield Member(
                offset=at.offset,
                length=at.length,
                first_seq=told.first_seq,
                last_seq=told.last_seq,
                low_ns=told.low_ns,
                high_ns=told.high_ns,
                records=told.records,
            )
