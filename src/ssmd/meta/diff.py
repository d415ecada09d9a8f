"""``ssmd meta diff``: what changed since the last commit, field by field, and for whom."""

import click
import msgspec

from ssmd import show
from ssmd.meta.delta import Delta, deltas
from ssmd.meta.git import Repository
from ssmd.meta.options import Desk, command, show_printable

COLORS = {"modified": "yellow", "new": "green", "deleted": "red", "renamed": "cyan"}


@click.command()
@command
def diff(desk: Desk) -> None:
    """What changed in config/ since the last commit, field by field, for which environments.

    New, deleted and renamed files too. -q prints only the files. Passwords and whatever is no
    reference beside a key are not shown.
    """
    found = deltas(desk.root, Repository(desk.root))
    if desk.json:
        show.as_json(msgspec.to_builtins(found))
        return
    for one in found:
        _tell(desk, one)
    if not found:
        desk.say("nothing changed")


def _tell(desk: Desk, one: Delta) -> None:
    file = f"{one.was} -> {one.file}" if one.was else one.file
    whom = f"  [{', '.join(one.environments) or 'no environment'}]"
    show.line(show_printable(f"{one.status:<8} {file}{whom}"), COLORS[one.status])
    if desk.quiet:
        return
    if one.status not in ("new", "deleted") or desk.verbose:
        for change in one.changes:
            click.echo(f"  {show_printable(str(change))}")
    if one.note:
        click.echo(f"  ({show_printable(one.note)})")
