"""A file that is made for a person: whole, or not at all."""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from ssmd.errors import Conflict, StorageError


@contextlib.contextmanager
def whole(out: Path, *, force: bool) -> Iterator[Path]:
    """A file beside ``out`` to write into; it becomes ``out`` where no error comes. Raises Conflict
    where ``out`` exists, StorageError where it cannot be written."""
    if out.is_dir():
        raise StorageError(f"{out} is a folder", hint="name a file in it")
    if out.exists() and not out.is_file():
        raise StorageError(f"{out} is no file that can be replaced", hint="choose another name")
    if out.exists() and not force:
        raise Conflict(f"{out} exists", hint="--force replaces it")
    try:
        handle, name = tempfile.mkstemp(prefix=f".{out.name[:100]}.", dir=out.parent)
    except OSError as error:
        raise StorageError(f"cannot write {out}: {error.strerror}") from error
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        temporary.chmod(0o644)
        temporary.replace(out)
    except OSError as error:
        raise StorageError(f"cannot write {out}: {error.strerror}") from error
    finally:
        temporary.unlink(missing_ok=True)
