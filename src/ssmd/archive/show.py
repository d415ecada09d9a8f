"""How the archive's commands print: data on stdout, progress on stderr where a person looks."""

import contextlib
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import click
import msgspec


def as_json(content: Any) -> None:
    click.echo(msgspec.json.encode(content).decode())


def line(text: str, color: str | None = None) -> None:
    """One line on stdout; coloured only on a terminal, and not where ``NO_COLOR`` is set."""
    plain = color is None or not sys.stdout.isatty() or bool(os.environ.get("NO_COLOR"))
    click.echo(text if plain else click.style(text, fg=color))


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Columns side by side; numbers to the right."""
    widths = [max(len(row[i]) for row in (head, *rows)) for i in range(len(head))]
    for row in (head, *rows):
        cells = [
            cell.rjust(width) if _is_number(rows, i) else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        click.echo("  ".join(cells).rstrip())


def _is_number(rows: Sequence[Sequence[str]], column: int) -> bool:
    return all(row[column][:1].isdigit() or row[column][:1] in "-–" for row in rows)


def percent(share: float | None) -> str:
    """Rounded down: only what is whole is 100."""
    if share is None:
        return "–"
    return f"{int(share * 10_000) / 100:.2f}"


@contextlib.contextmanager
def progress(what: str, total: int) -> Iterator[Callable[[int], None]]:
    """A bar on stderr while it runs, on a terminal; what it yields takes bytes done."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    # Imported late: a tenth of a second that a script need not wait for.
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    columns = (TextColumn(what), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=total)
        yield lambda done: bar.advance(task, done)


def number(value: float | None) -> str:
    return "–" if value is None else f"{value:g}"
