"""What a segment says of itself: the facts that its manifest entry needs and its lines do not hold.

They stand in the extra field of the first gzip member's header, which every gzip reader passes
over, with a CRC32 of their own (a header is not in the member's).
"""

import struct
import zlib
from pathlib import Path
from typing import Final

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


def member(lines: bytes, about: About) -> bytes:
    """One complete gzip member that says where it comes from."""
    facts = msgspec.json.encode(about)
    packer = isal_zlib.compressobj(LEVEL, isal_zlib.DEFLATED, RAW)
    size = len(facts) + 4
    head = _FIXED.pack(_BEGINS, 0, 0, 255, size + 4, _ID, size, zlib.crc32(facts))
    body = packer.compress(lines) + packer.flush()
    tail = struct.pack("<II", isal_zlib.crc32(lines), len(lines) & 0xFFFFFFFF)
    return b"".join((head, facts, body, tail))


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
