"""``ssmd meta data sample``."""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import click
import msgspec

from ssmd import show
from ssmd.dataset import Day, matcher
from ssmd.errors import ContractError
from ssmd.meta.data.where import place, where


@click.command()
@click.argument("feed")
@click.argument("date")
@click.option("--ticker", help="Only messages about this instrument.")
@click.option("--type", "type_", help="Only this message type, or orderbook, trade, ticker.")
@click.option(
    "--limit", type=click.IntRange(1), default=10, show_default=True, help="How many messages."
)
@place
def sample(
    feed: str, date: str, ticker: str | None, type_: str | None, limit: int,
    path: str | None, env: str | None, config: Path | None, as_json: bool, output: str,
) -> None:  # fmt: skip
    """The first messages of FEED on DATE, as they are archived.

    What cannot be read is named on stderr; the rest is shown.
    """
    day = where(path, env, config).archive.day(feed, date)
    found = islice(_lines(day, type_, ticker), limit)
    if as_json or output == "json":
        _as_array(found)
        return
    none = True
    for line in found:
        none = False
        shown = msgspec.json.format(line, indent=2).decode("utf-8", "replace")
        show.line("\n".join(map(show.printable, shown.split("\n"))))
    if none:
        show.line("no such message")


def _as_array(lines: Iterator[bytes]) -> None:
    """The bytes as stored; ``null`` for none."""
    first = next(lines, None)
    if first is None:
        show.line("null")
        return
    show.line("[" + first.decode("utf-8", "replace"))
    for line in lines:
        show.line("," + line.decode("utf-8", "replace"))
    show.line("]")


def _lines(day: Day, type_: str | None, ticker: str | None) -> Iterator[bytes]:
    wanted = matcher(type_, ticker)
    for piece in day.pieces(type_):
        for line in piece.sound(_warn) if piece.may_hold else ():
            try:
                if wanted(line):
                    yield line
            except ContractError as error:
                _warn(f"{piece.path.name}: {error.message}")


def _warn(what: str) -> None:
    show.warning(f"not all can be read: {what}")
