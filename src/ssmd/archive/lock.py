"""One writer a feed: whoever changes its files holds the lock of its folder."""

import fcntl
from pathlib import Path
from typing import IO

from ssmd.errors import StorageError

NAME = ".lock"


def hold(folder: Path) -> IO[bytes]:
    """The lock, until it is closed or the process ends. Raises StorageError where it is taken."""
    lock = (folder / NAME).open("ab")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        raise StorageError(
            f"another archiver writes to {folder}", hint="stop it, or choose another folder"
        ) from None
    return lock


def is_held(folder: Path) -> bool:
    """Whether an archiver (or a repair) is at work. Changes nothing, not even the lock file."""
    try:
        with (folder / NAME).open("rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False
