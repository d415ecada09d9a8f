"""Changing configuration files: comments and order stay, and a file is whole or not written."""

import contextlib
import difflib
import fcntl
import io
import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import click

from ssmd.config import Environment, Feed, Schema
from ssmd.config.files import decode, parse_text, path_of
from ssmd.config.load import references
from ssmd.errors import ConfigError, Conflict, NotFound, StorageError
from ssmd.meta import options

Change = Callable[[Any], None]


def create(root: Path, folder: str, name: str, content: Mapping[str, Any]) -> Path:
    """A new file. Raises ConfigError where it exists, or the content is not valid."""
    file = path_of(root, folder, name)
    with locked(file.parent):
        if file.exists():
            raise ConfigError(f"{file} exists already", hint="change it with `update`")
        text = _dump(_yaml(""), content)
        check(root, file, text)
        write(file, text.encode())
    _show(file, "", text)
    return file


def update(root: Path, folder: str, name: str, change: Change) -> Path:
    """Apply a change to the file of that name, under a lock. Raises NotFound, ConfigError, and
    Conflict where an editor wrote the file meanwhile."""
    file = path_of(root, folder, name)
    with locked(file.parent):
        try:
            before = file.read_bytes()
        except FileNotFoundError:
            raise NotFound(f"there is no {file}", hint="see `list`") from None
        after = changed(root, file, before, change)
        if file.read_bytes() != before:
            raise Conflict(f"{file} was changed meanwhile", hint="look at it, and try again")
        if after != before:
            write(file, after)
    _show(file, before.decode(), after.decode())
    return file


def changed(root: Path, file: Path, before: bytes, change: Change) -> bytes:
    """The content of a file after a change. Raises ConfigError where either is not valid."""
    text = before.decode("utf-8")
    parse_text(file, text)
    yaml = _yaml(text)
    content = yaml.load(text)
    if not isinstance(content, dict):
        raise ConfigError(f"{file}:1: the file is no mapping", hint=f"correct {file}")
    change(content)
    after = _dump(yaml, content)
    check(root, file, after)
    return after.encode()


def check(root: Path, file: Path, text: str) -> None:
    """Raises ConfigError with all that is wrong with what is to be written."""
    source = parse_text(file, text)
    if file.parent.name == "feeds":
        decode(source, Feed)
    elif file.parent.name == "schemas":
        decode(source, Schema)
    else:
        found = list(references(root, decode(source, Environment)))
        if found:
            raise source.error(found)


def remove(content: Any, fields: tuple[str, ...], file: str) -> None:
    """Take optional fields out; what must be there is found missing when it is checked."""
    for field in fields:
        key = field.replace("-", "_")
        if key not in content:
            raise ConfigError(f"{file} has no field {key!r}", hint=f"it has: {', '.join(content)}")
        del content[key]


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """One edit at a time in a folder of configuration files."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(folder, os.O_RDONLY)
    except OSError as error:
        raise StorageError(f"cannot write to {folder}: {error.strerror}") from error
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def write(file: Path, content: bytes) -> None:
    """Whole or not at all, and durable. Raises StorageError."""
    beside = file.with_name(f".{file.name}.tmp")
    try:
        with beside.open("wb") as out:
            out.write(content)
            out.flush()
            os.fsync(out.fileno())
        beside.replace(file)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise StorageError(f"cannot write {file}: {error.strerror}") from error


def _yaml(text: str) -> Any:
    """A reader and writer that keeps comments, order, quotes and the file's own indentation."""
    from ruamel.yaml import YAML

    yaml = YAML(typ="rt")
    yaml.preserve_quotes = True
    yaml.width = sys.maxsize
    offset = _sequence_offset(text)
    yaml.indent(mapping=2, sequence=2 + offset, offset=offset)
    yaml.representer.add_representer(
        type(None), lambda to, _: to.represent_scalar("tag:yaml.org,2002:null", "null")
    )
    return yaml


def _sequence_offset(text: str) -> int:
    """How far the dashes of a list stand to the right of its key."""
    found = re.search(
        r"^( *)[^\s#-][^\n]*:[ \t]*(?:#[^\n]*)?\n(?:[ \t]*(?:#[^\n]*)?\n)*( *)- ", text, re.M
    )
    return max(len(found[2]) - len(found[1]), 0) if found else 2


def _dump(yaml: Any, content: Any) -> str:
    out = io.StringIO()
    yaml.dump(content, out)
    return out.getvalue()


def _show(file: Path, before: str, after: str) -> None:
    """With ``--verbose``, what changed."""
    if options.verbose():
        lines = difflib.unified_diff(
            before.splitlines(keepends=True), after.splitlines(keepends=True), str(file), str(file)
        )
        click.echo("".join(lines), nl=False)
