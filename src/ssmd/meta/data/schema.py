"""``ssmd meta data schema`` and ``builders``."""

from pathlib import Path

import click

from ssmd import show
from ssmd.builders import BUILDERS
from ssmd.errors import NotFound
from ssmd.meta.data.where import place, where
from ssmd.observed import schema as observe
from ssmd.query import facts


@click.command()
@click.argument("feed")
@click.argument("type_", metavar="TYPE")
@place
def schema(
    feed: str, type_: str,
    path: str | None, env: str | None, config: Path | None, as_json: bool, output: str,
) -> None:  # fmt: skip
    """The fields of FEED's messages of one TYPE, read off archived ones, and of the records that
    are derived from them."""
    archive = where(path, env, config).archive
    days = archive.days(feed)
    if not days:
        known = ", ".join(archive.feeds())
        raise NotFound(f"no feed {feed!r}", hint=f"archived are: {known or 'none'}")
    newest = archive.day(feed, days[-1])
    exchange = facts.exchange_of(newest, newest.manifest)

    def types(feed: str, day: str) -> set[str]:
        return set(facts.whole(archive.day(feed, day)).message_types)

    found = observe(archive, feed, type_, exchange.name if exchange else None, types)
    if as_json or output == "json":
        show.as_json(found)
        return
    seen = (
        f"{found.observed} messages of {found.observed_on}" if found.observed else "none archived"
    )
    show.line(f"{feed} {type_} ({', '.join(found.message_types) or 'not archived'}): {seen}")
    show.table(("FIELD", "TYPE"), list(found.fields.items()))
    for name, fields in found.records.items():
        show.line(f"\nrecord {name}")
        show.table(("FIELD", "TYPE"), list(fields.items()))


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON: --output json.")
@click.option(
    "--output", type=click.Choice(["table", "json"]), default="table", show_default=True,
    help="How to print.",
)  # fmt: skip
def builders(as_json: bool, output: str) -> None:
    """What folds the records of an instrument into a state, and whether it can be used yet."""
    if as_json or output == "json":
        show.as_json(BUILDERS)
        return
    show.table(
        ("ID", "AVAILABLE", "DERIVED", "DESCRIPTION"),
        [
            (one.id, "yes" if one.available else "no", ",".join(one.derived), one.description)
            for one in BUILDERS
        ],
    )
