"""``ssmd meta secmaster list|show|search|export|history``."""

import heapq
import itertools
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import click

from ssmd import show
from ssmd.errors import NotFound
from ssmd.instruments.change import Held
from ssmd.meta.secmaster import export as exports
from ssmd.meta.secmaster import shown
from ssmd.meta.secmaster.options import (
    Filter,
    Where,
    as_of,
    chosen,
    json_option,
    now_or,
    where,
)
from ssmd.meta.secmaster.reading import Reader, reader
from ssmd.runtime import run

_LIMIT = 100
_NEVER = 1 << 63


@click.command("list")
@where
@chosen
@click.option("--limit", type=click.IntRange(0), default=_LIMIT, show_default=True,
              help="At most so many, those that end first; 0 is all.")  # fmt: skip
@json_option
def list_(
    env: str, feeds: tuple[str, ...], config: Path | None, data: Path, category: str | None,
    status: str | None, group: str | None, expiring_ns: int | None, at_ns: int | None, limit: int,
    as_json: bool,
) -> None:  # fmt: skip
    """Instruments, one a line, those that end first."""
    place = Where(env, feeds, config, data)
    wanted = Filter(category, status, group, expiring_ns)
    run(_list(place, wanted, at_ns, limit, as_json=as_json))


@click.command("search")
@click.argument("text")
@where
@as_of
@click.option("--limit", type=click.IntRange(0), default=_LIMIT, show_default=True,
              help="At most so many; 0 is all.")  # fmt: skip
@json_option
def search(
    text: str, env: str, feeds: tuple[str, ...], config: Path | None, data: Path,
    at_ns: int | None, limit: int, as_json: bool,
) -> None:  # fmt: skip
    """Instruments in whose title, symbol, links or other names all words of TEXT are found."""
    place = Where(env, feeds, config, data)
    run(_list(place, Filter(), at_ns, limit, text=text, as_json=as_json))


@click.command("show")
@click.argument("sym")
@where
@as_of
@json_option
def show_(
    sym: str, env: str, feeds: tuple[str, ...], config: Path | None, data: Path,
    at_ns: int | None, as_json: bool,
) -> None:  # fmt: skip
    """All that is known of the instrument SYM; another name of it will do, too."""
    run(_show(Where(env, feeds, config, data), sym, at_ns, as_json=as_json))


@click.command("export")
@where
@chosen
@click.option("--format", "kind", type=click.Choice(exports.KINDS), default="ndjson",
              show_default=True, help="What to write.")  # fmt: skip
@click.option("-o", "--output", type=click.Path(path_type=Path), help="File; none is stdout.")
def export_(
    env: str, feeds: tuple[str, ...], config: Path | None, data: Path, category: str | None,
    status: str | None, group: str | None, expiring_ns: int | None, at_ns: int | None, kind: str,
    output: Path | None,
) -> None:  # fmt: skip
    """All records as CSV, JSON, NDJSON or Parquet. Times in tables are ns UTC."""
    place = Where(env, feeds, config, data)
    run(_export(place, Filter(category, status, group, expiring_ns), at_ns, kind, output))


@click.command("history")
@click.argument("sym")
@where
@json_option
def history_(
    sym: str, env: str, feeds: tuple[str, ...], config: Path | None, data: Path, as_json: bool
) -> None:
    """Every change of the instrument SYM: when it was known, and each field, old and new."""
    run(_history(Where(env, feeds, config, data), sym, as_json=as_json))


async def _chosen(
    known: Reader, wanted: Filter, at_ns: int | None, text: str
) -> AsyncIterator[tuple[str, Held]]:
    words, now = text.casefold().split(), now_or(at_ns)
    async for feed, held in known.records(at_ns):
        if wanted.wants(held, now) and (not words or _holds(held, words)):
            yield feed, held


def _holds(held: Held, words: list[str]) -> bool:
    one = held.instrument
    links = (one.links.event, one.links.series, one.links.condition, one.links.market)
    names = (one.sym, one.title, one.outcome, one.group, one.base, one.quote, *links, *one.aliases)
    text = "\n".join(name for name in names if name).casefold()
    return all(word in text for word in words)


async def _list(
    place: Where, wanted: Filter, at_ns: int | None, limit: int, *, text: str = "", as_json: bool
) -> None:
    count = itertools.count(1)
    total = 0
    best: list[tuple[tuple[int, str], int, tuple[str, Held]]] = []
    async with reader(place, latest=at_ns is None) as known:
        async for feed, held in _chosen(known, wanted, at_ns, text):
            total += 1
            best.append((_order(held), next(count), (feed, held)))
            if limit and len(best) >= 2 * limit + 1000:
                best = heapq.nsmallest(limit, best)
    found = [entry for _, _, entry in sorted(best)[: limit or None]]
    if as_json:
        show.as_json([shown.as_object(feed, held) for feed, held in found])
        return
    shown.table(found)
    if total > len(found):
        click.echo(f"and {total - len(found)} more: see --limit", err=True)


def _order(held: Held) -> tuple[int, str]:
    close_ns = held.instrument.close_ns
    return (_NEVER if close_ns is None else close_ns), held.sym


async def _show(place: Where, sym: str, at_ns: int | None, *, as_json: bool) -> None:
    async with reader(place, latest=at_ns is None) as known:
        found = await known.named(sym) if at_ns is None else []
        if not found:
            called = [(feed, held) async for feed, held in known.records(at_ns) if _is(held, sym)]
            exact = [(feed, held) for feed, held in called if held.sym == sym]
            found = exact or called
    if not found:
        raise _unknown(sym, place.env)
    if as_json:
        show.as_json([shown.as_object(feed, held) for feed, held in found])
        return
    for feed, held in found:
        shown.record(feed, held)


def _is(held: Held, name: str) -> bool:
    one = held.instrument
    wanted = name.casefold()
    return any(wanted == known.casefold() for known in (one.sym, *one.aliases))


async def _export(
    place: Where, wanted: Filter, at_ns: int | None, kind: str, output: Path | None
) -> None:
    async with reader(place, latest=at_ns is None) as known:
        count = await exports.export(_chosen(known, wanted, at_ns, ""), kind, output)
    if output is not None:
        click.echo(f"{count} instruments in {output}", err=True)


async def _history(place: Where, sym: str, *, as_json: bool) -> None:
    async with reader(place, latest=False) as known:
        found = [(feed, change) async for feed, change in known.changes(sym)]
    if not found:
        raise _unknown(sym, place.env)
    if as_json:
        objects: list[Any] = [shown.as_object(feed, change) for feed, change in found]
        show.as_json(objects)
        return
    for feed, change in found:
        shown.change(feed, change)


def _unknown(sym: str, env: str) -> NotFound:
    return NotFound(
        f"{env} knows no instrument {sym}", hint=f"ssmd meta secmaster search --env {env} TEXT"
    )
