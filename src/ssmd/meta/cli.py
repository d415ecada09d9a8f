"""``ssmd meta``: the group, and the table of what it holds."""

import click

from ssmd.lazy import Entry, LazyGroup

COMMANDS: dict[str, Entry] = {}


@click.group(cls=LazyGroup, table=COMMANDS)
def meta() -> None:
    """Configuration in Git, keys, instruments and trading days."""
