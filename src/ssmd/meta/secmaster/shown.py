"""How records and changes are printed."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

import click
import msgspec

from ssmd import show
from ssmd.instruments.change import Change, Held

_TITLE_CHARS = 60


def moment(ns: int | None) -> str:
    """RFC 3339 to the ms; – for none."""
    if ns is None:
        return "–"
    seconds, rest = divmod(ns, 1_000_000_000)
    at = datetime.fromtimestamp(seconds, UTC)
    return f"{at:%Y-%m-%dT%H:%M:%S}.{rest // 1_000_000:03d}Z"


def as_object(feed: str, held: Held) -> dict[str, Any]:
    """One record or change as JSON holds it."""
    content: dict[str, Any] = msgspec.to_builtins(held)
    return {"feed": feed, **content}


def table(found: Sequence[tuple[str, Held]]) -> None:
    rows = [_row(feed, held) for feed, held in found]
    show.table(("feed", "symbol", "status", "ends", "category", "title"), rows)


def _row(feed: str, held: Held) -> tuple[str, ...]:
    one = held.instrument
    title = one.title or "–"
    if one.outcome and one.outcome != one.title:
        title = f"{title} [{one.outcome}]"
    short = title if len(title) <= _TITLE_CHARS else f"{title[: _TITLE_CHARS - 1]}…"
    ends = moment(one.close_ns)[:16]
    return feed, one.sym, one.status, ends, one.category or "–", short


def record(feed: str, held: Held) -> None:
    """All fields of one instrument."""
    show.line(f"{feed}  {show.printable(held.sym)}", "green" if held.instrument.active else None)
    about = {"known": moment(held.known_ns), "valid": moment(held.valid_ns)}
    about |= {"changes": str(held.number), "source": held.source}
    content = msgspec.to_builtins(held.instrument)
    lines = [*about.items(), *_lines("", content)]
    width = max(len(name) for name, _ in lines)
    for name, value in lines:
        click.echo(f"  {name.ljust(width)}  {show.printable(value)}")


def _lines(path: str, content: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for name, value in content.items():
        if name in ("exchange", "sym"):
            continue
        full = f"{path}{name}"
        if name.endswith("_ns") and isinstance(value, int):
            yield full.removesuffix("_ns"), moment(value)
        elif isinstance(value, dict):
            yield from _lines(f"{full}.", value)
        elif isinstance(value, list) and any(isinstance(one, dict) for one in value):
            for one in value:
                yield full, ", ".join(f"{k} {v}" for k, v in _lines("", one))
        else:
            yield full, _text(value)


def change(feed: str, one: Change) -> None:
    """When it was known and what it said: each field, old and new."""
    where = f"  ({one.source})" if one.source else ""
    show.line(f"{moment(one.known_ns)}  {feed}  {one.kind}{where}", "cyan")
    if one.valid_ns != one.learned_ns:
        click.echo(f"    valid since {moment(one.valid_ns)}")
    if one.kind == "added":
        click.echo(f"    status: {show.printable(one.instrument.status)}")
    for name, (old, new) in one.changed.items():
        was, is_ = _value(name, old), _value(name, new)
        click.echo(f"    {name.removesuffix('_ns')}: {was} → {is_}")


def _value(name: str, value: Any) -> str:
    if name.endswith("_ns") and isinstance(value, int):
        return moment(value)
    return show.printable(_text(value))


def _text(value: Any) -> str:
    if value is None or value in ("", [], {}):
        return "–"
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
