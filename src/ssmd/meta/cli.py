"""``ssmd meta``: the group, and the table of what it holds."""

import click

from ssmd.lazy import Entry, LazyGroup

COMMANDS: dict[str, Entry] = {
    "apikey": Entry("ssmd.meta.apikey:apikey", "Keys for those who read through ssmd serve."),
    "day": Entry("ssmd.meta.day:day", "Begin, end, roll and look at trading days."),
    "data": Entry("ssmd.meta.data.cli:data", "What is archived: look at it, export it."),
}


@click.group(cls=LazyGroup, table=COMMANDS)
def meta() -> None:
    """Configuration in Git, keys, instruments and trading days."""
