"""``ssmd meta schema compat``."""

import json
from pathlib import Path
from typing import Any

import click

from ssmd import show
from ssmd.errors import ConfigError
from ssmd.meta.compat import Compatibility, compatibility

_file = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command()
@click.argument("old", type=_file, metavar="OLD")
@click.argument("new", type=_file, metavar="NEW")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def compat(old: Path, new: Path, as_json: bool) -> None:
    """Compare two JSON Schemas: can each side read what the other writes? Exit 1 where not."""
    found = compared(old, new)
    if as_json:
        show.as_json({**show.facts(found), "compatible": not found.breaking})
    else:
        for change in found.changes:
            show.line(str(change), "red" if change.breaking else "green")
        click.echo("breaking" if found.breaking else "compatible")
    if found.breaking:
        raise SystemExit(1)


def compared(old: Path, new: Path) -> Compatibility:
    """Raises ConfigError where one is no JSON."""
    return compatibility(_json(old), _json(new))


def _json(file: Path) -> Any:
    try:
        return json.loads(file.read_bytes())
    except (OSError, ValueError, RecursionError):
        raise ConfigError(f"{file} is no JSON", hint="give a JSON Schema") from None
