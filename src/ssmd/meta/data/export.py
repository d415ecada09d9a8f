"""``ssmd meta data export``."""

from pathlib import Path

import click
import msgspec

from ssmd import outfile, show
from ssmd.dataset import types_of
from ssmd.errors import NotFound
from ssmd.meta.data.where import DateOrTime, Where, day_of, moment_ns, place, where
from ssmd.query import facts, parquet
from ssmd.query.scope import VIEWS, Scope
from ssmd.span import FOREVER_NS
from ssmd.store.manifest import OTHER

FORMATS = ("parquet", "csv", "ndjson", "arrow")


@click.command()
@click.option("--out", type=click.Path(path_type=Path), required=True, help="File to write.")
@click.option("--force", is_flag=True, help="Replace the file where it exists.")
@click.option(
    "--format", "format_", type=click.Choice(FORMATS), help="[default: by the file's name]"
)
@click.option("--feed", "feeds", multiple=True, help="Only this feed (repeatable).")
@click.option(
    "--type", "type_", default="messages", show_default=True,
    help=f"A table ({', '.join(VIEWS)}), or a message type.",
)  # fmt: skip
@click.option("--symbol", "symbols", multiple=True, help="Only this one (repeatable).")
@click.option("--from", "first", type=DateOrTime(), help="Received from this day or time on.")
@click.option(
    "--to", "last", type=DateOrTime(), help="Up to this day (included), or before a time."
)
@place
def export(
    out: Path, force: bool, format_: str | None, feeds: tuple[str, ...], type_: str,
    symbols: tuple[str, ...], first: str | None, last: str | None,
    path: str | None, env: str | None, config: Path | None, as_json: bool, output: str,
) -> None:  # fmt: skip
    """Write messages or records to a file, in the order of their receipt.

    The file appears when it is whole. Messages as ndjson are the archived lines, byte for byte;
    decimals are exact in every format. Memory is bounded whatever the range. What cannot be read is
    named on stderr, and the rest is written.
    """
    # Imported late: DuckDB takes a tenth of a second.
    from ssmd.meta.data import writing

    kind = format_ or _by_name(out)
    found = where(path, env, config)
    table = type_ if type_ in VIEWS else "messages"
    scope = Scope(
        feeds=feeds,
        start_ns=moment_ns(first) if first else 0,
        end_ns=moment_ns(last, end=True) if last else FOREVER_NS,
        symbols=frozenset(symbols) if symbols else None,
        tables=frozenset({table}),
    )
    _check(found, scope, type_, first, last)
    with (
        outfile.whole(out, force=force) as file,
        show.progress("export", _size(found, scope)) as progress,
    ):
        if kind == "ndjson" and table == "messages":
            made = writing.lines(found, scope, type_, file, progress)
        else:
            made = writing.table(found, scope, type_, kind, file, progress)
    for hole in made.holes:
        show.warning(f"{hole.feed} {hole.date}: not all can be read: {hole.what}")
    size = out.stat().st_size
    if as_json or output == "json":
        facts_of = {"out": str(out), "format": kind, "table": table, "bytes": size}
        show.as_json(facts_of | msgspec.to_builtins(made))
    else:
        show.line(f"{made.rows} rows of {type_} in {out}, {size / 1e6:.3f} MB")


def _by_name(out: Path) -> str:
    endings = {".jsonl": "ndjson", ".json": "ndjson", ".arrows": "arrow", ".feather": "arrow"}
    kind = endings.get(out.suffix, out.suffix.removeprefix("."))
    if kind not in FORMATS:
        raise click.UsageError(f"Choose the format of {out.name} with --format.")
    return kind


def _check(found: Where, scope: Scope, type_: str, first: str | None, last: str | None) -> None:
    """Raises NotFound for what nobody can mean: no such feed, day or type."""
    days = found.days(scope.feeds, day_of(first), day_of(last))
    if not days:
        raise NotFound("nothing is archived in that time", hint="see `ssmd meta data list`")
    if type_ in VIEWS:
        return
    known = {kind for day in days for kind in facts.whole(day).message_types}
    if OTHER not in known and not {kind.lower() for kind in known} & types_of(type_):
        raise NotFound(
            f"no table or message type {type_!r}",
            hint=f"one of: {', '.join((*VIEWS, *sorted(known)))}",
        )


def _size(found: Where, scope: Scope) -> int:
    """Bytes of segments that are to be read."""
    days = [day for day in found.days(scope.feeds, None, None) if scope.may_hold(day.date)]
    return sum(
        piece.size
        for day in days
        if parquet.current(day, day.manifest) is None
        for piece in day.pieces()
    )
