"""``ssmd meta data gaps`` and ``quality``."""

from pathlib import Path
from typing import Any

import click

from ssmd import quality as measure
from ssmd import quality_shown, show
from ssmd.dataset import Day
from ssmd.meta.data.where import day_of, place, span, where
from ssmd.query import facts
from ssmd.store.tally import rfc3339


@click.command()
@click.option("--symbol", "symbols", multiple=True, help="Only about this one (repeatable).")
@span
@place
def gaps(
    symbols: tuple[str, ...], feeds: tuple[str, ...], first: str | None, last: str | None,
    path: str | None, env: str | None, config: Path | None, as_json: bool, output: str,
) -> None:  # fmt: skip
    """What is known to be missing: noted by the connector, dropped by the stream, or damaged since.

    A gap without an end is still open, or its connection died with it. With --symbol, gaps about
    no symbol in particular are shown too: they concern all.
    """
    days = where(path, env, config).days(feeds, day_of(first), day_of(last))
    rows = [row for day in days for row in _rows(day)]
    if symbols:
        rows = [row for row in rows if row.get("sym") in {None, *symbols}]
    if as_json or output == "json":
        show.as_json(rows or None)
        return
    show.table(
        ("FEED", "DATE", "CAUSE", "SYMBOL", "FROM", "TO", "SECONDS", "MISSING", "OUTCOME"),
        [
            (
                row["feed"], row["date"], row["cause"], row.get("sym") or "–",
                _clock(row.get("from_ns")), _clock(row.get("to_ns")), _seconds(row),
                str(row.get("missing") or "–"), row.get("outcome") or "–",
            )
            for row in rows
        ],
    )  # fmt: skip


def _rows(day: Day) -> list[dict[str, Any]]:
    rows = [*facts.gap_rows(facts.whole(day)), *facts.damage_rows(day)]
    return sorted(rows, key=lambda row: row.get("from_ns") or 0)


def _clock(ns: int | None) -> str:
    return "–" if ns is None else rfc3339(ns)[11:23]


def _seconds(row: dict[str, Any]) -> str:
    start, end = row.get("from_ns"), row.get("to_ns")
    return "–" if start is None or end is None else f"{(end - start) / 1e9:.3f}"


@click.command()
@span
@place
def quality(
    feeds: tuple[str, ...], first: str | None, last: str | None,
    path: str | None, env: str | None, config: Path | None, as_json: bool, output: str,
) -> None:  # fmt: skip
    """Coverage, verified and clean shares, ages, gaps and drift, read off every archived line."""
    found = where(path, env, config)
    days = found.days(feeds, day_of(first), day_of(last))
    size = sum(piece.size for day in days for piece in day.pieces())
    with show.progress("quality", size) as progress:
        rows = measure.rows([day.folder for day in days], found.config, progress)
    if as_json or output == "json":
        show.as_json(rows or None)
    else:
        quality_shown.tell(found.env, rows)
