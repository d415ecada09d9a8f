"""What was sent: per connection, the SHA-256 of every frame in order."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import msgspec

DIGEST_BYTES = 32


class Entry:
    """One connection's frames. ``peer_port`` tells which client it was."""

    def __init__(self, exchange: str, number: int, peer_port: int) -> None:
        self.exchange = exchange
        self.number = number
        self.peer_port = peer_port
        self._digests = bytearray()

    def add(self, frame: bytes) -> bytes:
        digest = hashlib.sha256(frame).digest()
        self._digests += digest
        return digest

    def __len__(self) -> int:
        return len(self._digests) // DIGEST_BYTES

    def digests(self) -> Iterator[bytes]:
        """SHA-256 of frame 1, 2, ..."""
        for at in range(0, len(self._digests), DIGEST_BYTES):
            yield bytes(self._digests[at : at + DIGEST_BYTES])


class Ledger:
    """All connections in order of opening; as JSONL in a file too, where one is given."""

    def __init__(self, path: Path | None = None) -> None:
        self.entries: list[Entry] = []
        self._file: IO[bytes] | None = path.open("ab", buffering=0) if path else None

    def open(self, exchange: str, peer_port: int) -> Entry:
        entry = Entry(exchange, len(self.entries) + 1, peer_port)
        self.entries.append(entry)
        return entry

    def add(self, entry: Entry, frame: bytes) -> None:
        digest = entry.add(frame)
        if self._file is not None:
            line = {
                "exchange": entry.exchange,
                "conn": entry.number,
                "peer_port": entry.peer_port,
                "n": len(entry),
                "sha256": digest.hex(),
            }
            self._file.write(msgspec.json.encode(line) + b"\n")

    def close(self) -> None:
        if self._file is not None:
            self._file.close()


def read(path: Path) -> list[Entry]:
    """The ledger of a file, also of one that is being written."""
    entries: dict[int, Entry] = {}
    for line in path.read_bytes().split(b"\n")[:-1]:
        row = msgspec.json.decode(line)
        entry = entries.get(row["conn"])
        if entry is None:
            entry = entries[row["conn"]] = Entry(row["exchange"], row["conn"], row["peer_port"])
        entry._digests += bytes.fromhex(row["sha256"])
    return list(entries.values())
