"""``ssmd meta``: the group, and the table of what it holds."""

import click

from ssmd.lazy import Entry, LazyGroup

COMMANDS: dict[str, Entry] = {
    "apikey": Entry("ssmd.meta.apikey:apikey", "Keys for those who read through ssmd serve."),
}


@click.group(cls=LazyGroup, table=COMMANDS)
def meta() -> None:
    """Configuration in Git, keys, instruments and trading days."""
