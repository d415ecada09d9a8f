"""What the commands of ``ssmd meta`` share: their options, and how they speak."""

import functools
import os
from collections.abc import Callable, Sequence
from datetime import date
from difflib import unified_diff
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import click
import msgspec

from ssmd import show
from ssmd.config.files import FOLDERS
from ssmd.errors import ConfigError
from ssmd.meta.edit import Edited
from ssmd.meta.fields import changes, shown

F = TypeVar("F", bound=Callable[..., Any])


class Desk(NamedTuple):
    """Where a command works, and how much it is to say."""

    root: Path
    json: bool
    quiet: bool
    verbose: bool

    def say(self, text: str, color: str | None = None) -> None:
        """What a person may want to know; facts go through ``show`` instead."""
        if not (self.quiet or self.json):
            show.line(show_printable(text), color)

    def rows(self, head: Sequence[str], rows: Sequence[Sequence[str]], facts: Any) -> None:
        """A list: a table, JSON, or (quiet) the first column alone."""
        if self.json:
            show.as_json(facts)
        elif self.quiet:
            for row in dict.fromkeys(row[0] for row in rows):
                click.echo(row)
        else:
            show.table(head, rows)

    def edited(self, edited: Edited) -> None:
        """What an edit changed, after it is written."""
        file, draft = edited.draft.file, edited.draft
        found = changes(edited.old, draft.content)
        if self.json:
            show.as_json({"file": str(file), "changes": msgspec.to_builtins(found)})
            return
        for change in found:
            self.say(f"{file}: {change}", "green")
        if not found:
            self.say(f"{file}: nothing to change")
        if self.verbose and shown(draft.content) == draft.content and shown(edited.old):
            lines = unified_diff(
                draft.before.splitlines(),
                edited.text.splitlines(),
                str(file),
                str(file),
                "",
                "",
                3,
                "",
            )
            for line in lines:
                self.say(line)

    def created(self, file: Path, content: dict[str, Any]) -> None:
        """What a new file is."""
        if self.json:
            found = changes(None, msgspec.to_builtins(content))
            show.as_json({"file": str(file), "changes": msgspec.to_builtins(found)})
        else:
            self.say(f"{file}: created", "green")


def show_printable(text: str) -> str:
    """Without what moves a terminal's cursor: a file may hold anything."""
    return "".join(sign if sign.isprintable() else repr(sign)[1:-1] for sign in text)


def command(function: F) -> F:
    """The shared options, as one ``Desk``."""

    @functools.wraps(function)
    def run(root: Path | None, as_json: bool, quiet: bool, verbose: bool, **options: Any) -> Any:
        return function(Desk(folder(root), as_json, quiet, verbose), **options)

    for option in (
        click.option("-v", "--verbose", is_flag=True, help="Say more."),
        click.option("-q", "--quiet", is_flag=True, help="Say only what was asked for."),
        click.option("--json", "as_json", is_flag=True, help="Print JSON."),
        click.option(
            "--config", "root", type=click.Path(path_type=Path),
            help="Configuration folder.  [default: SSMD_CONFIG, or config]",
        ),
    ):  # fmt: skip
        run = option(run)
    return run  # type: ignore[return-value]


def folder(explicit: Path | None) -> Path:
    """The folder that is worked on; never the one in the package. Raises ConfigError."""
    root = explicit or Path(os.environ.get("SSMD_CONFIG") or "config")
    if not any((root / name).is_dir() for name in FOLDERS):
        raise ConfigError(
            f"{root} is no configuration folder", hint="ssmd meta init, or choose one with --config"
        )
    return root


class Date(click.ParamType[date]):
    name = "YYYY-MM-DD"

    def convert(self, value: Any, param: Any, ctx: Any) -> date:
        try:
            return value if isinstance(value, date) else date.fromisoformat(value)
        except ValueError:
            self.fail(f"{value!r} is no date, such as 2026-11-23", param, ctx)


def words(text: str | None) -> list[str]:
    """The items of a list that is given with commas."""
    return [word.strip() for word in (text or "").split(",") if word.strip()]


def facts(struct: Any) -> Any:
    """A piece of the configuration with every field, also where it has its default."""
    if isinstance(struct, msgspec.Struct):
        return {name: facts(getattr(struct, name)) for name in struct.__struct_fields__}
    if isinstance(struct, dict):
        return {name: facts(value) for name, value in struct.items()}
    if isinstance(struct, (list, tuple)):
        return [facts(value) for value in struct]
    return msgspec.to_builtins(struct)


def pairs(rows: Sequence[tuple[str, Any]]) -> None:
    """A thing's facts, one a line; what is not set is left out."""
    told = [(name, str(value)) for name, value in rows if value not in (None, "", (), [])]
    width = max(len(name) for name, _ in told) + 1
    for name, value in told:
        click.echo(f"{name + ':':<{width}} {show_printable(value)}")
