"""Options and ways of speaking that all commands of ``ssmd meta`` share."""

import re
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import click

config = click.option(
    "--config", "root", type=click.Path(path_type=Path), help="Configuration folder."
)
as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
clear = click.option("--clear", multiple=True, metavar="FIELD", help="Remove this optional field.")
_QUIET, _VERBOSE = "ssmd.quiet", "ssmd.verbose"


class Day(click.ParamType["date"]):
    """A date as ``2026-11-23``."""

    name = "date"

    def convert(self, value: Any, param: Any, ctx: Any) -> date:
        if isinstance(value, date):
            return value
        if not re.fullmatch(r"\d{4}-\d{2}-\d{2}", value):
            self.fail(f"{value!r} is not a date: write it as 2026-11-23", param, ctx)
        try:
            return date.fromisoformat(value)
        except ValueError:
            self.fail(f"{value!r} is not a day of the calendar", param, ctx)


class Words(click.ParamType["tuple[str, ...]"]):
    """A list of words, separated by commas."""

    name = "a,b"

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[str, ...]:
        if isinstance(value, tuple):
            return value
        return tuple(word.strip() for word in value.split(",") if word.strip())


def loudness(context: click.Context, quiet: bool, verbose: bool) -> None:
    context.meta[_QUIET], context.meta[_VERBOSE] = quiet, verbose


def say(text: str) -> None:
    """What was done, unless ``--quiet``."""
    if not click.get_current_context().meta.get(_QUIET):
        click.echo(text)


def verbose() -> bool:
    return bool(click.get_current_context().meta.get(_VERBOSE))


Decorator = Callable[[Any], Any]


def given(**values: Any) -> dict[str, Any]:
    """The options that were typed."""
    return {name: value for name, value in values.items() if value is not None}
