"""What a segment says of itself: the facts that its manifest entry needs and its lines do not hold.

They stand in the extra field of the first gzip member's header, which every gzip reader passes
over, with a CRC32 of their own (a header is not in the member's). Every member's header also says
what it holds, so that a range of a segment that no manifest describes yet is found without
unpacking it.
"""

import struct
import zlib
from pathlib import Path
from typing import BinaryIO, Final, NamedTuple

import msgspec
from isal import isal_zlib
from msgspec import Struct

from ssmd import __version__

LEVEL: Final = 2
RAW: Final = -15
"""zlib's window bits for deflate without header and trailer."""
_ID: Final = b"SM"
_FIXED: Final = struct.Struct("<4sIBBH2sHI")
"""Magic, method and flags; time; two bytes; length of the extra field; its id and length; CRC."""
_BEGINS: Final = b"\x1f\x8b\x08\x04"
_HEAD: Final = struct.Struct("<4sIBBH")
"""The same up to the length of the extra field."""
_FIELD: Final = struct.Struct("<2sH")
_HOLDS: Final = b"SB"
_CONTENTS: Final = struct.Struct("<QIQQQQ")
_TRAILER_BYTES: Final = 8
_READ_BYTES: Final = 1024


class About(Struct, frozen=True):
    """Where the messages of a segment come from. ``stream_created`` tells the sequences of a
    stream from those of its namesake that was made anew."""

    env: str
    feed: str
    schema: str
    config_hash: str
    stream_created: str
    exchange: str | None = None
    rotation_interval: str = "3600s"
    ssmd_version: str = __version__


class Contents(NamedTuple):
    """What one member says of itself: its length in the file, and its lines."""

    length: int
    records: int
    first_seq: int
    last_seq: int
    low_ns: int
    high_ns: int
    """Earliest and latest receive time."""


def member(lines: bytes, about: About | None, holds: Contents | None) -> bytes:
    """One complete gzip member that says where it comes from, and what it holds (the length is
    that of the member made)."""
    packer = isal_zlib.compressobj(LEVEL, isal_zlib.DEFLATED, RAW)
    body = packer.compress(lines) + packer.flush()
    tail = struct.pack("<II", isal_zlib.crc32(lines), len(lines) & 0xFFFFFFFF)
    extra = b"" if about is None else _field(_ID, msgspec.json.encode(about))
    if holds is not None:
        size = _HEAD.size + len(extra) + _FIELD.size + 4 + _CONTENTS.size
        told = holds._replace(length=size + len(body) + len(tail))
        extra += _field(_HOLDS, _CONTENTS.pack(*told))
    return b"".join((_HEAD.pack(_BEGINS, 0, 0, 255, len(extra)), extra, body, tail))


def _field(name: bytes, facts: bytes) -> bytes:
    return _FIELD.pack(name, len(facts) + 4) + struct.pack("<I", zlib.crc32(facts)) + facts


def contents(file: BinaryIO, offset: int) -> Contents | None:
    """What the member that begins there says it holds; None where it says nothing."""
    file.seek(offset)
    head = file.read(_READ_BYTES)
    if head[:4] != _BEGINS or len(head) < _HEAD.size:
        return None
    size = _HEAD.size + _HEAD.unpack_from(head)[-1]
    head += file.read(max(0, size - len(head)))
    facts = _extra(head[_HEAD.size : size]).get(_HOLDS, b"")
    if len(facts) != 4 + _CONTENTS.size or zlib.crc32(facts[4:]) != int.from_bytes(
        facts[:4], "little"
    ):
        return None
    told = Contents(*_CONTENTS.unpack(facts[4:]))
    return told if told.length > size + _TRAILER_BYTES else None


def _extra(field: bytes) -> dict[bytes, bytes]:
    """Its parts by name."""
    found, at = {}, 0
    while at + _FIELD.size <= len(field):
        name, size = _FIELD.unpack_from(field, at)
        at += _FIELD.size
        found[name] = field[at : at + size]
        at += size
    return found


def read(path: Path) -> About | None:
    """What the segment says of itself; None where it says nothing, or it is damaged."""
    with path.open("rb") as file:
        head = file.read(_FIXED.size)
        if len(head) < _FIXED.size:
            return None
        begins, _, _, _, _, name, size, crc = _FIXED.unpack(head)
        if begins != _BEGINS or name != _ID:
            return None
        facts = file.read(size - 4)
    if zlib.crc32(facts) != crc:
        return None
    try:
        return msgspec.json.decode(facts, type=About)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None
