"""Where the members of a file are, and what they hold, without unpacking what says so itself."""

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final

from msgspec import Struct

from ssmd.store import header, segment
from ssmd.store.header import Contents
from ssmd.store.segment import CHUNK_BYTES, PART

_MAGIC: Final = b"\x1f\x8b\x08"


class Extent(Struct, frozen=True):
    """Bytes of a file: a member, or, where ``sound`` is not so, damage."""

    offset: int
    length: int
    told: Contents | None = None
    """What the member says it holds."""
    sound: bool = True


def extents(path: Path, file: BinaryIO) -> Iterator[Extent]:
    """In order. The torn end of a part that is being written is none: its lines are not acked."""
    offset, size = 0, path_size(file)
    while offset < size:
        found = _at(path, file, offset, size) or _damage(path, file, offset, size)
        if not found.sound and offset + found.length == size and path.name.endswith(PART):
            return
        yield found
        offset += found.length


def path_size(file: BinaryIO) -> int:
    return file.seek(0, 2)


def _at(path: Path, file: BinaryIO, offset: int, size: int) -> Extent | None:
    told = header.contents(file, offset)
    if told is not None:
        return Extent(offset, told.length, told) if offset + told.length <= size else None
    for at, length, _ in segment.members(path, start=offset):
        return Extent(at, length)
    return None


def _damage(path: Path, file: BinaryIO, offset: int, size: int) -> Extent:
    """From there to the next member, or to the end."""
    for at in _magics(file, offset + 1):
        if _at(path, file, at, size) is not None:
            return Extent(offset, at - offset, sound=False)
    return Extent(offset, size - offset, sound=False)


def _magics(file: BinaryIO, start: int) -> Iterator[int]:
    """Where a member may begin."""
    at = start
    while True:
        file.seek(at)
        chunk = file.read(CHUNK_BYTES)
        found = chunk.find(_MAGIC)
        while found >= 0:
            yield at + found
            found = chunk.find(_MAGIC, found + 1)
        if len(chunk) < len(_MAGIC):
            return
        at += len(chunk) - len(_MAGIC) + 1
