"""Log files that stay small."""

import contextlib
from pathlib import Path

MAX_BYTES = 10 * 1024 * 1024


class Journal:
    """A file to append to; when it is full it becomes ``NAME.1``, and the one before goes.

    A disk that is full costs log lines, never the run.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with contextlib.suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)

    def write(self, piece: bytes) -> None:
        with contextlib.suppress(OSError), self.path.open("ab", buffering=0) as file:
            file.write(piece)
            full = file.tell() > MAX_BYTES
            if full:
                self.path.replace(self.path.with_name(f"{self.path.name}.1"))
