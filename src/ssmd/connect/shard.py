"""Sharing a feed's instruments between connectors, the same way at every start."""

import re
from zlib import crc32

from msgspec import Struct

from ssmd.errors import ConfigError

_SHARD = re.compile(r"([1-9]\d{0,3})/([1-9]\d{0,3})", re.ASCII)


class Shard(Struct, frozen=True):
    """One of ``count``, counted from 1."""

    index: int = 1
    count: int = 1

    def __str__(self) -> str:
        return f"{self.index}/{self.count}"

    def has(self, sym: str) -> bool:
        """Whether the instrument is this shard's; each is exactly one's."""
        return crc32(sym.encode("utf-8", "surrogatepass")) % self.count == self.index - 1


def parse(text: str) -> Shard:
    """``2/8`` -> the second of eight. Raises ConfigError."""
    found = _SHARD.fullmatch(text)
    if found is None or int(found[1]) > int(found[2]):
        raise ConfigError(f"{text!r} is no shard", hint="write it as 2/8: the second of eight")
    return Shard(int(found[1]), int(found[2]))
