"""A progress bar, where a person looks at a long download."""

import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final

import msgspec
from msgspec import Struct

from ssmd.client.rows import Page

if TYPE_CHECKING:
    from rich.progress import Progress

PATIENT_S: Final = 1.0
"""What is quicker needs no bar."""


class _Received(Struct):
    recv_ns: int | None = None


@contextlib.contextmanager
def following(
    what: str, span: tuple[int, int] | None, wanted: bool | None
) -> Iterator[Callable[[Page], None]]:
    """Call it with every page. ``span`` is that of the rows' receipt, where they come in its order;
    ``wanted`` None: where stderr is a terminal."""
    if wanted is False or (wanted is None and not sys.stderr.isatty()):
        yield lambda _: None
        return
    bar = _Bar(what, span)
    try:
        yield bar.page
    finally:
        bar.close()


class _Bar:
    def __init__(self, what: str, span: tuple[int, int] | None) -> None:
        self._what = what
        self._span = span
        self._begun = time.monotonic()
        self._rows = 0
        self._shown: Progress | None = None

    def page(self, page: Page) -> None:
        self._rows += len(page.rows)
        if self._shown is None and time.monotonic() - self._begun < PATIENT_S:
            return
        shown = self._shown = self._shown or self._made()
        rows = f"{self._rows:,} rows"
        shown.update(shown.task_ids[0], rows=rows, completed=self._done(page))

    def _done(self, page: Page) -> float | None:
        if self._span is None or not page.rows:
            return None
        recv_ns = msgspec.json.decode(page.rows[-1], type=_Received).recv_ns
        return None if recv_ns is None else recv_ns - self._span[0]

    def _made(self) -> "Progress":
        # Imported late: it takes a tenth of a second.
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

        total = self._span[1] - self._span[0] if self._span else None
        columns = (
            TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[rows]}"),
            TimeElapsedColumn(),
        )  # fmt: skip
        made = Progress(*columns, console=Console(stderr=True), transient=True)
        made.add_task(self._what, total=total, rows="")
        made.start()
        return made

    def close(self) -> None:
        if self._shown is not None:
            self._shown.stop()
