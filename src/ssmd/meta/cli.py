"""``ssmd meta``: the group, and the table of what it holds."""

import click

from ssmd.lazy import Entry, LazyGroup

COMMANDS: dict[str, Entry] = {
    "init": Entry("ssmd.meta.init:init", "Make config/ with an example, CI and Git hook."),
    "feed": Entry("ssmd.meta.groups:feed", "What is captured: feeds and their versions."),
    "schema": Entry("ssmd.meta.groups:schema", "What messages look like: definitions, hashes."),
    "env": Entry("ssmd.meta.groups:env", "What runs where: environments."),
    "key": Entry("ssmd.meta.groups:key", "Whether the secrets an environment names are there."),
    "validate": Entry("ssmd.meta.validate:validate", "Find all that is wrong in config/."),
    "diff": Entry("ssmd.meta.diff:diff", "What changed since the last commit, by environment."),
    "commit": Entry("ssmd.meta.commit:commit", "Commit config/, and nothing else."),
    "apikey": Entry("ssmd.meta.apikey:apikey", "Keys for those who read through ssmd serve."),
    "day": Entry("ssmd.meta.day:day", "Begin, end, roll and look at trading days."),
    "data": Entry("ssmd.meta.data.cli:data", "What is archived: look at it, export it."),
    "secmaster": Entry(
        "ssmd.meta.secmaster.cli:secmaster", "Instruments: what can be traded, and what could when."
    ),
}


@click.group(cls=LazyGroup, table=COMMANDS)
def meta() -> None:
    """Configuration in Git, keys, instruments and trading days.

    \b
    A first round:
      ssmd meta init                    config/ with an example
      ssmd meta env list                what there is
      ssmd meta feed update kraken --rate-limit 2
      ssmd meta diff                    what that changes, and for whom
      ssmd meta validate                whether it is right
      ssmd meta commit -m "kraken: twice as many calls"
    """
