"""Messages that wait in files, in order, for a NATS that is away.

A file is a row of records: length and CRC32 of what follows, then the lengths of subject and id,
subject, id, message. Files are handed to the operating system a few times a second and not synced:
they survive the end of this process, not that of the machine.
"""

import fcntl
import os
import struct
from collections import deque
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import IO, BinaryIO, Final, NamedTuple
from zlib import crc32

from ssmd.errors import StorageError
from ssmd.runtime import writable

SUFFIX: Final = ".spill"
FILE_BYTES: Final = 64 * 1024 * 1024
BUFFER_BYTES: Final = 1 << 16
MAX_RECORD_BYTES: Final = 1 << 26
"""More than NATS takes as one message."""
_HEAD: Final = struct.Struct("<II")
_LENGTHS: Final = struct.Struct("<HH")


class Record(NamedTuple):
    subject: str
    msg_id: str
    line: bytes


class Spill:
    """A queue of records in a folder; what an earlier process left is its beginning."""

    def __init__(self, folder: Path) -> None:
        """Raises StorageError where the folder cannot be written."""
        self.folder = writable(folder)
        self.messages = 0
        """Appended and not yet taken."""
        self._damaged: list[Path] = []
        self._files: deque[Path] = deque(sorted(self.folder.glob(f"*{SUFFIX}")))
        self._sizes = {path: path.stat().st_size for path in self._files}
        self._number = int(self._files[-1].stem) if self._files else 0
        self._writing: int | None = None
        self._written = 0
        self._buffer = bytearray()
        self._reading: Iterator[Record] | None = None
        self.taken: deque[Path] = deque()
        """Files whose records were all taken, the oldest first."""
        self._disk_bytes = sum(self._sizes.values())
        self._lock = _lock(self.folder)

    @property
    def size_bytes(self) -> int:
        """On disk or about to be, with what is taken and not yet removed."""
        return self._disk_bytes + len(self._buffer)

    @property
    def buffered(self) -> int:
        """Bytes that are not handed to the operating system."""
        return len(self._buffer)

    @property
    def empty(self) -> bool:
        """All was taken."""
        return not self._files and not self._buffer

    def append(self, subject: str, msg_id: str, line: bytes) -> None:
        """Raises OSError where the disk takes no more: the record is kept in memory then, as all
        that is not ``flush``ed, and nobody may append until a flush went well."""
        names = subject.encode(), msg_id.encode()
        body = b"".join((_LENGTHS.pack(len(names[0]), len(names[1])), *names, line))
        self._buffer += _HEAD.pack(len(body), crc32(body))
        self._buffer += body
        self.messages += 1
        if len(self._buffer) >= BUFFER_BYTES:
            self.flush()

    def flush(self) -> None:
        """Hand what is buffered to the operating system. Raises OSError, and can be repeated."""
        if not self._buffer:
            return
        if self._writing is None or self._written >= FILE_BYTES:
            self._next_file()
        assert self._writing is not None
        try:
            _write_all(self._writing, self._buffer)
        except OSError:
            # No half record may stand before the next one.
            os.ftruncate(self._writing, self._written)
            os.lseek(self._writing, self._written, os.SEEK_SET)
            raise
        self._written += len(self._buffer)
        self._disk_bytes += len(self._buffer)
        self._sizes[self._files[-1]] = self._written
        self._buffer.clear()

    def take(self, count: int) -> list[Record]:
        """The oldest records, each once; [] where there is none."""
        found: list[Record] = []
        while len(found) < count:
            if self._reading is None and not self._open_next():
                break
            assert self._reading is not None
            record = next(self._reading, None)
            if record is not None:
                found.append(record)
            else:
                self._reading = None
                self.taken.append(self._files.popleft())
        self.messages = max(self.messages - len(found), 0)
        return found

    def take_buffered(self) -> list[Record]:
        """All that is in no file, where no file is left to take from: even a full disk lets go of
        it. From here on it is in the caller's memory alone."""
        if self._files:
            return []
        source = BytesIO(bytes(self._buffer))
        self._buffer.clear()
        found = [
            _record(body)
            for head in iter(lambda: source.read(_HEAD.size), b"")
            if (body := _body(source, head)) is not None
        ]
        self.messages = 0
        return found

    def remove_taken(self) -> Path | None:
        """What stood in the oldest taken file is safe elsewhere: it goes. Where it was damaged it
        is kept under another name, which is answered."""
        path = self.taken.popleft()
        self._disk_bytes -= self._sizes.pop(path)
        if path not in self._damaged:
            path.unlink()
            return None
        self._damaged.remove(path)
        return path.rename(path.with_suffix(".damaged"))

    def close(self) -> None:
        """Let go of the files; raises OSError where the buffer cannot be written."""
        try:
            self.flush()
        finally:
            if self._writing is not None:
                os.close(self._writing)
                self._writing = None
            self._lock.close()

    def _next_file(self) -> None:
        if self._writing is not None:
            os.close(self._writing)
            self._writing = None
        self._number += 1
        path = self.folder / f"{self._number:012d}{SUFFIX}"
        self._writing = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        self._written = 0
        self._files.append(path)
        self._sizes[path] = 0

    def _open_next(self) -> bool:
        """Read on in the oldest file; the one being written is closed first."""
        if not self._files:
            return False
        if len(self._files) == 1 and self._writing is not None:
            os.close(self._writing)
            self._writing = None
        self._reading = self._records(self._files[0])
        return True

    def _records(self, path: Path) -> Iterator[Record]:
        """The records of a file, up to the first that is not whole."""
        with path.open("rb") as file:
            while head := file.read(_HEAD.size):
                body = _body(file, head)
                if body is None:
                    self._damaged.append(path)
                    return
                yield _record(body)


def _body(file: BinaryIO, head: bytes) -> bytes | None:
    if len(head) < _HEAD.size:
        return None
    length, checksum = _HEAD.unpack(head)
    if not _LENGTHS.size <= length <= MAX_RECORD_BYTES:
        return None
    body = file.read(length)
    return body if len(body) == length and crc32(body) == checksum else None


def _lock(folder: Path) -> IO[bytes]:
    lock = (folder / ".lock").open("ab")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        raise StorageError(
            f"another connector captures the same with {folder}",
            hint="stop it, or give each a --shard or a --data of its own",
        ) from None
    return lock


def _record(body: bytes) -> Record:
    first, second = _LENGTHS.unpack_from(body)
    begin = _LENGTHS.size
    middle = begin + first
    end = middle + second
    return Record(body[begin:middle].decode(), body[middle:end].decode(), body[end:])


def _write_all(fd: int, content: bytearray) -> None:
    view = memoryview(content)
    while view:
        view = view[os.write(fd, view) :]
