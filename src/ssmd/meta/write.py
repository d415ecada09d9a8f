"""Files of the configuration folder, written whole or not at all, by one person at a time."""

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator
from pathlib import Path

from ssmd.errors import Conflict, StorageError

SUFFIX = ".ssmd-tmp"
PATIENCE_S = 10.0


@contextlib.contextmanager
def locked(root: Path) -> Iterator[None]:
    """Hold the folder; nobody else's command edits or commits it. Raises Conflict."""
    try:
        fd = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise StorageError(f"cannot open {root}: {error.strerror}", hint="ssmd meta init") from None
    try:
        _take(fd, root)
        # Whoever left these is gone: the lock is ours.
        for left in root.rglob(f".*{SUFFIX}"):
            left.unlink(missing_ok=True)
        yield
    finally:
        os.close(fd)


def _take(fd: int, root: Path) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            return fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise Conflict(
                    f"another command holds {root}", hint="wait until it is done, and try again"
                ) from None
            time.sleep(0.05)


def create(file: Path, content: bytes) -> None:
    """A new file. Raises Conflict where there is one."""
    if file.exists() or file.is_symlink():
        raise Conflict(f"{file} exists", hint="choose another name, or update what is there")
    _place(file, content, None, 0o644)


def replace(file: Path, content: bytes, expected: bytes) -> None:
    """New content for a file that still holds what was read. Raises Conflict, StorageError."""
    try:
        mode = file.stat().st_mode & 0o777
    except OSError:
        raise _changed(file) from None
    _place(file, content, expected, mode)


def _place(file: Path, content: bytes, expected: bytes | None, mode: int) -> None:
    temporary = file.with_name(f".{file.name}.{os.getpid()}{SUFFIX}")
    try:
        try:
            _write(temporary, content, mode)
            if expected is not None and _read(file) != expected:
                raise _changed(file)
            temporary.replace(file)
        finally:
            temporary.unlink(missing_ok=True)
        _sync_folder(file.parent)
    except OSError as error:
        raise StorageError(
            f"cannot write {file}: {error.strerror}", hint="nothing was changed; look at the disk"
        ) from None


def _write(temporary: Path, content: bytes, mode: int) -> None:
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(fd, "wb") as out:
        out.write(content)
        out.flush()
        os.fsync(out.fileno())


def _read(file: Path) -> bytes | None:
    try:
        return file.read_bytes()
    except FileNotFoundError:
        return None


def _sync_folder(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _changed(file: Path) -> Conflict:
    return Conflict(
        f"{file} was changed by someone else in the meantime",
        hint="nothing was overwritten: look at the file, and run the command again",
    )
