"""Segments: JSONL in gzip, one member per flush, so that a torn tail costs nothing acked.

A segment is written as ``NAME.jsonl.gz.part``; each flush appends one complete gzip member and
fsyncs. Closing renames it to ``NAME.jsonl.gz``, which never changes again.
"""

import hashlib
import mmap
import os
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import msgspec
from isal import isal_zlib
from msgspec import Struct

from ssmd.errors import CorruptArchive
from ssmd.store import header
from ssmd.store.header import LEVEL, About, Contents

PART: Final = ".part"
SUFFIX: Final = ".jsonl.gz"
GZIP: Final = 31
"""zlib's window bits for a gzip header and trailer."""
CHUNK_BYTES: Final = 1 << 20
_MAGIC: Final = b"\x1f\x8b\x08"
_DAMAGED: Any = (isal_zlib.error, zlib.error)


class Block(Struct, frozen=True, array_like=True):
    """One gzip member: where it is in the file and what it holds."""

    offset: int
    length: int
    first_seq: int
    records: int
    first_recv_ns: int
    low_ns: int = 0
    high_ns: int = 0
    """Earliest and latest receive time; 0 where an earlier version did not tell."""


def as_told(found: list[Block], told: list[Block]) -> list[Block]:
    """As the version would have told them that told the others."""
    if any(block.high_ns for block in told):
        return found
    return [msgspec.structs.replace(block, low_ns=0, high_ns=0) for block in found]


def compress(lines: bytes, about: About | None = None, holds: Contents | None = None) -> bytes:
    """One complete gzip member; the first of a segment says what the segment is about."""
    if about is not None or holds is not None:
        return header.member(lines, about, holds)
    packer = isal_zlib.compressobj(LEVEL, isal_zlib.DEFLATED, GZIP)
    return bytes(packer.compress(lines) + packer.flush())


class SegmentFile:
    """A ``.part`` file that members are appended to, durably, and that is then closed for ever."""

    def __init__(self, path: Path) -> None:
        """``path`` is the final name; raises FileExistsError where it or its part exists."""
        if path.exists():
            raise FileExistsError(path)
        self.path = path
        self.part = path.with_name(path.name + PART)
        self.size = 0
        self._fd = os.open(self.part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
        try:
            fsync_folder(path.parent)
        except OSError:
            self.abandon()
            self.part.unlink()
            raise

    @classmethod
    def resume(cls, part: Path, size: int) -> Self:
        """An existing part, cut to its first ``size`` bytes."""
        self = cls.__new__(cls)
        self.path = part.with_name(part.name.removesuffix(PART))
        self.part = part
        self.size = size
        self._fd = os.open(part, os.O_WRONLY)
        os.ftruncate(self._fd, size)
        os.fsync(self._fd)
        return self

    def append(self, member: bytes) -> None:
        """Durable when it returns. Where it raises OSError, nothing of the member remains."""
        try:
            view = memoryview(member)
            while view:
                written = os.pwrite(self._fd, view, self.size + len(member) - len(view))
                view = view[written:]
            os.fsync(self._fd)
        except OSError:
            os.ftruncate(self._fd, self.size)
            raise
        self.size += len(member)

    def close(self) -> None:
        """Give the segment its final name. Raises OSError; the call can then be repeated."""
        if self._fd >= 0:
            os.fsync(self._fd)
            self.abandon()
        if self.part.exists():
            self.part.rename(self.path)
        fsync_folder(self.path.parent)

    def abandon(self) -> None:
        """Leave the part as it is, for the next start to take up."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.abandon()


def fsync_folder(folder: Path) -> None:
    """A new or renamed file is only durable when its folder is."""
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def members(path: Path, *, start: int = 0) -> Iterator[tuple[int, int, bytes]]:
    """``(offset, length, content)`` of each complete gzip member from byte ``start`` on.

    Stops without an error at the first byte that belongs to no complete member: the caller
    compares where it stopped with the file's size. Holds one member at a time.
    """
    with path.open("rb") as file:
        file.seek(start)
        offset = start
        rest = b""
        while True:
            member = _member(file.read, rest)
            if member is None:
                return
            content, length, rest = member
            yield offset, length, content
            offset += length


def sound_members(path: Path) -> Iterator[tuple[int, int, bytes]]:
    """The same for every complete member, also those behind damage."""
    size = path.stat().st_size
    if not size:
        return
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        offset = 0
        while 0 <= offset < size:
            for at, length, lines_ in members(path, start=offset):
                yield at, length, lines_
                offset = at + length
            offset = content.find(_MAGIC, offset + 1) if offset < size else -1


def _member(read: Callable[[int], bytes], rest: bytes) -> tuple[bytes, int, bytes] | None:
    """Content, compressed length and what was read beyond it of the next member."""
    unpacker = isal_zlib.decompressobj(GZIP)
    content: list[bytes] = []
    length = 0
    while not unpacker.eof:
        piece = rest or read(CHUNK_BYTES)
        rest = b""
        if not piece:
            return None
        try:
            content.append(unpacker.decompress(piece))
        except _DAMAGED:
            return None
        length += len(piece)
    unused = bytes(unpacker.unused_data)
    return b"".join(content), length - len(unused), unused


def lines(path: Path, *, start: int = 0) -> Iterator[bytes]:
    """The lines of a segment, without their line breaks, in order.

    A part that is being written may end in a torn member, which is passed over: its lines are not
    acked. A closed segment that does raises CorruptArchive.
    """
    end = start
    for offset, length, content in members(path, start=start):
        end = offset + length
        yield from content[:-1].split(b"\n")
    if not path.name.endswith(PART) and end != path.stat().st_size:
        raise CorruptArchive(f"{path} is damaged at byte {end}", hint="see `ssmd archive verify`")


def unpack(packed: bytes) -> bytes | None:
    """What one member holds; None where it is damaged, or more or less than one."""
    unpacker = isal_zlib.decompressobj(GZIP)
    try:
        content = bytes(unpacker.decompress(packed))
    except _DAMAGED:
        return None
    return content if unpacker.eof and not unpacker.unused_data else None


def read(path: Path, offset: int, length: int) -> bytes:
    """Bytes of a file."""
    with path.open("rb") as file:
        file.seek(offset)
        return file.read(length)


def sha256(path: Path) -> str:
    """Hex digest of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
