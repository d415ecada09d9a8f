"""One edit of a file of the configuration: read, changed, proved, written, or nothing at all."""

import contextlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ssmd.config.files import FOLDERS, Document, document, is_name, parse
from ssmd.errors import ConfigError, Conflict, StorageError
from ssmd.meta import validation, write
from ssmd.meta.draft import Draft
from ssmd.meta.render import document as rendered


class Edited:
    """What an edit did; filled when it is done."""

    def __init__(self, draft: Draft) -> None:
        self.draft = draft
        self.old = parse(draft.file, draft.before).content
        self.text = draft.before


@contextlib.contextmanager
def editing(root: Path, folder: str, name: str) -> Iterator[Edited]:
    """The file of that name, to be changed through ``.draft``; written at the end of the block.

    A file must be right after the edit, or at least less wrong than before; else all that is wrong
    is told, with its line. Raises NotFound, ConfigError, Conflict, StorageError.
    """
    with write.locked(root):
        source = document(root, folder, name)
        file = _inside(root, source.file)
        raw = file.read_bytes()
        source = parse(source.file, raw.decode("utf-8"))
        edited = Edited(Draft(source.file, raw.decode("utf-8")))
        yield edited
        edited.text = edited.draft.text()
        _refuse_wrong(root, source, parse(source.file, edited.text))
        if edited.text != edited.draft.before:
            write.replace(file, edited.text.encode(), raw)


def creating(root: Path, folder: str, name: str, content: dict[str, Any]) -> Path:
    """A new file with that content. Raises ConfigError, Conflict, StorageError."""
    kind = FOLDERS[folder]
    if not is_name(name):
        raise ConfigError(
            f"{name!r} is no name", hint="names are lower-case letters, digits, - and _"
        )
    file = root / folder / f"{name}.yaml"
    if file.exists() or file.is_symlink():
        raise Conflict(
            f"{kind} {name} exists: {file}", hint=f"ssmd meta {_group(kind)} update {name}"
        )
    text = rendered({key: value for key, value in content.items() if value is not None})
    found = validation.errors(root, parse(file, text))
    if found:
        told = "\n".join(problem.text for problem in found)
        raise ConfigError(told, hint=found[0].hint or "nothing was written")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(f"cannot make {file.parent}: {error.strerror}") from None
    with write.locked(root):
        write.create(file, text.encode())
    return file


def _group(kind: str) -> str:
    return "env" if kind == "environment" else kind


def _inside(root: Path, file: Path) -> Path:
    """The file itself, where it is a link. Raises ConfigError where that leaves the folder."""
    actual = file.resolve()
    if not actual.is_relative_to(root.resolve()):
        raise ConfigError(
            f"{file} is a link to {actual}, outside {root}", hint="edit that file where it is"
        )
    return actual if file.is_symlink() else file


def _refuse_wrong(root: Path, before: Document, after: Document) -> None:
    """Raise ConfigError, unless the edit mends something and breaks nothing."""
    found = validation.errors(root, after)
    was = Counter(problem.text for problem in validation.errors(root, before))
    if not found or Counter(problem.text for problem in found) < was:
        return
    error = after.error(found)
    hint = f"nothing was changed; {error.hint}" if len(found) == 1 else "nothing was changed"
    raise ConfigError(error.message, hint=hint)
